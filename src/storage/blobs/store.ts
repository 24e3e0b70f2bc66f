import { join } from 'node:path';
import { Readable } from 'node:stream';
import { addMs, type Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { EntityManager, Storage } from '../orm.ts';
import { BlobDamagedError, BlobSweptError } from './errors.ts';
import { FolderRoom } from './folder.ts';
import { Incoming } from './incoming.ts';
import { type ObjectStore, RemoteRoom } from './remote.ts';
import type { BlobRange, BlobRoom, SettledFile, StoredBlob, WholeFile } from './room.ts';

export interface SweepLimits {
  /** How long bytes that nothing refers to are kept, for readers that have just looked them up. */
  readonly unreferencedMs: number;
  /** How old bytes without a row, or an unfinished incoming file, must be before they are thought forgotten. */
  readonly strayMs: number;
}

/** An hour for readers; a week for what a crash left behind, longer than any upload session may rest. */
export const SWEEP_LIMITS: SweepLimits = { unreferencedMs: 3_600_000, strayMs: 7 * 24 * 3_600_000 };

/** Blobs looked at between two turns of the event loop. */
const SWEEP_BATCH = 100;
/** How often bytes are settled that a sweep removes before they are adopted. */
const SETTLE_TRIES = 3;

/** A store across a network in place of the folder. */
export interface RemoteBlobs {
  readonly objects: ObjectStore;
  readonly log: Logger;
}

/**
 * Bytes kept once, whoever has them, named by their SHA-256, with a row that counts the references. Where they lie is a
 * {@link BlobRoom}: a folder of this machine, or a store that many share.
 */
export class BlobStore {
  readonly #incoming: Incoming;
  readonly #room: BlobRoom;
  readonly #storage: Storage;
  readonly #clock: Clock;

  /** `root` is a folder of its own, on one file system with the spool. With `remote`, only what comes in is there. */
  constructor(root: string, storage: Storage, clock: Clock, remote: RemoteBlobs | null = null) {
    this.#incoming = new Incoming(join(root, 'incoming'));
    this.#room = remote
      ? new RemoteRoom(remote.objects, storage, clock, remote.log)
      : new FolderRoom(root, storage, clock);
    this.#storage = storage;
    this.#clock = clock;
  }

  /** A path for bytes on their way in; the same for the same name. Forgotten ones are swept by their age. */
  incomingPath(name: string): Promise<string> {
    return this.#incoming.path(name);
  }

  /** Bytes that may still come in: what the disk of {@link BlobStore.incomingPath} can take. */
  incomingBytes(): Promise<number> {
    return this.#incoming.freeBytes();
  }

  /**
   * Makes the file's bytes durable, then does `work`, whose transaction may {@link BlobStore.adopt} them; once more, where
   * a sweep removed them in between. May be repeated after a crash: bytes that are in place already are taken as they are.
   * Throws {@link BlobDamagedError} when the file has another length than it says.
   */
  async keep<Result>(
    file: WholeFile,
    signal: AbortSignal,
    work: (settled: SettledFile) => Promise<Result>,
  ): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      const settled = await this.#room.settle(file, signal);
      try {
        return await work(settled);
      } catch (error) {
        if (!(error instanceof BlobSweptError) || attempt === SETTLE_TRIES) throw error;
      } finally {
        await this.#room.end(settled);
      }
    }
  }

  /** Counts one reference to what {@link BlobStore.keep} settled, in the caller's transaction. */
  async adopt(em: EntityManager, settled: SettledFile): Promise<void> {
    await this.#room.claim(em, settled);
    const { file, generation } = settled;
    const { sha256, sizeBytes, md5 = null, sha1 = null, crc32 = null } = file;
    const [row] = await em.execute<{ generation: string | null }[]>(
      `insert into blobs (sha256, generation, size_bytes, reference_count, md5, sha1, crc32, created_at)
       values (?, ?, ?, 1, ?, ?, ?, ?)
       on conflict (sha256) do update set reference_count = blobs.reference_count + 1, unreferenced_at = null,
         md5 = coalesce(blobs.md5, excluded.md5), sha1 = coalesce(blobs.sha1, excluded.sha1),
         crc32 = coalesce(blobs.crc32, excluded.crc32)
       returning generation`,
      [sha256, generation, sizeBytes, md5, sha1, crc32, this.#clock.now()],
    );
    await this.#room.place(file, { sha256, generation: row?.generation ?? null });
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

  /** The bytes from `start` to `end`. Throws {@link BlobDamagedError} when there are not as many bytes as said. */
  async read(blob: StoredBlob, range: BlobRange, signal: AbortSignal): Promise<Readable> {
    return blob.sizeBytes === 0 ? Readable.from([]) : this.#room.read(blob, range, signal);
  }

  /** Bytes that there is room for; null: nobody knows, as of a store that grows. */
  freeBytes(): Promise<number | null> {
    return this.#room.freeBytes();
  }

  /** Throws when nothing can be read or written just now. */
  check(signal: AbortSignal): Promise<void> {
    return this.#room.check(signal);
  }

  /** Removes bytes that nothing refers to, and what crashes left behind. Gives how many files and objects went. */
  async sweep(limits: SweepLimits = SWEEP_LIMITS): Promise<number> {
    return (
      (await this.#sweepUnreferenced(limits.unreferencedMs)) +
      (await this.#room.sweepStrays(limits.strayMs)) +
      (await this.#incoming.sweep(addMs(this.#clock.now(), -limits.strayMs)))
    );
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

  async #removeUnreferenced(sha256: string, before: Date): Promise<boolean> {
    const room = this.#room;
    const gone = await this.#storage.transaction(async (em) => {
      const [row] = await em.execute<{ generation: string | null }[]>(
        `delete from blobs where sha256 = ? and reference_count <= 0 and unreferenced_at < ?
         returning generation`,
        [sha256, before],
      );
      const name = row ? { sha256, generation: row.generation } : null;
      if (name && room.removesWithin) await room.remove(name);
      return name;
    });
    if (gone && !room.removesWithin) await room.remove(gone);
    return gone !== null;
  }
}
