import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { addMs, type Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { EntityManager, Storage } from '../orm.ts';
import { BlobSweptError } from './errors.ts';
import type { BlobName } from './name.ts';
import type { BlobRange, BlobRoom, SettledFile, StoredBlob, WholeFile } from './room.ts';
import { generationOf, unknownOf } from './rows.ts';

/** A store across a network, as S3 is: an object is there whole or not at all, and an answer may be lost. */
export interface ObjectStore {
  /**
   * Makes or replaces the object, in one step as others see it. Throws {@link BlobDamagedError} when the file is not as it
   * says, {@link BlobStoreError} when the store fails; then nothing is there that was not there before.
   */
  put(name: BlobName, file: WholeFile, signal: AbortSignal): Promise<void>;
  /** Null: there is no such object. */
  sizeOf(name: BlobName, signal: AbortSignal): Promise<number | null>;
  /** Throws {@link BlobDamagedError} when there are not as many bytes as said. */
  read(blob: StoredBlob, range: BlobRange, signal: AbortSignal): Promise<Readable>;
  /** Also what is gone already. */
  remove(name: BlobName): Promise<void>;
  /** What was made before `before`, in batches. */
  names(before: Date): AsyncIterable<readonly BlobName[]>;
  /** Ends uploads that were begun before `before`, and frees what came of them. */
  abortUploads(before: Date): Promise<void>;
  /** Throws {@link BlobStoreError} when it does not answer, or refuses this server. */
  check(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** How often all objects are listed for strays, in milliseconds: what a crash leaves has a row of its own, nearly always. */
const LIST_INTERVAL_MS = 6 * 3_600_000;
const SWEEP_BATCH = 100;

/**
 * Blobs in a store across a network. No transaction is open while it is asked for anything, so no lock keeps object and
 * row together. What does is that a name is used once: each object is made under a random generation, which only its own
 * row carries. The order:
 * - To bring bytes: 1. a row of `blob_arrivals` with a new generation is committed; 2. the object is put under it; 3. one
 *   transaction deletes the arrival and makes the row of the blob with this generation, or counts one that is there.
 *   Without the arrival, 3 fails and all begins anew: a sweep has taken the object for forgotten.
 * - Of bytes that have a row already, the object is only looked at; where it is missing or short, it is put again under
 *   its name. The transaction then counts the row if it still has that generation; else all begins anew.
 * - To remove bytes: 1. the row is deleted and committed; 2. the object is deleted.
 *
 * So an object is deleted only after its generation has neither row nor arrival; from then on it never has one again, as
 * both begin with it. Hence
 * - a committed row always has its object: it was put before the row, and no delete of this name was ever sent. Nor does a
 *   delete that arrives late, of a process that hung, harm bytes that came again: they have another name;
 * - a crash between any two steps leaves an arrival, an object without a row, or both. The sweep removes them: arrivals
 *   by their age, and objects that have neither, found by listing;
 * - a sweep never removes what somebody just brings, however slowly: that has its arrival. Where it took this too, after a
 *   week, the one who brings it finds out at 3;
 * - of two who bring the same bytes, each puts an object; the second to commit counts the row of the first, and removes
 *   its own object.
 */
export class RemoteRoom implements BlobRoom {
  readonly removesWithin = false;
  readonly #objects: ObjectStore;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #log: Logger;
  #listedAt: Date | null = null;

  constructor(objects: ObjectStore, storage: Storage, clock: Clock, log: Logger) {
    this.#objects = objects;
    this.#storage = storage;
    this.#clock = clock;
    this.#log = log;
  }

  async settle(file: WholeFile, signal: AbortSignal): Promise<SettledFile> {
    const { sha256 } = file;
    const known = await generationOf(this.#storage.fork(), sha256);
    if (known !== undefined) {
      const name = { sha256, generation: known };
      const isWhole = (await this.#objects.sizeOf(name, signal)) === file.sizeBytes;
      if (!isWhole) await this.#objects.put(name, file, signal); // Lost, or damaged: so it is mended.
      return { file, generation: known, how: 'there' };
    }

    const settled = { file, generation: randomBytes(8).toString('hex'), how: 'arrival' } as const;
    const { generation } = settled;
    await this.#storage
      .fork()
      .execute(
        'insert into blob_arrivals (generation, sha256, begun_at) values (?, ?, ?)',
        [generation, sha256, this.#clock.now()],
        'run',
      );
    try {
      await this.#objects.put({ sha256, generation }, file, signal);
    } catch (error) {
      await this.end(settled);
      throw error;
    }
    return settled;
  }

  async claim(em: EntityManager, { file: { sha256 }, generation, how }: SettledFile): Promise<void> {
    const { affectedRows } = await em.execute<{ affectedRows: number }>(
      how === 'arrival'
        ? 'delete from blob_arrivals where sha256 = ? and generation = ?'
        : // Takes its lock: whoever would delete it waits, and finds it counted.
          'update blobs set size_bytes = size_bytes where sha256 = ? and generation is not distinct from ?',
      [sha256, generation],
      'run',
    );
    if (affectedRows === 0) throw new BlobSweptError('the bytes were swept before they were adopted');
  }

  async place(): Promise<void> {}

  /**
   * Removes an object that no row came to carry. Where nobody knows whether the transaction was committed, the deletion of
   * the arrival waits for its end, and tells.
   */
  async end({ file: { sha256 }, generation, how }: SettledFile): Promise<void> {
    if (how !== 'arrival') return;
    try {
      const owner = await this.#storage.transaction(async (em) => {
        await em.execute('delete from blob_arrivals where generation = ?', [generation], 'run');
        return generationOf(em, sha256);
      });
      if (owner !== generation) await this.remove({ sha256, generation });
    } catch (error) {
      this.#log.warn({ err: error, sha256 }, 'an object that nothing refers to could not be removed; a sweep will');
    }
  }

  read(blob: StoredBlob, range: BlobRange, signal: AbortSignal): Promise<Readable> {
    return this.#objects.read(blob, range, signal);
  }

  remove(name: BlobName): Promise<void> {
    return this.#objects.remove(name);
  }

  async sweepStrays(limitMs: number): Promise<number> {
    const now = this.#clock.now();
    const before = addMs(now, -limitMs);
    const removed = await this.#sweepArrivals(before);
    if (this.#listedAt !== null && this.#listedAt > addMs(now, -LIST_INTERVAL_MS)) return removed;
    this.#listedAt = now; // Before its end: a store that cannot list all of it is not asked again and again.
    const strays = await this.#sweepObjects(before);
    await this.#objects.abortUploads(before);
    return removed + strays;
  }

  async freeBytes(): Promise<null> {
    return null;
  }

  check(signal: AbortSignal): Promise<void> {
    return this.#objects.check(signal);
  }

  async #sweepArrivals(before: Date): Promise<number> {
    for (let removed = 0; ; ) {
      const old = await this.#storage
        .fork()
        .execute<BlobName[]>('select sha256, generation from blob_arrivals where begun_at < ? limit ?', [
          before,
          SWEEP_BATCH,
        ]);
      for (const name of old) {
        const gone = await this.#storage
          .fork()
          .execute<unknown[]>('delete from blob_arrivals where generation = ? returning generation', [name.generation]);
        if (gone.length === 0) continue; // Adopted just now.
        await this.remove(name);
        removed += 1;
      }
      if (old.length < SWEEP_BATCH) return removed;
    }
  }

  async #sweepObjects(before: Date): Promise<number> {
    let removed = 0;
    for await (const names of this.#objects.names(before)) {
      // Arrivals first: one that is adopted between the two questions is found by the second.
      const unannounced = await this.#withoutArrival(names);
      for (const name of await unknownOf(this.#storage.fork(), unannounced)) {
        await this.remove(name);
        removed += 1;
      }
    }
    return removed;
  }

  async #withoutArrival(names: readonly BlobName[]): Promise<BlobName[]> {
    if (names.length === 0) return [];
    const rows = await this.#storage
      .fork()
      .execute<{ generation: string }[]>('select generation from blob_arrivals where generation in (?)', [
        names.map(({ generation }) => generation ?? ''),
      ]);
    const arriving = new Set(rows.map(({ generation }) => generation));
    return names.filter(({ generation }) => generation === null || !arriving.has(generation));
  }
}
