import { z } from 'zod';
import type { CallContext, Cursors } from '../../drives/driver.ts';
import { decodeCursor, encodeCursor } from '../../drives/shared/paging.ts';
import type { EventBus } from '../../events/bus.ts';
import { addMs, type Clock } from '../../lib/clock.ts';
import { InvalidInputError, TooLargeError, UnavailableError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { Timer } from '../../lib/timer.ts';
import { ComputedChange, Snapshot } from '../../storage/entities/snapshot.ts';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import type { OpenAccount } from '../accounts.ts';
import type { PageQuery } from '../pages.ts';
import { type ReadingCost, readWhole, withDoubtful } from './reading.ts';
import { changesBetween, type EntrySnapshot, packed, type SnapshotChange, unpacked } from './snapshot.ts';

/** Each request of a reading buys this much rest, in milliseconds: comparing takes four requests a minute at most. */
export const REST_MS = 15_000;
/** Longest rest: also a large drive is compared every hour, if somebody asks. */
export const REST_MAX_MS = 3_600_000;
/** How long a caller waits for a reading, in milliseconds. A longer one goes on, and the next caller sees what it found. */
const WAIT_MS = 20_000;
/** How long a reading without a sign of life is believed in, in milliseconds: longer than any wait for one page. */
const LEASE_MS = 600_000;
/** How often it gives one, in milliseconds. */
const RENEW_MS = LEASE_MS / 10;
/** Changes kept of an account: a client that comes later than that reads the whole drive anew. */
export const CHANGES_KEPT = 10_000;
/** Changes of one comparison that are announced one by one: a subscription keeps 256 unread. */
const ANNOUNCED_MAX = 200;
/** Rows of one statement. */
const INSERT_BATCH = 500;

export interface ComparedPage {
  readonly items: readonly ComputedChange[];
  readonly cursors: Cursors;
  readonly hasNextPage: boolean;
  readonly complete: boolean;
  /** When the account was last read whole; null: not yet. */
  readonly comparedAt: Date | null;
}

export interface ComparisonsOptions {
  readonly storage: Storage;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly log: Logger;
}

interface Failure {
  readonly error: Error;
  readonly until: Date;
}

/**
 * Changes of accounts whose provider tells none: found by reading all entries and comparing them with what was read
 * before. Only whole readings are compared, so that a page that fails looks like no deletion.
 */
export class Comparisons {
  readonly #parts: ComparisonsOptions;
  readonly #underway = new Map<string, Promise<void>>();
  /** Why the last reading failed, for as long as no new one is begun. */
  readonly #failures = new Map<string, Failure>();
  readonly #closing = new AbortController();

  constructor(options: ComparisonsOptions) {
    this.#parts = options;
  }

  /**
   * A page of the changes, oldest first; reads the account before, when that was not done lately.
   * @throws InvalidInputError when `after` is no cursor of this list; TooLargeError when the account is too large to be
   * compared; whatever the reading fails with.
   */
  async page(opened: OpenAccount, { limit, after }: PageQuery, call: CallContext): Promise<ComparedPage> {
    const { id } = opened.account;
    const behind = after === null ? 0 : sequenceOf(after, id);
    await this.#refresh(opened, call);
    const em = this.#parts.storage.fork();
    const rows = await em.find(
      ComputedChange,
      { accountId: id, sequence: { $gt: behind } },
      { orderBy: { sequence: 'asc' }, limit: limit + 1 },
    );
    const snapshot = await em.findOne(Snapshot, { accountId: id });
    const items = rows.slice(0, limit);
    return {
      items,
      cursors: items.map(({ sequence }) => encodeCursor([id, sequence])),
      hasNextPage: rows.length > limit,
      complete: Boolean(snapshot?.takenAt) && (after === null || behind >= (snapshot?.forgottenThrough ?? 0)),
      comparedAt: snapshot?.takenAt ?? null,
    };
  }

  /** Stops what is being read: the next process begins it anew. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#underway.values());
  }

  /** Waits for a reading, if one is due, but not for ever. */
  async #refresh(opened: OpenAccount, call: CallContext): Promise<void> {
    const { id } = opened.account;
    const { clock, timer } = this.#parts;
    const failure = this.#failures.get(id);
    if (failure && clock.now() < failure.until) throw failure.error;
    const reading = this.#underway.get(id) ?? this.#begin(opened);
    const patience = Promise.withResolvers<void>();
    const stop = timer.after(WAIT_MS, patience.resolve);
    call.signal.addEventListener('abort', () => patience.resolve(), { once: true });
    try {
      await Promise.race([reading, patience.promise]);
    } finally {
      stop();
    }
    call.signal.throwIfAborted();
  }

  #begin(opened: OpenAccount): Promise<void> {
    const { id } = opened.account;
    const { clock, log } = this.#parts;
    const cost = { requests: 0 };
    const reading = this.#readIfDue(opened, cost)
      .then(() => void this.#failures.delete(id))
      .catch((error: Error) => {
        log.info({ err: error, accountId: id, requests: cost.requests }, 'an account could not be read whole');
        const restMs = error instanceof TooLargeError ? REST_MAX_MS : restOf(cost.requests - 1);
        this.#failures.set(id, { error, until: addMs(clock.now(), restMs) });
        throw error;
      })
      .finally(() => this.#underway.delete(id));
    reading.catch(() => {}); // Told by whoever waits; and kept for who comes later.
    this.#underway.set(id, reading);
    return reading;
  }

  async #readIfDue(opened: OpenAccount, counted: { requests: number }): Promise<void> {
    const { storage, clock } = this.#parts;
    const { id } = opened.account;
    const row = await this.#row(id);
    if (clock.now() < row.nextAt || !(await this.#claim(row))) return;
    let renewAt = addMs(clock.now(), RENEW_MS);
    const cost: ReadingCost = Object.assign(counted, {
      onRequest: async () => {
        if (this.#closing.signal.aborted) throw new UnavailableError('The server is restarting. Try again.');
        if (clock.now() < renewAt) return;
        renewAt = addMs(clock.now(), RENEW_MS);
        await storage.fork().nativeUpdate(Snapshot, claimed(row), { readingUntil: addMs(clock.now(), LEASE_MS) });
      },
    });
    try {
      const call: CallContext = { signal: AbortSignal.any([this.#closing.signal]), priority: 'bulk' };
      const before = row.entries ? await unpacked(row.entries) : null;
      const read = await readWhole(opened, call, cost);
      const after = before ? await withDoubtful(before, read, opened, call, cost) : read;
      const changes = before ? changesBetween(before, after) : [];
      if (await this.#store(row, after, changes, restOf(cost.requests))) this.#announce(id, changes);
    } catch (error) {
      await storage.fork().nativeUpdate(Snapshot, claimed(row), { readingUntil: null });
      throw error;
    }
  }

  async #row(accountId: string): Promise<Snapshot> {
    const em = this.#parts.storage.fork();
    await em.upsert(
      Snapshot,
      { accountId, version: 0, nextAt: new Date(0) },
      { onConflictFields: ['accountId'], onConflictAction: 'ignore' },
    );
    return em.fork().findOneOrFail(Snapshot, { accountId }, { populate: ['entries'] });
  }

  /** Of several processes one reads. */
  async #claim(row: Snapshot): Promise<boolean> {
    const { storage, clock } = this.#parts;
    const now = clock.now();
    const free = { $or: [{ readingUntil: null }, { readingUntil: { $lt: now } }] };
    const readingUntil = addMs(now, LEASE_MS);
    return (await storage.fork().nativeUpdate(Snapshot, { ...claimed(row), ...free }, { readingUntil })) === 1;
  }

  /** False when another process has stored a newer one. */
  async #store(
    row: Snapshot,
    snapshot: EntrySnapshot,
    changes: readonly SnapshotChange[],
    restMs: number,
  ): Promise<boolean> {
    const { storage, clock } = this.#parts;
    const at = clock.now();
    const entries = await packed(snapshot);
    return storage.transaction(async (em) => {
      const fresh = { version: row.version + 1, takenAt: at, nextAt: addMs(at, restMs), readingUntil: null, entries };
      if ((await em.nativeUpdate(Snapshot, claimed(row), fresh)) !== 1) return false;
      const rows = changes
        .slice(-CHANGES_KEPT)
        .map(({ folderRefs: _, ...change }) => ({ ...change, accountId: row.accountId, at }));
      for (let from = 0; from < rows.length; from += INSERT_BATCH) {
        await em.insertMany(ComputedChange, rows.slice(from, from + INSERT_BATCH));
      }
      if (rows.length > 0) await forgetOldest(em, row.accountId, changes.length > CHANGES_KEPT);
      return true;
    });
  }

  /** Of very many changes only that there are some: whoever watches a folder looks again. */
  #announce(accountId: string, changes: readonly SnapshotChange[]): void {
    const at = this.#parts.clock.now().toISOString();
    const told = changes.length > ANNOUNCED_MAX ? changes.slice(0, 1) : changes;
    const everywhere = told.length < changes.length;
    for (const change of told)
      void this.#parts.events.publish('entry.changed', { accountId, at, ...change, everywhere });
  }
}

const claimed = ({ accountId, version }: Snapshot) => ({ accountId, version });

const restOf = (requests: number): number => Math.min(Math.max(0, requests) * REST_MS, REST_MAX_MS);

/** @param cut Whether some of the newest changes were more than are kept. */
async function forgetOldest(em: EntityManager, accountId: string, cut: boolean): Promise<void> {
  const [oldestKept] = await em.find(
    ComputedChange,
    { accountId },
    { orderBy: { sequence: 'desc' }, offset: CHANGES_KEPT - 1, limit: 1, fields: ['sequence'] },
  );
  if (!oldestKept) return;
  const before = { accountId, sequence: { $lt: oldestKept.sequence } };
  const forgotten = await em.nativeDelete(ComputedChange, before);
  if (forgotten === 0 && !cut) return;
  await em.nativeUpdate(Snapshot, { accountId }, { forgottenThrough: oldestKept.sequence - (cut ? 0 : 1) });
}

const CURSOR = z.tuple([z.string(), z.int().min(0)]);

function sequenceOf(cursor: string, accountId: string): number {
  const [made, sequence] = decodeCursor(cursor, CURSOR) ?? [];
  if (made !== accountId || sequence === undefined) {
    throw InvalidInputError.at('after', 'must be a cursor that this list gave');
  }
  return sequence;
}
