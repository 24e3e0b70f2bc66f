import { baidu } from './baidu/drive.ts';
import type { DriveDefinition } from './driver.ts';
import { local } from './local/drive.ts';
import { netdisk } from './netdisk/drive.ts';
import { pan115 } from './pan115/drive.ts';
import { pan123 } from './pan123/drive.ts';

/** Every kind of drive. A new one adds its name here, and nothing else changes. */
export const DRIVES = [local, baidu, pan115, pan123, netdisk] as const;

export type DriveId = (typeof DRIVES)[number]['id'];

/** What the drives work with, all together: each `create` takes its part. */
export type DriveServices = IntersectionOf<ServicesOf<(typeof DRIVES)[number]>>;

/** The definition of a provider; null when this server has no driver for it. */
export const findDrive = (provider: string): DriveDefinition<DriveServices> | null =>
  DRIVES.find(({ id }) => id === provider) ?? null;

type ServicesOf<Definition> = Definition extends DriveDefinition<infer Services> ? { readonly of: Services } : never;
type IntersectionOf<Boxed> = (Boxed extends { readonly of: infer Part } ? (part: Part) => void : never) extends (
  part: infer All,
) => void
  ? All
  : never;
