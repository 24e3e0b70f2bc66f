import type { Readable } from 'node:stream';
import type { DriveEntry } from '../drives/driver.ts';
import { NotFoundError } from '../lib/errors.ts';
import { hashToken } from '../lib/ids.ts';
import type { Accounts, OpenAccount } from './accounts.ts';

/** A part of a file: both ends included, in bytes from 0. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

/** A file that somebody has the right to download, as it is now. */
export interface Download {
  readonly name: string;
  /** Null where the provider does not tell: then only the whole can be had, unless {@link measured} finds it out. */
  readonly sizeBytes: number | null;
  /** Where a part may begin at most, in bytes; null: anywhere. */
  readonly partStartMax: number | null;
  readonly mimeType: string | null;
  /** Another one whenever the bytes are others; of letters, digits, - and _. Null where the provider does not tell. */
  readonly version: string | null;
  readonly modifiedAt: Date | null;
  /** To be saved rather than shown. */
  readonly attachment: boolean;
  /** The same with its size, of a drive that tells it only when it is asked for one file; null where it does not. */
  readonly measured: ((signal: AbortSignal) => Promise<Download>) | null;
  /** The bytes of the span; null: all. The signal ends the stream. */
  read(span: ByteSpan | null, signal: AbortSignal): Promise<Readable>;
}

/** What a ticket or a link is bound to: the file's id on its drive, not its path. */
export interface FileBinding {
  /** By whose right. */
  readonly userId: string;
  readonly accountId: string;
  readonly ref: string;
}

/** Players ask for a file in many parts, one right after the other: its facts are looked at once for those, in milliseconds. */
const FACTS_AGE_MS = 3_000;

/**
 * The file of a ticket or link, if its user may still see it.
 * @throws NotFoundError when the file is deleted or not the user's to see any more; also what the drive throws.
 */
export async function openFile(
  accounts: Accounts,
  { userId, accountId, ref }: FileBinding,
  signal: AbortSignal,
): Promise<OpenAccount & { readonly entry: DriveEntry }> {
  const { account } = await accounts.openForUser(userId, accountId);
  const opened = accounts.openVisible(account);
  const entry = await opened.driver.stat(ref, { signal, maxAgeMs: FACTS_AGE_MS });
  if (entry.kind !== 'FILE') throw new NotFoundError('There is no such file. It may have been deleted.');
  return { ...opened, entry };
}

export function downloadOf({ driver, entry }: Awaited<ReturnType<typeof openFile>>, attachment: boolean): Download {
  const download: Download = {
    name: entry.name,
    sizeBytes: entry.sizeBytes,
    partStartMax: null,
    mimeType: entry.mimeType,
    version: versionOf(entry),
    modifiedAt: entry.modifiedAt,
    attachment,
    measured: null,
    read: (span, signal) => driver.read(entry.ref, span, { signal }),
  };
  if (entry.sizeBytes !== null || !driver.measure) return download;
  const measure = driver.measure.bind(driver);
  return {
    ...download,
    measured: async (signal) => {
      const { sizeBytes, parts } = await measure(entry.ref, { signal });
      return { ...download, sizeBytes, partStartMax: parts ? null : SKIPPED_BYTES_MAX };
    },
  };
}

/**
 * Bytes that are read and thrown away for what comes after them, where the provider gives only whole files: 10 seconds of a
 * fast line in one house, where such servers are. Who asks for a part farther on gets the whole file instead.
 */
const SKIPPED_BYTES_MAX = 1024 ** 3;

/** By the content where it is known, so that a renamed or moved file is resumed. */
function versionOf({ ref, hashes, revision }: DriveEntry): string | null {
  if (hashes.SHA256 !== undefined) return hashes.SHA256;
  return revision === null ? null : hashToken(`${ref} ${revision}`);
}
