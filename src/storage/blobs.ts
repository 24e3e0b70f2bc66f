import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, rename, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { addMs, type Clock } from '../lib/clock.ts';
import { RecyclingReadable } from '../lib/recycling.ts';
import type { EntityManager, Storage } from './orm.ts';

/** Bytes that are whole and checked, in a file on the store's own file system. */
export interface WholeFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Lower-case hex, as computed from the bytes by whoever gives the file. */
  readonly sha256: string;
  readonly md5?: string | undefined;
  readonly sha1?: string | undefined;
  readonly crc32?: string | undefined;
}

/** The bytes of a blob are not what its row says: the file is missing or has another length. */
export class BlobDamagedError extends Error {
  override readonly name = 'BlobDamagedError';
}

export interface SweepLimits {
  /** How long bytes that nothing refers to are kept, for readers that have just looked them up. */
  readonly unreferencedMs: number;
  /** How old a file without a row, or an unfinished incoming file, must be before it is thought forgotten. */
  readonly strayMs: number;
}

/** An hour for readers; a week for what a crash left behind, longer than any upload session may rest. */
export const SWEEP_LIMITS: SweepLimits = { unreferencedMs: 3_600_000, strayMs: 7 * 24 * 3_600_000 };

/** Blobs looked at between two turns of the event loop. */
const SWEEP_BATCH = 100;
const READ_CHUNK_BYTES = 256 * 1024;

/**
 * Bytes kept once, whoever has them, as files named by their SHA-256 (`<root>/ab/cd/<sha256>`), with a row that counts
 * the references.
 *
 * The order that keeps row and file together: whoever makes or removes a blob first takes the lock of its row (inserting
 * it where there is none), then touches the file, then commits, all in one transaction. So
 * - a committed row always has its file: the file is in place, and its folder synced, before the commit;
 * - a crash in between leaves a file without a row, never a row without a file; the sweep removes it;
 * - two who bring the same bytes, or one who brings them while the sweep removes them, wait for each other at the row.
 * The file is always renamed into place, also over one that is there: that mends a damaged one, and readers keep theirs.
 */
export class BlobStore {
  readonly #root: string;
  readonly #incoming: string;
  readonly #storage: Storage;
  readonly #clock: Clock;

  /** `root` is a folder of its own, on one file system with the spool. */
  constructor(root: string, storage: Storage, clock: Clock) {
    this.#root = root;
    this.#incoming = join(root, 'incoming');
    this.#storage = storage;
    this.#clock = clock;
  }

  /** A path for bytes on their way in; the same for the same name. Forgotten ones are swept by their age. */
  async incomingPath(name: string): Promise<string> {
    await mkdir(this.#incoming, { recursive: true, mode: 0o700 });
    return join(this.#incoming, name);
  }

  /**
   * Makes the file's bytes durable; to be called before the transaction of {@link BlobStore.adopt}. Throws
   * {@link BlobDamagedError} when the file has another length than it says.
   */
  async settle(file: WholeFile): Promise<void> {
    const handle = await this.#openGiven(file);
    try {
      const { size } = await handle.stat();
      if (size !== file.sizeBytes) throw new BlobDamagedError(`${size} bytes where ${file.sizeBytes} were promised`);
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }

  /**
   * Takes the file over and counts one reference, in the caller's transaction. No byte is copied; the file is gone from
   * its path. May be repeated after a crash or a rollback: bytes that are in place already are taken as they are.
   */
  async adopt(em: EntityManager, file: WholeFile): Promise<void> {
    const { sha256, sizeBytes, md5 = null, sha1 = null, crc32 = null } = file;
    await em.execute(
      `insert into blobs (sha256, size_bytes, reference_count, md5, sha1, crc32, created_at) values (?, ?, 1, ?, ?, ?, ?)
       on conflict (sha256) do update set reference_count = blobs.reference_count + 1, unreferenced_at = null,
         md5 = coalesce(blobs.md5, excluded.md5), sha1 = coalesce(blobs.sha1, excluded.sha1),
         crc32 = coalesce(blobs.crc32, excluded.crc32)`,
      [sha256, sizeBytes, md5, sha1, crc32, this.#clock.now()],
      'run',
    );
    await this.#place(file);
  }

  /** Adds to the counts of references (or takes away, where negative), in the caller's transaction. */
  async count(em: EntityManager, changes: ReadonlyMap<string, number>): Promise<void> {
    const rows = [...changes].filter(([, change]) => change !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [sha256, change] of rows) {
      const { affectedRows } = await em.execute<{ affectedRows: number }>(
        `update blobs set reference_count = reference_count + ?,
           unreferenced_at = case when reference_count + ? > 0 then null else coalesce(unreferenced_at, ?) end
         where sha256 = ?`,
        [change, change, this.#clock.now(), sha256],
        'run',
      );
      // Without a lock on whatever referred to them, the bytes may have gone meanwhile: then there is nothing to refer to.
      if (affectedRows === 0 && change > 0) throw new BlobDamagedError('the bytes are gone');
    }
  }

  /** The bytes from `start` to `end`, both included. Throws {@link BlobDamagedError} when the file is not as long as said. */
  async read(
    blob: { readonly sha256: string; readonly sizeBytes: number },
    range: { readonly start: number; readonly end: number },
    signal: AbortSignal,
  ): Promise<Readable> {
    if (blob.sizeBytes === 0) return Readable.from([]);
    const handle = await open(this.pathOf(blob.sha256), constants.O_RDONLY | constants.O_NOFOLLOW).catch(
      damagedIfMissing,
    );
    try {
      const { size } = await handle.stat();
      if (size !== blob.sizeBytes) throw new BlobDamagedError(`${size} bytes where ${blob.sizeBytes} are recorded`);
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

  pathOf(sha256: string): string {
    return join(this.#root, sha256.slice(0, 2), sha256.slice(2, 4), sha256);
  }

  /** Bytes that the store's disk can still take. */
  async freeBytes(): Promise<number> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(this.#root);
    return bavail * bsize;
  }

  /** Removes bytes that nothing refers to, and what crashes left behind. Gives how many files went. */
  async sweep(limits: SweepLimits = SWEEP_LIMITS): Promise<number> {
    return (
      (await this.#sweepUnreferenced(limits.unreferencedMs)) +
      (await this.#sweepStrays(limits.strayMs)) +
      (await this.#sweepIncoming(limits.strayMs))
    );
  }

  async #openGiven(file: WholeFile): Promise<FileHandle> {
    try {
      return await open(file.path, constants.O_RDWR | constants.O_NOFOLLOW);
    } catch (error) {
      if (!isMissing(error)) throw error;
      // Adopted by a try that died before its commit, perhaps.
      return await open(this.pathOf(file.sha256), constants.O_RDWR | constants.O_NOFOLLOW).catch(damagedIfMissing);
    }
  }

  async #place(file: WholeFile): Promise<void> {
    const path = this.pathOf(file.sha256);
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

  async #sweepUnreferenced(graceMs: number): Promise<number> {
    const before = addMs(this.#clock.now(), -graceMs);
    for (let removed = 0; ; ) {
      const rows = await this.#storage
        .fork()
        .execute<{ sha256: string }[]>('select sha256 from blobs where unreferenced_at < ? limit ?', [
          before,
          SWEEP_BATCH,
        ]);
      for (const { sha256 } of rows) if (await this.#removeUnreferenced(sha256, before)) removed += 1;
      if (rows.length < SWEEP_BATCH) return removed;
    }
  }

  #removeUnreferenced(sha256: string, before: Date): Promise<boolean> {
    return this.#storage.transaction(async (em) => {
      const gone = await em.execute<unknown[]>(
        'delete from blobs where sha256 = ? and reference_count <= 0 and unreferenced_at < ? returning sha256',
        [sha256, before],
      );
      if (gone.length > 0) await unlink(this.pathOf(sha256)).catch(unlessMissing);
      return gone.length > 0;
    });
  }

  async #sweepStrays(limitMs: number): Promise<number> {
    let removed = 0;
    for await (const names of batchesOf(this.#blobNames(limitMs))) {
      const known = await this.#storage
        .fork()
        .execute<{ sha256: string }[]>('select sha256 from blobs where sha256 in (?)', [names]);
      const rows = new Set(known.map(({ sha256 }) => sha256));
      for (const name of names) if (!rows.has(name) && (await this.#removeStray(name))) removed += 1;
    }
    return removed;
  }

  /** Takes the row's lock by making the row: whoever brings the same bytes just now waits, or has made it before. */
  #removeStray(sha256: string): Promise<boolean> {
    return this.#storage.transaction(async (em) => {
      const claimed = await em.execute<unknown[]>(
        `insert into blobs (sha256, size_bytes, reference_count, created_at) values (?, 0, 0, ?)
         on conflict (sha256) do nothing returning sha256`,
        [sha256, this.#clock.now()],
      );
      if (claimed.length === 0) return false;
      await unlink(this.pathOf(sha256)).catch(unlessMissing);
      await em.execute('delete from blobs where sha256 = ?', [sha256], 'run');
      return true;
    });
  }

  async *#blobNames(limitMs: number): AsyncGenerator<string> {
    for await (const first of namesIn(this.#root, /^[0-9a-f]{2}$/)) {
      for await (const second of namesIn(join(this.#root, first), /^[0-9a-f]{2}$/)) {
        const folder = join(this.#root, first, second);
        for await (const name of namesIn(folder, /^[0-9a-f]{64}$/)) {
          if (await this.#isOlder(join(folder, name), limitMs)) yield name;
        }
      }
    }
  }

  async #sweepIncoming(limitMs: number): Promise<number> {
    let removed = 0;
    for await (const name of namesIn(this.#incoming, /./)) {
      const path = join(this.#incoming, name);
      if (!(await this.#isOlder(path, limitMs))) continue;
      await unlink(path).catch(unlessMissing);
      removed += 1;
    }
    return removed;
  }

  async #isOlder(path: string, limitMs: number): Promise<boolean> {
    try {
      return (await stat(path)).mtimeMs < this.#clock.now().getTime() - limitMs;
    } catch (error) {
      unlessMissing(error);
      return false;
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

async function* namesIn(folder: string, pattern: RegExp): AsyncGenerator<string> {
  const entries = await opendir(folder).catch(unlessMissing);
  if (!entries) return;
  for await (const entry of entries) if (pattern.test(entry.name)) yield entry.name;
}

async function* batchesOf(names: AsyncIterable<string>): AsyncGenerator<string[]> {
  let batch: string[] = [];
  for await (const name of names) {
    batch.push(name);
    if (batch.length < SWEEP_BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

function damagedIfMissing(error: unknown): never {
  if (!isMissing(error)) throw error;
  throw new BlobDamagedError('the file is missing', { cause: error });
}
