import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { EventBus } from './bus.ts';
import { Hub, type Transport } from './hub.ts';
import { createPostgresTransport } from './postgres.ts';
import { createRedisTransport } from './redis.ts';

export interface EventBusOptions {
  readonly redisUrl: Secret | null;
  readonly databaseUrl: Secret;
  readonly log: Logger;
}

/**
 * The event bus that the settings ask for: between processes over Redis where it is set, else over the database where
 * that is PostgreSQL, else within this process. A server that does not answer does not stop the start: the log says
 * so, and events stay within this process until it does. Takes a few seconds at most.
 */
export function openEventBus(options: EventBusOptions): Promise<EventBus> {
  return Hub.open(options.log, transportFor(options));
}

function transportFor({ redisUrl, databaseUrl, log }: EventBusOptions): Transport | null {
  if (redisUrl) return createRedisTransport({ url: redisUrl, log });
  if (databaseUrl.reveal().startsWith('postgres')) return createPostgresTransport({ url: databaseUrl, log });
  return null;
}
