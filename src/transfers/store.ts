import { type FilterQuery, LockMode, raw } from '@mikro-orm/core';
import type { EventBus } from '../events/bus.ts';
import type { Clock } from '../lib/clock.ts';
import { addMs } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { Account } from '../storage/entities/account.ts';
import {
  type StoredListing,
  Transfer,
  TransferEvent,
  TransferSlice,
  type TransferState,
} from '../storage/entities/transfer.ts';
import type { EntityManager, Storage } from '../storage/orm.ts';
import { recordEvent } from './journal.ts';
import { nextToRun, type SlotLimits } from './queue.ts';
import { FINAL_STATES, STATE_DEADLINES_MS, stateAfter, statesBefore, type TransferAction } from './states.ts';
import { heldBack, ITEMS_PHASE, noteItem, settleTree, spreadToItems } from './trees.ts';

/**
 * How long a worker or a receiving connection is believed alive without a sign of it, in milliseconds. Leases compare the
 * clocks of the processes: these should agree within a few seconds, as NTP sees to.
 */
export const LEASE_MS = 30_000;

/**
 * The same of a connection that receives: less than a client's next request waits for the one before it, so that after
 * the death of a process the client goes on with its first try, where it would be told 423 and give up.
 */
export const RECEIVE_LEASE_MS = 9_000;

/** What a transfer is made with; the rest of its row begins empty. */
export type NewTransfer = Pick<
  Transfer,
  'userId' | 'kind' | 'state' | 'accountId' | 'parentRef' | 'name' | 'source' | 'bytesTotal'
> &
  Partial<Transfer>;

/** What a change may set beside the state. */
export type TransferChanges = Partial<Omit<Transfer, 'id' | 'userId' | 'state' | 'revision' | 'fence'>>;

export interface ClaimLimits extends SlotLimits {
  readonly owner: string;
}

/** What a folder's page adds to a tree. */
export interface NewItems {
  readonly items: readonly NewTransfer[];
  /** How far the folder is read with them. */
  readonly listing: StoredListing;
}

/**
 * The rows of transfers. Each change of state is one transaction with its event, allowed by the table of states and, where
 * a fence is given, only to whoever claimed the row last; it is announced after the commit.
 */
export class TransferStore {
  readonly #storage: Storage;
  readonly #bus: EventBus;
  readonly #clock: Clock;

  constructor(storage: Storage, bus: EventBus, clock: Clock) {
    this.#storage = storage;
    this.#bus = bus;
    this.#clock = clock;
  }

  async create(given: NewTransfer): Promise<Transfer> {
    const now = this.#clock.now();
    const row = { ...EMPTY_ROW, id: newId(), runAfter: now, createdAt: now, ...given };
    const created = await this.#storage.transaction(async (em) => {
      await em.insert(Transfer, row);
      return this.#record(em, row.id);
    });
    this.#announce(created);
    return created;
  }

  /**
   * Adds a page of a folder to its tree, and keeps how far the folder is read: in one step, so that a page that was read
   * before a crash is neither lost nor there twice. False when the folder is no longer the caller's.
   */
  async addItems(row: Transfer, { items, listing }: NewItems): Promise<boolean> {
    const now = this.#clock.now();
    const treeId = row.treeId ?? row.id;
    const added = await this.#storage.transaction(async (em) => {
      if (!(await isOwn(em, row))) return false;
      const rows = items.map((item) => ({ ...EMPTY_ROW, id: newId(), runAfter: now, createdAt: now, treeId, ...item }));
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
    if (added && items.length > 0) void this.#bus.publish('transfer.queued', { transferId: treeId });
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
      await this.#record(em, id);
      return (await this.#recorded(em, await settleTree(em, id, now))) ?? this.#find(em, id);
    });
    if (tree) this.#announce(tree);
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

  /** The folders of a tree, those that were found last first: a folder comes before the one that it is in. */
  foldersOf(treeId: string, beforeId: string | null, limit: number): Promise<Transfer[]> {
    return this.#storage
      .fork()
      .find(
        Transfer,
        { treeId, listing: { $ne: null }, ...(beforeId === null ? {} : { id: { $lt: beforeId } }) },
        { orderBy: { id: 'desc' }, limit, disableIdentityMap: true },
      );
  }

  /** The copy of an entry into a folder that the user asked for since then: by an attempt whose answer was lost. */
  async findCopy(wanted: {
    readonly userId: string;
    readonly since: Date;
    readonly ref: string;
    readonly parentRef: string;
  }): Promise<Transfer | null> {
    const { userId, since, ref, parentRef } = wanted;
    const rows = await this.#storage
      .fork()
      .find(
        Transfer,
        { userId, treeId: null, parentRef, createdAt: { $gte: since }, kind: { $in: ['COPY', 'MOVE'] } },
        { orderBy: { id: 'desc' }, limit: COPIES_LOOKED_AT, disableIdentityMap: true },
      );
    return rows.find(({ source }) => source.type === 'entry' && source.ref === ref) ?? null;
  }

  /** Whether the account waits for its owner to authorize it again. */
  async isParked(accountId: string): Promise<boolean> {
    return (await this.#storage.fork().count(Account, { id: accountId, status: 'NEEDS_REAUTHORIZATION' })) > 0;
  }

  find(id: string): Promise<Transfer | null> {
    return this.#storage.fork().findOne(Transfer, { id }, { disableIdentityMap: true });
  }

  findMany(ids: readonly string[]): Promise<Transfer[]> {
    if (ids.length === 0) return Promise.resolve([]);
    return this.#storage.fork().find(Transfer, { id: { $in: [...ids] } }, { disableIdentityMap: true });
  }

  /** A user's transfers that are not final, in the order in which they were made, behind `afterId`. */
  unfinished(userId: string, afterId: string | null, limit: number): Promise<Transfer[]> {
    return this.#storage.fork().find(
      Transfer,
      {
        userId,
        treeId: null,
        state: { $nin: [...FINAL_STATES] },
        ...(afterId === null ? {} : { id: { $gt: afterId } }),
      },
      { orderBy: { id: 'asc' }, limit, disableIdentityMap: true },
    );
  }

  /** How many uploads of the user wait for bytes, or are paused. */
  countWaiting(userId: string): Promise<number> {
    return this.#storage.fork().count(Transfer, { userId, treeId: null, state: { $in: ['WAITING', 'PAUSED'] } });
  }

  async setUploadToken(id: string, uploadTokenHash: string): Promise<void> {
    await this.#storage.fork().nativeUpdate(Transfer, { id }, { uploadTokenHash });
  }

  /** From now on the upload lives with this session or API key. */
  async setUploadGrant(id: string, grantId: string): Promise<void> {
    await this.#storage.fork().nativeUpdate(Transfer, { id }, { source: { type: 'upload', grantId } });
  }

  findByUploadToken(uploadTokenHash: string): Promise<Transfer | null> {
    return this.#storage.fork().findOne(Transfer, { uploadTokenHash }, { disableIdentityMap: true });
  }

  /**
   * Whether its user may still send bytes, who shows nothing but the upload's address: not after the session or API key
   * that began it was ended, nor once the user is disabled. A session that ran out by itself goes on: the upload has an
   * end of its own, and who uploads for days by the address alone refreshes nothing.
   */
  async senderOf({ userId, source }: Transfer): Promise<'granted' | 'ended' | 'disabled'> {
    const grantId = source.type === 'upload' ? (source.grantId ?? null) : null;
    const [row] = await this.#storage.fork().execute<{ disabled: number | string; grants: number | string }[]>(
      `select (select count(*) from users where id = ? and disabled_at is not null) as disabled,
           (select count(*) from sessions where id = ? and revoked_at is null) +
           (select count(*) from api_keys where id = ? and revoked_at is null) as grants`,
      [userId, grantId ?? '', grantId ?? ''],
    );
    if (Number(row?.disabled) > 0) return 'disabled';
    return grantId === null || Number(row?.grants) > 0 ? 'granted' : 'ended';
  }

  /**
   * Does `action` if the table of states allows it and the row is as `guard` says. Gives the row afterwards; null when it
   * was not possible, and then nothing happened. The lease ends with it: whoever held it is out.
   */
  async change(
    id: string,
    action: TransferAction,
    changes: TransferChanges = {},
    guard: FilterQuery<Transfer> = {},
  ): Promise<Transfer | null> {
    const changed = await this.#storage.transaction(async (em) => {
      const count = await em.nativeUpdate(
        Transfer,
        { $and: [{ id, state: { $in: [...statesBefore(action)] } }, guard] },
        {
          leaseOwner: null,
          leaseUntil: null,
          ...changes,
          state: stateAfter(action),
          ...nextRevision(),
          ...nextFence(),
        },
      );
      return count === 0 ? null : this.#changed(em, id, action);
    });
    for (const row of changed ?? []) this.#announce(row);
    return changed?.[0] ?? null;
  }

  /** What follows from a change, in its transaction. Gives the row, and its tree if that changed too. */
  async #changed(em: EntityManager, id: string, action: TransferAction): Promise<[Transfer, ...Transfer[]]> {
    const now = this.#clock.now();
    const row = await this.#find(em, id);
    if (row.itemsTotal != null) await spreadToItems(em, row, action, now);
    const tree = await this.#recorded(em, await noteItem(em, row, action, now));
    return tree ? [row, tree] : [await this.#record(em, id)];
  }

  /** Stores what is no change of state: progress, a session, a heartbeat. False when the fence is no longer the caller's. */
  async update(id: string, state: TransferState, fence: number, changes: TransferChanges): Promise<boolean> {
    const count = await this.#storage.fork().nativeUpdate(Transfer, { id, state, fence }, changes);
    return count > 0;
  }

  /** The right to write to an upload's file: one connection of one process at a time. Null while another has it. */
  async claimReceiving(id: string, owner: string): Promise<Transfer | null> {
    const now = this.#clock.now();
    return this.#storage.transaction(async (em) => {
      const count = await em.nativeUpdate(
        Transfer,
        {
          id,
          state: 'WAITING',
          $or: [{ leaseOwner: null }, { leaseOwner: owner }, { leaseUntil: { $lt: now } }],
        },
        { leaseOwner: owner, leaseUntil: addMs(now, RECEIVE_LEASE_MS), ...nextFence() },
      );
      return count === 0 ? null : em.findOneOrFail(Transfer, { id }, { disableIdentityMap: true });
    });
  }

  /** The next transfer that can run, now running under `owner`; null when there is none. */
  async claim({ owner, ...limits }: ClaimLimits): Promise<Transfer | null> {
    const now = this.#clock.now();
    const claimed = await this.#storage.transaction(async (em) => {
      const candidate = await this.#nextFree(em, now, limits);
      if (!candidate) return null;
      await em.nativeUpdate(
        Transfer,
        { id: candidate.id },
        {
          state: stateAfter('claim'),
          leaseOwner: owner,
          leaseUntil: addMs(now, LEASE_MS),
          attempts: raw('attempts + 1'),
          startedAt: candidate.startedAt ?? now,
          expiresAt: addMs(now, STATE_DEADLINES_MS.RUNNING),
          ...nextRevision(),
          ...nextFence(),
        },
      );
      return this.#record(em, candidate.id);
    });
    if (claimed) this.#announce(claimed);
    return claimed;
  }

  /** The next to run, passing over items whose tree was held or ended. */
  async #nextFree(em: EntityManager, now: Date, limits: SlotLimits): Promise<Transfer | null> {
    for (;;) {
      const candidate = await nextToRun(em, now, limits);
      const instead = candidate && (await heldBack(em, candidate, now));
      if (!candidate || !instead) return candidate;
      const released = { leaseOwner: null, leaseUntil: null, ...nextRevision(), ...nextFence() };
      await em.nativeUpdate(Transfer, { id: candidate.id }, { ...(instead as Partial<Transfer>), ...released });
    }
  }

  /**
   * Frees what a process of this name left behind when it died, without waiting for its leases to run out. Only for a
   * database that one process uses at a time.
   */
  async releaseAll(): Promise<void> {
    await this.#storage
      .fork()
      .nativeUpdate(
        Transfer,
        { leaseOwner: { $ne: null } },
        { leaseOwner: null, leaseUntil: new Date(0), ...nextFence() },
      );
  }

  async receipts(transferId: string): Promise<TransferSlice[]> {
    return this.#storage
      .fork()
      .find(TransferSlice, { transferId }, { orderBy: { index: 'asc' }, disableIdentityMap: true });
  }

  /** Keeps the receipt of a slice, if the row is still the caller's. */
  async saveReceipt(row: Transfer, index: number, receipt: unknown): Promise<boolean> {
    return this.#storage.transaction(async (em) => {
      if (!(await isOwn(em, row))) return false;
      await em.upsert(TransferSlice, { transferId: row.id, index, receipt }, { disableIdentityMap: true });
      return true;
    });
  }

  /** Keeps a provider's new session, and forgets the receipts of the one before. */
  async saveSession(row: Transfer, driverSession: unknown): Promise<boolean> {
    return this.#storage.transaction(async (em) => {
      if (!(await isOwn(em, row))) return false;
      await em.nativeDelete(TransferSlice, { transferId: row.id });
      await em.nativeUpdate(Transfer, { id: row.id }, { driverSession });
      return true;
    });
  }

  /** Transfers whose state has passed its deadline. */
  expired(now: Date, limit: number): Promise<Transfer[]> {
    return this.#due({ state: { $nin: [...FINAL_STATES] } }, now, limit);
  }

  /** Failed transfers that can no longer be retried, and whose bytes are still here. */
  unretried(now: Date, limit: number): Promise<Transfer[]> {
    return this.#due({ state: 'FAILED' }, now, limit);
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

  async forgetSlices(transferId: string): Promise<void> {
    await this.#storage.fork().nativeDelete(TransferSlice, { transferId });
  }

  #find(em: EntityManager, id: string): Promise<Transfer> {
    return em.findOneOrFail(Transfer, { id }, { disableIdentityMap: true });
  }

  async #record(em: EntityManager, id: string): Promise<Transfer> {
    const row = await this.#find(em, id);
    return (await this.#recorded(em, row)) ?? row;
  }

  /** Of an item, no event is kept: its tree's are, and thousands of items would bury them. */
  async #recorded<Row extends Transfer | null>(em: EntityManager, row: Row): Promise<Row> {
    if (row && row.treeId == null) await recordEvent(em, row, this.#clock.now());
    return row;
  }

  /** Not awaited: a bus whose transport is down must not hold up the work. */
  #announce({ id, userId, revision, state }: Transfer): void {
    void this.#bus.publish('transfer.changed', { userId, transferId: id, revision });
    if (state === 'QUEUED') void this.#bus.publish('transfer.queued', { transferId: id });
  }
}

/** A list of copies has at most a hundred entries. */
const COPIES_LOOKED_AT = 200;

/** Rows inserted by one statement: PostgreSQL takes 65,535 values. */
const INSERT_BATCH = 500;

/** Rows deleted in one transaction: few enough that nobody waits for it. */
const FORGET_BATCH = 500;

// Made anew for each query: a raw fragment belongs to one.
const nextRevision = () => ({ revision: raw('revision + 1') });
const nextFence = () => ({ fence: raw('fence + 1') });

const EMPTY_ROW = {
  phase: null,
  route: null,
  routeReason: null,
  verification: null,
  sourceAccountId: null,
  priority: 0,
  treeId: null,
  itemPath: null,
  listing: null,
  itemsTotal: null,
  itemsSucceeded: null,
  itemsFailed: null,
  onConflict: 'FAIL' as const,
  sourceVersion: null,
  sealedSource: null,
  batchId: null,
  mimeType: null,
  expectedHashes: {},
  hashAlgorithms: [],
  spoolHashes: null,
  bytesDone: 0,
  uploadTokenHash: null,
  uploadMetadata: null,
  driverSession: null,
  entryRef: null,
  failure: null,
  attempts: 0,
  revision: 1,
  leaseOwner: null,
  leaseUntil: null,
  fence: 0,
  expiresAt: null,
  startedAt: null,
  finishedAt: null,
};

/** Whether the caller's claim still counts; locks the row, so that it does until the transaction ends. */
async function isOwn(em: EntityManager, { id, fence }: Transfer): Promise<boolean> {
  const row = await em.findOne(
    Transfer,
    { id, fence, state: 'RUNNING' },
    { fields: ['id'], lockMode: LockMode.PESSIMISTIC_WRITE, disableIdentityMap: true },
  );
  return row !== null;
}
