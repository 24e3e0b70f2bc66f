import { type Transfer, TransferEvent, TransferJournal, type TransferSnapshot } from '../storage/entities/transfer.ts';
import type { EntityManager, Storage } from '../storage/orm.ts';

/** Events kept for replay, in milliseconds: a phone that was off for a week still gets all of them. */
export const EVENTS_KEPT_MS = 7 * 24 * 3_600_000;

/** What the journal holds of a user's events. */
export interface JournalBounds {
  readonly lastSequence: number;
  readonly sweptThrough: number;
}

/**
 * Records a change of `row` in the transaction that makes it. Takes the lock of the user's journal until the transaction
 * ends: to be called last in it.
 */
export async function recordEvent(em: EntityManager, row: Transfer, at: Date): Promise<void> {
  const [journal] = await em.execute<{ sequence: number | string }[]>(
    `insert into transfer_journals (user_id, last_sequence) values (?, 1)
     on conflict (user_id) do update set last_sequence = transfer_journals.last_sequence + 1
     returning last_sequence as sequence`,
    [row.userId],
  );
  await em.insert(TransferEvent, {
    userId: row.userId,
    sequence: Number(journal?.sequence),
    transferId: row.id,
    revision: row.revision,
    snapshot: snapshotOf(row),
    at,
  });
}

/** A user's stored events, in order. */
export class Journal {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  async bounds(userId: string): Promise<JournalBounds> {
    const journal = await this.#storage.fork().findOne(TransferJournal, { userId }, { disableIdentityMap: true });
    return { lastSequence: journal?.lastSequence ?? 0, sweptThrough: journal?.sweptThrough ?? 0 };
  }

  /** At most `limit` events after `sequence`, oldest first. */
  after(userId: string, sequence: number, limit: number): Promise<TransferEvent[]> {
    return this.#storage
      .fork()
      .find(
        TransferEvent,
        { userId, sequence: { $gt: sequence } },
        { orderBy: { sequence: 'asc' }, limit, disableIdentityMap: true },
      );
  }

  /** Forgets events from before `before`, and remembers up to where. Gives how many went. */
  async sweep(before: Date): Promise<number> {
    const old = await this.#storage
      .fork()
      .execute<{ user_id: string; sequence: number | string }[]>(
        'select user_id, max(sequence) as sequence from transfer_events where at < ? group by user_id',
        [before],
      );
    let swept = 0;
    for (const { user_id: userId, sequence } of old) {
      swept += await this.#storage.transaction(async (em) => {
        await em.nativeUpdate(TransferJournal, { userId }, { sweptThrough: Number(sequence) });
        return em.nativeDelete(TransferEvent, { userId, sequence: { $lte: Number(sequence) } });
      });
    }
    return swept;
  }
}

function snapshotOf(row: Transfer): TransferSnapshot {
  const {
    state,
    phase,
    route,
    routeReason,
    verification,
    bytesTotal,
    bytesDone,
    bytesReceived,
    bytesSent,
    attempts,
    entryRef,
    failure,
    startedAt,
    finishedAt,
  } = row;
  return {
    state,
    phase: phase ?? null,
    route: route ?? null,
    routeReason: routeReason ?? null,
    verification: verification ?? null,
    bytesTotal: bytesTotal ?? null,
    bytesDone,
    bytesReceived,
    bytesSent,
    attempts,
    entryRef: entryRef ?? null,
    failure: failure ?? null,
    startedAt: startedAt?.toISOString() ?? null,
    finishedAt: finishedAt?.toISOString() ?? null,
  };
}
