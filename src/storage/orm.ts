import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { MigrationObject } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { MikroORM as PostgresOrm } from '@mikro-orm/postgresql';
import { type AbstractSqlDriver, type Options, type SqlEntityManager, UnderscoreNamingStrategy } from '@mikro-orm/sql';
import { MikroORM as SqliteOrm } from '@mikro-orm/sqlite';
import { ConfigError } from '../lib/errors.ts';
import { makeFolder } from '../lib/folders.ts';
import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import { ENTITIES } from './entities/index.ts';
import { databaseFault } from './fault.ts';
import { POSTGRES_MIGRATIONS } from './migrations/postgres/index.ts';
import { SQLITE_MIGRATIONS } from './migrations/sqlite/index.ts';
import { BindingSqliteDriver } from './sqlite.ts';
import { keepStatements } from './statements.ts';

export type EntityManager = SqlEntityManager<AbstractSqlDriver>;
export type Dialect = 'sqlite' | 'postgres';

/** Tables that migrations make by hand (full-text search): the schema comparison leaves them and their triggers alone. */
const HAND_MADE_TABLES = [/^local_entries_fts/];

export interface StorageOptions {
  /** `sqlite:<path>`, `sqlite::memory:` or `postgres://…`. */
  readonly url: Secret;
  readonly log: Logger;
  /** Called with every SQL statement; for tests that count them. */
  readonly onQuery?: (sql: string) => void;
}

/** The database. One fork of the entity manager for each operation or event; no transaction is open across a network call. */
export interface Storage {
  readonly dialect: Dialect;
  readonly orm: SqliteOrm | PostgresOrm;
  /** A fresh entity manager; reads go to the read connection. `signal` cancels what runs on it (PostgreSQL). */
  fork(signal?: AbortSignal): EntityManager;
  /**
   * The rows of a statement that is written out, as the database gives them: for what every request asks. It sees what is
   * committed, and keeps no entity.
   */
  read<Row>(sql: string, params: readonly unknown[]): Promise<Row[]>;
  /** Runs `work` in one transaction on a fork of its own. Nothing in it may await the network or a timer. */
  transaction<Result>(work: (em: EntityManager) => Promise<Result>): Promise<Result>;
  /** Throws when the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** SQLite pragmas of each connection. WAL lets the read connection go on while a transaction is open on the other. */
const SQLITE_PRAGMAS = [
  'journal_mode = wal',
  'synchronous = normal',
  'busy_timeout = 5000',
  'foreign_keys = on',
  'temp_store = memory',
  'cache_size = -32768',
];

const sqlitePathOf = (url: string): string => url.replace(/^sqlite:(\/\/(?=\/))?/, '');

function commonOptions(options: StorageOptions): Options {
  return {
    entities: ENTITIES,
    namingStrategy: UnderscoreNamingStrategy,
    extensions: [Migrator],
    schemaGenerator: { skipTables: HAND_MADE_TABLES, ignoreTriggers: true },
    forceUtcTimezone: true,
    ...(options.onQuery
      ? { debug: ['query'], logger: options.onQuery, colors: false }
      : { logger: (message: string) => options.log.debug({ message }, 'storage') }),
  } as Options;
}

async function connect(options: StorageOptions): Promise<{ dialect: Dialect; orm: SqliteOrm | PostgresOrm }> {
  const url = options.url.reveal();
  if (url.startsWith('postgres')) {
    const orm = await PostgresOrm.init({
      ...(commonOptions(options) as object),
      clientUrl: url,
      migrations: { migrationsList: POSTGRES_MIGRATIONS, snapshot: false, silent: true },
      pool: { min: 0, max: 16 },
    });
    return { dialect: 'postgres', orm };
  }

  const path = sqlitePathOf(url);
  const inMemory = path === ':memory:';
  if (!inMemory) {
    makeFolder(dirname(path));
    // Made here, so that nobody else may read it, whatever the folder allows; SQLite gives its other files the same mode.
    closeSync(openSync(path, 'a', 0o600));
  }
  const onCreateConnection = async (connection: unknown): Promise<void> => {
    const { executeQuery } = connection as { executeQuery(query: object): Promise<unknown> };
    for (const pragma of SQLITE_PRAGMAS) {
      await executeQuery.call(connection, { sql: `pragma ${pragma}`, parameters: [], query: { kind: 'RawNode' } });
    }
  };
  const orm = await SqliteOrm.init({
    ...(commonOptions(options) as object),
    driver: BindingSqliteDriver,
    dbName: path,
    onCreateConnection,
    migrations: { migrationsList: SQLITE_MIGRATIONS, snapshot: false, silent: true },
    // A second connection on the same file: a read does not queue behind an open transaction.
    ...(inMemory ? {} : { replicas: [{ dbName: path, onCreateConnection }], preferReadReplicas: true }),
  });
  return { dialect: 'sqlite', orm };
}

/**
 * Opens the database and brings it to the newest schema.
 * @throws ConfigError when it does not answer, or was made by a newer version of this program.
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  try {
    return await open(options);
  } catch (error) {
    throw databaseFault(error, options.url.reveal()) ?? error;
  }
}

async function open(options: StorageOptions): Promise<Storage> {
  const { dialect, orm } = await connect(options);
  const fork = (signal?: AbortSignal): EntityManager =>
    orm.em.fork(signal ? { signal } : {}) as unknown as EntityManager;
  try {
    await migrate(orm, dialect, options.url);
    if (orm instanceof SqliteOrm) await keepAllStatements(orm);
  } catch (error) {
    await orm.close(true);
    throw error;
  }
  return {
    dialect,
    orm,
    fork,
    read: <Row>(sql: string, params: readonly unknown[]) =>
      orm.em.getConnection('read').execute(sql, [...params], 'all') as unknown as Promise<Row[]>,
    transaction: (work) => fork().transactional(work),
    ping: async () => {
      await fork().getConnection().execute('select 1');
    },
    close: () => Promise.race([orm.close(true), wait(CLOSE_MS, undefined, { ref: false })]),
  };
}

async function keepAllStatements({ em }: SqliteOrm): Promise<void> {
  const connections = new Set([em.getConnection('write'), em.getConnection('read')]);
  for (const connection of connections) keepStatements(await connection.getNativeClient());
}

/** How long closing waits, in milliseconds: of a connection that broke at that moment, the pool may never hear the end. */
const CLOSE_MS = 3_000;

/** Lock number of the migration, so that several processes that start together migrate once. */
const MIGRATION_LOCK = 7_261_944;

async function migrate(orm: SqliteOrm | PostgresOrm, dialect: Dialect, url: Secret): Promise<void> {
  if (dialect === 'sqlite') {
    await migrateUp(orm, SQLITE_MIGRATIONS);
    return;
  }
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url.reveal() });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await migrateUp(orm, POSTGRES_MIGRATIONS);
  } finally {
    await client.end(); // Ends the session, and with it the lock.
  }
}

async function migrateUp(orm: SqliteOrm | PostgresOrm, known: readonly MigrationObject[]): Promise<void> {
  const executed = await orm.migrator.getExecuted();
  const newer = executed.find(({ name }) => !known.some((migration) => migration.name === name));
  if (newer) {
    throw new ConfigError(
      `The database was changed by a newer version of PanQL (${newer.name}). Start that version, or restore the backup of before.`,
    );
  }
  await orm.migrator.up();
}
