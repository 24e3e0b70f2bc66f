import { randomBytes } from 'node:crypto';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext, DriveEntry, Driver, MoveOptions } from '../driver.ts';
import { type BaiduClient, folderPathOf, invalid, isMissing, notFound } from './client.ts';
import { baiduError } from './errors.ts';
import { manage } from './manager.ts';
import { checkName, checkPath } from './names.ts';
import { FILE, folderOf, isFolder, isInside, joined, nameOf, ROOT_REF, type WireFile } from './wire.ts';

/** For putting back what was in the way of a change that failed, in milliseconds. */
const PUT_BACK_MS = 60_000;

const ONDUP = { FAIL: 'fail', RENAME: 'newcopy', REPLACE: 'overwrite', SKIP: 'fail' } as const;

/**
 * What changes the tree. Baidu changes by path, so a ref is looked up first: what another program moves in between is not
 * found, or is the one that came to that path.
 */
export const createEditing = (baidu: BaiduClient) =>
  ({
    async createFolder(parentRef, name, call) {
      checkName(name);
      const dir = await baidu.folderPath(parentRef, call);
      const made = await orTaken(baidu, dir, name, call, () =>
        inRoot(baidu, dir, call, () => makeFolder(baidu, joined(dir, name), call)),
      );
      return baidu.toEntry(made, parentRef);
    },

    async rename(ref, name, { ifRevision }, call) {
      checkName(name);
      refuseRoot(ref);
      const file = await baidu.meta(ref, call);
      refuseChanged(baidu.toEntry(file), ifRevision);
      if (nameOf(file.path) === name) return baidu.toEntry(file);
      const dir = folderOf(file.path);
      checkPath(joined(dir, name));
      await orTaken(baidu, dir, name, call, () => renameTo(baidu, file, name, call));
      return baidu.toEntry(await placed(baidu, file, dir, call));
    },

    async move(ref, parentRef, options, call) {
      const task = await prepared(baidu, ref, parentRef, options, call);
      if (folderOf(task.file.path) === task.dir && nameOf(task.file.path) === task.name) {
        return baidu.toEntry(task.file, parentRef);
      }
      const kept = await keptInstead(baidu, task, options, call);
      if (kept) return baidu.toEntry(kept, parentRef);
      await transfer(baidu, 'move', task, options, () => isAt(baidu, task.file, task, options, call), call);
      return baidu.toEntry(await placed(baidu, task.file, task.dir, call), parentRef);
    },

    async copy(ref, parentRef, options, call) {
      const task = await prepared(baidu, ref, parentRef, options, call);
      const kept = await keptInstead(baidu, task, options, call);
      if (kept) return baidu.toEntry(kept, parentRef);
      const before = options.onConflict === 'RENAME' ? await refsIn(baidu, task.dir, call) : null;
      const made = () => (before ? newIn(baidu, task, before, call) : baidu.findChild(task.dir, task.name, call));
      const old = options.onConflict === 'REPLACE' ? await made() : null;
      const isMade = async () => ![undefined, old?.fs_id].includes((await made())?.fs_id);
      await transfer(baidu, 'copy', task, options, isMade, call);
      const copy = await made();
      if (!copy) throw baiduError('unavailable', 'made the copy, but does not show it yet.', null, {}).spent();
      return baidu.toEntry(copy, parentRef);
    },

    async remove(ref, { ifRevision }, call) {
      refuseRoot(ref);
      const file = await baidu.meta(ref, call);
      refuseChanged(baidu.toEntry(file), ifRevision);
      const isDone = async () => !(await baidu.metas([ref], call)).has(ref);
      await manage(baidu, { opera: 'delete', item: file.path, ondup: null, isDone }, call);
    },
  }) satisfies Partial<Driver>;

/** Does it; when the application's own folder is missing, that is made first. */
export async function inRoot<Result>(
  baidu: BaiduClient,
  dir: string,
  call: CallContext,
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (dir !== baidu.root || !isMissing(error)) throw error;
    await makeFolder(baidu, baidu.root, call);
    return act();
  }
}

/** A new folder at a path of Baidu's. @throws DriveError `already_exists` */
export function makeFolder(baidu: BaiduClient, path: string, call: CallContext): Promise<WireFile> {
  checkPath(path);
  // Without rtype 0 a taken name may be changed silently.
  const form = { path, isdir: 1, rtype: 0, size: 0 };
  return baidu.post(FILE, 'mkdir', { query: { method: 'create' }, form }, call);
}

/** Does it; when the name is taken, the error says by what. */
export async function orTaken<Result>(
  baidu: BaiduClient,
  dir: string,
  name: string,
  call: CallContext,
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof DriveError) || error.category !== 'already_exists') throw error;
    throw taken((await baidu.findChild(dir, name, call))?.fs_id ?? null, error);
  }
}

export const taken = (existingRef: string | null, cause?: unknown) =>
  baiduError('already_exists', 'has an entry of that name there already.', '-8', {
    cause,
    ...(existingRef === null ? {} : { existingRef }),
  });

interface Task {
  readonly file: WireFile;
  readonly dir: string;
  readonly name: string;
}

/** What is to be taken where, checked as far as it can be before. */
async function prepared(
  baidu: BaiduClient,
  ref: string,
  parentRef: string,
  { name, ifRevision }: MoveOptions,
  call: CallContext,
): Promise<Task> {
  refuseRoot(ref);
  if (name !== undefined) checkName(name);
  const metas = await baidu.metas([ref, parentRef], call);
  const file = metas.get(ref);
  const parent = metas.get(parentRef);
  if (!file || (!parent && parentRef !== ROOT_REF)) throw notFound();
  const dir = parent ? folderPathOf(parent) : baidu.rootPath;
  refuseChanged(baidu.toEntry(file), ifRevision);
  if (isFolder(file) && isInside(dir, file.path)) throw invalid('cannot put a folder into itself.');
  const task = { file, dir, name: name ?? nameOf(file.path) };
  checkPath(joined(dir, task.name));
  return task;
}

/** With SKIP, what stands there already; with REPLACE it is only looked whether it may go. */
async function keptInstead(
  baidu: BaiduClient,
  { file, dir, name }: Task,
  { onConflict }: MoveOptions,
  call: CallContext,
): Promise<WireFile | null> {
  if (onConflict !== 'SKIP' && onConflict !== 'REPLACE') return null;
  const there = await baidu.findChild(dir, name, call);
  if (onConflict === 'SKIP' || !there) return onConflict === 'SKIP' ? there : null;
  // Baidu would put away a whole folder, or the entry that is to be copied.
  if (isFolder(file) || isFolder(there) || there.fs_id === file.fs_id) throw taken(there.fs_id);
  return null;
}

async function transfer(
  baidu: BaiduClient,
  opera: 'move' | 'copy',
  { file, dir, name }: Task,
  { onConflict }: MoveOptions,
  isDone: () => Promise<boolean>,
  call: CallContext,
): Promise<void> {
  const item = { path: file.path, dest: dir, newname: name };
  const act = () =>
    orTaken(baidu, dir, name, call, () => manage(baidu, { opera, item, ondup: ONDUP[onConflict], isDone }, call));
  try {
    await act();
  } catch (error) {
    // Baidu does not overwrite at times, though it was told to.
    if (onConflict !== 'REPLACE' || !(error instanceof DriveError) || error.category !== 'already_exists') throw error;
    await inPlaceOf(baidu, joined(dir, name), call, act);
  }
}

/** Does it with what stands at the path out of the way; afterwards that is deleted, or put back when it failed. */
async function inPlaceOf(baidu: BaiduClient, path: string, call: CallContext, act: () => Promise<void>): Promise<void> {
  const old = await baidu.findChild(folderOf(path), nameOf(path), call);
  if (!old || isFolder(old)) throw taken(old?.fs_id ?? null);
  const aside = `panql-${randomBytes(9).toString('hex')}.old`;
  await renameTo(baidu, old, aside, call);
  const away = { ...old, path: joined(folderOf(path), aside) };
  try {
    await act();
  } catch (cause) {
    try {
      await renameTo(baidu, away, nameOf(path), withoutSignal(call));
    } catch {
      // It may have been done all the same, and a person has to look.
      const message = `could not replace this entry; the one that was there is called “${aside}” now.`;
      throw baiduError('conflict', message, null, { cause });
    }
    throw cause;
  }
  const isDone = async () => !(await baidu.metas([old.fs_id], call)).has(old.fs_id);
  await manage(baidu, { opera: 'delete', item: away.path, ondup: null, isDone }, call);
}

/** Whoever gave up still wants back what was there before. */
const withoutSignal = (call: CallContext): CallContext => ({ ...call, signal: AbortSignal.timeout(PUT_BACK_MS) });

function renameTo(baidu: BaiduClient, file: WireFile, newname: string, call: CallContext): Promise<void> {
  const place = { dir: folderOf(file.path), name: newname };
  const isDone = () => isAt(baidu, file, place, { onConflict: 'FAIL' }, call);
  return manage(baidu, { opera: 'rename', item: { path: file.path, newname }, ondup: 'fail', isDone }, call);
}

async function isAt(
  baidu: BaiduClient,
  { fs_id }: WireFile,
  { dir, name }: { readonly dir: string; readonly name: string },
  { onConflict }: MoveOptions,
  call: CallContext,
): Promise<boolean> {
  const path = (await baidu.metas([fs_id], call)).get(fs_id)?.path ?? '';
  return onConflict === 'RENAME' ? folderOf(path) === dir : path === joined(dir, name);
}

/** What was renamed or moved, as it is now. Baidu has told of success where nothing had happened. */
async function placed(
  baidu: BaiduClient,
  { fs_id, path }: WireFile,
  dir: string,
  call: CallContext,
): Promise<WireFile> {
  const now = await baidu.meta(fs_id, call);
  if (now.path !== path) return now;
  for await (const child of baidu.children(dir, call)) if (child.fs_id === fs_id && child.path !== path) return child;
  throw baiduError('unavailable', 'says that it is done, but the entry is still where it was.', null, {}).spent();
}

async function refsIn(baidu: BaiduClient, dir: string, call: CallContext): Promise<ReadonlySet<string>> {
  const refs = new Set<string>();
  for await (const { fs_id } of baidu.children(dir, call)) refs.add(fs_id);
  return refs;
}

/** Baidu does not tell under which name it made a copy: it is the entry like it that was not there before. */
async function newIn(
  baidu: BaiduClient,
  { file, dir, name }: Task,
  before: ReadonlySet<string>,
  call: CallContext,
): Promise<WireFile | null> {
  const candidates: WireFile[] = [];
  for await (const child of baidu.children(dir, call)) {
    if (before.has(child.fs_id) || isFolder(child) !== isFolder(file) || child.size !== file.size) continue;
    candidates.push(child);
  }
  const stem = name.replace(/\.[^.]*$/, '');
  return (
    candidates.find(({ path }) => nameOf(path) === name) ??
    candidates.find(({ path }) => nameOf(path).startsWith(stem)) ??
    null
  );
}

export function refuseRoot(ref: string): void {
  if (ref === ROOT_REF) throw invalid('cannot change the root of the drive.');
}

export function refuseChanged({ revision }: DriveEntry, ifRevision: string | undefined): void {
  if (ifRevision === undefined || ifRevision === revision) return;
  throw baiduError('conflict', 'has another version of this entry by now. Look at it again.', null, {});
}
