import { constants } from 'node:fs';
import { type FileHandle, open, opendir } from 'node:fs/promises';
import { BlobDamagedError } from './errors.ts';
import type { WholeFile } from './room.ts';

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';

export function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

export function damagedIfMissing(error: unknown): never {
  if (!isMissing(error)) throw error;
  throw new BlobDamagedError('the file is missing', { cause: error });
}

/** A regular file, not what a link leads to. */
export const openFile = (path: string, flags: number): Promise<FileHandle> => open(path, flags | constants.O_NOFOLLOW);

/** Throws {@link BlobDamagedError} when the file has another length than it says. */
export async function checkLength(handle: FileHandle, { sizeBytes }: Pick<WholeFile, 'sizeBytes'>): Promise<void> {
  const { size } = await handle.stat();
  if (size !== sizeBytes) throw new BlobDamagedError(`${size} bytes where ${sizeBytes} are recorded`);
}

/** Names in a folder, which may be missing. */
export async function* namesIn(folder: string, pattern: RegExp): AsyncGenerator<string> {
  const entries = await opendir(folder).catch(unlessMissing);
  if (!entries) return;
  for await (const entry of entries) if (pattern.test(entry.name)) yield entry.name;
}
