import { LockMode, UniqueConstraintViolationException } from '@mikro-orm/core';
import type { RegistrationMode } from '../../config.ts';
import { createRoot } from '../../drives/local/root.ts';
import type { Clock } from '../../lib/clock.ts';
import { AlreadyExistsError, type InputIssue, InvalidInputError, PermissionDeniedError } from '../../lib/errors.ts';
import { hashToken } from '../../lib/ids.ts';
import { emailKey, usernameKey } from '../../lib/names.ts';
import { Account } from '../../storage/entities/account.ts';
import { Invitation, User } from '../../storage/entities/identity.ts';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import type { Audit } from '../audit.ts';
import { addressBlock, type Throttle } from '../throttle.ts';
import { cleanUsername, displayNameFault, emailFault, usernameFault } from './names.ts';
import { type PasswordHasher, passwordFault } from './passwords.ts';
import type { Client, Sessions, SessionTokens } from './sessions.ts';

export interface RegisterInput {
  readonly username: string;
  readonly password: string;
  readonly displayName?: string | null | undefined;
  readonly email?: string | null | undefined;
  /** Needed where registration is by invitation. */
  readonly invitationCode?: string | null | undefined;
}

export interface RegistrationOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly mode: RegistrationMode;
  readonly hasher: PasswordHasher;
  readonly sessions: Sessions;
  readonly audit: Audit;
  readonly throttle: Throttle;
}

/** Number of the lock that lets one registration decide at a time whether it is the first. */
const REGISTRATION_LOCK = 7_261_945;

/** The label of every user's own drive. */
const BUILT_IN_LABEL = 'Built-in drive';

/** New users, each with a built-in drive. */
export class Registration {
  readonly #options: RegistrationOptions;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /**
   * Makes the user, the built-in drive and a session, or none of them. The first user is ADMIN and needs no permission.
   * @throws InvalidInputError, AlreadyExistsError (username or mail address), PermissionDeniedError (closed, or no good
   *   invitation), RateLimitedError, UnavailableError
   */
  async register(input: RegisterInput, client: Client): Promise<{ user: User; session: SessionTokens }> {
    const { throttle, hasher, storage } = this.#options;
    await throttle.consume('register.address', addressBlock(client.address));
    const profile = checkedProfile(input);
    const code = input.invitationCode ?? null;
    await this.#checkPermission(storage.fork(), code); // Before the costly hash; again below, where it counts.
    const passwordHash = await hasher.hash(input.password);
    try {
      return await storage.transaction(async (em) => {
        if (storage.dialect === 'postgres') await em.execute('select pg_advisory_xact_lock(?)', [REGISTRATION_LOCK]);
        const { isFirst, invitation } = await this.#checkPermission(em, code);
        const user = await this.#create(em, { ...profile, passwordHash, role: isFirst ? 'ADMIN' : 'USER' });
        if (invitation) {
          invitation.usedBy = user.id;
          invitation.usedAt = user.createdAt;
        }
        const detail = { role: user.role, address: client.address };
        await this.#options.audit.record({ userId: user.id, action: 'user.register', detail }, em);
        return { user, session: this.#options.sessions.open(em, user.id, client, false) };
      });
    } catch (error) {
      if (!(error instanceof UniqueConstraintViolationException)) throw error;
      throw await this.#taken(profile, error);
    }
  }

  async #checkPermission(em: EntityManager, code: string | null) {
    const isFirst = (await em.find(User, {}, { fields: ['id'], limit: 1 })).length === 0;
    if (isFirst || this.#options.mode === 'open') return { isFirst, invitation: null };
    if (this.#options.mode === 'closed') {
      throw new PermissionDeniedError('Registration is closed on this server. Ask its administrator for access.');
    }
    const lockMode = em.isInTransaction() ? LockMode.PESSIMISTIC_WRITE : LockMode.NONE;
    const invitation = code && (await em.findOne(Invitation, { codeHash: hashToken(code) }, { lockMode }));
    if (!invitation || invitation.usedAt || invitation.expiresAt <= this.#options.clock.now()) {
      throw new PermissionDeniedError(
        'Registration needs an invitation that is unused and not expired. Ask the administrator of this server for one.',
      );
    }
    return { isFirst, invitation };
  }

  async #create(em: EntityManager, profile: Profile & Pick<User, 'passwordHash' | 'role'>): Promise<User> {
    const now = this.#options.clock.now();
    const user = em.create(User, { ...profile, createdAt: now });
    const account = em.create(Account, {
      ownerId: user.id,
      provider: 'LOCAL',
      label: BUILT_IN_LABEL,
      shared: false,
      status: 'ACTIVE',
      settings: {},
      createdAt: now,
      updatedAt: now,
    });
    await em.flush();
    await createRoot(em, account.id, now);
    return user;
  }

  /** Which of the two was taken. Asked after the fact: asked before, another request could take it meanwhile. */
  async #taken(profile: Profile, cause: Error): Promise<Error> {
    const user = await this.#options.storage.fork().findOne(User, { usernameKey: profile.usernameKey });
    if (user) return new AlreadyExistsError('This username, or one that looks like it, is taken.', { cause });
    return new AlreadyExistsError('This mail address is in use. Sign in, or reset the password.', { cause });
  }
}

type Profile = Pick<User, 'username' | 'usernameKey' | 'displayName'> & {
  email: string | null;
  emailKey: string | null;
};

/** @throws InvalidInputError naming every fault. */
function checkedProfile(input: RegisterInput): Profile {
  const username = cleanUsername(input.username);
  const displayName = input.displayName?.trim() || username;
  const email = input.email?.trim() || null;
  const faults: Record<string, string | null> = {
    username: usernameFault(username),
    password: passwordFault(input.password, username),
    // One that the username stands in for has the faults of the username, told above.
    displayName: displayName === username ? null : displayNameFault(displayName),
    email: email === null ? null : emailFault(email),
  };
  const issues = Object.entries(faults).flatMap(([field, message]): InputIssue[] =>
    message === null ? [] : [{ path: ['input', field], message }],
  );
  if (issues.length > 0) throw new InvalidInputError(issues);
  return {
    username,
    usernameKey: usernameKey(username),
    displayName,
    email,
    emailKey: email === null ? null : emailKey(email),
  };
}
