import { raw } from '@mikro-orm/core';
import { addMs, type Clock } from '../lib/clock.ts';
import { type StoredListing, Transfer, type TransferState } from '../storage/entities/transfer.ts';
import type { Storage } from '../storage/orm.ts';
import { type Announcer, isOwn, type NewTransfer, newRow, nextFence, nextRevision, rowOf } from './rows.ts';
import { STATE_DEADLINES_MS } from './states.ts';
import { ITEMS_PHASE, settleTree } from './trees.ts';

/** Rows inserted by one statement: PostgreSQL takes 65,535 values. */
const INSERT_BATCH = 500;

/** What a folder's page adds to a tree. */
export interface NewItems {
  readonly items: readonly NewTransfer[];
  /** How far the folder is read with them. */
  readonly listing: StoredListing;
}

/** The items of trees. */
export class TreeStore {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #announcer: Announcer;

  constructor(storage: Storage, clock: Clock, announcer: Announcer) {
    this.#storage = storage;
    this.#clock = clock;
    this.#announcer = announcer;
  }

  /**
   * Adds a page of a folder to its tree, and keeps how far the folder is read: in one step, so that a page that was read
   * before a crash is neither lost nor there twice. False when the folder is no longer the caller's.
   */
  async add(row: Transfer, { items, listing }: NewItems): Promise<boolean> {
    const now = this.#clock.now();
    const treeId = row.treeId ?? row.id;
    const added = await this.#storage.transaction(async (em) => {
      if (!(await isOwn(em, row))) return false;
      const rows = items.map((item) => newRow({ treeId, ...item }, now));
      for (let start = 0; start < rows.length; start += INSERT_BATCH) {
        await em.insertMany(Transfer, rows.slice(start, start + INSERT_BATCH));
      }
      await em.nativeUpdate(Transfer, { id: row.id }, { listing });
      if (rows.length === 0) return true;
      const bytes = rows.reduce((sum, { bytesTotal }) => sum + (bytesTotal ?? 0), 0);
      await em.nativeUpdate(
        Transfer,
        { id: treeId },
        {
          itemsTotal: raw('items_total + ?', [rows.length]),
          bytesTotal: raw('coalesce(bytes_total, 0) + ?', [bytes]),
          expiresAt: addMs(now, STATE_DEADLINES_MS.RUNNING),
        },
      );
      return true;
    });
    if (added && items.length > 0) this.#announcer.queued(treeId);
    return added;
  }

  /** Lets go of a tree whose folder is read: its items end it. False when it is no longer the caller's. */
  async awaitItems({ id, fence }: Transfer): Promise<boolean> {
    const now = this.#clock.now();
    const tree = await this.#storage.transaction(async (em) => {
      const count = await em.nativeUpdate(
        Transfer,
        { id, fence, state: 'RUNNING' },
        {
          phase: ITEMS_PHASE,
          leaseOwner: null,
          leaseUntil: null,
          expiresAt: addMs(now, STATE_DEADLINES_MS.RUNNING),
          ...nextRevision(),
          ...nextFence(),
        },
      );
      if (count === 0) return null;
      await this.#announcer.record(em, id);
      return (await this.#announcer.recorded(em, await settleTree(em, id, now))) ?? rowOf(em, id);
    });
    if (tree) this.#announcer.announce(tree);
    return tree !== null;
  }

  /** A page of a tree's items, in the order in which they were found. */
  items(treeId: string, states: readonly TransferState[] | null, afterId: string | null, limit: number) {
    return this.#storage.fork().find(
      Transfer,
      {
        treeId,
        ...(states ? { state: { $in: [...states] } } : {}),
        ...(afterId === null ? {} : { id: { $gt: afterId } }),
      },
      { orderBy: { id: 'asc' }, limit, disableIdentityMap: true },
    );
  }

  /** Whether an item of the tree is paused by itself: then it has a deadline of its own. */
  async hasPaused(treeId: string): Promise<boolean> {
    const paused = { treeId, state: 'PAUSED' as const, expiresAt: { $ne: null } };
    return (
      (await this.#storage.fork().findOne(Transfer, paused, { fields: ['id'], disableIdentityMap: true })) !== null
    );
  }

  /** The copied folders of a tree, those that were found last first: a folder comes before the one that it is in. */
  foldersOf(treeId: string, beforeId: string | null, limit: number): Promise<Transfer[]> {
    return this.#storage
      .fork()
      .find(
        Transfer,
        { treeId, state: 'SUCCEEDED', listing: { $ne: null }, ...(beforeId === null ? {} : { id: { $lt: beforeId } }) },
        { orderBy: { id: 'desc' }, limit, disableIdentityMap: true },
      );
  }
}
