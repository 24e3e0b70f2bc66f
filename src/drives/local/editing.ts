import { entryNameKey } from '../../lib/names.ts';
import type { EntityManager } from '../../storage/orm.ts';
import type { DriveEntry, Driver, MoveOptions } from '../driver.ts';
import { categoryOf, mimeTypeOf } from '../shared/categories.ts';
import { checkEntryName } from '../shared/names.ts';
import { change, type Note } from './change.ts';
import type { LocalContext } from './context.ts';
import { notFound, PROVIDER } from './errors.ts';
import { entryOf, replaceBytes } from './filing.ts';
import { checkDepth, checkNotInside, checkNotRoot, checkRevision, findSpot, insertEntry } from './placing.ts';
import { type EntryRow, type Folder, joinPath, liveEntry, liveFolder, pathsOf, run } from './rows.ts';

/** Changes the tree; each in one transaction. */
export const createEditing = (local: LocalContext) =>
  ({
    createFolder(parentRef, name, call) {
      checkEntryName(name, PROVIDER);
      return change(local, call, async (em, note) => {
        const folder = await liveFolder(em, local, parentRef);
        checkDepth(folder);
        await findSpot(em, { folder, name, kind: 'FOLDER', onConflict: 'FAIL' });
        const id = await insertEntry(em, local, { folderId: folder.id, name, file: null });
        const entry = await entryOf(em, local, id);
        await note({ kind: 'CREATED', entry: { id, kind: 'FOLDER' }, parentId: folder.id, path: entry.path });
        return entry;
      });
    },

    rename(ref, name, { ifRevision }, call) {
      checkEntryName(name, PROVIDER);
      return change(local, call, async (em, note) => {
        const entry = await liveEntry(em, local, ref);
        checkNotRoot(entry);
        checkRevision(entry, ifRevision);
        const folder = await liveFolder(em, local, entry.parent_id ?? local.accountId);
        return relocate(em, local, note, { entry, folder, name, onConflict: 'FAIL' });
      });
    },

    move(ref, parentRef, { name, onConflict, ifRevision }, call) {
      if (name !== undefined) checkEntryName(name, PROVIDER);
      return change(local, call, async (em, note) => {
        const entry = await liveEntry(em, local, ref);
        checkNotRoot(entry);
        checkRevision(entry, ifRevision);
        const folder = await liveFolder(em, local, parentRef);
        if (entry.kind === 'FOLDER') {
          checkNotInside(entry, folder);
          checkDepth(folder);
        }
        return relocate(em, local, note, { entry, folder, name: name ?? entry.name, onConflict });
      });
    },
  }) satisfies Partial<Driver>;

interface Relocation extends Pick<MoveOptions, 'onConflict'> {
  readonly entry: EntryRow;
  readonly folder: Folder;
  readonly name: string;
}

async function relocate(em: EntityManager, local: LocalContext, note: Note, to: Relocation): Promise<DriveEntry> {
  const { entry, folder, name, onConflict } = to;
  const isThere = entry.parent_id === folder.id && entry.name === name;
  if (isThere) return entryOf(em, local, entry.id);

  const spot = await findSpot(em, { folder, name, kind: entry.kind, onConflict, self: entry.id });
  if ('stays' in spot) return entryOf(em, local, spot.stays.id);
  if ('replaced' in spot) return moveOnto(em, local, note, { entry, target: spot.replaced, folder });

  await run(
    em,
    `update local_entries set parent_id = ?, name = ?, name_key = ?, mime_type = ?, category = ?,
       revision = revision + 1 where id = ?`,
    [folder.id, spot.free, entryNameKey(spot.free), ...kindOfContent(entry, spot.free), entry.id],
  );
  const moved = await entryOf(em, local, entry.id);
  await note({ kind: 'MOVED', entry, parentId: folder.id, leftId: entry.parent_id, path: moved.path });
  return moved;
}

/** The MIME type and category under another name; the type that was given at the upload stays where it can. */
function kindOfContent({ kind, name, mime_type }: EntryRow, newName: string): readonly [string | null, string | null] {
  if (kind === 'FOLDER') return [null, null];
  const sameType = mimeTypeOf(name) === mimeTypeOf(newName);
  return [sameType ? mime_type : mimeTypeOf(newName), categoryOf(newName)];
}

/** The target stays the entry it is and gets the bytes, as with an upload; what was moved is no more. */
async function moveOnto(
  em: EntityManager,
  local: LocalContext,
  note: Note,
  { entry, target, folder }: { readonly entry: EntryRow; readonly target: EntryRow; readonly folder: Folder },
): Promise<DriveEntry> {
  if (entry.blob_hash === null) throw notFound('file');
  const from = entry.parent_id ?? local.accountId;
  const leftPath = joinPath((await pathsOf(em, [from])).get(from), entry.name);
  await run(em, 'delete from local_entries where id = ?', [entry.id]);
  // The moved entry's reference to the bytes becomes the target's.
  const bytes = { sizeBytes: Number(entry.size_bytes), sha256: entry.blob_hash, mimeType: entry.mime_type };
  await replaceBytes(em, local, target, bytes);
  const replaced = await entryOf(em, local, target.id);
  await note({ kind: 'DELETED', entry, parentId: entry.parent_id, path: leftPath });
  await note({ kind: 'MODIFIED', entry: target, parentId: folder.id, path: replaced.path });
  return replaced;
}
