import { addMs, type Clock } from '../lib/clock.ts';
import { CancelledError, ReauthorizationRequiredError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { storedFailureOf } from './failures.ts';
import { EVENTS_KEPT_MS, type Journal } from './journal.ts';
import type { Spool } from './spool.ts';
import { isFinal, PARKED_DEADLINE_MS, STATE_DEADLINES_MS } from './states.ts';
import type { TransferStore } from './store.ts';

/** How old a file that no transfer needs must be, in milliseconds: its row may just be on its way. */
const STRAY_MS = 3_600_000;
/** How long transfers are shown after their end, in milliseconds: longer than their events are kept. */
const FINISHED_KEPT_MS = 30 * 24 * 3_600_000;
const BATCH = 100;

export interface SweepParts {
  readonly store: TransferStore;
  readonly journal: Journal;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly log: Logger;
  /** Frees what a transfer that is given up holds: its file, and its session at the provider. */
  readonly discard: (row: Transfer) => Promise<void>;
}

/** Ends what waited too long, and removes what nobody needs any more. */
export class Sweeper {
  readonly #parts: SweepParts;

  constructor(parts: SweepParts) {
    this.#parts = parts;
  }

  /** One sweep; safe in several processes at once. */
  async sweep(): Promise<void> {
    const { journal, store, clock } = this.#parts;
    const now = clock.now();
    await this.#endExpired(now);
    await this.#freeFailed(now);
    await this.#removeStrays(now);
    await journal.sweep(addMs(now, -EVENTS_KEPT_MS));
    await store.retention.forgetFinished(addMs(now, -FINISHED_KEPT_MS));
  }

  async #endExpired(now: Date): Promise<void> {
    const { store, discard, log } = this.#parts;
    for (
      let rows = await store.retention.expired(now, BATCH);
      rows.length > 0;
      rows = await store.retention.expired(now, BATCH)
    ) {
      for (const row of rows) {
        if ((await this.#parkLonger(row, now)) || (await this.#waitForPaused(row, now))) continue;
        const failure = new CancelledError(
          row.source.type === 'upload' && row.phase === 'RECEIVING'
            ? 'The upload expired before all of its bytes came. Start it again.'
            : 'The transfer made no progress for too long, and was given up. Start it again.',
        );
        const changes = { phase: null, failure: storedFailureOf(failure), finishedAt: now, expiresAt: null };
        const ended = await store.change(row.id, 'fail', changes, { expiresAt: { $lte: now } });
        if (!ended) continue; // It went on just now.
        await discard(row);
        log.info({ transferId: row.id, state: row.state }, 'transfer expired');
      }
    }
  }

  /**
   * What was not begun because its account must be authorized again has the time that its owner has for that. The
   * failure that it shows from then on says why it waits, and that it had this time.
   */
  async #parkLonger(row: Transfer, now: Date): Promise<boolean> {
    const isWaiting = row.state === 'QUEUED' || (row.itemsTotal != null && row.leaseUntil == null);
    if (!isWaiting || row.failure?.code === 'REAUTHORIZATION_REQUIRED') return false;
    const { store } = this.#parts;
    for (const accountId of [row.accountId, row.sourceAccountId]) {
      if (accountId == null || !(await store.isParked(accountId))) continue;
      const failure = storedFailureOf(new ReauthorizationRequiredError(PARKED, accountId));
      const expiresAt = addMs(now, PARKED_DEADLINE_MS - STATE_DEADLINES_MS.QUEUED);
      return store.update(row.id, row.state, row.fence, { failure, expiresAt });
    }
    return false;
  }

  /** A tree of which an item is paused has as long as the item; that is given up by itself. */
  async #waitForPaused(row: Transfer, now: Date): Promise<boolean> {
    const { store } = this.#parts;
    if (row.itemsTotal == null || row.state === 'PAUSED' || !(await store.trees.hasPaused(row.id))) return false;
    return store.update(row.id, row.state, row.fence, { expiresAt: addMs(now, STATE_DEADLINES_MS.RUNNING) });
  }

  /** The bytes of failed transfers, when nobody retried them in time. */
  async #freeFailed(now: Date): Promise<void> {
    const { store, discard } = this.#parts;
    for (
      let rows = await store.retention.unretried(now, BATCH);
      rows.length > 0;
      rows = await store.retention.unretried(now, BATCH)
    ) {
      for (const row of rows) {
        await store.update(row.id, 'FAILED', row.fence, { expiresAt: null });
        await discard(row);
      }
    }
  }

  async #removeStrays(now: Date): Promise<void> {
    const { spool, store, log } = this.#parts;
    const old = (await spool.parts()).filter(({ modifiedAt }) => modifiedAt < addMs(now, -STRAY_MS));
    for (let start = 0; start < old.length; start += BATCH) {
      const batch = old.slice(start, start + BATCH).map(({ transferId }) => transferId);
      const needed = new Set(
        (await store.findMany(batch)).filter((row) => needsBytes(row, spool.id)).map(({ id }) => id),
      );
      for (const transferId of batch.filter((id) => !needed.has(id))) {
        await spool.remove(transferId);
        log.info({ transferId }, 'a forgotten file of the spool was removed');
      }
    }
  }
}

const PARKED = 'The account must be authorized again: link it once more, and the transfer goes on.';

/**
 * Whether somebody may still ask for the transfer's file in this spool: not when another host began it anew. A failed one's
 * is kept for a retry, until its deadline.
 */
const needsBytes = ({ state, expiresAt, spoolId }: Transfer, mine: string): boolean =>
  (spoolId == null || spoolId === mine) && (!isFinal(state) || (state === 'FAILED' && expiresAt !== null));
