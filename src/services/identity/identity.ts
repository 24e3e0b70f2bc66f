import type { RegistrationMode } from '../../config.ts';
import type { EventBus } from '../../events/bus.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Storage } from '../../storage/orm.ts';
import type { KeyRing } from '../../vault/keyring.ts';
import type { Audit } from '../audit.ts';
import type { Throttle } from '../throttle.ts';
import type { Viewer } from '../viewer.ts';
import { AccessTokens } from './access-tokens.ts';
import { Grants } from './grants.ts';
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
  readonly users: Users;
  /** Waits for what goes on in the background. */
  close(): Promise<void>;
}

export async function createIdentity(options: IdentityOptions): Promise<Identity> {
  const accessTokens = new AccessTokens(options.keys, options.clock);
  const hasher = await PasswordHasher.create(options.clock, options.passwordCost);
  const grants = new Grants({ ...options, accessTokens });
  const sessions = new Sessions({ ...options, accessTokens, grants });
  return {
    authenticate: (token) => grants.authenticate(token),
    sessions,
    registration: new Registration({ ...options, mode: options.registration, hasher, sessions }),
    signIn: new SignIn({ ...options, hasher, sessions }),
    users: new Users(options),
    close: async () => {},
  };
}
