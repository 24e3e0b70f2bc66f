import { argon2id, hash, needsRehash, verify } from 'argon2';
import { addMs, type Clock } from '../../lib/clock.ts';
import { UnavailableError } from '../../lib/errors.ts';
import { newToken } from '../../lib/ids.ts';
import { usernameKey } from '../../lib/names.ts';

/** What one hash costs. */
export interface PasswordCost {
  readonly memoryCost: number;
  readonly timeCost: number;
  readonly parallelism: number;
}

/** 19 MiB, 2 passes, 1 lane. Source: OWASP Password Storage Cheat Sheet, argon2id, first choice for servers. */
export const OWASP_COST: PasswordCost = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };

export const PASSWORD_LENGTH_MIN = 8;
/** Longer ones are refused before they are hashed: a megabyte would buy an attacker our time. */
export const PASSWORD_LENGTH_MAX = 128;

/** Hashes at one time. libuv has 4 threads, and files need some of them. */
const HASHING_MAX = 2;
/** Callers that may wait for their turn: about two seconds of work. More are refused, so that the queue cannot grow. */
const WAITING_MAX = 64;
/** When a caller that was refused may come back. */
const RETRY_AFTER_MS = 3_000;

/** What every guesser tries first. Not a dictionary: that would be a download of its own. */
const COMMON_PASSWORDS: ReadonlySet<string> = new Set(
  `password password1 passw0rd p@ssword p@ssw0rd 12345678 123456789 1234567890 87654321 987654321 0987654321 0123456789
  11223344 12341234 123123123 147258369 123456abc abc12345 abcd1234 abcdefgh a1234567 1q2w3e4r 1q2w3e4r5t 1qaz2wsx qwertyui
  qwertyuiop qwerty12 qwerty123 qwer1234 asdfghjk asdfghjkl zxcvbnm1 iloveyou sunshine princess football baseball
  superman trustno1 letmein1 welcome1 admin123 administrator changeme changeit computer internet whatever starwars
  michelle jennifer computer1 woaini1314 5201314520 wodemima`.split(/\s+/),
);

/** One password however the keyboard composed its letters. */
const normalized = (password: string): string => password.normalize('NFC');

/** Why a new password is not taken, in words for a person; null when it is. */
export function passwordFault(password: string, username: string): string | null {
  const length = [...password].length;
  if (length < PASSWORD_LENGTH_MIN) return `must have at least ${PASSWORD_LENGTH_MIN} characters`;
  if (length > PASSWORD_LENGTH_MAX) return `must have at most ${PASSWORD_LENGTH_MAX} characters`;
  const folded = password.toLowerCase();
  if (COMMON_PASSWORDS.has(folded) || new Set(folded).size < 3) return 'is one of the first that anybody would guess';
  if (usernameKey(password) === usernameKey(username)) return 'must not be the username';
  return null;
}

/** Hashes and checks passwords: argon2id, a few at a time, a bounded number waiting. */
export class PasswordHasher {
  readonly #cost: PasswordCost;
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  /** The hash of a password that nobody has: an unknown user costs the same as a known one. */
  readonly #nobody: string;
  #hashing = 0;

  private constructor(clock: Clock, cost: PasswordCost, nobody: string) {
    this.#clock = clock;
    this.#cost = cost;
    this.#nobody = nobody;
  }

  static async create(clock: Clock, cost: PasswordCost = OWASP_COST): Promise<PasswordHasher> {
    return new PasswordHasher(clock, cost, await hash(newToken(), { ...cost, type: argon2id }));
  }

  /** @throws UnavailableError when too many callers wait. */
  hash(password: string): Promise<string> {
    return this.#inTurn(() => hash(normalized(password), { ...this.#cost, type: argon2id }));
  }

  /**
   * Whether the password is that of the hash. Without a hash (an unknown user) it takes the same time and is false.
   * @throws UnavailableError when too many callers wait.
   */
  async verify(passwordHash: string | null, password: string): Promise<boolean> {
    // An over-long password is nobody's. It still costs what every other costs.
    const checked = password.length > PASSWORD_LENGTH_MAX * 2 ? '' : normalized(password);
    const right = await this.#inTurn(() => verify(passwordHash ?? this.#nobody, checked));
    return right && passwordHash !== null;
  }

  /** Whether the hash was made at another cost than today's. */
  isOutdated(passwordHash: string): boolean {
    return needsRehash(passwordHash, this.#cost);
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#hashing >= HASHING_MAX) {
      if (this.#waiting.length >= WAITING_MAX) {
        throw new UnavailableError('Too many people are signing in just now. Try again in a few seconds.', {
          retryAt: addMs(this.#clock.now(), RETRY_AFTER_MS),
        });
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve)); // Whoever wakes it hands over its place.
    } else {
      this.#hashing += 1;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#hashing -= 1;
    }
  }
}
