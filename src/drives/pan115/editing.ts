import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext, DriveEntry, Driver, MoveOptions } from '../driver.ts';
import { alreadyThere, change, folderFor, freeName, namesake, removeReplaced, renamed, taken } from './changing.ts';
import type { Folder, Pan115Client } from './client.ts';
import { invalid, notFound, pan115Error } from './errors.ts';
import { checkName } from './names.ts';
import { purgeRemoved } from './recycling.ts';
import { madeFile, objectOf, ROOT_REF, toEntry, type WireFile } from './wire.ts';

const ADDED = z.object({ data: objectOf(z.object({ file_id: z.union([z.string(), z.number().transform(String)]) })) });
/**
 * What changes the tree. 115 lets several entries of a folder have one name, so a taken name is looked for before: what
 * another program puts there in between is not seen.
 */
export const createEditing = (pan115: Pan115Client) =>
  ({
    async createFolder(parentRef, name, call) {
      checkName(name);
      const folder = await pan115.folderWith(parentRef, name, call);
      const there = namesake(folder, name);
      if (there) throw taken(there.id);
      try {
        const form = { pid: parentRef, file_name: name };
        const post = { url: '/open/folder/add', form };
        const add = () => pan115.post(ADDED, 'change', post, call);
        const { data } = await pan115.onceKnown([parentRef], add, call);
        const made = { id: data.file_id, name, isFolder: true, parentId: parentRef, above: folder.above };
        return toEntry(pan115.recent.made(madeFile(made)));
      } catch (error) {
        if (!(error instanceof DriveError) || error.category !== 'already_exists') throw error;
        throw taken(namesake(await pan115.children(parentRef, call), name)?.id ?? null, error);
      }
    },

    async rename(ref, name, { ifRevision }, call) {
      checkName(name);
      refuseRoot(ref);
      const file = await pan115.info(ref, call);
      refuseChanged(file, ifRevision);
      if (file.name === name) return toEntry(file);
      const folder = await pan115.folderWith(parentOf(file), name, call);
      const there = namesake(folder, name, ref);
      if (there) throw taken(there.id);
      return toEntry(await renamed(pan115, file, name, call));
    },

    async move(ref, parentRef, options, call) {
      const task = await prepared(pan115, ref, parentRef, options, call, false);
      const { file } = task;
      if (file.parentId === parentRef && file.name === task.name) return toEntry(file);
      const { name, kept, replaced } = settled(task, options, ref);
      if (kept) return toEntry(kept);
      if (file.parentId !== parentRef) {
        const form = { file_ids: ref, to_cid: parentRef };
        await pan115.onceKnown([ref, parentRef], () => change(pan115, '/open/ufile/move', form, call), call);
      }
      const moved = pan115.recent.made({ ...file, parentId: parentRef, above: task.folder.above });
      const result = await renamed(pan115, moved, name, call);
      await removeReplaced(pan115, replaced, call);
      return toEntry(result);
    },

    async copy(ref, parentRef, options, call) {
      // The copy is told from what was there before.
      const task = await prepared(pan115, ref, parentRef, options, call, true);
      const { file } = task;
      const { name, kept, replaced } = settled(task, options, null);
      if (kept) return toEntry(kept);
      const there = options.onConflict === 'REPLACE' ? alreadyThere(task.folder, { ...file, name }) : null;
      if (there) {
        await removeReplaced(pan115, there.others, call);
        return toEntry(there.made);
      }
      const before = new Set(task.folder.files.map(({ id }) => id));
      const form = { pid: parentRef, file_id: ref, nodupli: 0 };
      await pan115.onceKnown([ref, parentRef], () => change(pan115, '/open/ufile/copy', form, call), call);
      const copy = await newIn(pan115, parentRef, file, before, call);
      const result = await renamed(pan115, pan115.recent.made(copy), name, call);
      await removeReplaced(pan115, replaced, call);
      return toEntry(result);
    },

    async remove(ref, { ifRevision }, call) {
      await removed(pan115, ref, ifRevision, call);
    },

    /** 115 deletes for ever only what is in the recycle bin. */
    async removePermanently(ref, { ifRevision }, call) {
      const startedAt = pan115.now();
      await purgeRemoved(pan115, await removed(pan115, ref, ifRevision, call), startedAt, call);
    },
  }) satisfies Partial<Driver>;

async function removed(
  pan115: Pan115Client,
  ref: string,
  ifRevision: string | undefined,
  call: CallContext,
): Promise<WireFile> {
  refuseRoot(ref);
  const file = await pan115.info(ref, call);
  refuseChanged(file, ifRevision);
  const form = { file_ids: ref, parent_id: file.parentId };
  await pan115.onceKnown([ref], () => change(pan115, '/open/ufile/delete', form, call), call);
  pan115.recent.gone(file);
  return file;
}

interface Task {
  readonly file: WireFile;
  readonly folder: Folder;
  readonly name: string;
}

/** What is to be taken where, checked as far as it can be before. */
async function prepared(
  pan115: Pan115Client,
  ref: string,
  parentRef: string,
  { name, ifRevision, onConflict }: MoveOptions,
  call: CallContext,
  /** Needs to know all that is there, and not only what has the name. */
  readsAll: boolean,
): Promise<Task> {
  refuseRoot(ref);
  if (name !== undefined) checkName(name);
  const file = await pan115.info(ref, call);
  refuseChanged(file, ifRevision);
  const wanted = name ?? file.name;
  const folder = await (readsAll
    ? pan115.children(parentRef, call)
    : folderFor(pan115, parentRef, wanted, onConflict, call));
  if (file.isFolder && (parentRef === ref || folder.chain.includes(ref))) {
    throw invalid('cannot put a folder into itself.');
  }
  return { file, folder, name: wanted };
}

/** How a taken name is dealt with: another name, what is kept instead, or what goes afterwards. */
function settled(
  { file, folder, name }: Task,
  { onConflict }: MoveOptions,
  movedId: string | null,
): { readonly name: string; readonly kept?: WireFile; readonly replaced: readonly WireFile[] } {
  const there = namesake(folder, name, movedId ?? undefined);
  if (!there) return { name, replaced: [] };
  switch (onConflict) {
    case 'SKIP':
      return { name, kept: there, replaced: [] };
    case 'RENAME':
      return { name: freeName(folder, name), replaced: [] };
    case 'REPLACE':
      // A whole folder is never put away, nor the entry that is to be copied.
      if (file.isFolder || there.isFolder || there.id === file.id) throw taken(there.id);
      return { name, replaced: [there] };
    case 'FAIL':
      throw taken(there.id);
  }
}

/** 115 does not tell which entry a copy is: it is the one of that name that was not there before. */
async function newIn(
  pan115: Pan115Client,
  parentRef: string,
  { name, isFolder, sha1 }: WireFile,
  before: ReadonlySet<string>,
  call: CallContext,
): Promise<WireFile> {
  const copy = await pan115.patiently(async () => {
    const { files } = await pan115.children(parentRef, call);
    const fresh = files.filter((file) => !before.has(file.id) && file.isFolder === isFolder && file.sha1 === sha1);
    return fresh.find((file) => file.name === name) ?? fresh[0] ?? null;
  }, call);
  if (copy) return copy;
  throw pan115Error('unavailable', 'made the copy, but does not show it yet.', null, {}).spent();
}

const parentOf = ({ parentId }: WireFile): string => {
  if (parentId === null) throw notFound();
  return parentId;
};

function refuseRoot(ref: string): void {
  if (ref === ROOT_REF) throw invalid('cannot change the root of the drive.');
}

function refuseChanged(file: WireFile, ifRevision: string | undefined): void {
  if (ifRevision === undefined || ifRevision === (toEntry(file) satisfies DriveEntry).revision) return;
  throw pan115Error('conflict', 'has another version of this entry by now. Look at it again.', null, {});
}
