import { LockMode } from '@mikro-orm/core';
import { Transfer } from '../storage/entities/transfer.ts';
import { TransferBatch } from '../storage/entities/transfer-batch.ts';
import type { EntityManager } from '../storage/orm.ts';

/**
 * The transfer to work on next, its row locked: one whose worker died before those that wait. Rows that another claimer
 * has locked are passed over.
 */
export async function nextToRun(em: EntityManager, now: Date, runningPerUserMax: number): Promise<Transfer | null> {
  const abandoned = await nextAbandoned(em, now);
  if (abandoned) return abandoned;
  const users = await busyUsers(em, now, runningPerUserMax);
  for (const batches = await fullBatches(em); ; ) {
    const row = await nextQueued(em, now, { users, batches });
    if (row?.batchId == null || (await hasPlace(em, row.batchId))) return row;
    batches.push(row.batchId);
  }
}

/** A running transfer whose worker died. */
const nextAbandoned = (em: EntityManager, now: Date): Promise<Transfer | null> =>
  em.findOne(
    Transfer,
    { state: 'RUNNING', leaseUntil: { $lt: now } },
    { orderBy: { leaseUntil: 'asc' }, lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE, disableIdentityMap: true },
  );

interface Excluded {
  readonly users: readonly string[];
  readonly batches: readonly string[];
}

async function nextQueued(em: EntityManager, now: Date, { users, batches }: Excluded): Promise<Transfer | null> {
  const [row] = await em.find(
    Transfer,
    {
      state: 'QUEUED',
      runAfter: { $lte: now },
      ...(users.length > 0 ? { userId: { $nin: [...users] } } : {}),
      ...(batches.length > 0 ? { $or: [{ batchId: null }, { batchId: { $nin: [...batches] } }] } : {}),
    },
    {
      orderBy: { runAfter: 'asc', id: 'asc' },
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
