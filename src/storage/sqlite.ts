import { Buffer } from 'node:buffer';
import type { AnyEntity, Configuration, EntityData, QueryResult, Transaction } from '@mikro-orm/core';
import { AbstractSqlDriver, SqlitePlatform } from '@mikro-orm/sql';
import { SqliteConnection, MikroORM as SqliteOrm } from '@mikro-orm/sqlite';
import { LRUCache } from 'lru-cache';

/** Below what SQLite takes (32,766). */
const VALUES_MAX = 30_000;
/** Prepared statements kept: more than the texts in use, lists of other lengths included. */
const STATEMENTS_MAX = 500;

/**
 * MikroORM's driver of SQLite, but that values are bound to statements. The ORM writes them into the text, so that each
 * statement is another one, and preparing it takes longer than running it.
 */
export class BindingSqliteDriver extends AbstractSqlDriver<SqliteConnection> {
  constructor(config: Configuration) {
    super(config, new SqlitePlatform(), BindingConnection, ['kysely', 'better-sqlite3']);
  }

  override getORMClass(): typeof SqliteOrm {
    return SqliteOrm;
  }
}

type ExecuteArgs = Parameters<SqliteConnection['execute']>;
type Rows = EntityData<AnyEntity>[];

/** As better-sqlite3 has it. */
interface Statement {
  readonly reader: boolean;
  readonly readonly: boolean;
  all(values: readonly SqliteValue[]): Rows;
}

class BindingConnection extends SqliteConnection {
  #native: { prepare(sql: string): unknown } | null = null;
  /** By their text: to prepare a page of a folder takes a third of the time of reading it. */
  readonly #statements = new LRUCache<string, Statement>({ max: STATEMENTS_MAX });

  override async execute<Result extends QueryResult | EntityData<AnyEntity> | Rows = Rows>(
    ...[query, params = [], method, context, logging]: ExecuteArgs
  ): Promise<Result> {
    const bound = typeof query === 'string' && Array.isArray(params) ? bind(query, params) : null;
    if (!bound) return super.execute<Result>(query, params, method, context, logging);
    await this.ensureConnection();
    const rows = context === undefined && (method ?? 'all') === 'all' ? await this.#readRows(bound) : null;
    if (rows) return rows as Result;
    const client = (context ?? this.getClient()) as Executor;
    // The ORM has no place for values beside its text: they join the statement on its way out.
    const binding: Executor = {
      executeQuery: (compiled, options) => client.executeQuery({ ...compiled, parameters: bound.values }, options),
    };
    return super.execute<Result>(bound.sql, [], method, binding as unknown as Transaction, logging);
  }

  /**
   * The rows of a statement that only reads, on the connection that only reads: no transaction is ever open on it for
   * which the statement would have to wait its turn, so the layers that see to that are left out. Null where it is
   * another, and where statements are to be logged.
   */
  async #readRows({ sql, values }: BoundStatement): Promise<Rows | null> {
    if (this.type !== 'read' || this.config.get('debug')) return null;
    const native = this.#native ?? (await this.getNativeClient());
    this.#native = native;
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = native.prepare(sql) as Statement;
      this.#statements.set(sql, statement);
    }
    return statement.reader && statement.readonly ? statement.all(values) : null;
  }
}

interface Executor {
  executeQuery(compiled: object, options?: object): Promise<unknown>;
}

interface BoundStatement {
  readonly sql: string;
  readonly values: readonly SqliteValue[];
}

type SqliteValue = string | number | bigint | Buffer | null;

/**
 * The statement with what SQLite takes for its values, and a place for each item of a list. Null where the ORM's own way
 * is needed: for JSON, identifiers (`??`) and fragments of SQL.
 */
export function bind(query: string, params: readonly unknown[]): BoundStatement | null {
  const parts = query.split('?');
  if (params.length === 0 || parts.length !== params.length + 1) return null;
  const values: SqliteValue[] = [];
  let sql = parts[0] ?? '';
  for (const [index, param] of params.entries()) {
    if (sql.endsWith('\\')) return null; // An escaped question mark.
    const items: readonly unknown[] = Array.isArray(param) ? param : [param];
    for (const item of items) {
      const value = sqliteValueOf(item);
      if (value === undefined) return null;
      values.push(value);
    }
    sql += `${items.map(() => '?').join(', ')}${parts[index + 1]}`;
  }
  return values.length > VALUES_MAX ? null : { sql, values };
}

/** As the ORM would write it: times in milliseconds. Undefined where it cannot be bound. */
function sqliteValueOf(value: unknown): SqliteValue | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (value instanceof Date) return sqliteValueOf(value.getTime());
  // Bound as a number, a whole one would be a floating-point one.
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : finite(value);
  return Buffer.isBuffer(value) ? value : undefined;
}

const finite = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);
