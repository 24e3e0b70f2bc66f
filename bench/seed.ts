import { join } from 'node:path';
import { encodeEntryId } from '../src/graph/ids.ts';
import { newId } from '../src/lib/ids.ts';
import { createLog } from '../src/lib/log.ts';
import { Secret } from '../src/lib/secret.ts';
import { Account } from '../src/storage/entities/account.ts';
import { LocalEntry } from '../src/storage/entities/local-drive.ts';
import { openStorage, type Storage } from '../src/storage/orm.ts';

/** Rows in one insert. */
const BATCH = 500;

/** The database of a server's data folder. */
export const openStorageIn = (dataDir: string, onQuery?: (sql: string) => void): Promise<Storage> =>
  openStorage({
    url: new Secret(`sqlite:${join(dataDir, 'panql.sqlite')}`),
    log: createLog({ level: 'warn' }),
    ...(onQuery ? { onQuery } : {}),
  });

/** Puts a folder with so many files into the only built-in drive; gives its global id. Their bytes are nowhere. */
export async function seedFolder(storage: Storage, name: string, count: number): Promise<string> {
  const { id: accountId } = await storage.fork().findOneOrFail(Account, { provider: 'LOCAL' });
  const now = new Date();
  const common = { accountId, mimeType: null, category: null, blobHash: null, createdAt: now, modifiedAt: now };
  const folderId = newId();
  const folder = { ...common, id: folderId, kind: 'FOLDER' as const, parentId: accountId, name, nameKey: name };
  await storage.fork().insert(LocalEntry, folder);
  for (let done = 0; done < count; done += BATCH) {
    const rows = Array.from({ length: Math.min(BATCH, count - done) }, (_, index) => {
      const number = String(done + index).padStart(6, '0');
      return {
        ...common,
        id: newId(),
        kind: 'FILE' as const,
        category: 'DOCUMENT' as const,
        mimeType: 'text/plain',
        parentId: folderId,
        name: `file-${number}.txt`,
        nameKey: `file-${number}.txt`,
        sizeBytes: (done + index) * 1000,
        modifiedAt: new Date(now.getTime() - (done + index) * 1000),
      };
    });
    await storage.transaction((em) => em.insertMany(LocalEntry, rows));
  }
  return encodeEntryId('FOLDER', accountId, folderId);
}
