import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { Transport } from './hub.ts';
import { LINK_LIMITS, type LinkLimits, LinkState } from './link.ts';

export interface PostgresTransportOptions {
  /** `postgres://`. A pooler in between must pool sessions: LISTEN ends with its transaction on any other. */
  readonly url: Secret;
  readonly log: Logger;
  readonly limits?: LinkLimits;
}

/** Belongs to the database, so other databases of the server do not hear it. */
const CHANNEL = 'panql_events';

/** NOTIFY takes payloads shorter than 8000 bytes. Source: PostgreSQL manual, NOTIFY. */
const MESSAGE_BYTES_MAX = 7_999;

/**
 * LISTEN and NOTIFY on one connection, kept apart from the pool of the storage: it outlives any query, and an announcement
 * never waits for a free connection.
 */
export function createPostgresTransport(options: PostgresTransportOptions): Transport {
  const state = new LinkState('PostgreSQL', options.log);
  const closing = new AbortController();
  let client: pg.Client | null = null;
  let running: Promise<void> | null = null;

  async function keepConnected(receive: (message: string) => void): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await listenUntilCut(options, closing.signal, receive, (listening) => {
          client = listening;
          state.up();
        });
      } catch (error) {
        state.down(error);
      }
      client = null;
      await wait(state.nextRetryMs(), undefined, { signal: closing.signal }).catch(() => {}); // Only an abort rejects.
    }
  }

  return {
    messageBytesMax: MESSAGE_BYTES_MAX,
    open: async (receive) => {
      running = keepConnected(receive);
      await state.settled;
    },
    send: async (message) => {
      if (!client) throw new Error('PostgreSQL is not connected');
      await client.query('select pg_notify($1, $2)', [CHANNEL, message]);
    },
    close: async () => {
      state.close();
      closing.abort();
      await running;
    },
  };
}

/** Connects, listens, and then settles only when the connection is gone: rejects when nobody asked for that. */
async function listenUntilCut(
  { url, limits = LINK_LIMITS }: PostgresTransportOptions,
  signal: AbortSignal,
  receive: (message: string) => void,
  onListening: (client: pg.Client) => void,
): Promise<void> {
  const client = new pg.Client({
    connectionString: url.reveal(),
    application_name: 'panql events',
    connectionTimeoutMillis: limits.answerMs,
    // Many messages on their way at once; and a query that runs out of time then cuts the connection, as it should.
    pipeline: true,
    query_timeout: limits.answerMs,
  });
  const gone = Promise.withResolvers<void>();
  gone.promise.catch(() => {}); // Awaited only after the connection stands.
  client.on('error', gone.reject);
  client.on('end', () => (signal.aborted ? gone.resolve() : gone.reject(new Error('the connection was closed'))));
  client.on('notification', ({ payload }) => receive(payload ?? ''));
  const onAbort = (): void => void end(client, limits.answerMs);
  signal.addEventListener('abort', onAbort);
  let heartbeat: NodeJS.Timeout | undefined;
  try {
    await Promise.race([client.connect(), gone.promise]); // Ended while connecting, it would never settle by itself.
    // A notification need not survive a crash of the server: without this each would wait for the disk.
    await client.query('set synchronous_commit = off');
    await client.query(`listen ${CHANNEL}`);
    onListening(client);
    heartbeat = setInterval(() => void client.query('select 1').catch(gone.reject), limits.heartbeatMs);
    await gone.promise;
  } finally {
    clearInterval(heartbeat);
    signal.removeEventListener('abort', onAbort);
    await end(client, limits.answerMs);
  }
}

/** Says goodbye; a server that does not answer is left without. */
async function end(client: pg.Client, answerMs: number): Promise<void> {
  const impatience = setTimeout(() => client.connection.stream.destroy(), answerMs);
  await client.end();
  clearTimeout(impatience);
}
