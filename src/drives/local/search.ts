import { z } from 'zod';
import { entryNameKey } from '../../lib/names.ts';
import type { Driver } from '../driver.ts';
import { decodeCursor, pageOf } from '../shared/paging.ts';
import type { LocalContext } from './context.ts';
import { badCursor, localError } from './errors.ts';
import { pageLimit, scopeBelow } from './listing.ts';
import { ENTRY_COLUMNS, ENTRY_TABLES, type EntryRow, liveFolder, query, toEntry, withPaths } from './rows.ts';

/** Shortest text that a trigram index can look for, in characters. Many Chinese words are shorter: those are scanned for. */
const TRIGRAM = 3;

/** Finds names that contain a text, whatever its case, in the order in which the entries were made. */
export const createSearch = (local: LocalContext) =>
  ({
    async searchByName(request, page, { signal }) {
      const em = local.storage.fork(signal);
      const text = entryNameKey(request.query.trim());
      if (text === '') throw localError('invalid_argument', 'Say what to look for.');
      const folder = await liveFolder(em, local, request.folderRef ?? local.accountId);
      const limit = pageLimit(page);
      const found = findBy(local, text);
      const listing = ['search', text, request.kind ?? null, folder.id];
      const after = placeAfter(page.cursor, listing);
      if (text.includes('\0')) return pageOf<EntryRow, never>([], limit, noItem, noItem);

      const below = scopeBelow(local, folder.id);
      const rows = await query<EntryRow & { readonly place: number | string }>(
        em,
        `${below.with} select ${ENTRY_COLUMNS}, ${found.place} as place from ${found.tables}
         where ${found.where} and e.account_id = ? and e.hidden_by is null and e.parent_id is not null ${below.where}
         ${request.kind ? 'and e.kind = ?' : ''} ${after === null ? '' : `and ${found.place} > ?`}
         order by ${found.place} limit ?`,
        [
          ...below.params,
          found.pattern,
          local.accountId,
          ...(request.kind ? [request.kind] : []),
          ...(after === null ? [] : [after]),
          limit + 1,
        ],
      );
      const entries = new Map((await withPaths(em, rows)).map((entry) => [entry.ref, entry]));
      return pageOf(
        rows,
        limit,
        (row) => entries.get(row.id) ?? toEntry(row, null),
        (row) => [...listing, row.place],
      );
    },
  }) satisfies Partial<Driver>;

/** How this database finds a text in a name. `place` orders the hits and is what a cursor holds. */
function findBy(
  { storage }: LocalContext,
  text: string,
): { readonly tables: string; readonly where: string; readonly place: string; readonly pattern: string } {
  // SQLite: rows come out of the full-text index in the order of its row ids, so a page costs what it shows.
  if (storage.dialect === 'sqlite' && [...text].length >= TRIGRAM)
    return {
      tables: `local_entries_fts join local_entries_fts_ids i on i.id = local_entries_fts.rowid
        join ${ENTRY_TABLES.replace('local_entries e', 'local_entries e on e.id = i.entry_id')}`,
      where: 'local_entries_fts match ?',
      place: 'local_entries_fts.rowid',
      pattern: `"${text.replaceAll('"', '""')}"`,
    };
  // PostgreSQL finds the same by its trigram index; SQLite reads the names of the account for a shorter text.
  const names = storage.dialect === 'postgres' ? 'f.name_key' : 'e.name_key';
  return {
    tables: ENTRY_TABLES + (storage.dialect === 'postgres' ? ' join local_entries_fts f on f.entry_id = e.id' : ''),
    where: `${names} like ? escape '!'`,
    place: 'e.id',
    pattern: `%${text.replaceAll(/[!%_]/g, '!$&')}%`,
  };
}

const CURSOR = z.tuple([
  z.literal('search'),
  z.string(),
  z.string().nullable(),
  z.string(),
  z.union([z.int(), z.string().regex(/^[0-9a-f-]{36}$/)]),
]);

function placeAfter(cursor: string | null, listing: readonly unknown[]): string | number | null {
  if (cursor === null) return null;
  const place = decodeCursor(cursor, CURSOR);
  if (!place || listing.some((part, index) => part !== place[index])) throw badCursor();
  return place[4];
}

const noItem = (): never => {
  throw new Error('there is none');
};
