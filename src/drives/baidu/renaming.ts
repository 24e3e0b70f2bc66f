import type { CallContext, Driver } from '../driver.ts';
import type { DriveError } from '../errors.ts';
import { type RenameTask, renameAll } from '../shared/renaming.ts';
import { type BaiduClient, notFound } from './client.ts';
import { refuseChanged, refuseRoot, taken } from './editing.ts';
import { baiduError } from './errors.ts';
import { manageMany } from './manager.ts';
import { checkName, checkPath } from './names.ts';
import { folderOf, joined, type WireFile } from './wire.ts';

/** Entries in one call: the number that is safe, by old and newer documents. */
export const RENAMES_MAX = 100;

/** Other names for up to 100 entries in one call. */
export const createRenaming = (baidu: BaiduClient) =>
  ({
    renameMany: (renamings, call) =>
      renameAll<WireFile>(
        {
          look: (refs) => baidu.metas(refs, call),
          toEntry: (file) => baidu.toEntry(file),
          check({ ref, name, ifRevision }, file) {
            checkName(name);
            refuseRoot(ref);
            if (!file) throw notFound();
            refuseChanged(baidu.toEntry(file), ifRevision);
            checkPath(joined(folderOf(file.path), name));
            return file;
          },
          send: (tasks) => send(baidu, tasks, call),
          mayBeTaken: ({ category }) => category === 'already_exists',
          folderOf: ({ path }) => folderOf(path),
          children: (dir) => baidu.children(dir, call),
          taken,
          notFound,
          untold: () => baiduError('unavailable', 'did not say what became of this entry.', null, {}).spent(),
        },
        renamings,
      ),
  }) satisfies Partial<Driver>;

/** Baidu names entries by their paths, in its answer too. */
async function send(
  baidu: BaiduClient,
  tasks: readonly RenameTask<WireFile>[],
  call: CallContext,
): Promise<ReadonlyMap<string, DriveError>> {
  const items = tasks.map(({ file, name }) => ({ path: file.path, newname: name }));
  const refused = await manageMany(baidu, 'rename', items, 'fail', call);
  return new Map(
    tasks.flatMap(({ ref, file }) => {
      const error = refused.get(file.path);
      return error ? [[ref, error] as const] : [];
    }),
  );
}
