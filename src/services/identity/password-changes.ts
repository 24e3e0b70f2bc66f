import { LockMode } from '@mikro-orm/core';
import { addMs, type Clock } from '../../lib/clock.ts';
import { InvalidInputError, PermissionDeniedError, RateLimitedError } from '../../lib/errors.ts';
import { hashToken, newToken } from '../../lib/ids.ts';
import type { Logger } from '../../lib/log.ts';
import { emailKey } from '../../lib/names.ts';
import { PasswordReset, Session, User } from '../../storage/entities/identity.ts';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import type { Audit } from '../audit.ts';
import type { Mailer } from '../mail.ts';
import { addressBlock, type Throttle } from '../throttle.ts';
import type { Viewer } from '../viewer.ts';
import type { Grants } from './grants.ts';
import { emailFault } from './names.ts';
import { type PasswordHasher, passwordFault } from './passwords.ts';
import type { Client, Sessions, SessionTokens } from './sessions.ts';

/** Life of the code in a reset mail. */
export const RESET_CODE_MS = 30 * 60_000;
/** Reset mails under way at one time; more are dropped, and the log says so. */
const MAILS_MAX = 100;

export interface PasswordChangesOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly log: Logger;
  readonly hasher: PasswordHasher;
  readonly sessions: Sessions;
  readonly grants: Grants;
  readonly audit: Audit;
  readonly throttle: Throttle;
  readonly mailer: Mailer;
}

/** New passwords, by the old one or by mail. Each ends all sessions and API keys that the old one had made possible. */
export class PasswordChanges {
  readonly #options: PasswordChangesOptions;
  /** Mails under way. */
  readonly #mails = new Set<Promise<void>>();

  constructor(options: PasswordChangesOptions) {
    this.#options = options;
  }

  /**
   * Changes the viewer's password and opens a new session in place of all others.
   * @throws InvalidInputError, PermissionDeniedError (wrong current password), RateLimitedError, UnavailableError
   */
  async change(
    viewer: Viewer,
    input: { readonly currentPassword: string; readonly newPassword: string },
    client: Client,
  ): Promise<SessionTokens> {
    const { storage, hasher, sessions, grants, throttle } = this.#options;
    const user = await storage.fork().findOneOrFail(User, viewer.userId);
    checkNewPassword(input.newPassword, user.username);
    await throttle.consume('password.session', viewer.grantId);
    if (!(await hasher.verify(user.passwordHash, input.currentPassword))) {
      await this.#options.audit.record({
        userId: user.id,
        action: 'password.refuse',
        detail: { address: client.address },
      });
      throw new PermissionDeniedError('The current password is wrong.');
    }

    const passwordHash = await hasher.hash(input.newPassword);
    const { tokens, ended } = await storage.transaction(async (em) => {
      const { remember } = await em.findOneOrFail(Session, viewer.grantId);
      const ended = await this.#replace(em, user, passwordHash, { by: 'password', address: client.address });
      // Signed out, or changed elsewhere, while the hashes were made: then this session has no say any more.
      if (!ended?.includes(viewer.grantId)) throw new PermissionDeniedError('This session has ended. Sign in again.');
      return { ended, tokens: sessions.open(em, user.id, client, remember) };
    });
    await grants.announceEnd(user.id, ended);
    return tokens;
  }

  /**
   * Mails a code with which the password can be set anew. The answer, and its time, are the same whether anybody has
   * the address: all that depends on it happens afterwards.
   * @throws InvalidInputError (no mail address), RateLimitedError
   */
  async requestReset(email: string, client: Client): Promise<void> {
    const fault = emailFault(email);
    if (fault) throw InvalidInputError.at('input.email', fault);
    const key = emailKey(email);
    const block = addressBlock(client.address);
    await this.#options.throttle.consume('reset.pair', `${block} ${key}`);
    await this.#options.throttle.consume('reset.address', block);
    if (this.#mails.size >= MAILS_MAX) {
      this.#options.log.error(
        { underWay: this.#mails.size },
        'too many mails are under way: a password reset was dropped',
      );
      return;
    }
    const mail: Promise<void> = this.#mailCode(key, client)
      .catch((error: unknown) => this.#options.log.error({ err: error }, 'a password reset could not be mailed'))
      .finally(() => this.#mails.delete(mail));
    this.#mails.add(mail);
  }

  /**
   * Sets the password by a code from a mail, which works once.
   * @throws InvalidInputError, PermissionDeniedError (no such code, used, expired), RateLimitedError, UnavailableError
   */
  async reset(input: { readonly token: string; readonly newPassword: string }, client: Client): Promise<void> {
    const { storage, hasher, grants, throttle } = this.#options;
    const block = addressBlock(client.address);
    await throttle.consume('token.address', block);
    const tokenHash = hashToken(input.token);
    const user = await this.#userOf(storage.fork(), tokenHash);
    checkNewPassword(input.newPassword, user.username);
    const passwordHash = await hasher.hash(input.newPassword);
    const ended = await storage.transaction(async (em) => {
      await this.#userOf(em, tokenHash); // Another request may have used it meanwhile.
      const ended = await this.#replace(em, user, passwordHash, { by: 'mail', address: client.address });
      if (!ended) throw new PermissionDeniedError(BAD_CODE);
      return ended;
    });
    await throttle.refund('token.address', block);
    await grants.announceEnd(user.id, ended);
  }

  /** Resolves when no mail is under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#mails);
  }

  /** The ids of the grants that ended; null when the password is no longer the one that was looked at, or the user is disabled. */
  async #replace(
    em: EntityManager,
    seen: User,
    passwordHash: string,
    detail: { readonly by: 'password' | 'mail'; readonly address: string },
  ): Promise<string[] | null> {
    const user = await em.findOneOrFail(User, seen.id, { lockMode: LockMode.PESSIMISTIC_WRITE });
    if (user.passwordHash !== seen.passwordHash || user.disabledAt) return null;
    user.passwordHash = passwordHash;
    const ended = await this.#options.grants.end(em, user.id, { sessions: 'all', apiKeys: 'all' });
    await em.nativeUpdate(PasswordReset, { userId: user.id, usedAt: null }, { usedAt: this.#options.clock.now() });
    await this.#options.audit.record({ userId: user.id, action: 'password.change', detail }, em);
    return ended;
  }

  async #userOf(em: EntityManager, tokenHash: string): Promise<User> {
    const lock = em.isInTransaction() ? { lockMode: LockMode.PESSIMISTIC_WRITE as const } : {};
    const code = await em.findOne(PasswordReset, { tokenHash }, lock);
    const user = code && (await em.findOne(User, code.userId));
    if (!user || user.disabledAt || code.usedAt || code.expiresAt <= this.#options.clock.now()) {
      throw new PermissionDeniedError(BAD_CODE);
    }
    return user;
  }

  async #mailCode(key: string, client: Client): Promise<void> {
    await new Promise(setImmediate); // The answer is on its way first.
    const { storage, clock, audit, mailer, throttle, log } = this.#options;
    const user = await storage.fork().findOne(User, { emailKey: key });
    if (!user?.email || user.disabledAt) return;
    try {
      await throttle.consume('reset.email', key);
    } catch (error) {
      if (!(error instanceof RateLimitedError)) throw error;
      log.warn(
        { userId: user.id },
        'too many password resets were asked for this user: no more are mailed for a while',
      );
      return;
    }

    const token = newToken();
    const now = clock.now();
    await storage.transaction(async (em) => {
      // Codes that were mailed before stay good: else a stranger who asks again could make the owner's worthless.
      await em.nativeDelete(PasswordReset, { userId: user.id, expiresAt: { $lt: now } });
      const expiresAt = addMs(now, RESET_CODE_MS);
      em.create(PasswordReset, { userId: user.id, tokenHash: hashToken(token), createdAt: now, expiresAt });
      await audit.record({ userId: user.id, action: 'password.requestReset', detail: { address: client.address } }, em);
    });
    await mailer.send({ to: user.email, subject: 'Reset your PanQL password', text: resetText(user, token) });
  }
}

const BAD_CODE = 'This reset code is wrong, was used, or has expired. Ask for a new one.';

function checkNewPassword(password: string, username: string): void {
  const fault = passwordFault(password, username);
  if (fault) throw InvalidInputError.at('input.newPassword', fault);
}

const resetText = ({ displayName, username }: User, token: string): string => `Hello ${displayName},

somebody, probably you, asked to reset the password of the PanQL user ${username}.
Give this code to your app, within ${RESET_CODE_MS / 60_000} minutes:

${token}

It works once. Setting a new password signs out every device and ends every API key.
If it was not you, do nothing: without the code nothing changes.
`;
