import { LockMode } from '@mikro-orm/core';
import { Transfer } from '../storage/entities/transfer.ts';
import type { EntityManager } from '../storage/orm.ts';

/**
 * The transfer to work on next, its row locked: one whose worker died before those that wait. Rows that another claimer
 * has locked are passed over.
 */
export const nextToRun = async (em: EntityManager, now: Date, runningPerUserMax: number): Promise<Transfer | null> =>
  (await nextAbandoned(em, now)) ?? nextQueued(em, now, await busyUsers(em, now, runningPerUserMax));

/** A running transfer whose worker died. */
const nextAbandoned = (em: EntityManager, now: Date): Promise<Transfer | null> =>
  em.findOne(
    Transfer,
    { state: 'RUNNING', leaseUntil: { $lt: now } },
    { orderBy: { leaseUntil: 'asc' }, lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE, disableIdentityMap: true },
  );

async function nextQueued(em: EntityManager, now: Date, excludedUsers: readonly string[]): Promise<Transfer | null> {
  const [row] = await em.find(
    Transfer,
    {
      state: 'QUEUED',
      runAfter: { $lte: now },
      ...(excludedUsers.length > 0 ? { userId: { $nin: [...excludedUsers] } } : {}),
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
