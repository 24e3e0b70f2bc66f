import { z } from 'zod';
import type { UploadSession } from '../contract/upload.ts';
import { pan123Error } from './errors.ts';

const STATE = z.object({
  /** Which version of the interface: the first one where the account has no other. */
  version: z.enum(['v1', 'v2']),
  preuploadId: z.string().min(1),
  md5: z.string(),
  servers: z.array(z.string()),
  startedAtMs: z.number(),
});
export type UploadState = z.infer<typeof STATE>;

/** Of a slice that was taken. */
export const RECEIPT = z.object({ md5: z.string() });

export const stateOf = ({ state }: UploadSession): UploadState => {
  const { data } = STATE.safeParse(state);
  if (!data) throw pan123Error('not_found', 'does not know this upload. Begin again.', null, {});
  return data;
};
