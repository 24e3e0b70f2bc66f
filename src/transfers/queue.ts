import { LockMode } from '@mikro-orm/core';
import { Transfer } from '../storage/entities/transfer.ts';
import { TransferBatch } from '../storage/entities/transfer-batch.ts';
import type { EntityManager } from '../storage/orm.ts';
import { type Reach, withinReach } from './neighbours.ts';

/** How many transfers may run at once. Several processes may pass a limit by what they claim in the same moment. */
export interface SlotLimits {
  /** Of one user. */
  readonly runningPerUserMax: number;
  /** At one account: so many hang when its provider does, and no more. */
  readonly runningPerAccountMax: number;
}

/** What a process may run. */
export interface RunLimits extends SlotLimits {
  readonly reach: Reach;
}

/**
 * Items of one tree that may wait for their next try. With as many, none of the tree is begun: each may hold bytes in the
 * spool, and a provider that refuses these refuses the others too.
 */
const WAITING_PER_TREE_MAX = 20;

/**
 * The transfer to work on next, its row locked: one whose worker died before those that wait, and of these the ones that
 * somebody waits for before the many. Rows that another claimer has locked are passed over.
 */
export async function nextToRun(em: EntityManager, now: Date, limits: RunLimits): Promise<Transfer | null> {
  const abandoned = await nextAbandoned(em, now, limits.reach);
  if (abandoned) return abandoned;
  const users = await busyUsers(em, now, limits.runningPerUserMax);
  const accounts = [...(await busyAccounts(em, now, limits.runningPerAccountMax)), ...(await parkedAccounts(em))];
  const trees = await busyTrees(em, now);
  for (const batches = await fullBatches(em); ; ) {
    const row = await nextQueued(em, now, { users, accounts, trees, batches, reach: limits.reach });
    if (row?.batchId == null || (await hasPlace(em, row.batchId))) return row;
    batches.push(row.batchId);
  }
}

/** A running transfer whose worker died. */
const nextAbandoned = (em: EntityManager, now: Date, reach: Reach): Promise<Transfer | null> =>
  em.findOne(
    Transfer,
    { state: 'RUNNING', leaseUntil: { $lt: now }, $and: withinReach(reach) },
    { orderBy: { leaseUntil: 'asc' }, lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE, disableIdentityMap: true },
  );

/** What is passed over, by what it belongs to. */
interface Excluded {
  readonly users: readonly string[];
  readonly accounts: readonly string[];
  readonly trees: readonly string[];
  readonly batches: readonly string[];
  readonly reach: Reach;
}

async function nextQueued(em: EntityManager, now: Date, excluded: Excluded): Promise<Transfer | null> {
  const { users, accounts, trees, batches, reach } = excluded;
  const [row] = await em.find(
    Transfer,
    {
      state: 'QUEUED',
      runAfter: { $lte: now },
      $and: [
        ...withinReach(reach),
        ...(users.length > 0 ? [{ userId: { $nin: [...users] } }] : []),
        ...(accounts.length > 0 ? [{ accountId: { $nin: [...accounts] } }] : []),
        ...(accounts.length > 0
          ? [{ $or: [{ sourceAccountId: null }, { sourceAccountId: { $nin: [...accounts] } }] }]
          : []),
        ...(trees.length > 0 ? [{ $or: [{ treeId: null }, { treeId: { $nin: [...trees] } }] }] : []),
        ...(batches.length > 0 ? [{ $or: [{ batchId: null }, { batchId: { $nin: [...batches] } }] }] : []),
      ],
    },
    {
      orderBy: { priority: 'asc', runAfter: 'asc', id: 'asc' },
      limit: 1,
      lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE,
      disableIdentityMap: true,
    },
  );
  return row ?? null;
}

/** Users who have as many transfers running as they may. */
async function busyUsers(em: EntityManager, now: Date, max: number): Promise<string[]> {
  const rows = await em.execute<{ user_id: string }[]>(
    `select user_id from transfers where state = 'RUNNING' and lease_until >= ? group by user_id having count(*) >= ?`,
    [now, max],
  );
  return rows.map(({ user_id }) => user_id);
}

/**
 * Accounts at which as many transfers are at work as may be. A copy counts where it is at work just now: at its source
 * while bytes come in, then at its destination. So a drive that hangs takes no slot of the one at the other end.
 */
async function busyAccounts(em: EntityManager, now: Date, max: number): Promise<string[]> {
  const rows = await em.execute<{ account: string | null }[]>(
    `select case when phase = 'RECEIVING' then source_account_id else account_id end as account
     from transfers where state = 'RUNNING' and lease_until >= ? group by 1 having count(*) >= ?`,
    [now, max],
  );
  // Null: they are fetched from elsewhere, and no account is at work yet.
  return rows.flatMap(({ account }) => account ?? []);
}

/** Accounts whose transfers wait until they are authorized again: nothing has to wake these. */
async function parkedAccounts(em: EntityManager): Promise<string[]> {
  const rows = await em.execute<{ id: string }[]>(`select id from accounts where status = 'NEEDS_REAUTHORIZATION'`);
  return rows.map(({ id }) => id);
}

async function busyTrees(em: EntityManager, now: Date): Promise<string[]> {
  const rows = await em.execute<{ tree_id: string }[]>(
    `select tree_id from transfers
     where state = 'QUEUED' and priority = ? and run_after > ? and tree_id is not null
     group by tree_id having count(*) >= ?`,
    [BULK, now, WAITING_PER_TREE_MAX],
  );
  return rows.map(({ tree_id }) => tree_id);
}

/**
 * Batches of which as many run as may: also those count whose worker died, which come before others. Another batch may be
 * full too by the time that one of its transfers is chosen.
 */
async function fullBatches(em: EntityManager): Promise<string[]> {
  const rows = await em.execute<{ id: string }[]>(
    `select b.id from transfers t join transfer_batches b on b.id = t.batch_id where t.state = 'RUNNING'
     group by b.id, b.max_concurrent having count(*) >= b.max_concurrent`,
  );
  return rows.map(({ id }) => id);
}

/** Whether one more of the batch may run. Its row stays locked until the claim is made: others wait to count. */
async function hasPlace(em: EntityManager, id: string): Promise<boolean> {
  const batch = await em.findOne(
    TransferBatch,
    { id },
    { fields: ['maxConcurrent'], lockMode: LockMode.PESSIMISTIC_WRITE, disableIdentityMap: true },
  );
  return batch === null || (await em.count(Transfer, { batchId: id, state: 'RUNNING' })) < batch.maxConcurrent;
}

/** The priority of what somebody waits for, and that of one of many. */
const AWAITED = 0;
export const BULK = 1;

/**
 * So many files a person picks one by one, and watches. Of a longer list each is one of many: what is asked for alone
 * meanwhile goes before those of it that have not begun.
 */
export const AWAITED_MAX = 10;

/** The priority of a transfer that was asked for in a list of so many. */
export const priorityAmong = (listed: number): number => (listed > AWAITED_MAX ? BULK : AWAITED);
