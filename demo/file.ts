import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** A file on this machine, with what tells whether a copy is the same. */
export interface LocalFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** Held in memory at one time; whole files never are. */
const CHUNK_BYTES = 1024 * 1024;

/** Makes a file of bytes that nothing can pack or guess. */
export async function makeFile(path: string, sizeBytes: number, signal: AbortSignal): Promise<LocalFile> {
  const hash = createHash('sha256');
  const chunks = function* (): Generator<Buffer> {
    for (let left = sizeBytes; left > 0; left -= CHUNK_BYTES) {
      const chunk = randomBytes(Math.min(left, CHUNK_BYTES));
      hash.update(chunk);
      yield chunk;
    }
  };
  await pipeline(chunks, createWriteStream(path), { signal });
  return { path, sizeBytes, sha256: hash.digest('hex') };
}

/** @throws Error that says what is wrong with the path, where it is no file. */
export async function inspectFile(path: string, signal: AbortSignal): Promise<LocalFile> {
  const found = await stat(path).catch(() => null);
  if (!found) throw new Error(`There is no file at ${path}.`);
  if (!found.isFile()) throw new Error(`${path} is not a file.`);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), hash, { signal });
  return { path, sizeBytes: found.size, sha256: hash.digest('hex') };
}
