import { setImmediate } from 'node:timers/promises';
import type { EntityManager } from '../../storage/orm.ts';
import { transact } from './change.ts';
import type { LocalServices } from './context.ts';
import { run } from './rows.ts';

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
  const due = `top.reap_after <= ? ${accountId === null ? '' : 'and top.account_id = ?'}`;
  const params = [clock.now(), ...(accountId === null ? [] : [accountId])];
  const below = `select e.id from local_entries top join local_entries e on e.hidden_by = top.id and e.id <> top.id
    where ${due} limit ?`;
  const tops = `select top.id from local_entries top where ${due} and not exists
    (select 1 from local_entries e where e.hidden_by = top.id and e.id <> top.id) limit ?`;

  let reaped = 0;
  for (const ids of [below, tops]) {
    for (let gone = REAP_BATCH; gone === REAP_BATCH && !signal?.aborted; reaped += gone) {
      gone = await transact(storage, async (em) => {
        const rows = await em.execute<{ blob_hash: string | null }[]>(
          `delete from local_entries where id in (${ids}) returning blob_hash`,
          [...params, REAP_BATCH],
        );
        await blobs.count(em, countsOf(rows, -1));
        return rows.length;
      });
      await setImmediate(); // Others get their turn: one transaction of SQLite holds the event loop.
    }
  }
  return reaped;
}

/** How often each blob is referred to, times `factor`. */
export function countsOf(rows: readonly { readonly blob_hash: string | null }[], factor: 1 | -1): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { blob_hash } of rows)
    if (blob_hash !== null) counts.set(blob_hash, (counts.get(blob_hash) ?? 0) + factor);
  return counts;
}
