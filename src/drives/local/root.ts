import type { EntityManager } from '../../storage/orm.ts';

/** The root of a new account's drive, in the transaction that makes the account. It has the account's id. */
export async function createRoot(em: EntityManager, accountId: string, now: Date): Promise<void> {
  await em.execute(
    `insert into local_entries (id, account_id, kind, name, name_key, created_at, modified_at)
     values (?, ?, 'FOLDER', '', '', ?, ?)`,
    [accountId, accountId, now, now],
    'run',
  );
}
