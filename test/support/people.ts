import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { usernameKey } from '../../src/lib/names.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { User } from '../../src/storage/entities/identity.ts';
import type { TestApp } from './app.ts';

/** A registered user, signed in. */
export interface Person {
  readonly username: string;
  readonly password: string;
  /** Access token. */
  readonly token: string;
  readonly refreshToken: string;
  /** Row id. */
  readonly userId: string;
  /** Row id of the built-in drive's account. */
  readonly accountRowId: string;
  /** Global id of the same. */
  readonly accountId: string;
}

const REGISTER = `mutation ($input: RegisterInput!) {
  register(input: $input) {
    __typename
    ... on RegisterPayload { user { id } session { accessToken refreshToken } }
    ... on UserError { code message }
  }
}`;

/** Registers a user as a client does. The first one of a server is its administrator. */
export async function registerUser(
  app: TestApp,
  name = `user-${randomBytes(4).toString('hex')}`,
  more: { readonly email?: string; readonly password?: string; readonly invitationCode?: string } = {},
): Promise<Person> {
  const password = more.password ?? `secret of ${name}`;
  const answer = await app.graphql(REGISTER, { input: { username: name, ...more, password } });
  const registered = answer.data?.register;
  assert.equal(registered?.__typename, 'RegisterPayload', `could not register ${name}: ${JSON.stringify(answer)}`);
  const em = app.app.storage.fork();
  const user = await em.findOneOrFail(User, { usernameKey: usernameKey(name) });
  const account = await em.findOneOrFail(Account, { ownerId: user.id, provider: 'LOCAL' });
  return {
    username: name,
    password,
    token: registered.session.accessToken,
    refreshToken: registered.session.refreshToken,
    userId: user.id,
    accountRowId: account.id,
    accountId: encodeGlobalId('CloudAccount', account.id),
  };
}
