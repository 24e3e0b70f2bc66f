import { createHash } from 'node:crypto';
import type { UploadPlan } from '../contract/upload.ts';
import { invalid } from './client.ts';
import { pan123Error } from './errors.ts';

/** Bytes of the source read at once: hashing so many takes 2 ms, which is how long others wait. */
const PIECE_BYTES = 1024 * 1024;

/**
 * The MD5 of the file, which 123pan wants before any bytes: as the plan has it, which was taken of the bytes themselves,
 * or read from the source.
 * @throws DriveError `corrupted` when the source is shorter, `invalid_argument` when it cannot be read
 */
export async function md5Of({ hashes, readSource, sizeBytes }: UploadPlan, signal: AbortSignal): Promise<string> {
  if (hashes.MD5 !== undefined) return hashes.MD5.toLowerCase();
  if (!readSource) throw invalid('must be told the MD5 of a file before it is sent, so the source must be readable.');
  return md5OfRange(readSource, { start: 0, length: sizeBytes }, signal);
}

/** The MD5 of a part of the source. @throws DriveError `corrupted` when the source is shorter */
export async function md5OfRange(
  readSource: NonNullable<UploadPlan['readSource']>,
  range: { readonly start: number; readonly length: number },
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash('md5');
  for (let at = 0; at < range.length; at += PIECE_BYTES) {
    signal.throwIfAborted();
    const length = Math.min(PIECE_BYTES, range.length - at);
    const bytes = await readSource({ start: range.start + at, length });
    if (bytes.byteLength !== length) {
      throw pan123Error('corrupted', 'was to get other bytes than were promised.', null, {});
    }
    hash.update(bytes);
  }
  return hash.digest('hex');
}
