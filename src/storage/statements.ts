import { LRUCache } from 'lru-cache';

/** Statements that one connection keeps: more than the program has, but for those whose lists differ in length. */
const STATEMENTS_MAX = 500;
/** Characters of a statement that is kept: longer ones insert many rows, and seldom the same number again. */
const CHARACTERS_MAX = 8_000;

interface Database {
  prepare(sql: string): object;
}

/**
 * Lets a SQLite connection keep the statements that it has prepared: Kysely prepares each anew, which takes longer than
 * most of ours run. To be called when the schema is up to date. Statements run to their end at once, so that none is met
 * while it is busy; what streams rows must prepare its own.
 */
export function keepStatements(database: Database): void {
  const kept = new LRUCache<string, object>({ max: STATEMENTS_MAX });
  const prepare = database.prepare.bind(database);
  database.prepare = (sql) => {
    const known = kept.get(sql);
    if (known) return known;
    const statement = prepare(sql);
    if (sql.length <= CHARACTERS_MAX) kept.set(sql, statement);
    return statement;
  };
}
