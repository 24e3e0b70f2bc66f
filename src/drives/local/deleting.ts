import { z } from 'zod';
import { entryNameKey } from '../../lib/names.ts';
import type { EntityManager } from '../../storage/orm.ts';
import type { CallContext, Driver, RecycleBin } from '../driver.ts';
import { DriveError } from '../errors.ts';
import { decodeCursor, pageOf } from '../shared/paging.ts';
import { change } from './change.ts';
import type { LocalContext } from './context.ts';
import { badCursor, notFound } from './errors.ts';
import { entryOf } from './filing.ts';
import { hideTree, reap, showTree } from './hidden.ts';
import { pageLimit } from './listing.ts';
import { checkNotRoot, checkRevision, findSpot } from './placing.ts';
import {
  ENTRY_COLUMNS,
  ENTRY_TABLES,
  type EntryRow,
  type Folder,
  isRef,
  liveEntry,
  liveFolder,
  pathsOf,
  query,
  run,
  timeOf,
  toEntry,
} from './rows.ts';

/** Deletes, into the recycle bin or for ever. */
export const createDeleting = (local: LocalContext) =>
  ({
    async remove(ref, { ifRevision }, call) {
      await hide(local, call, ref, ifRevision, { trashedAt: local.clock.now() });
    },

    async removePermanently(ref, { ifRevision }, call) {
      await hide(local, call, ref, ifRevision, { reapAfter: local.clock.now() });
      await reap(local, local.accountId, call.signal);
    },

    recycleBin: createRecycleBin(local),
  }) satisfies Partial<Driver>;

const createRecycleBin = (local: LocalContext): RecycleBin => ({
  async list(page, { signal }) {
    const em = local.storage.fork(signal);
    const limit = pageLimit(page);
    const after = page.cursor === null ? null : decodeCursor(page.cursor, BIN_CURSOR);
    if (page.cursor !== null && after === null) throw badCursor();
    const rows = await query<EntryRow>(
      em,
      `select ${ENTRY_COLUMNS} from ${ENTRY_TABLES} where e.account_id = ? and e.trashed_at is not null
       ${after ? 'and (e.trashed_at, e.id) < (?, ?)' : ''} order by e.trashed_at desc, e.id desc limit ?`,
      [local.accountId, ...(after ? [new Date(after[1]), after[2]] : []), limit + 1],
    );
    return pageOf(
      rows,
      limit,
      (row) => toEntry(row, null),
      (row) => ['bin', timeOf(row.trashed_at ?? 0).getTime(), row.id],
    );
  },

  restore: (ref, call) =>
    change(local, call, async (em, note) => {
      const top = await trashed(em, local, ref);
      const folder = await formerFolder(em, local, top);
      const spot = await findSpot(em, { folder, name: top.name, kind: top.kind, onConflict: 'RENAME' });
      const name = 'free' in spot ? spot.free : top.name;
      await run(em, 'update local_entries set parent_id = ?, name = ?, name_key = ? where id = ?', [
        folder.id,
        name,
        entryNameKey(name),
        top.id,
      ]);
      await showTree(em, top.id);
      const entry = await entryOf(em, local, top.id);
      await note({ kind: 'CREATED', entry: top, parentId: folder.id, path: entry.path });
      return entry;
    }),

  async purge(ref, call) {
    await change(local, call, async (em) => {
      const { id } = await trashed(em, local, ref);
      await run(em, 'update local_entries set trashed_at = null, reap_after = ? where id = ?', [local.clock.now(), id]);
    });
    await reap(local, local.accountId, call.signal);
  },

  async empty(call) {
    await change(local, call, (em) =>
      run(
        em,
        'update local_entries set trashed_at = null, reap_after = ? where account_id = ? and trashed_at is not null',
        [local.clock.now(), local.accountId],
      ),
    );
    await reap(local, local.accountId, call.signal);
  },
});

const BIN_CURSOR = z.tuple([
  z.literal('bin'),
  z.int().min(0).max(253_402_300_799_999),
  z.string().regex(/^[0-9a-f-]{36}$/),
]);

function hide(
  local: LocalContext,
  call: CallContext,
  ref: string,
  ifRevision: string | undefined,
  mark: Parameters<typeof hideTree>[2],
): Promise<void> {
  return change(local, call, async (em, note) => {
    const entry = await liveEntry(em, local, ref);
    checkNotRoot(entry);
    checkRevision(entry, ifRevision);
    const path = (await pathsOf(em, [ref])).get(ref) ?? null;
    await hideTree(em, entry.id, mark);
    await note({ kind: 'DELETED', entry, parentId: entry.parent_id, path });
  });
}

async function trashed(em: EntityManager, { accountId }: LocalContext, ref: string): Promise<EntryRow> {
  const [row] = isRef(ref)
    ? await query<EntryRow>(
        em,
        `select ${ENTRY_COLUMNS} from ${ENTRY_TABLES} where e.id = ? and e.account_id = ? and e.trashed_at is not null`,
        [ref, accountId],
      )
    : [];
  if (!row) throw notFound('entry in the recycle bin');
  return row;
}

/** Where it was; the root when that is no longer there. */
async function formerFolder(em: EntityManager, local: LocalContext, { parent_id }: EntryRow): Promise<Folder> {
  try {
    return await liveFolder(em, local, parent_id ?? local.accountId);
  } catch (error) {
    if (!(error instanceof DriveError && error.category === 'not_found')) throw error;
    return liveFolder(em, local, local.accountId);
  }
}
