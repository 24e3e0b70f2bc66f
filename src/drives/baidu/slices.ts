import { createHash } from 'node:crypto';
import type { UploadPlan } from '../contract/upload.ts';
import { invalid } from './client.ts';
import { baiduError } from './errors.ts';

/** Bytes of the source read at once: hashing so many takes 2 ms, which is how long others wait. */
const PIECE_BYTES = 1024 * 1024;
/** Baidu compares the beginning of a file apart. */
const HEAD_BYTES = 256 * 1024;

/** MD5s in lower-case hex. */
export interface Digests {
  /** Of each slice, in order. */
  readonly blocks: readonly string[];
  readonly whole: string;
  /** Of the first 256 KiB. */
  readonly head: string;
}

/**
 * What Baidu wants to know of a file before its bytes come.
 * @throws DriveError `corrupted` when the source is not what the plan says, `invalid_argument` when it cannot be read
 */
export async function digestsOf(plan: UploadPlan, sliceBytes: number, signal: AbortSignal): Promise<Digests> {
  const { sizeBytes, hashes, readSource } = plan;
  if (!readSource) throw invalid('must be told hashes of the file before it is sent, so the source must be readable.');
  const whole = createHash('md5');
  const head = createHash('md5');
  const blocks: string[] = [];
  let block = createHash('md5');
  for (let start = 0; start < sizeBytes; ) {
    signal.throwIfAborted();
    const sliceEnd = (blocks.length + 1) * sliceBytes;
    const length = Math.min(PIECE_BYTES, sizeBytes - start, sliceEnd - start);
    const bytes = await readSource({ start, length });
    if (bytes.byteLength !== length) throw changed();
    whole.update(bytes);
    block.update(bytes);
    if (start < HEAD_BYTES) head.update(bytes.subarray(0, HEAD_BYTES - start));
    start += length;
    if (start === sliceEnd || start === sizeBytes) {
      blocks.push(block.digest('hex'));
      block = createHash('md5');
    }
  }
  const digests = { blocks, whole: whole.digest('hex'), head: head.digest('hex') };
  if (hashes.MD5 !== undefined && hashes.MD5 !== digests.whole) throw changed();
  return digests;
}

const changed = () => baiduError('corrupted', 'was to get other bytes than were promised.', null, {});
