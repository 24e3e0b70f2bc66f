import type { RegistrationMode } from '../../config.ts';
import type { EventBus } from '../../events/bus.ts';
import { addMs, type Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { Invitation, PasswordReset, Session } from '../../storage/entities/identity.ts';
import type { Storage } from '../../storage/orm.ts';
import type { KeyRing } from '../../vault/keyring.ts';
import type { Audit } from '../audit.ts';
import type { Mailer } from '../mail.ts';
import type { Throttle } from '../throttle.ts';
import type { Viewer } from '../viewer.ts';
import { AccessTokens } from './access-tokens.ts';
import { ApiKeys } from './api-keys.ts';
import { Grants } from './grants.ts';
import { Invitations } from './invitations.ts';
import { PasswordChanges } from './password-changes.ts';
import { type PasswordCost, PasswordHasher } from './passwords.ts';
import { Registration } from './registration.ts';
import { Sessions } from './sessions.ts';
import { SignIn } from './sign-in.ts';
import { Users } from './users.ts';

export interface IdentityOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly log: Logger;
  readonly keys: KeyRing;
  readonly events: Pick<EventBus, 'publish'>;
  readonly audit: Audit;
  readonly throttle: Throttle;
  readonly registration: RegistrationMode;
  readonly mailer: Mailer;
  /** For tests: what a password hash costs. */
  readonly passwordCost?: PasswordCost | undefined;
}

/** Who people are: users, their sessions and keys. */
export interface Identity {
  /** Who presents an access token or API key; null when it does not count, or no longer. */
  authenticate(token: string): Promise<Viewer | null>;
  readonly registration: Registration;
  readonly signIn: SignIn;
  readonly sessions: Sessions;
  readonly passwords: PasswordChanges;
  readonly apiKeys: ApiKeys;
  readonly invitations: Invitations;
  readonly users: Users;
  /** One queue for all that people choose as a secret: so much is hashed at one time, whatever it opens. */
  readonly hasher: PasswordHasher;
  /** Removes what ended long ago. */
  sweep(): Promise<void>;
  /** Resolves when nothing goes on in the background. */
  settled(): Promise<void>;
}

export async function createIdentity(options: IdentityOptions): Promise<Identity> {
  const accessTokens = new AccessTokens(options.keys, options.clock);
  const hasher = await PasswordHasher.create(options.clock, options.passwordCost);
  const grants = new Grants({ ...options, accessTokens });
  const sessions = new Sessions({ ...options, accessTokens, grants });
  const passwords = new PasswordChanges({ ...options, hasher, sessions, grants });
  return {
    authenticate: (token) => grants.authenticate(token),
    sessions,
    hasher,
    registration: new Registration({ ...options, mode: options.registration, hasher, sessions }),
    signIn: new SignIn({ ...options, hasher, sessions }),
    passwords,
    apiKeys: new ApiKeys({ ...options, grants }),
    invitations: new Invitations(options),
    users: new Users({ ...options, grants }),
    sweep: () => sweep(options.storage, options.clock),
    settled: () => passwords.settled(),
  };
}

/** How long an ended session is kept: its addresses stay known that long, and an old refresh token is recognised. */
const ENDED_KEPT_MS = 30 * 86_400_000;

async function sweep(storage: Storage, clock: Clock): Promise<void> {
  const now = clock.now();
  const before = addMs(now, -ENDED_KEPT_MS);
  const em = storage.fork();
  await em.nativeDelete(Session, { $or: [{ expiresAt: { $lt: before } }, { revokedAt: { $lt: before } }] });
  await em.nativeDelete(PasswordReset, { expiresAt: { $lt: now } });
  await em.nativeDelete(Invitation, { expiresAt: { $lt: before } });
}
