import pg from 'pg';
import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { SharedState } from '../lib/shared-state.ts';
import type { Storage } from './orm.ts';

/** Longest wait for the database: a provider's request waits for it. */
const ANSWER_MS = 2_000;
/** Each call is one short statement: more connections would only wait for the same rows. */
const CONNECTIONS_MAX = 2;

const NOW = 'extract(epoch from clock_timestamp()) * 1000';
const INSERT = `insert into shared_states as state (key, value, expires_at)
  values ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
  on conflict (key) do update set value = excluded.value, expires_at = excluded.expires_at
  where state.expires_at <= clock_timestamp()`;
const UPDATE = `update shared_states set value = $2, expires_at = clock_timestamp() + $3 * interval '1 millisecond'
  where key = $1 and value = $4 and expires_at > clock_timestamp()`;

/**
 * Texts in a table of PostgreSQL, on connections of their own: they wait neither for the pool of the storage nor for the
 * disk. What a crash of the database takes from them is worth less than that wait.
 */
export function createPostgresState(url: Secret, log: Logger): SharedState {
  const pool = new pg.Pool({
    connectionString: url.reveal(),
    application_name: 'panql turns',
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
  });
  pool.on('error', (error) => log.debug({ err: error }, 'an idle connection to the database broke'));
  pool.on('connect', (client) => void client.query('set synchronous_commit = off').catch(() => {})); // The next one fails too.
  return {
    read: async (key) => {
      const { rows } = await pool.query(
        `select ${NOW} as now, (select value from shared_states where key = $1 and expires_at > clock_timestamp()) as value`,
        [key],
      );
      return { value: rows[0].value, nowMs: Math.floor(Number(rows[0].now)) };
    },
    replace: async (key, former, value, lifeMs) => {
      const statement = former === null ? INSERT : UPDATE;
      const { rowCount } = await pool.query(statement, [key, value, lifeMs, ...(former === null ? [] : [former])]);
      return rowCount === 1;
    },
    close: () => pool.end(),
  };
}

/** Removes texts that are forgotten by now. */
export async function sweepSharedStates(storage: Storage): Promise<void> {
  if (storage.dialect === 'sqlite') return; // One process keeps them in memory.
  await storage.fork().getConnection().execute('delete from shared_states where expires_at <= clock_timestamp()');
}
