import { setImmediate } from 'node:timers/promises';
import { addMs } from '../../lib/clock.ts';
import { newId } from '../../lib/ids.ts';
import { entryNameKey } from '../../lib/names.ts';
import { LocalEntry } from '../../storage/entities/local-drive.ts';
import type { CallContext, DriveEntry, Driver, MoveOptions } from '../driver.ts';
import { checkEntryName } from '../shared/names.ts';
import { change, transact } from './change.ts';
import type { LocalContext } from './context.ts';
import { localError, notFound, PROVIDER } from './errors.ts';
import { entryOf, replaceBytes } from './filing.ts';
import { countsOf, reap, showTree } from './hidden.ts';
import { checkDepth, checkNotInside, checkRevision, findSpot, insertEntry } from './placing.ts';
import { ENTRY_COLUMNS, ENTRY_TABLES, type EntryRow, liveEntry, liveFolder, query, run, timeOf } from './rows.ts';

/** Entries copied in one transaction: SQLite blocks the process for about 30 ms then. */
const COPY_BATCH = 500;

/** How long a copy may rest between two steps before the sweep takes it for dead. */
const COPY_REST_MS = 600_000;

/** Copies without copying a byte: the new entries refer to the same blobs. */
export const createCopying = (local: LocalContext) =>
  ({
    async copy(ref, parentRef, options, call) {
      if (options.name !== undefined) checkEntryName(options.name, PROVIDER);
      const source = await liveEntry(local.storage.fork(call.signal), local, ref);
      return source.kind === 'FILE'
        ? copyFile(local, call, { ref, parentRef, options })
        : copyFolder(local, call, { ref, parentRef, options });
    },

    async copyFromAccount(source, parentRef, options, call) {
      if (options.name !== undefined) checkEntryName(options.name, PROVIDER);
      const from = { ...local, accountId: source.accountId };
      return copyFile(local, call, { ref: source.ref, parentRef, options }, from);
    },
  }) satisfies Partial<Driver>;

interface CopyRequest {
  readonly ref: string;
  readonly parentRef: string;
  readonly options: MoveOptions;
}

/** @param from The drive that has the file; another one where somebody else's is copied. */
function copyFile(
  local: LocalContext,
  call: CallContext,
  request: CopyRequest,
  from: LocalContext = local,
): Promise<DriveEntry> {
  const { ref, parentRef, options } = request;
  return change(local, call, async (em, note) => {
    const source = await liveEntry(em, from, ref);
    if (source.blob_hash === null) throw notFound('file');
    checkRevision(source, options.ifRevision);
    const folder = await liveFolder(em, local, parentRef);
    const name = options.name ?? source.name;
    const spot = await findSpot(em, { folder, name, kind: 'FILE', onConflict: options.onConflict });
    if ('stays' in spot) return entryOf(em, local, spot.stays.id);
    if ('replaced' in spot && spot.replaced.id === source.id) return entryOf(em, local, source.id);

    await local.blobs.count(em, new Map([[source.blob_hash, 1]]));
    const file = { sizeBytes: Number(source.size_bytes), sha256: source.blob_hash, mimeType: source.mime_type };
    if ('replaced' in spot) await replaceBytes(em, local, spot.replaced, file);
    const id =
      'replaced' in spot
        ? spot.replaced.id
        : await insertEntry(em, local, {
            folderId: folder.id,
            name: spot.free,
            file,
            modifiedAt: timeOf(source.modified_at),
          });
    const entry = await entryOf(em, local, id);
    const kind = 'replaced' in spot ? 'MODIFIED' : 'CREATED';
    await note({ kind, entry: { id, kind: 'FILE' }, parentId: folder.id, path: entry.path });
    return entry;
  });
}

/**
 * Copies a folder as a hidden tree, in steps, and shows it whole at the end: nobody sees half a copy, and what a crash
 * or a cancelled request leaves is swept. Not a snapshot: what changes in the source meanwhile may be in or not.
 */
async function copyFolder(local: LocalContext, call: CallContext, request: CopyRequest): Promise<DriveEntry> {
  const begun = await beginCopy(local, call, request);
  if ('stays' in begun) return begun.stays;
  const { topId } = begun;
  try {
    await fillCopy(local, call, request.ref, topId);
    return await showCopy(local, call, request, topId);
  } catch (error) {
    await run(local.storage.fork(), 'update local_entries set reap_after = ? where id = ? and hidden_by = ?', [
      local.clock.now(),
      topId,
      topId,
    ]);
    await reap(local, local.accountId);
    throw error;
  }
}

function beginCopy(
  local: LocalContext,
  call: CallContext,
  { ref, parentRef, options }: CopyRequest,
): Promise<{ readonly stays: DriveEntry } | { readonly topId: string }> {
  return change(local, call, async (em) => {
    const source = await liveEntry(em, local, ref);
    checkRevision(source, options.ifRevision);
    const folder = await liveFolder(em, local, parentRef);
    checkNotInside(source, folder);
    checkDepth(folder);
    const name = options.name ?? source.name;
    const spot = await findSpot(em, { folder, name, kind: 'FOLDER', onConflict: options.onConflict });
    if ('stays' in spot) return { stays: await entryOf(em, local, spot.stays.id) };
    const topId = newId();
    await em.insert(LocalEntry, {
      ...copyOf(local, source, { id: topId, parentId: folder.id, topId }),
      name,
      nameKey: entryNameKey(name),
      reapAfter: addMs(local.clock.now(), COPY_REST_MS),
    });
    return { topId };
  });
}

async function fillCopy(local: LocalContext, call: CallContext, sourceId: string, topId: string): Promise<void> {
  const folders = [{ from: sourceId, to: topId }];
  for (const { from, to } of folders) {
    for (let after: string | null = ''; after !== null; ) {
      call.signal.throwIfAborted();
      const children: EntryRow[] = await nextChildren(local, from, after);
      const copies = children.map((child) => copyOf(local, child, { id: newId(), parentId: to, topId }));
      await insertCopies(local, topId, copies, children);
      children.forEach(({ id, kind }, index) => {
        const copy = copies[index];
        if (kind === 'FOLDER' && copy) folders.push({ from: id, to: copy.id });
      });
      after = children.length === COPY_BATCH ? (children.at(-1)?.name_key ?? null) : null;
      await setImmediate(); // Others get their turn.
    }
  }
}

const nextChildren = ({ storage }: LocalContext, folderId: string, afterKey: string): Promise<EntryRow[]> =>
  query<EntryRow>(
    storage.fork(),
    `select ${ENTRY_COLUMNS} from ${ENTRY_TABLES} where e.parent_id = ? and e.hidden_by is null and e.name_key > ?
     order by e.name_key limit ?`,
    [folderId, afterKey, COPY_BATCH],
  );

function insertCopies(
  local: LocalContext,
  topId: string,
  copies: readonly ReturnType<typeof copyOf>[],
  sources: readonly EntryRow[],
): Promise<void> {
  return transact(local.storage, async (em) => {
    await stayAlive(em, local, topId);
    if (copies.length === 0) return;
    await em.insertMany(LocalEntry, [...copies]);
    await local.blobs.count(em, countsOf(sources, 1));
  });
}

/** Tells the sweep that the copy goes on; fails when the sweep was here first. */
async function stayAlive(em: Parameters<typeof run>[0], { clock }: LocalContext, topId: string): Promise<void> {
  const now = clock.now();
  const alive = await run(em, 'update local_entries set reap_after = ? where id = ? and reap_after > ?', [
    addMs(now, COPY_REST_MS),
    topId,
    now,
  ]);
  if (alive === 0) throw localError('unavailable', 'The copy took too long and was given up. Try again.');
}

function showCopy(
  local: LocalContext,
  call: CallContext,
  { parentRef, options }: CopyRequest,
  topId: string,
): Promise<DriveEntry> {
  return change(local, call, async (em, note) => {
    await stayAlive(em, local, topId);
    const [top] = await query<{ name: string }>(em, 'select name from local_entries where id = ?', [topId]);
    const folder = await liveFolder(em, local, parentRef);
    const wish = { folder, name: top?.name ?? '', kind: 'FOLDER', onConflict: options.onConflict } as const;
    const spot = await findSpot(em, wish);
    if ('stays' in spot) {
      await run(em, 'update local_entries set reap_after = ? where id = ?', [local.clock.now(), topId]);
      return entryOf(em, local, spot.stays.id);
    }
    const name = 'free' in spot ? spot.free : wish.name;
    await run(em, 'update local_entries set name = ?, name_key = ? where id = ?', [name, entryNameKey(name), topId]);
    await showTree(em, topId);
    const entry = await entryOf(em, local, topId);
    await note({ kind: 'CREATED', entry: { id: topId, kind: 'FOLDER' }, parentId: folder.id, path: entry.path });
    return entry;
  });
}

function copyOf(
  { accountId, clock }: LocalContext,
  source: EntryRow,
  place: { readonly id: string; readonly parentId: string; readonly topId: string },
) {
  return {
    id: place.id,
    accountId,
    parentId: place.parentId,
    kind: source.kind,
    name: source.name,
    nameKey: source.name_key,
    sizeBytes: Number(source.size_bytes),
    blobHash: source.blob_hash,
    mimeType: source.mime_type,
    category: source.category,
    revision: 1,
    createdAt: clock.now(),
    modifiedAt: timeOf(source.modified_at),
    hiddenBy: place.topId,
  };
}
