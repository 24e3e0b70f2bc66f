import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { addMs, type Clock } from '../../lib/clock.ts';
import { RecyclingReadable } from '../../lib/recycling.ts';
import type { EntityManager, Storage } from '../orm.ts';
import { checkLength, damagedIfMissing, isMissing, namesIn, openFile, unlessMissing } from './files.ts';
import { type BlobName, keyOf, nameOf } from './name.ts';
import type { BlobRange, BlobRoom, SettledFile, StoredBlob, WholeFile } from './room.ts';
import { generationOf, unknownOf } from './rows.ts';

const READ_CHUNK_BYTES = 256 * 1024;
/** Files looked at between two turns of the event loop. */
const SWEEP_BATCH = 100;

/**
 * Blobs as files of this machine, or of a file system that machines share: `<root>/ab/cd/<sha256>`.
 *
 * The order that keeps row and file together: whoever makes or removes a blob first takes the lock of its row (inserting
 * it where there is none), then touches the file, then commits, all in one transaction. So
 * - a committed row always has its file: the file is in place, and its folder synced, before the commit;
 * - a crash in between leaves a file without a row, never a row without a file; the sweep removes it;
 * - two who bring the same bytes, or one who brings them while the sweep removes them, wait for each other at the row.
 * The file is always renamed into place, also over one that is there: that mends a damaged one, and readers keep theirs.
 */
export class FolderRoom implements BlobRoom {
  readonly removesWithin = true;
  readonly #root: string;
  readonly #storage: Storage;
  readonly #clock: Clock;

  /** `root` is a folder of its own, on one file system with what it is given. */
  constructor(root: string, storage: Storage, clock: Clock) {
    this.#root = root;
    this.#storage = storage;
    this.#clock = clock;
  }

  async settle(file: WholeFile): Promise<SettledFile> {
    const handle = await this.#openGiven(file);
    try {
      await checkLength(handle, file);
      await handle.datasync();
      return { file, generation: null, how: 'file' };
    } finally {
      await handle.close();
    }
  }

  /** The row's lock is enough. */
  async claim(): Promise<void> {}

  /** No byte is copied; the file is gone from its path. */
  async place(file: WholeFile, name: BlobName): Promise<void> {
    const path = this.#pathOf(name);
    const folder = dirname(path);
    const created = await mkdir(folder, { recursive: true, mode: 0o700 });
    try {
      await rename(file.path, path);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await stat(path).catch(damagedIfMissing);
    }
    await syncFolder(folder);
    if (created === undefined) return;
    await syncFolder(dirname(folder));
    await syncFolder(this.#root);
  }

  async end(): Promise<void> {}

  async read(blob: StoredBlob, range: BlobRange, signal: AbortSignal): Promise<Readable> {
    const handle = await openFile(this.#pathOf(blob), constants.O_RDONLY).catch(damagedIfMissing);
    try {
      await checkLength(handle, blob);
      let position = range.start;
      return new RecyclingReadable({
        lengthBytes: range.end - range.start + 1,
        chunkBytes: READ_CHUNK_BYTES,
        signal,
        fill: async (buffer) => {
          const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
          position += bytesRead;
          return bytesRead;
        },
        close: () => handle.close(),
      });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async remove(name: BlobName): Promise<void> {
    await unlink(this.#pathOf(name)).catch(unlessMissing);
  }

  async sweepStrays(limitMs: number): Promise<number> {
    let removed = 0;
    for await (const names of batchesOf(this.#names(limitMs))) {
      for (const name of await unknownOf(this.#storage.fork(), names)) if (await this.#removeStray(name)) removed += 1;
    }
    return removed;
  }

  async freeBytes(): Promise<number> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(this.#root);
    return bavail * bsize;
  }

  async check(): Promise<void> {}

  #pathOf(name: BlobName): string {
    return join(this.#root, keyOf(name));
  }

  async #openGiven(file: WholeFile): Promise<FileHandle> {
    try {
      return await openFile(file.path, constants.O_RDWR);
    } catch (error) {
      if (!isMissing(error)) throw error;
      // Adopted by a try that died before its commit, perhaps.
      const generation = (await generationOf(this.#storage.fork(), file.sha256)) ?? null;
      const path = this.#pathOf({ sha256: file.sha256, generation });
      return await openFile(path, constants.O_RDWR).catch(damagedIfMissing);
    }
  }

  /** Takes the row's lock by making the row: whoever brings the same bytes just now waits, or has made it before. */
  #removeStray(name: BlobName): Promise<boolean> {
    return this.#storage.transaction(async (em: EntityManager) => {
      const claimed = await em.execute<unknown[]>(
        `insert into blobs (sha256, size_bytes, reference_count, created_at) values (?, 0, 0, ?)
         on conflict (sha256) do nothing returning sha256`,
        [name.sha256, this.#clock.now()],
      );
      if (claimed.length === 0) return false;
      await this.remove(name);
      await em.execute('delete from blobs where sha256 = ?', [name.sha256], 'run');
      return true;
    });
  }

  async *#names(limitMs: number): AsyncGenerator<BlobName> {
    const before = addMs(this.#clock.now(), -limitMs);
    for await (const first of namesIn(this.#root, /^[0-9a-f]{2}$/)) {
      for await (const second of namesIn(join(this.#root, first), /^[0-9a-f]{2}$/)) {
        for await (const file of namesIn(join(this.#root, first, second), /^[0-9a-f]{64}/)) {
          const name = nameOf(`${first}/${second}/${file}`);
          if (!name) continue;
          const found = await stat(this.#pathOf(name)).catch(unlessMissing);
          if (found && found.mtime < before) yield name;
        }
      }
    }
  }
}

/** A rename is only durable once its folder is. Windows cannot sync a folder, and orders renames itself. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function* batchesOf(names: AsyncIterable<BlobName>): AsyncGenerator<BlobName[]> {
  let batch: BlobName[] = [];
  for await (const name of names) {
    batch.push(name);
    if (batch.length < SWEEP_BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
