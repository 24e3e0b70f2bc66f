import type { FilterQuery } from '@mikro-orm/core';
import { Transfer, TransferEvent, TransferSlice } from '../storage/entities/transfer.ts';
import type { Storage } from '../storage/orm.ts';
import { FINAL_STATES } from './states.ts';

/** Rows deleted in one transaction: few enough that nobody waits for it. */
const FORGET_BATCH = 500;

/** What of the transfers has passed its time. */
export class Retention {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Transfers whose state has passed its deadline. */
  expired(now: Date, limit: number): Promise<Transfer[]> {
    return this.#due({ state: { $nin: [...FINAL_STATES] } }, now, limit);
  }

  /** Failed transfers that can no longer be retried, and whose bytes are still here. */
  unretried(now: Date, limit: number): Promise<Transfer[]> {
    return this.#due({ state: 'FAILED' }, now, limit);
  }

  /** Forgets transfers that ended before `before`, with what belongs to them. Items go with their tree. */
  async forgetFinished(before: Date): Promise<void> {
    const old = await this.#storage
      .fork()
      .find(
        Transfer,
        { treeId: null, state: { $in: [...FINAL_STATES] }, finishedAt: { $lt: before } },
        { fields: ['id'], limit: FORGET_BATCH, disableIdentityMap: true },
      );
    const ids = old.map(({ id }) => id);
    if (ids.length === 0) return;
    await this.#storage.transaction(async (em) => {
      await em.execute(
        'delete from transfer_slices where transfer_id in (select id from transfers where tree_id in (?))',
        [ids],
      );
      await em.nativeDelete(Transfer, { treeId: { $in: ids } });
      await em.nativeDelete(TransferSlice, { transferId: { $in: ids } });
      await em.nativeDelete(TransferEvent, { transferId: { $in: ids } });
      await em.nativeDelete(Transfer, { id: { $in: ids } });
      await em.execute(
        'delete from transfer_batches where created_at < ? and not exists (select 1 from transfers t where t.batch_id = transfer_batches.id)',
        [before],
      );
    });
    if (ids.length === FORGET_BATCH) await this.forgetFinished(before);
  }

  #due(which: FilterQuery<Transfer>, now: Date, limit: number): Promise<Transfer[]> {
    return this.#storage
      .fork()
      .find(
        Transfer,
        { $and: [which, { expiresAt: { $lte: now } }] },
        { orderBy: { expiresAt: 'asc' }, limit, disableIdentityMap: true },
      );
  }
}
