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

const SESSION = 'session { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt }';
const USER_ERROR =
  '... on UserError { code message retryable retryAt } ... on InvalidInputError { issues { path message } }';

const DOCUMENTS = {
  register: `mutation ($input: RegisterInput!) {
    result: register(input: $input) { __typename ... on RegisterPayload { user { id username role } ${SESSION} } ${USER_ERROR} }
  }`,
  login: `mutation ($input: LoginInput!) {
    result: login(input: $input) { __typename ... on LoginPayload { user { id username role } ${SESSION} } ${USER_ERROR} }
  }`,
  refreshSession: `mutation ($input: RefreshSessionInput!) {
    result: refreshSession(input: $input) { __typename ... on RefreshSessionPayload { ${SESSION} } ${USER_ERROR} }
  }`,
  logout: `mutation ($input: LogoutInput!) {
    result: logout(input: $input) { __typename ... on LogoutPayload { ok } ${USER_ERROR} }
  }`,
  changePassword: `mutation ($input: ChangePasswordInput!) {
    result: changePassword(input: $input) { __typename ... on ChangePasswordPayload { ${SESSION} } ${USER_ERROR} }
  }`,
  requestPasswordReset: `mutation ($input: RequestPasswordResetInput!) {
    result: requestPasswordReset(input: $input) { __typename ... on RequestPasswordResetPayload { ok } ${USER_ERROR} }
  }`,
  resetPassword: `mutation ($input: ResetPasswordInput!) {
    result: resetPassword(input: $input) { __typename ... on ResetPasswordPayload { ok } ${USER_ERROR} }
  }`,
  revokeSession: `mutation ($input: RevokeSessionInput!) {
    result: revokeSession(input: $input) { __typename ... on RevokeSessionPayload { id } ${USER_ERROR} }
  }`,
  createApiKey: `mutation ($input: CreateApiKeyInput!) {
    result: createApiKey(input: $input) {
      __typename ... on CreateApiKeyPayload { secret apiKey { id name prefix scopes createdAt expiresAt lastUsedAt revokedAt } } ${USER_ERROR}
    }
  }`,
  revokeApiKey: `mutation ($input: RevokeApiKeyInput!) {
    result: revokeApiKey(input: $input) { __typename ... on RevokeApiKeyPayload { apiKey { id revokedAt } } ${USER_ERROR} }
  }`,
  setUserRole: `mutation ($input: SetUserRoleInput!) {
    result: setUserRole(input: $input) { __typename ... on SetUserRolePayload { user { id role } } ${USER_ERROR} }
  }`,
  disableUser: `mutation ($input: DisableUserInput!) {
    result: disableUser(input: $input) { __typename ... on DisableUserPayload { user { id disabledAt } } ${USER_ERROR} }
  }`,
  enableUser: `mutation ($input: EnableUserInput!) {
    result: enableUser(input: $input) { __typename ... on EnableUserPayload { user { id disabledAt } } ${USER_ERROR} }
  }`,
  createInvitation: `mutation ($input: CreateInvitationInput!) {
    result: createInvitation(input: $input) { __typename ... on CreateInvitationPayload { invitationCode expiresAt } ${USER_ERROR} }
  }`,
} as const;

/** The member of a mutation's union, with all its fields; UNAUTHENTICATED and the like stand in `error`. */
export interface Outcome {
  readonly __typename: string;
  /** Of a top-level error, or of the union's UserError. */
  readonly code?: string;
  readonly message?: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  readonly [field: string]: any;
}

/** Sends one of the mutations about identity, from an address where the server trusts its proxy. */
export async function identify(
  app: TestApp,
  mutation: keyof typeof DOCUMENTS,
  input: object,
  { token, address }: { readonly token?: string | undefined; readonly address?: string | undefined } = {},
): Promise<Outcome> {
  const headers: Record<string, string> = address ? { 'x-forwarded-for': address } : {};
  const answer = await app.graphql(DOCUMENTS[mutation], { input }, token, headers);
  if (answer.data?.result) return answer.data.result;
  const [error] = answer.errors ?? [];
  assert.ok(error, `no answer: ${JSON.stringify(answer)}`);
  return { __typename: 'error', message: error.message, ...error.extensions };
}

/** The username of whom the server takes the bearer of a token for, null for nobody. */
export async function whoIs(app: TestApp, token: string): Promise<string | null> {
  const { data } = await app.graphql('{ viewer { username } }', {}, token);
  return data?.viewer?.username ?? null;
}

/** Registers a user as a client does. The first one of a server is its administrator. */
export async function registerUser(
  app: TestApp,
  name = `user-${randomBytes(4).toString('hex')}`,
  more: { readonly email?: string; readonly password?: string; readonly invitationCode?: string } = {},
): Promise<Person> {
  const password = more.password ?? `secret of ${name}`;
  const registered = await identify(app, 'register', { username: name, ...more, password });
  assert.equal(registered.__typename, 'RegisterPayload', `could not register ${name}: ${JSON.stringify(registered)}`);
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

/** A new API key of somebody who is signed in. */
export async function createApiKey(
  app: TestApp,
  token: string,
  scopes: readonly string[],
  more: { readonly expiresAt?: Date } = {},
): Promise<{ readonly id: string; readonly secret: string }> {
  const made = await identify(app, 'createApiKey', { name: 'a key', scopes, ...more }, { token });
  assert.equal(made.__typename, 'CreateApiKeyPayload', JSON.stringify(made));
  return { id: made.apiKey.id, secret: made.secret };
}
