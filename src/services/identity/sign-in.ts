import { LockMode } from '@mikro-orm/core';
import { addMs, type Clock } from '../../lib/clock.ts';
import { PermissionDeniedError, RateLimitedError } from '../../lib/errors.ts';
import { Session, User } from '../../storage/entities/identity.ts';
import type { Storage } from '../../storage/orm.ts';
import type { Audit } from '../audit.ts';
import { addressBlock, type Throttle, type ThrottleKind } from '../throttle.ts';
import { loginKey } from './names.ts';
import type { PasswordHasher } from './passwords.ts';
import type { Client, Sessions, SessionTokens } from './sessions.ts';

export interface LoginInput {
  /** The username or the mail address. */
  readonly username: string;
  readonly password: string;
  readonly remember?: boolean | null | undefined;
}

export interface SignInOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly hasher: PasswordHasher;
  readonly sessions: Sessions;
  readonly audit: Audit;
  readonly throttle: Throttle;
}

/** How long an address from which a user signed in stays known, after that session ended. */
const ADDRESS_KNOWN_MS = 30 * 86_400_000;
/** Sessions looked at for known addresses, the newest first. */
const KNOWN_SESSIONS_MAX = 100;

/** Signing in by password. */
export class SignIn {
  readonly #options: SignInOptions;

  constructor(options: SignInOptions) {
    this.#options = options;
  }

  /**
   * A new session. An unknown user and a wrong password answer the same, and take the same time.
   * @throws PermissionDeniedError, RateLimitedError (too many wrong guesses), UnavailableError (too many at once)
   */
  async login(input: LoginInput, client: Client): Promise<{ user: User; session: SessionTokens }> {
    const key = loginKey(input.username);
    const name = 'emailKey' in key ? key.emailKey : key.usernameKey;
    const user = await this.#options.storage.fork().findOne(User, key);
    const refund = await this.#charge(name, user?.id ?? null, client);

    const right = await this.#options.hasher.verify(user?.passwordHash ?? null, input.password);
    if (!user || !right) {
      const detail = { address: client.address }; // Not what was typed: people type passwords into the wrong field.
      await this.#options.audit.record({ userId: user?.id ?? null, action: 'session.refuse', detail });
      throw new PermissionDeniedError('Wrong username or password.');
    }
    const answer = await this.#open(user, input, client);
    await refund();
    return answer;
  }

  async #open(verified: User, { password, remember }: LoginInput, client: Client) {
    const { storage, hasher, sessions, audit } = this.#options;
    const newHash = hasher.isOutdated(verified.passwordHash) ? await hasher.hash(password) : null;
    return storage.transaction(async (em) => {
      const user = await em.findOneOrFail(User, verified.id, { lockMode: LockMode.PESSIMISTIC_WRITE });
      // The password may have been changed while this one was checked: then it is the old one.
      if (user.passwordHash !== verified.passwordHash) throw new PermissionDeniedError('Wrong username or password.');
      if (user.disabledAt)
        throw new PermissionDeniedError('This user is disabled. Ask the administrator of this server.');
      if (newHash) user.passwordHash = newHash;
      const session = sessions.open(em, user.id, client, remember ?? false);
      await audit.record({ userId: user.id, action: 'session.open', detail: { address: client.address } }, em);
      return { user, session };
    });
  }

  /**
   * Takes a guess from each budget it touches, before it is checked; gives the function that returns them when it was no
   * guess. What refuses is the guesser's own budget. When a name is tried much, strangers get a smaller one: many
   * addresses guess slower then, a new device of the owner still has its tries, and known ones notice nothing.
   */
  async #charge(name: string, userId: string | null, client: Client): Promise<() => Promise<void>> {
    const { throttle } = this.#options;
    const block = addressBlock(client.address);
    const pair = `${block} ${name}`;
    const taken: [ThrottleKind, string][] = [];
    const take = async (kind: ThrottleKind, key: string): Promise<void> => {
      await throttle.consume(kind, key);
      taken.push([kind, key]);
    };
    await take('login.pair', pair);
    await take('login.address', block);
    try {
      await take('login.username', name);
    } catch (error) {
      if (!(error instanceof RateLimitedError)) throw error;
      if (!(await this.#isKnownAddress(userId, block))) await take('login.stranger', pair);
    }
    return async () => {
      for (const [kind, key] of taken) await throttle.refund(kind, key);
    };
  }

  async #isKnownAddress(userId: string | null, block: string): Promise<boolean> {
    if (userId === null) return false;
    const since = addMs(this.#options.clock.now(), -ADDRESS_KNOWN_MS);
    const sessions = await this.#options.storage
      .fork()
      .find(
        Session,
        { userId, expiresAt: { $gt: since } },
        { fields: ['address'], orderBy: { createdAt: 'desc' }, limit: KNOWN_SESSIONS_MAX },
      );
    return sessions.some(({ address }) => address && addressBlock(address) === block);
  }
}
