import type { Driver } from '../driver.ts';
import type { LocalContext } from './context.ts';
import { localError } from './errors.ts';
import { liveEntry } from './rows.ts';

/** Reads files. */
export const createReading = (local: LocalContext) =>
  ({
    async read(ref, range, { signal }) {
      const row = await liveEntry(local.storage.fork(signal), local, ref);
      if (row.kind !== 'FILE' || row.blob_hash === null)
        throw localError('wrong_kind', 'That is a folder; only files have bytes.');
      const sizeBytes = Number(row.size_bytes);
      const start = range?.start ?? 0;
      const end = Math.min(range?.end ?? sizeBytes - 1, sizeBytes - 1);
      if (range && !(Number.isSafeInteger(start) && start >= 0 && start <= end))
        throw localError('invalid_argument', `The range is not within the file's ${sizeBytes} bytes.`);
      const blob = { sha256: row.blob_hash, generation: row.generation, sizeBytes };
      return local.blobs.read(blob, { start, end }, signal);
    },
  }) satisfies Partial<Driver>;
