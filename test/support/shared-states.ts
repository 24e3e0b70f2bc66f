import { createLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import type { SharedState } from '../../src/lib/shared-state.ts';
import { createPostgresState } from '../../src/storage/shared-state.ts';
import { openRedisState } from '../../src/transport/redis-state.ts';
import { DATABASES } from './databases.ts';
import { redisUrl, skipReason } from './services.ts';

/** How a process of its own reaches a state. */
export type SharedStateSettings = { readonly redis: string } | { readonly postgres: string } | null;

export interface OpenedSharedState {
  readonly settings: SharedStateSettings;
  /** Another connection, which the caller closes. */
  connect(): Promise<SharedState>;
  close(): Promise<void>;
}

/** A place for what processes share. */
export interface SharedStateUnderTest {
  readonly name: string;
  readonly skip: string | false;
  /** The printed reason why other processes cannot reach it. */
  readonly inProcess: string | false;
  open(): Promise<OpenedSharedState>;
}

const log = createLog({ level: 'silent' });

/** The state that a process of its own uses. */
export async function connectState(settings: SharedStateSettings): Promise<SharedState> {
  if (settings && 'redis' in settings) return openRedisState(new Secret(settings.redis), log);
  if (settings && 'postgres' in settings) return createPostgresState(new Secret(settings.postgres), log);
  throw new Error('a state in memory belongs to one process');
}

export const SHARED_STATES: readonly SharedStateUnderTest[] = [
  { name: 'a map', skip: false, inProcess: 'other processes do not see it', open: async () => openMap() },
  { name: 'Redis', skip: await skipReason('Redis'), inProcess: false, open: openRedis },
  { name: 'PostgreSQL', skip: await skipReason('PostgreSQL'), inProcess: false, open: openPostgres },
];

function openMap(): OpenedSharedState {
  const values = new Map<string, { readonly value: string; readonly untilMs: number }>();
  const keptAt = (key: string): string | null => {
    const kept = values.get(key);
    return kept && kept.untilMs > Date.now() ? kept.value : null;
  };
  return {
    settings: null,
    connect: async () => ({
      read: async (key) => ({ value: keptAt(key), nowMs: Date.now() }),
      replace: async (key, former, value, lifeMs) => {
        if (keptAt(key) !== former) return false;
        values.set(key, { value, untilMs: Date.now() + lifeMs });
        return true;
      },
      close: async () => {},
    }),
    close: async () => {},
  };
}

async function openRedis(): Promise<OpenedSharedState> {
  const url = (await redisUrl()) ?? '';
  return opened({ redis: url }, async () => {});
}

async function openPostgres(): Promise<OpenedSharedState> {
  const database = await DATABASES.find(({ dialect }) => dialect === 'postgres')?.open();
  if (!database) throw new Error('there is no PostgreSQL for tests');
  return opened({ postgres: database.url }, () => database.close());
}

const opened = (settings: SharedStateSettings, close: () => Promise<void>): OpenedSharedState => ({
  settings,
  connect: () => connectState(settings),
  close,
});
