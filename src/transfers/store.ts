import { type FilterQuery, LockMode, raw } from '@mikro-orm/core';
import type { EventBus } from '../events/bus.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { Account } from '../storage/entities/account.ts';
import { Transfer, type TransferState } from '../storage/entities/transfer.ts';
import type { EntityManager, Storage } from '../storage/orm.ts';
import { ALONE, type Reach } from './neighbours.ts';
import { nextToRun, type RunLimits, type SlotLimits } from './queue.ts';
import { Retention } from './retention.ts';
import { Announcer, type NewTransfer, newRow, nextFence, nextRevision, rowOf, type TransferChanges } from './rows.ts';
import { SliceStore } from './slice-store.ts';
import { FINAL_STATES, STATE_DEADLINES_MS, stateAfter, statesBefore, type TransferAction } from './states.ts';
import { TreeStore } from './tree-store.ts';
import { heldBack, noteItem, spreadToItems, TreeRefusedError } from './trees.ts';
import { UploadStore } from './upload-store.ts';

/**
 * How long a worker is believed alive without a sign of it, in milliseconds. Leases compare the clocks of the processes:
 * these should agree within a few seconds, as NTP sees to.
 */
export const LEASE_MS = 30_000;

export interface ClaimLimits extends SlotLimits {
  readonly owner: string;
  readonly reach?: Reach;
}

/**
 * The rows of transfers. Each change of state is one transaction with its event, allowed by the table of states and, where
 * a fence is given, only to whoever claimed the row last; it is announced after the commit.
 */
export class TransferStore {
  readonly trees: TreeStore;
  readonly uploads: UploadStore;
  readonly slices: SliceStore;
  readonly retention: Retention;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #announcer: Announcer;

  constructor(storage: Storage, bus: EventBus, clock: Clock) {
    this.#storage = storage;
    this.#clock = clock;
    this.#announcer = new Announcer(bus, clock);
    this.trees = new TreeStore(storage, clock, this.#announcer);
    this.uploads = new UploadStore(storage, clock);
    this.slices = new SliceStore(storage);
    this.retention = new Retention(storage);
  }

  async create(given: NewTransfer): Promise<Transfer> {
    const now = this.#clock.now();
    const row = newRow(given, now);
    const created = await this.#storage.transaction(async (em) => {
      await em.insert(Transfer, row);
      return this.#announcer.record(em, row.id);
    });
    this.#announcer.announce(created);
    return created;
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

  /**
   * Does `action` if the table of states allows it and the row is as `guard` says. Gives the row afterwards; null when it
   * was not possible, also because of the tree that it is an item of, and then nothing happened. The lease ends with it:
   * whoever held it is out.
   */
  async change(
    id: string,
    action: TransferAction,
    changes: TransferChanges = {},
    guard: FilterQuery<Transfer> = {},
  ): Promise<Transfer | null> {
    const changing = this.#storage.transaction(async (em) => {
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
    const changed = await changing.catch((error: unknown) => {
      if (error instanceof TreeRefusedError) return null;
      throw error;
    });
    for (const row of changed ?? []) this.#announcer.announce(row);
    return changed?.[0] ?? null;
  }

  /** What follows from a change, in its transaction. Gives the row, and its tree if that changed too. */
  async #changed(em: EntityManager, id: string, action: TransferAction): Promise<[Transfer, ...Transfer[]]> {
    const now = this.#clock.now();
    const row = await rowOf(em, id);
    if (row.itemsTotal != null) await spreadToItems(em, row, action, now);
    const tree = await this.#announcer.recorded(em, await noteItem(em, row, action, now));
    return tree ? [row, tree] : [await this.#announcer.record(em, id)];
  }

  /** Stores what is no change of state: progress, a session, a heartbeat. False when the fence is no longer the caller's. */
  async update(id: string, state: TransferState, fence: number, changes: TransferChanges): Promise<boolean> {
    const count = await this.#storage.fork().nativeUpdate(Transfer, { id, state, fence }, changes);
    return count > 0;
  }

  /**
   * Keeps the name that the row's drive is to be asked for, unless another transfer asks for the same just now: both would
   * take what one of them makes for their own. Claims in one account wait for each other.
   */
  async claimName(row: Transfer, claimedName: string): Promise<'kept' | 'taken' | 'lost'> {
    const { id, fence, accountId, parentRef } = row;
    return this.#storage.transaction(async (em) => {
      const lock = { lockMode: LockMode.PESSIMISTIC_WRITE, disableIdentityMap: true };
      await em.findOne(Account, { id: accountId }, { fields: ['id'], ...lock });
      const others = { accountId, claimedName, parentRef, id: { $ne: id }, state: { $nin: [...FINAL_STATES] } };
      if ((await em.count(Transfer, others)) > 0) return 'taken';
      const count = await em.nativeUpdate(Transfer, { id, fence, state: 'RUNNING' }, { claimedName });
      return count > 0 ? 'kept' : 'lost';
    });
  }

  /** The next transfer that can run, now running under `owner`; null when there is none. */
  async claim({ owner, reach = ALONE, ...limits }: ClaimLimits): Promise<Transfer | null> {
    const now = this.#clock.now();
    const claimed = await this.#storage.transaction(async (em) => {
      const candidate = await this.#nextFree(em, now, { ...limits, reach });
      if (!candidate) return null;
      await em.nativeUpdate(
        Transfer,
        { id: candidate.id },
        {
          state: stateAfter('claim'),
          leaseOwner: owner,
          leaseUntil: addMs(now, LEASE_MS),
          spoolId: reach.spoolId,
          attempts: raw('attempts + 1'),
          attemptsStuck: raw('attempts_stuck + 1'),
          startedAt: candidate.startedAt ?? now,
          expiresAt: addMs(now, STATE_DEADLINES_MS.RUNNING),
          ...nextRevision(),
          ...nextFence(),
        },
      );
      return this.#announcer.record(em, candidate.id);
    });
    if (claimed) this.#announcer.announce(claimed);
    return claimed;
  }

  /** The next to run, passing over items whose tree was held or ended. */
  async #nextFree(em: EntityManager, now: Date, limits: RunLimits): Promise<Transfer | null> {
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
}

/** A list of copies has at most a hundred entries. */
const COPIES_LOOKED_AT = 200;
