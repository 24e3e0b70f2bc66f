import { z } from 'zod';
import { entryNameKey } from '../../lib/names.ts';
import type { EntityManager } from '../../storage/orm.ts';
import type { DriveEntry, Driver, EntryKind, EntrySort, FileCategory, Page, PageRequest } from '../driver.ts';
import { decodeCursor, limitOf, pageOf } from '../shared/paging.ts';
import type { LocalContext } from './context.ts';
import { badCursor, localError, notFound } from './errors.ts';
import {
  ENTRY_COLUMNS,
  ENTRY_TABLES,
  type EntryRow,
  findChild,
  joinPath,
  liveEntries,
  liveEntry,
  liveFolder,
  pathsOf,
  query,
  timeOf,
  toEntry,
  withPaths,
} from './rows.ts';

/** Longest page: 1000 rows are read in about 2 ms, and SQLite blocks the process while it reads. */
export const LIST_PAGE_MAX = 1000;

/** What lists and looks up, and changes nothing. */
export const createListing = (local: LocalContext) =>
  ({
    async list(folderRef, { orderBy = { by: 'NAME', direction: 'ASC' }, kind }, page, { signal }) {
      const em = local.storage.fork(signal);
      const folder = await liveFolder(em, local, folderRef);
      const limit = pageLimit(page);
      const order = { ...orderBy, kind: kind ?? null };
      const rows = await childRows(em, folder.id, order, placeAfter(page.cursor, order), limit + 1);
      return pageOf(
        rows,
        limit,
        (row) => toEntry(row, joinPath(folder.path, row.name)),
        (row) => [order.by, order.direction, order.kind, sortValue(order.by, row), row.id],
      );
    },

    async count(folderRef, { kind }, { signal }) {
      const em = local.storage.fork(signal);
      const { id } = await liveFolder(em, local, folderRef);
      const [row] = await query<{ count: number | string }>(
        em,
        `select count(*) as count from local_entries where parent_id = ? and hidden_by is null ${kind ? 'and kind = ?' : ''}`,
        kind ? [id, kind] : [id],
      );
      return Number(row?.count ?? 0);
    },

    async stat(ref, { signal }) {
      const em = local.storage.fork(signal);
      const [entry] = await withPaths(em, [await liveEntry(em, local, ref)]);
      if (!entry) throw notFound();
      return entry;
    },

    async statMany(refs, { signal }) {
      const em = local.storage.fork(signal);
      const entries = await withPaths(em, await liveEntries(em, local.accountId, refs));
      const byRef = new Map(entries.map((entry) => [entry.ref, entry]));
      return refs.map((ref) => byRef.get(ref) ?? null);
    },

    async resolve(segments, { signal }) {
      const em = local.storage.fork(signal);
      let row = await liveEntry(em, local, local.accountId);
      for (const segment of segments) {
        const child = row.kind === 'FOLDER' && (await findChild(em, row.id, entryNameKey(segment)));
        if (!child) throw notFound();
        row = child;
      }
      const [entry] = await withPaths(em, [row]);
      if (!entry) throw notFound();
      return entry;
    },

    async pathOf(ref, { signal }) {
      const em = local.storage.fork(signal);
      const { id } = await liveEntry(em, local, ref);
      const path = (await pathsOf(em, [id])).get(id);
      if (path === undefined) throw notFound();
      return path;
    },

    async listRecursive(folderRef, page, { signal }) {
      const em = local.storage.fork(signal);
      return entriesById(em, local, { folderRef, page, listing: 'recursive', where: 'e.parent_id is not null' });
    },

    async listByCategory(category: FileCategory, folderRef, page, { signal }) {
      const em = local.storage.fork(signal);
      return entriesById(em, local, {
        folderRef: folderRef ?? local.accountId,
        page,
        listing: `category ${category}`,
        where: 'e.category = ?',
        params: [category],
      });
    },
  }) satisfies Partial<Driver>;

/** The page's size; `invalid_argument` when it is none. */
export function pageLimit(page: PageRequest): number {
  const limit = limitOf(page, LIST_PAGE_MAX);
  if (limit === null) throw localError('invalid_argument', 'A page must hold at least one entry.');
  return limit;
}

interface Order {
  readonly by: EntrySort;
  readonly direction: 'ASC' | 'DESC';
  readonly kind: EntryKind | null;
}
type Place = readonly [value: string | number, id: string];

const SORT_COLUMN = { NAME: 'name_key', SIZE: 'size_bytes', MODIFIED_AT: 'modified_at' } as const;

const sortValue = (by: EntrySort, row: EntryRow): string | number =>
  by === 'NAME' ? row.name_key : by === 'SIZE' ? Number(row.size_bytes) : timeOf(row.modified_at).getTime();

/** The end of the year 9999 in milliseconds, which any database takes; larger than any file too. */
const TIME_MAX = 253_402_300_799_999;

const ORDER_CURSOR = z.tuple([
  z.string(),
  z.string(),
  z.string().nullable(),
  z.union([z.string().max(1024), z.int().min(0).max(TIME_MAX)]),
  z.string().max(36),
]);

function placeAfter(cursor: string | null, order: Order): Place | null {
  if (cursor === null) return null;
  const [by, direction, kind, value, id] = decodeCursor(cursor, ORDER_CURSOR) ?? [];
  if (by !== order.by || direction !== order.direction || kind !== order.kind) throw badCursor();
  if (value === undefined || id === undefined || (typeof value === 'string') !== (by === 'NAME')) throw badCursor();
  if (hasNul(value) || hasNul(id)) throw badCursor();
  return [value, id];
}

/** No database takes a NUL in a text, and no name has one. */
const hasNul = (value: unknown): boolean => typeof value === 'string' && value.includes('\0');

/**
 * A page of a folder, from an index for the sort: as fast in a folder of 50,000 as in one of 200. Both kinds together
 * are two such pages merged, which spares each sort a second index; what is merged is narrow, and read whole only after.
 */
function childRows(
  em: EntityManager,
  folderId: string,
  order: Order,
  after: Place | null,
  limit: number,
): Promise<EntryRow[]> {
  const { by, direction } = order;
  const column = SORT_COLUMN[by];
  const compare = direction === 'ASC' ? '>' : '<';
  const kinds: readonly EntryKind[] = order.kind ? [order.kind] : ['FOLDER', 'FILE'];
  const parts = kinds.map(
    (kind) => `select * from (
       select id, ${column} from local_entries
       where parent_id = ? and hidden_by is null and kind = ? ${after ? `and (${column}, id) ${compare} (?, ?)` : ''}
       order by ${column} ${direction}, id ${direction} limit ?) as ${kind.toLowerCase()}s`,
  );
  const place = after ? [by === 'MODIFIED_AT' ? new Date(after[0]) : after[0], after[1]] : [];
  return query<EntryRow>(
    em,
    `select ${ENTRY_COLUMNS} from (
       ${parts.join(' union all ')} order by ${column} ${direction}, id ${direction} limit ?
     ) as shown cross join ${ENTRY_TABLES} where e.id = shown.id
     order by shown.${column} ${direction}, shown.id ${direction}`,
    [...kinds.flatMap((kind) => [folderId, kind, ...place, limit]), limit],
  );
}

export interface IdListing {
  /** Entries below this folder, at any depth. */
  readonly folderRef: string;
  readonly page: PageRequest;
  /** What is listed, so that a cursor of another listing is refused. */
  readonly listing: string;
  readonly where: string;
  readonly params?: readonly unknown[];
}

const ID_CURSOR = z.tuple([z.string(), z.string(), z.string().regex(/^[0-9a-f-]{36}$/)]);

/** A page of the account's live entries in the order in which they were made. */
export async function entriesById(
  em: EntityManager,
  local: LocalContext,
  wanted: IdListing,
): Promise<Page<DriveEntry>> {
  const { folderRef, page, listing, where, params = [] } = wanted;
  const folder = await liveFolder(em, local, folderRef);
  const limit = pageLimit(page);
  const after = page.cursor === null ? null : decodeCursor(page.cursor, ID_CURSOR);
  if (page.cursor !== null && (after?.[0] !== listing || after[1] !== folder.id)) throw badCursor();

  const below = scopeBelow(local, folder.id);
  const rows = await query<EntryRow>(
    em,
    `${below.with} select ${ENTRY_COLUMNS} from ${ENTRY_TABLES}
     where e.account_id = ? and e.hidden_by is null and ${where} ${below.where} ${after ? 'and e.id > ?' : ''}
     order by e.id limit ?`,
    [...below.params, local.accountId, ...params, ...(after ? [after[2]] : []), limit + 1],
  );
  const entries = new Map((await withPaths(em, rows)).map((entry) => [entry.ref, entry]));
  return pageOf(
    rows,
    limit,
    (row) => entries.get(row.id) ?? toEntry(row, null),
    (row) => [listing, folder.id, row.id],
  );
}

/**
 * The part of a query that keeps to what is below a folder. The root needs none: all is below it. The joins of the walks
 * are `cross join`s, whose order SQLite keeps: else it may build an index of the whole table for one walk.
 */
export function scopeBelow(
  local: LocalContext,
  folderId: string,
): { readonly with: string; readonly where: string; readonly params: readonly string[] } {
  if (folderId === local.accountId) return { with: '', where: '', params: [] };
  return {
    with: `with recursive folders (id) as (
       select id from local_entries where id = ? union all
       select f.id from folders cross join local_entries f
       where f.parent_id = folders.id and f.kind = 'FOLDER' and f.hidden_by is null)`,
    where: 'and e.parent_id in (select id from folders)',
    params: [folderId],
  };
}
