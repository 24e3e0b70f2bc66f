import { newId } from '../../lib/ids.ts';
import { entryNameKey, numberedName } from '../../lib/names.ts';
import type { EntityManager } from '../../storage/orm.ts';
import type { ConflictPolicy, EntryKind } from '../driver.ts';
import type { DriveError } from '../errors.ts';
import { categoryOf, mimeTypeOf } from '../shared/categories.ts';
import type { LocalContext } from './context.ts';
import { localError } from './errors.ts';
import { type EntryRow, type Folder, findChild, query, run } from './rows.ts';

/** Folders within folders: each look-up of a path walks them all. */
export const FOLDER_DEPTH_MAX = 200;

/** Refuses a change of an entry that somebody else has changed meanwhile. */
export function checkRevision(entry: EntryRow, ifRevision: string | undefined): void {
  if (ifRevision !== undefined && ifRevision !== String(entry.revision))
    throw localError('conflict', `“${entry.name}” has changed since. Look at it again, then repeat the request.`);
}

/** Refuses to move, delete or rename the drive itself. */
export function checkNotRoot(entry: EntryRow): void {
  if (entry.parent_id === null) throw localError('invalid_argument', 'The root of the drive stays where it is.');
}

/** Refuses to put a folder below itself. */
export function checkNotInside(entry: EntryRow, folder: Folder): void {
  if (folder.lineage.includes(entry.id))
    throw localError('invalid_argument', `The folder “${entry.name}” cannot be put into itself.`);
}

/** What a name in a folder turned out to be: free (perhaps another name), or taken by what stays or makes room. */
export type Spot = { readonly free: string } | { readonly stays: EntryRow } | { readonly replaced: EntryRow };

export interface Wish {
  readonly folder: Folder;
  readonly name: string;
  readonly kind: EntryKind;
  readonly onConflict: ConflictPolicy;
  /** The entry that wants the name, when it is one already: it is not in its own way. */
  readonly self?: string;
}

/** Finds the place for an entry; call it within the change, so that it is still true at the commit. */
export async function findSpot(em: EntityManager, wish: Wish): Promise<Spot> {
  const { folder, name, kind, onConflict, self } = wish;
  const there = await findChild(em, folder.id, entryNameKey(name));
  if (!there || there.id === self) return { free: name };
  if (onConflict === 'SKIP') return { stays: there };
  if (onConflict === 'RENAME') return { free: await freeName(em, folder.id, name) };
  if (onConflict === 'REPLACE' && kind === 'FILE' && there.kind === 'FILE') return { replaced: there };
  throw alreadyExists(there);
}

export const alreadyExists = ({ id, name, kind }: EntryRow): DriveError =>
  localError('already_exists', `There is already a ${kind === 'FOLDER' ? 'folder' : 'file'} named “${name}”.`, {
    existingRef: id,
  });

/** Numbered names looked up in one statement, and how many before giving up. */
const NUMBERS_BATCH = 100;
const NUMBERS_MAX = 10_000;

/** `name` with the lowest number that is free in the folder: `a (2).txt`. */
export async function freeName(em: EntityManager, folderId: string, name: string): Promise<string> {
  for (let first = 2; first < NUMBERS_MAX; first += NUMBERS_BATCH) {
    const names = Array.from({ length: NUMBERS_BATCH }, (_, index) => numberedName(name, first + index));
    const rows = await query<{ name_key: string }>(
      em,
      'select name_key from local_entries where parent_id = ? and hidden_by is null and name_key in (?)',
      [folderId, names.map(entryNameKey)],
    );
    const taken = new Set(rows.map(({ name_key }) => name_key));
    const free = names.find((candidate) => !taken.has(entryNameKey(candidate)));
    if (free !== undefined) return free;
  }
  throw localError('already_exists', `There are too many entries named like “${name}” in this folder.`);
}

export function checkDepth(folder: Folder): void {
  if (folder.lineage.length > FOLDER_DEPTH_MAX)
    throw localError('invalid_argument', `Folders cannot be nested deeper than ${FOLDER_DEPTH_MAX}.`);
}

export interface NewFile {
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly mimeType: string | null;
}

export interface NewEntry {
  readonly folderId: string;
  readonly name: string;
  /** Null: a folder. */
  readonly file: NewFile | null;
  /** The id to give it; default a new one. */
  readonly id?: string;
  /** Default now. */
  readonly modifiedAt?: Date;
}

/** Adds a live entry; gives its id. */
export async function insertEntry(em: EntityManager, local: LocalContext, entry: NewEntry): Promise<string> {
  const now = local.clock.now();
  const { folderId, name, file, id = newId(), modifiedAt = now } = entry;
  await run(
    em,
    `insert into local_entries (id, account_id, parent_id, kind, name, name_key, size_bytes, blob_hash, mime_type,
       category, revision, created_at, modified_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)`,
    [
      id,
      local.accountId,
      folderId,
      file ? 'FILE' : 'FOLDER',
      name,
      entryNameKey(name),
      file?.sizeBytes ?? 0,
      file?.sha256 ?? null,
      file ? (file.mimeType ?? mimeTypeOf(name)) : null,
      file ? categoryOf(name) : null,
      now,
      modifiedAt,
    ],
  );
  return id;
}
