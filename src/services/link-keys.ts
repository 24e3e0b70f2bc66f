import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { InvalidInputError } from '../lib/errors.ts';
import type { PasswordHasher } from './identity/passwords.ts';
import { addressBlock, type Throttle } from './throttle.ts';

/** Shortest own key, in characters: what a person reads out on the telephone. Guesses are limited. */
export const LINK_KEY_MIN = 4;
export const LINK_KEY_MAX = 128;

/** No 0, 1, I or O, which people take for each other. 8 of 32 are 40 bits. */
const ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ';
const RANDOM_KEY_LENGTH = 8;

/** Right keys are remembered for so long, in milliseconds: parts of one download are not guesses, nor worth a hash each. */
const REMEMBERED_MS = 600_000;
const REMEMBERED_MAX = 10_000;

/** Who tries a key. */
export interface Visitor {
  readonly key: string | null;
  /** For the limit of guesses. */
  readonly address: string;
}

/** The keys that open direct links. */
export class LinkKeys {
  readonly #hasher: PasswordHasher;
  readonly #throttle: Throttle;
  /** Never written anywhere: it keeps keys out of the memory of remembered ones. */
  readonly #memoryKey = randomBytes(32);
  readonly #right = new LRUCache<string, Promise<boolean>>({ max: REMEMBERED_MAX, ttl: REMEMBERED_MS });

  constructor(hasher: PasswordHasher, throttle: Throttle) {
    this.#hasher = hasher;
    this.#throttle = throttle;
  }

  random(): string {
    return Array.from({ length: RANDOM_KEY_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  }

  hash(key: string): Promise<string> {
    return this.#hasher.hash(key);
  }

  /**
   * Whether it is the key of the link. A wrong one counts against two budgets, taken before the key is looked at: a small
   * one of the address, and a larger one of all addresses together, which stops a guesser who has many. Both fill up
   * again by themselves: whoever has no key cannot lock a link for good, nor for those whose right key is remembered.
   * @throws RateLimitedError with the time of the next try; UnavailableError when too many keys are being checked.
   */
  async isRight(
    link: { readonly id: string; readonly keyHash: string },
    key: string,
    address: string,
  ): Promise<boolean> {
    const name = createHmac('sha256', this.#memoryKey).update(`${link.keyHash} ${key}`).digest('base64');
    const known = this.#right.get(name);
    if (known) return known;
    const checking = this.#check(link, key, address);
    this.#right.set(name, checking);
    try {
      const right = await checking;
      if (!right) this.#right.delete(name);
      return right;
    } catch (error) {
      this.#right.delete(name);
      throw error;
    }
  }

  async #check(
    link: { readonly id: string; readonly keyHash: string },
    key: string,
    address: string,
  ): Promise<boolean> {
    const pair = `${link.id} ${addressBlock(address)}`;
    await this.#throttle.consume('link.pair', pair);
    await this.#throttle.consume('link.any', link.id);
    const right = await this.#hasher.verify(link.keyHash, key);
    if (right) {
      await this.#throttle.refund('link.pair', pair);
      await this.#throttle.refund('link.any', link.id);
    }
    return right;
  }
}

/** @throws InvalidInputError unless it can be a key, and can be sent as a header. */
export function checkLinkKey(key: string): void {
  const length = [...key].length;
  if (length < LINK_KEY_MIN || length > LINK_KEY_MAX)
    throw InvalidInputError.at('input.key', `must have from ${LINK_KEY_MIN} to ${LINK_KEY_MAX} characters`);
  if (key !== key.trim() || /\p{Cc}/u.test(key) || !key.isWellFormed())
    throw InvalidInputError.at('input.key', 'must be plain text that does not begin or end with a space');
}
