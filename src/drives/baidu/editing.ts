import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext, DriveEntry, Driver, MoveOptions } from '../driver.ts';
import { type BaiduClient, folderPathOf, invalid, isMissing, notFound } from './client.ts';
import { baiduError } from './errors.ts';
import { manage } from './manager.ts';
import { checkName, checkPath } from './names.ts';
import { FILE, folderOf, isFolder, isInside, joined, nameOf, ROOT_REF, type WireFile } from './wire.ts';

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
      await orTaken(baidu, dir, name, call, () =>
        manage(baidu, 'rename', { path: file.path, newname: name }, 'fail', call),
      );
      return baidu.toEntry(await baidu.meta(ref, call));
    },

    async move(ref, parentRef, options, call) {
      const task = await prepared(baidu, ref, parentRef, options, call);
      if (folderOf(task.file.path) === task.dir && nameOf(task.file.path) === task.name) {
        return baidu.toEntry(task.file, parentRef);
      }
      const kept = await keptInstead(baidu, task, options, call);
      if (kept) return baidu.toEntry(kept, parentRef);
      await transfer(baidu, 'move', task, options, call);
      return baidu.toEntry(await baidu.meta(ref, call), parentRef);
    },

    async copy(ref, parentRef, options, call) {
      const task = await prepared(baidu, ref, parentRef, options, call);
      const kept = await keptInstead(baidu, task, options, call);
      if (kept) return baidu.toEntry(kept, parentRef);
      const before = options.onConflict === 'RENAME' ? await refsIn(baidu, task.dir, call) : null;
      await transfer(baidu, 'copy', task, options, call);
      const copy = before ? await newIn(baidu, task, before, call) : await baidu.findChild(task.dir, task.name, call);
      if (!copy) throw baiduError('unavailable', 'made the copy, but does not show it yet.', null, {}).spent();
      return baidu.toEntry(copy, parentRef);
    },

    async remove(ref, { ifRevision }, call) {
      refuseRoot(ref);
      const file = await baidu.meta(ref, call);
      refuseChanged(baidu.toEntry(file), ifRevision);
      await manage(baidu, 'delete', file.path, null, call);
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

function transfer(
  baidu: BaiduClient,
  opera: 'move' | 'copy',
  { file, dir, name }: Task,
  { onConflict }: MoveOptions,
  call: CallContext,
): Promise<void> {
  const item = { path: file.path, dest: dir, newname: name };
  return orTaken(baidu, dir, name, call, () => manage(baidu, opera, item, ONDUP[onConflict], call));
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
