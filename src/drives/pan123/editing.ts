import { DriveError } from '../../lib/drive-error.ts';
import { numberedName } from '../../lib/names.ts';
import type { CallContext, DriveEntry, Driver, MoveOptions } from '../driver.ts';
import { ACCEPTED, checkIsFolder, idOf, invalid, notFound, type Pan123Client } from './client.ts';
import { copyFile, copyFolder } from './copying.ts';
import { pan123Error } from './errors.ts';
import { deleteForEver, makeFolder, moveTo, orTaken, renameTo, taken, trash } from './manager.ts';
import { checkName } from './names.ts';
import { aside } from './side-folder.ts';
import { isFolder, isLive, ROOT_REF, toEntry, type WireFile } from './wire.ts';

/** Folders above one another. */
const DEPTH_MAX = 1000;

/** What changes the tree. What a name that is taken comes to is documented for new folders and renames only: it is looked at before. */
export const createEditing = (pan123: Pan123Client) =>
  ({
    async createFolder(parentRef, name, call) {
      checkName(name);
      idOf(parentRef);
      await pan123.checkFolder(parentRef, call);
      const ref = await orTaken(pan123, parentRef, name, call, () => makeFolder(pan123, parentRef, name, call));
      return toEntry(await pan123.file(ref, call));
    },

    async rename(ref, name, { ifRevision }, call) {
      checkName(name);
      refuseRoot(ref);
      const file = await pan123.file(ref, call);
      refuseChanged(toEntry(file), ifRevision);
      if (file.filename === name) return toEntry(file);
      await renameTo(pan123, file, name, call);
      return toEntry(await pan123.file(ref, call));
    },

    async move(ref, parentRef, options, call) {
      const task = await prepared(pan123, ref, parentRef, options, call);
      const { file } = task;
      if (file.parentFileId === parentRef && file.filename === task.name) return toEntry(file);
      const kept = settled(task, options);
      if (kept) return toEntry(kept);
      await replaced(pan123, task, options, call, () => relocate(pan123, task, call));
      return toEntry(await pan123.file(ref, call));
    },

    async copy(ref, parentRef, options, call) {
      const task = await prepared(pan123, ref, parentRef, options, call);
      const kept = settled(task, options);
      if (kept) return toEntry(kept);
      const made = await replaced(pan123, task, options, call, () => copyTo(pan123, task, call));
      return toEntry(await pan123.file(made, call));
    },

    async remove(ref, { ifRevision }, call) {
      refuseRoot(ref);
      const file = await pan123.file(ref, call);
      refuseChanged(toEntry(file), ifRevision);
      await trash(pan123, ref, call);
    },

    /** Only what is in the recycle bin can be deleted for ever. */
    async removePermanently(ref, { ifRevision }, call) {
      refuseRoot(ref);
      const file = await pan123.file(ref, call);
      refuseChanged(toEntry(file), ifRevision);
      await trash(pan123, ref, call);
      await deleteForEver(pan123, [ref], call);
    },
  }) satisfies Partial<Driver>;

interface Task {
  readonly file: WireFile;
  readonly parentRef: string;
  readonly name: string;
  /** What is in the folder already, by name. */
  readonly names: ReadonlyMap<string, WireFile>;
}

/** What is to be taken where, checked as far as it can be before. */
async function prepared(
  pan123: Pan123Client,
  ref: string,
  parentRef: string,
  { name, onConflict, ifRevision }: MoveOptions,
  call: CallContext,
): Promise<Task> {
  refuseRoot(ref);
  if (name !== undefined) checkName(name);
  const found = await pan123.infos([ref, parentRef], call);
  const file = found.get(ref);
  const parent = found.get(parentRef);
  if (!file || !isLive(file) || (parentRef !== ROOT_REF && !(parent && isLive(parent)))) throw notFound();
  if (parent) checkIsFolder(parent);
  refuseChanged(toEntry(file), ifRevision);
  if (isFolder(file)) await refuseInside(pan123, ref, parentRef, call);

  const names = new Map<string, WireFile>();
  for await (const child of pan123.children(parentRef, call)) names.set(child.filename, child);
  const wanted = name ?? file.filename;
  const isTaken = names.has(wanted) && names.get(wanted)?.fileId !== ref;
  return { file, parentRef, names, name: isTaken && onConflict === 'RENAME' ? freeName(wanted, names) : wanted };
}

export function freeName(name: string, names: ReadonlyMap<string, unknown>): string {
  for (let number = 2; ; number += 1) {
    const candidate = numberedName(name, number);
    if (!names.has(candidate)) return candidate;
  }
}

/** With SKIP, what stands there already. @throws DriveError `already_exists` when it may not go */
function settled({ file, name, names }: Task, { onConflict }: MoveOptions): WireFile | null {
  const there = names.get(name);
  if (!there) return null;
  if (onConflict === 'SKIP') return there;
  // A whole folder would go, or the entry that is to be copied.
  const mayGo = onConflict === 'REPLACE' && !isFolder(file) && !isFolder(there) && there.fileId !== file.fileId;
  if (!mayGo) throw taken(there.fileId);
  return null;
}

/** Does it where the name is free: what is to be replaced goes into the recycle bin first, and comes back if it fails. */
async function replaced<Result>(
  pan123: Pan123Client,
  { name, names }: Task,
  { onConflict }: MoveOptions,
  call: CallContext,
  act: () => Promise<Result>,
): Promise<Result> {
  const there = onConflict === 'REPLACE' ? names.get(name) : undefined;
  if (!there) return act();
  await trash(pan123, there.fileId, call);
  try {
    return await act();
  } catch (error) {
    const json = { fileIDs: [idOf(there.fileId)] };
    await pan123.post(ACCEPTED, '/api/v1/file/recover', json, call).catch((reason) => {
      // It is in the recycle bin, and the failure to tell is that of the act.
      if (!(reason instanceof DriveError)) throw reason;
    });
    throw error;
  }
}

/** Moves, then renames; the other way round where its own name is taken at the place that it goes to. */
async function relocate(
  pan123: Pan123Client,
  { file, parentRef, name, names }: Task,
  call: CallContext,
): Promise<void> {
  if (file.parentFileId === parentRef) return renameTo(pan123, file, name, call);
  if (names.has(file.filename)) {
    await renameTo(pan123, file, name, call);
    return moveTo(pan123, file.fileId, parentRef, call);
  }
  await moveTo(pan123, file.fileId, parentRef, call);
  return renameTo(pan123, { ...file, parentFileId: parentRef }, name, call);
}

/** A copy has the name of its source: where another is wanted and that one is taken, it is made to the side. */
async function copyTo(pan123: Pan123Client, task: Task, call: CallContext): Promise<string> {
  const { file, parentRef, name, names } = task;
  const copyInto = (folderRef: string): Promise<string> =>
    isFolder(file) ? copyFolder(pan123, file, folderRef, call) : copyFile(pan123, file, folderRef, call);
  const own = names.get(file.filename);
  if (!own || (own.fileId !== file.fileId && name === file.filename)) {
    const made = await copyInto(parentRef);
    await renameTo(pan123, { fileId: made, filename: file.filename, parentFileId: parentRef }, name, call);
    return made;
  }
  return aside(pan123, parentRef, call, async (sideRef) => {
    const made = await copyInto(sideRef);
    await renameTo(pan123, { fileId: made, filename: file.filename, parentFileId: sideRef }, name, call);
    return made;
  });
}

async function refuseInside(pan123: Pan123Client, ref: string, parentRef: string, call: CallContext): Promise<void> {
  let at = parentRef;
  for (let depth = 0; at !== ROOT_REF && depth < DEPTH_MAX; depth += 1) {
    if (at === ref) throw invalid('cannot put a folder into itself.');
    at = (await pan123.infos([at], call)).get(at)?.parentFileId ?? ROOT_REF;
  }
}

export function refuseRoot(ref: string): void {
  if (ref === ROOT_REF) throw invalid('cannot change the root of the drive.');
}

export function refuseChanged({ revision }: DriveEntry, ifRevision: string | undefined): void {
  if (ifRevision === undefined || ifRevision === revision) return;
  throw pan123Error('conflict', 'has another version of this entry by now. Look at it again.', null, {});
}
