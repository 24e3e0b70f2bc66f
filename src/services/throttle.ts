import { Redis } from 'ioredis';
import ipaddr from 'ipaddr.js';
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { addMs, type Clock } from '../lib/clock.ts';
import { RateLimitedError } from '../lib/errors.ts';
import { hashToken } from '../lib/ids.ts';
import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';

interface Rate {
  readonly points: number;
  readonly seconds: number;
}

const QUARTER_HOUR = 15 * 60;
const HOUR = 60 * 60;

/**
 * Every budget. What refuses is keyed by the one who asks (an address, or an address and a name), so that nobody can use
 * up another one's; a budget of a name alone only makes others smaller.
 */
const RATES = {
  /** Passwords that one client tries for one name. 10 typing errors, but 960 guesses a day. */
  'login.pair': { points: 10, seconds: QUARTER_HOUR },
  /** Passwords that one client tries for any name: an office behind one address may mistype this often. */
  'login.address': { points: 100, seconds: QUARTER_HOUR },
  /** Passwords tried for one name by everybody. Beyond, an address from which its owner never signed in gets fewer tries. */
  'login.username': { points: 50, seconds: QUARTER_HOUR },
  'login.stranger': { points: 2, seconds: QUARTER_HOUR },
  /** Wrong current passwords within one session: a stolen session must not become a way to guess. */
  'password.session': { points: 10, seconds: QUARTER_HOUR },
  /** A school that registers at once passes; a robot fills no table. */
  'register.address': { points: 300, seconds: 10 * 60 },
  /** Reset mails that one client asks for one address, and for any. */
  'reset.pair': { points: 5, seconds: HOUR },
  'reset.address': { points: 30, seconds: HOUR },
  /** Reset mails to one address, whoever asks; more are silently not sent: the first ones still work. */
  'reset.email': { points: 20, seconds: HOUR },
  /** Tokens of 256 bits cannot be guessed; this only keeps the database out of it. */
  'token.address': { points: 300, seconds: QUARTER_HOUR },
  /** Wrong keys of a direct link: of one client, and of all together. A link with a key of 4 digits resists for days. */
  'link.pair': { points: 10, seconds: QUARTER_HOUR },
  'link.any': { points: 30, seconds: QUARTER_HOUR },
} as const satisfies Record<string, Rate>;

export type ThrottleKind = keyof typeof RATES;

/** Longest wait for Redis before this process counts for itself. */
const REDIS_TIMEOUT_MS = 1_000;

export interface ThrottleOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Shares the budgets between processes; null: each process counts for itself. */
  readonly redisUrl: Secret | null;
}

/** Budgets of guesses. Charge before the costly or telling work, so that parallel guesses all count. */
export class Throttle {
  readonly #clock: Clock;
  readonly #redis: Redis | null;
  /** Resolves when Redis is there, or is known not to be. */
  readonly ready: Promise<void>;
  readonly #limiters: Readonly<Record<ThrottleKind, RateLimiterAbstract>>;

  constructor({ clock, log, redisUrl }: ThrottleOptions) {
    this.#clock = clock;
    this.#redis = redisUrl ? connect(redisUrl, log) : null;
    this.ready = this.#redis ? firstAnswer(this.#redis) : Promise.resolve();
    this.#limiters = Object.fromEntries(
      Object.entries(RATES).map(([kind, rate]) => [kind, limiter(kind, rate, this.#redis)]),
    ) as Record<ThrottleKind, RateLimiterAbstract>;
  }

  /**
   * Takes one from the budget.
   * @throws RateLimitedError with the time when the budget is whole again.
   */
  async consume(kind: ThrottleKind, key: string): Promise<void> {
    try {
      await this.#limiters[kind].consume(hashToken(key));
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      const retryAt = addMs(this.#clock.now(), error.msBeforeNext);
      const seconds = Math.ceil(error.msBeforeNext / 1000);
      throw new RateLimitedError(`Too many tries. Wait ${seconds} seconds, then try again.`, { retryAt });
    }
  }

  /** Gives back what was taken: the try turned out to be no guess. */
  async refund(kind: ThrottleKind, key: string): Promise<void> {
    await this.#limiters[kind].reward(hashToken(key));
  }

  async close(): Promise<void> {
    this.#redis?.disconnect();
  }
}

function limiter(kind: string, { points, seconds }: Rate, redis: Redis | null): RateLimiterAbstract {
  const memory = new RateLimiterMemory({ keyPrefix: kind, points, duration: seconds });
  if (!redis) return memory;
  return new RateLimiterRedis({
    storeClient: redis,
    keyPrefix: `panql:throttle:${kind}`,
    points,
    duration: seconds,
    rejectIfRedisNotReady: true,
    insuranceLimiter: memory, // Without Redis each process counts for itself: a guesser is still stopped.
  });
}

function connect(url: Secret, log: Logger): Redis {
  const redis = new Redis(url.reveal(), {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: REDIS_TIMEOUT_MS,
    commandTimeout: REDIS_TIMEOUT_MS,
  });
  let reported = false;
  redis.on('ready', () => {
    reported = false;
  });
  redis.on('error', (error: Error) => {
    if (!reported) log.warn({ err: error }, 'Redis does not answer: throttling counts in this process alone');
    reported = true; // Once for each outage, not for each try to connect.
  });
  return redis;
}

const firstAnswer = (redis: Redis): Promise<void> =>
  new Promise((resolve) => {
    redis.once('ready', resolve);
    redis.once('error', () => resolve());
    setTimeout(resolve, 2 * REDIS_TIMEOUT_MS).unref(); // One that takes the connection and says nothing.
  });

/** Bits of an IPv6 address that one customer is given: within it one client has more addresses than we can count. */
const IPV6_CUSTOMER_BITS = 64;

/** The address as budgets count it: an IPv4 address, or the /64 of an IPv6 address. */
export function addressBlock(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString().split('%')[0]}/${IPV6_CUSTOMER_BITS}`)}`;
}
