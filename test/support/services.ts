import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';

/** The servers that some tests need. They are tested for real, or left out with a printed reason. */
export type Service = 'PostgreSQL' | 'Redis';

/** How long a server may take to answer before its tests are left out, in milliseconds. */
const ANSWER_MS = 3_000;

const SETTINGS = {
  PostgreSQL: { name: 'PANQL_TEST_POSTGRES_URL', url: 'postgres://postgres@127.0.0.1:5432/postgres', ask: askPostgres },
  Redis: { name: 'PANQL_TEST_REDIS_URL', url: 'redis://127.0.0.1:6379', ask: askRedis },
} as const;

interface Probe {
  readonly url: string;
  /** Null when the server answered. */
  readonly fault: string | null;
}

const probes = new Map<Service, Promise<Probe>>();

/**
 * The PostgreSQL server for tests, null when it does not answer. Do not make tables here: see {@link createTestDatabase}.
 * @throws when it does not answer and PANQL_TEST_REQUIRE_SERVICES is 1.
 */
export const postgresUrl = (): Promise<string | null> => urlOf('PostgreSQL');

/**
 * The Redis server for tests, null when it does not answer. Shared with other tests: use keys and channels of your own.
 * @throws when it does not answer and PANQL_TEST_REQUIRE_SERVICES is 1.
 */
export const redisUrl = (): Promise<string | null> => urlOf('Redis');

/**
 * For the `skip` option of a test: false when the server answers, else the reason that is printed.
 * @throws when it does not answer and PANQL_TEST_REQUIRE_SERVICES is 1.
 */
export async function skipReason(service: Service): Promise<string | false> {
  const { fault } = await probe(service);
  return fault ?? false;
}

export interface TestDatabase {
  readonly url: string;
  /** Removes the database, ending the connections that are left on it. */
  drop(): Promise<void>;
}

/** An empty PostgreSQL database that nobody else uses. Call it only where {@link skipReason} is false. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const serverUrl = await postgresUrl();
  if (serverUrl === null) throw new Error('There is no PostgreSQL server for tests: skip by skipReason first.');
  const name = `panql_test_${randomBytes(6).toString('hex')}`;
  // template0 has no other visitors: creating from template1 fails while anybody is connected to that.
  await runStatement(serverUrl, `create database ${name} template template0`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: () => runStatement(serverUrl, `drop database if exists ${name} with (force)`),
  };
}

async function urlOf(service: Service): Promise<string | null> {
  const { url, fault } = await probe(service);
  return fault === null ? url : null;
}

function probe(service: Service): Promise<Probe> {
  const known = probes.get(service);
  if (known) return known;
  const started = startProbe(service);
  probes.set(service, started);
  return started;
}

async function startProbe(service: Service): Promise<Probe> {
  const { name, url: defaultUrl, ask } = SETTINGS[service];
  const url = process.env[name] || defaultUrl;
  try {
    await ask(url);
    return { url, fault: null };
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    const fault = `${service} does not answer (${reason}): start it, or name another in ${name}`;
    if (process.env.PANQL_TEST_REQUIRE_SERVICES === '1') throw new Error(fault, { cause: error });
    return { url, fault };
  }
}

function askPostgres(url: string): Promise<void> {
  return runStatement(url, 'select 1');
}

async function runStatement(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ANSWER_MS });
  client.on('error', () => {}); // A connection that breaks rejects the query as well.
  try {
    await client.connect();
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function askRedis(url: string): Promise<void> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: null,
    connectTimeout: ANSWER_MS,
    commandTimeout: ANSWER_MS,
  });
  let fault: Error | null = null;
  client.on('error', (error) => {
    fault ??= error; // Says ECONNREFUSED, where the promise only says that the connection is closed.
  });
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    throw fault ?? error;
  } finally {
    client.disconnect();
  }
}
