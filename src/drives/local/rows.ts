import type { EntityManager } from '../../storage/orm.ts';
import type { DriveEntry, EntryKind, FileCategory } from '../driver.ts';
import type { LocalContext } from './context.ts';
import { localError, notFound } from './errors.ts';

/** A time as the database gives it: milliseconds on SQLite, text with its offset on PostgreSQL. */
export type RowTime = number | string;

/** An entry with its blob's hashes, as {@link ENTRY_COLUMNS} reads it. Sums and sizes come as text on PostgreSQL. */
export interface EntryRow {
  readonly id: string;
  readonly parent_id: string | null;
  readonly kind: EntryKind;
  readonly name: string;
  readonly name_key: string;
  readonly size_bytes: number | string;
  readonly blob_hash: string | null;
  readonly mime_type: string | null;
  readonly category: FileCategory | null;
  readonly revision: number;
  readonly created_at: RowTime;
  readonly modified_at: RowTime;
  readonly hidden_by: string | null;
  readonly trashed_at: RowTime | null;
  readonly md5: string | null;
  readonly sha1: string | null;
  readonly crc32: string | null;
  /** Of its blob. */
  readonly generation: string | null;
}

export const ENTRY_COLUMNS = `e.id, e.parent_id, e.kind, e.name, e.name_key, e.size_bytes, e.blob_hash, e.mime_type,
  e.category, e.revision, e.created_at, e.modified_at, e.hidden_by, e.trashed_at, b.md5, b.sha1, b.crc32,
  b.generation`;
export const ENTRY_TABLES = 'local_entries e left join blobs b on b.sha256 = e.blob_hash';

/** The rows of a query; outside a transaction from the read connection. */
export const query = <Row>(em: EntityManager, sql: string, params: readonly unknown[]): Promise<Row[]> =>
  em.execute(sql, [...params], { connectionType: 'read' }) as Promise<Row[]>;

/** Runs a statement; gives how many rows it changed. */
export const run = async (em: EntityManager, sql: string, params: readonly unknown[]): Promise<number> =>
  ((await em.execute(sql, [...params], 'run')) as { affectedRows: number }).affectedRows;

export const timeOf = (time: RowTime): Date => new Date(time);

/** An entry as the contract tells it. A folder's size is not known without adding up what is in it. */
export function toEntry(row: EntryRow, path: string | null): DriveEntry {
  const isFile = row.kind === 'FILE';
  return {
    ref: row.id,
    kind: row.kind,
    name: row.name,
    parentRef: row.parent_id,
    path,
    sizeBytes: isFile ? Number(row.size_bytes) : null,
    createdAt: timeOf(row.created_at),
    modifiedAt: timeOf(row.modified_at),
    revision: String(row.revision),
    mimeType: row.mime_type,
    category: row.category,
    hashes: {
      ...(row.blob_hash === null ? {} : { SHA256: row.blob_hash }),
      ...(row.md5 === null ? {} : { MD5: row.md5 }),
      ...(row.sha1 === null ? {} : { SHA1: row.sha1 }),
      ...(row.crc32 === null ? {} : { CRC32: row.crc32 }),
    },
    deletedAt: row.trashed_at === null ? null : timeOf(row.trashed_at),
  };
}

/** Refs are row ids; anything else is no entry, and is not worth a query. */
export const isRef = (ref: string): boolean => /^[0-9a-f-]{36}$/.test(ref);

/** The live entry of this account; `not_found` also for another account's. */
export async function liveEntry(em: EntityManager, { accountId }: LocalContext, ref: string): Promise<EntryRow> {
  const [row] = await liveEntries(em, accountId, [ref]);
  if (!row) throw notFound();
  return row;
}

export async function liveEntries(em: EntityManager, accountId: string, refs: readonly string[]): Promise<EntryRow[]> {
  const ids = refs.filter(isRef);
  if (ids.length === 0) return [];
  return query<EntryRow>(
    em,
    `select ${ENTRY_COLUMNS} from ${ENTRY_TABLES} where e.id in (?) and e.account_id = ? and e.hidden_by is null`,
    [ids, accountId],
  );
}

/** The live entry of that name in a folder, whatever its case; null when the name is free. */
export async function findChild(em: EntityManager, parentId: string, nameKey: string): Promise<EntryRow | null> {
  const [row] = await query<EntryRow>(
    em,
    `select ${ENTRY_COLUMNS} from ${ENTRY_TABLES} where e.parent_id = ? and e.name_key = ? and e.hidden_by is null`,
    [parentId, nameKey],
  );
  return row ?? null;
}

/** A live folder: where it is, and what it is in. */
export interface Folder {
  readonly id: string;
  readonly path: string;
  /** Its own id and those of all folders above it, up to the root. */
  readonly lineage: readonly string[];
}

/** The live folder of this account, in one statement; `not_found` or `wrong_kind`. */
export async function liveFolder(em: EntityManager, { accountId }: LocalContext, ref: string): Promise<Folder> {
  const lineage = isRef(ref) ? ((await lineagesOf(em, [ref])).get(ref) ?? []) : [];
  const [self] = lineage;
  if (!self || self.account_id !== accountId || self.hidden_by !== null) throw notFound('folder');
  if (self.kind !== 'FOLDER') throw localError('wrong_kind', 'That is a file, not a folder.');
  return { id: ref, path: pathOf(lineage), lineage: lineage.map(({ id }) => id) };
}

/** The paths of entries by their ids, in one statement. */
export async function pathsOf(em: EntityManager, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const lineages = await lineagesOf(em, [...new Set(ids)]);
  return new Map([...lineages].map(([id, lineage]) => [id, pathOf(lineage)]));
}

/** Entries with their paths: those of one folder share the look-up. */
export async function withPaths(em: EntityManager, rows: readonly EntryRow[]): Promise<DriveEntry[]> {
  const parents = rows.flatMap(({ parent_id }) => (parent_id === null ? [] : [parent_id]));
  const paths = await pathsOf(em, parents);
  return rows.map((row) => toEntry(row, row.parent_id === null ? '/' : joinPath(paths.get(row.parent_id), row.name)));
}

/** The path of a child; null when its folder's is not known. */
export const joinPath = (folderPath: string | undefined, name: string): string | null =>
  folderPath === undefined ? null : `${folderPath === '/' ? '' : folderPath}/${name}`;

interface LineageRow {
  readonly start_id: string;
  readonly id: string;
  readonly parent_id: string | null;
  readonly kind: EntryKind;
  readonly name: string;
  readonly account_id: string;
  readonly hidden_by: string | null;
}

/** Each entry followed by the folders above it, the root last. */
async function lineagesOf(em: EntityManager, ids: readonly string[]): Promise<Map<string, LineageRow[]>> {
  const lineages = new Map<string, LineageRow[]>();
  if (ids.length === 0) return lineages;
  const rows = await query<LineageRow>(
    em,
    `with recursive up (start_id, id, parent_id, kind, name, account_id, hidden_by, depth) as (
       select id, id, parent_id, kind, name, account_id, hidden_by, 0 from local_entries where id in (?)
       union all
       select up.start_id, e.id, e.parent_id, e.kind, e.name, e.account_id, e.hidden_by, up.depth + 1
       from up cross join local_entries e where e.id = up.parent_id
     ) select * from up order by start_id, depth`,
    [ids],
  );
  for (const row of rows) {
    const lineage = lineages.get(row.start_id);
    if (lineage) lineage.push(row);
    else lineages.set(row.start_id, [row]);
  }
  return lineages;
}

const pathOf = (lineage: readonly LineageRow[]): string =>
  `/${lineage
    .slice(0, -1)
    .map(({ name }) => name)
    .reverse()
    .join('/')}`;
