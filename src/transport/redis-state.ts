import { Redis } from 'ioredis';
import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { SharedState } from '../lib/shared-state.ts';

/** Longest wait for Redis: a provider's request waits for it. */
const ANSWER_MS = 1_000;

const READ = `local time = redis.call('time')
return { redis.call('get', KEYS[1]), time[1], time[2] }`;

/** An empty text stands for none: no value is empty. */
const REPLACE = `if (redis.call('get', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`;

/**
 * Texts in Redis, below `panql:`. Resolves when it is there, or is known not to be: then every call fails at once, until
 * it answers.
 * @param url `redis://` or `rediss://`.
 */
export async function openRedisState(url: Secret, log: Logger): Promise<SharedState> {
  const redis = new Redis(url.reveal(), {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: ANSWER_MS,
    commandTimeout: ANSWER_MS,
  });
  redis.on('error', (error) => log.debug({ err: error }, 'Redis does not answer')); // Whoever calls is told as well.
  await firstAnswer(redis);
  const run = (script: string, ...args: (string | number)[]) => redis.eval(script, 1, ...args);
  return {
    read: async (key) => {
      const [value, seconds, micros] = (await run(READ, `panql:${key}`)) as [string | null, string, string];
      return { value, nowMs: Number(seconds) * 1000 + Math.floor(Number(micros) / 1000) };
    },
    replace: async (key, former, value, lifeMs) =>
      (await run(REPLACE, `panql:${key}`, former ?? '', value, Math.ceil(lifeMs))) === 1,
    close: async () => redis.disconnect(),
  };
}

const firstAnswer = (redis: Redis): Promise<void> =>
  new Promise((resolve) => {
    redis.once('ready', resolve);
    redis.once('error', () => resolve());
    setTimeout(resolve, 2 * ANSWER_MS).unref(); // One that takes the connection and says nothing.
  });
