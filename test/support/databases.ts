import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { type Dialect, openStorage, type Storage } from '../../src/storage/orm.ts';
import { createTestDatabase, skipReason } from './services.ts';

export interface TestStorage {
  readonly storage: Storage;
  /** For DATABASE_URL. */
  readonly url: string;
  /** Closes the database and removes it. */
  close(): Promise<void>;
}

/** A kind of database that what is written once for both must be tested on. */
export interface DatabaseUnderTest {
  readonly dialect: Dialect;
  /** For the `skip` option of a suite: false, or the printed reason. */
  readonly skip: string | false;
  /** An empty, migrated database of its own. */
  open(): Promise<TestStorage>;
}

/** Both databases, for a suite of each. */
export const DATABASES: readonly DatabaseUnderTest[] = [
  { dialect: 'sqlite', skip: false, open: openSqlite },
  { dialect: 'postgres', skip: await skipReason('PostgreSQL'), open: openPostgres },
];

const log = createLog({ level: 'silent' });

async function openSqlite(): Promise<TestStorage> {
  const folder = await mkdtemp(join(tmpdir(), 'panql-test-'));
  const url = `sqlite:${join(folder, 'test.sqlite')}`;
  const storage = await openStorage({ url: new Secret(url), log });
  return {
    storage,
    url,
    close: async () => {
      await storage.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function openPostgres(): Promise<TestStorage> {
  const database = await createTestDatabase();
  const storage = await openStorage({ url: new Secret(database.url), log });
  return {
    storage,
    url: database.url,
    close: async () => {
      await storage.close();
      await database.drop();
    },
  };
}
