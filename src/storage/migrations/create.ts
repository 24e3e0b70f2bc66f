/**
 * Writes the next migration of both dialects from the entities:
 *   npm run migrations:create -- <name>
 * Needs a PostgreSQL for its dialect (PANQL_TEST_POSTGRES_URL, default the local one); SQLite is made in memory.
 * Add the new classes to each folder's index.ts.
 */
import { join } from 'node:path';
import { Migrator } from '@mikro-orm/migrations';
import { MikroORM as PostgresOrm } from '@mikro-orm/postgresql';
import { UnderscoreNamingStrategy } from '@mikro-orm/sql';
import { MikroORM as SqliteOrm } from '@mikro-orm/sqlite';
import { ENTITIES } from '../entities/index.ts';
import { POSTGRES_MIGRATIONS } from './postgres/index.ts';
import { SQLITE_MIGRATIONS } from './sqlite/index.ts';

const name = process.argv[2];
if (!name) throw new Error('Give the migration a name: npm run migrations:create -- add-something');

const common = {
  entities: ENTITIES,
  namingStrategy: UnderscoreNamingStrategy,
  extensions: [Migrator],
  schemaGenerator: { skipTables: [/^local_entries_fts/], ignoreTriggers: true },
};
const scratch = `panql_migrations_${process.pid}`;
const postgresUrl = new URL(process.env.PANQL_TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres');
const scratchUrl = new URL(postgresUrl);
scratchUrl.pathname = `/${scratch}`;

const { default: pg } = await import('pg');
const admin = new pg.Client({ connectionString: postgresUrl.href });
await admin.connect();
await admin.query(`create database ${scratch}`);
try {
  const migrations = (folder: string, list: object[]) => ({
    migrationsList: list,
    path: join(import.meta.dirname, folder),
    emit: 'ts',
    snapshot: false,
    fileName: (timestamp: string, given?: string) => `${timestamp}-${given}`,
  });
  const orms = [
    await SqliteOrm.init({
      ...common,
      dbName: ':memory:',
      migrations: migrations('sqlite', SQLITE_MIGRATIONS) as never,
    }),
    await PostgresOrm.init({
      ...common,
      clientUrl: scratchUrl.href,
      migrations: migrations('postgres', POSTGRES_MIGRATIONS) as never,
    }),
  ];
  for (const orm of orms) {
    await orm.migrator.up();
    const { fileName } = await orm.migrator.create(undefined, false, false, name);
    process.stdout.write(`${fileName ?? 'nothing to change'}\n`);
    await orm.close(true);
  }
} finally {
  await admin.query(`drop database ${scratch} with (force)`);
  await admin.end();
}
