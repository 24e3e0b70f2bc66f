import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { DATABASES } from '../../test/support/databases.ts';
import { POSTGRES_MIGRATIONS } from './migrations/postgres/index.ts';
import { SQLITE_MIGRATIONS } from './migrations/sqlite/index.ts';

it('both databases take the same steps', () => {
  const names = (migrations: readonly { readonly name: string }[]): string[] => migrations.map(({ name }) => name);
  assert.deepEqual(names(SQLITE_MIGRATIONS), names(POSTGRES_MIGRATIONS));
  assert.deepEqual(names(SQLITE_MIGRATIONS), names(SQLITE_MIGRATIONS).toSorted());
});

for (const database of DATABASES) {
  describe(`the schema (${database.dialect})`, { skip: database.skip }, () => {
    it('is, after all migrations, what the entities say', async () => {
      const { storage, close } = await database.open();
      try {
        assert.equal(await storage.orm.schema.getUpdateSchemaSQL(), '');
      } finally {
        await close();
      }
    });

    it('is the same after going down and up again', async () => {
      const { storage, close } = await database.open();
      try {
        await storage.orm.migrator.down({ to: 0 });
        const pending = await storage.orm.migrator.getPending();
        assert.equal(pending.length, SQLITE_MIGRATIONS.length);
        await storage.orm.migrator.up();
        assert.equal(await storage.orm.schema.getUpdateSchemaSQL(), '');
      } finally {
        await close();
      }
    });
  });
}

it('the file of the database is nobody else’s to read, in whatever folder', async () => {
  const { url, close } = await openFirst();
  try {
    const path = url.replace('sqlite:', '');
    for (const file of [path, `${path}-wal`]) assert.equal(statSync(file).mode & 0o777, 0o600, file);
  } finally {
    await close();
  }
});

const openFirst = () => {
  const sqlite = DATABASES.find(({ dialect }) => dialect === 'sqlite');
  assert.ok(sqlite);
  return sqlite.open();
};
