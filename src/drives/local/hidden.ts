import { setImmediate } from 'node:timers/promises';
import type { EntityManager } from '../../storage/orm.ts';
import { transact } from './change.ts';
import type { LocalServices } from './context.ts';
import { query, run } from './rows.ts';

/** Entries deleted in one transaction: SQLite blocks the process for about 20 ms then. */
const REAP_BATCH = 500;

/** Takes a live tree out of sight, in one statement whatever its size. */
export async function hideTree(
  em: EntityManager,
  topId: string,
  mark: { readonly trashedAt: Date } | { readonly reapAfter: Date },
): Promise<void> {
  await run(
    em,
    `with recursive tree (id) as (
       select id from local_entries where id = ? union all
       select e.id from tree cross join local_entries e where e.parent_id = tree.id and e.hidden_by is null)
     update local_entries set hidden_by = ?, revision = revision + 1 where id in (select id from tree)`,
    [topId, topId],
  );
  const [column, time] = 'trashedAt' in mark ? ['trashed_at', mark.trashedAt] : ['reap_after', mark.reapAfter];
  await run(em, `update local_entries set ${column} = ? where id = ?`, [time, topId]);
}

/** Makes a hidden tree live again; its top is where it belongs already. */
export async function showTree(em: EntityManager, topId: string): Promise<void> {
  await run(em, 'update local_entries set trashed_at = null, reap_after = null where id = ?', [topId]);
  await run(em, 'update local_entries set hidden_by = null, revision = revision + 1 where hidden_by = ?', [topId]);
}

/**
 * Deletes for ever the hidden trees whose time has come, of one account or of all, in steps. Tops go last, so that what
 * a crash leaves is found again. Rows are claimed by deleting them: two that reap at once never count one twice. Ends
 * early when the signal does; the sweep does the rest.
 */
export async function reap(
  { storage, blobs, clock }: Pick<LocalServices, 'storage' | 'blobs' | 'clock'>,
  accountId: string | null,
  signal?: AbortSignal,
): Promise<number> {
  const isDue = `top.reap_after <= ? ${accountId === null ? '' : 'and top.account_id = ?'}`;
  const params = [clock.now(), ...(accountId === null ? [] : [accountId])];
  const below = `select e.id from local_entries top join local_entries e on e.hidden_by = top.id and e.id <> top.id
    where ${isDue} limit ?`;
  const tops = `select top.id from local_entries top where ${isDue} and not exists
    (select 1 from local_entries e where e.hidden_by = top.id and e.id <> top.id) limit ?`;

  let reaped = 0;
  for (const due of [below, tops]) {
    for (let found = REAP_BATCH; found > 0 && !signal?.aborted; ) {
      const step = await transact(storage, async (em) => {
        const rows = await query<{ id: string }>(em, due, [...params, REAP_BATCH]);
        return { found: rows.length, deleted: await deleteRows(em, blobs, rows) };
      });
      found = step.found; // Not what was deleted: another may have deleted these meanwhile, and left others.
      reaped += step.deleted;
      await setImmediate(); // Others get their turn: one transaction of SQLite holds the event loop.
    }
  }
  return reaped;
}

async function deleteRows(
  em: EntityManager,
  blobs: LocalServices['blobs'],
  rows: readonly { readonly id: string }[],
): Promise<number> {
  if (rows.length === 0) return 0;
  const deleted = await em.execute<{ blob_hash: string | null }[]>(
    'delete from local_entries where id in (?) returning blob_hash',
    [rows.map(({ id }) => id)],
  );
  await blobs.count(em, countsOf(deleted, -1));
  return deleted.length;
}

/** How often each blob is referred to, times `factor`. */
export function countsOf(rows: readonly { readonly blob_hash: string | null }[], factor: 1 | -1): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { blob_hash } of rows)
    if (blob_hash !== null) counts.set(blob_hash, (counts.get(blob_hash) ?? 0) + factor);
  return counts;
}
