import { z } from 'zod';
import type { CallContext, Driver } from '../driver.ts';
import type { DriveError } from '../errors.ts';
import { type RenameTask, renameAll } from '../shared/renaming.ts';
import { notFound, type Pan123Client } from './client.ts';
import { refuseChanged, refuseRoot } from './editing.ts';
import { itemError, pan123Error } from './errors.ts';
import { mayBeTaken, taken } from './manager.ts';
import { checkName } from './names.ts';
import { ID, isLive, listOf, toEntry, type WireFile } from './wire.ts';

/** Entries in one call. */
export const RENAMES_MAX = 30;

/** Some may fail while the call succeeds. What went well is seen by looking. */
const RENAMED = z
  .object({ failList: listOf(z.object({ fileID: ID, message: z.string().catch('') })) })
  .nullish()
  .transform((data) => data?.failList ?? []);

/** Other names for up to 30 entries in one call. */
export const createRenaming = (pan123: Pan123Client) =>
  ({
    renameMany: (renamings, call) =>
      renameAll<WireFile>(
        {
          look: (refs) => pan123.infos(refs, call),
          toEntry,
          check({ ref, name, ifRevision }, file) {
            checkName(name);
            refuseRoot(ref);
            if (!file || !isLive(file)) throw notFound();
            refuseChanged(toEntry(file), ifRevision);
            return file;
          },
          send: (tasks) => send(pan123, tasks, call),
          mayBeTaken,
          folderOf: ({ parentFileId }) => parentFileId,
          children: (folderRef) => pan123.children(folderRef, call),
          taken,
          notFound,
          untold: () => pan123Error('unavailable', 'did not say what became of this entry.', null, {}).spent(),
        },
        renamings,
      ),
  }) satisfies Partial<Driver>;

/** Each entry is one text: its id, a bar, the new name, which has no bar. */
async function send(
  pan123: Pan123Client,
  tasks: readonly RenameTask<WireFile>[],
  call: CallContext,
): Promise<ReadonlyMap<string, DriveError>> {
  const json = { renameList: tasks.map(({ ref, name }) => `${ref}|${name}`) };
  const failed = await pan123.post(RENAMED, '/api/v1/file/rename', json, call, { idempotent: true });
  return new Map(failed.map(({ fileID, message }) => [fileID, itemError(message)]));
}
