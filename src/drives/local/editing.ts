import type { Driver } from '../driver.ts';
import { checkEntryName } from '../shared/names.ts';
import { change } from './change.ts';
import type { LocalContext } from './context.ts';
import { PROVIDER } from './errors.ts';
import { entryOf } from './filing.ts';
import { checkDepth, findSpot, insertEntry } from './placing.ts';
import { liveFolder } from './rows.ts';

/** Changes the tree. */
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
  }) satisfies Partial<Driver>;
