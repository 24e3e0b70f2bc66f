import { randomBytes } from 'node:crypto';
import { type Call, type Endpoint, type Fields, Refusal, Reply, type Values, writeJson } from './wire.ts';
import type { User, World } from './world.ts';

/** An access token, and whose. */
export interface Grant {
  readonly kind: 'developer' | 'oauth';
  readonly user: User;
  readonly accessToken: string;
  readonly expiresAt: number;
  /** Why it counts no more, in the words of the service. */
  ended: string | null;
}

/** The application of an operator. */
export interface App {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUris: readonly string[];
}

const DAY_MS = 86_400_000;
const DEVELOPER_MS = 30 * DAY_MS;
const OAUTH_MS = 7_200_000;
const REFRESH_MS = 90 * DAY_MS;
/** Live tokens of one pair. */
const LIVE_MAX = 3;

/** Who may call, and until when. */
export class Auth {
  readonly grants: Grant[] = [];
  /** Logins by a pair, and refreshes. */
  logins = 0;
  refreshes = 0;
  readonly #world: World;
  readonly #app: App;
  readonly #codes = new Map<string, { readonly user: User; readonly redirectUri: string }>();
  readonly #refreshTokens = new Map<string, { readonly grant: Grant; readonly expiresAt: number }>();
  readonly #revoked = new Set<User>();

  constructor(world: World, app: App) {
    this.#world = world;
    this.#app = app;
  }

  endpoints(): Endpoint[] {
    return [
      {
        role: 'api',
        verb: 'POST',
        path: '/api/v1/access_token',
        auth: 'none',
        params: 'clientID:text! clientSecret:text!',
        answer: (_call, values) => this.#login(values),
      },
      {
        role: 'api',
        verb: 'POST',
        path: '/api/v1/oauth2/access_token',
        auth: 'none',
        place: 'query',
        params: 'client_id:text! client_secret:text! grant_type:text! code:text redirect_uri:text refresh_token:text',
        answer: (call, values) => this.#exchange(call, values),
      },
    ];
  }

  /** @throws Refusal 401 */
  check(call: Call): Grant {
    const [, token] = /^Bearer (\S+)$/.exec(call.headers.authorization ?? '') ?? [];
    if (token === undefined) this.#world.violate(`${call.path} came without a bearer token`);
    const grant = this.grants.find(({ accessToken }) => accessToken === token);
    const status = this.#world.settings.tokenStatus;
    if (!grant) throw new Refusal(401, 'access_token无效', status);
    if (grant.ended !== null) throw new Refusal(401, grant.ended, status);
    if (grant.expiresAt <= this.#world.now) throw new Refusal(401, 'token is expired', status);
    return grant;
  }

  developerToken(user: User): string {
    return this.#developerGrant(user).accessToken;
  }

  /** What the consent page gives. */
  issueCode(user: User, redirectUri: string): string {
    const code = randomBytes(12).toString('hex');
    this.#codes.set(code, { user, redirectUri });
    return code;
  }

  oauthTokens(user: User): { readonly accessToken: string; readonly refreshToken: string } {
    return this.#oauthGrant(user);
  }

  /** Access tokens end; what renews them does not. */
  expire(user: User): void {
    for (const grant of this.grants) if (grant.user === user) grant.ended ??= 'token is expired';
  }

  /** Support replaced the secret: nothing helps any more. */
  revoke(user: User): void {
    this.#revoked.add(user);
    for (const grant of this.grants) if (grant.user === user) grant.ended ??= 'access_token无效';
    for (const [token, { grant }] of this.#refreshTokens) if (grant.user === user) this.#refreshTokens.delete(token);
  }

  restore(user: User): void {
    this.#revoked.delete(user);
  }

  #login(values: Values): Fields {
    const user = this.#world.users.find(({ clientId }) => clientId === values.text('clientID'));
    if (!user || this.#revoked.has(user) || user.clientSecret !== values.text('clientSecret')) {
      throw new Refusal(1, 'clientId或clientSecret错误');
    }
    this.logins += 1;
    const { accessToken, expiresAt } = this.#developerGrant(user);
    const at = new Date(expiresAt + 8 * 3_600_000).toISOString().slice(0, 19);
    return { accessToken, expiredAt: `${at}+08:00` };
  }

  #developerGrant(user: User): Grant {
    const grant = this.#newGrant('developer', user, DEVELOPER_MS);
    const live = this.grants.filter((one) => one.kind === 'developer' && one.user === user && one.ended === null);
    // Oldest first: a fourth one pushes it out.
    for (const old of live.slice(0, Math.max(0, live.length - LIVE_MAX))) {
      old.ended = 'tokens number has exceeded the limit';
    }
    return grant;
  }

  #newGrant(kind: Grant['kind'], user: User, lifetimeMs: number): Grant {
    const part = () => randomBytes(24).toString('base64url');
    const accessToken = `${part()}.${part()}.${part()}`;
    const grant: Grant = { kind, user, accessToken, expiresAt: this.#world.now + lifetimeMs, ended: null };
    this.grants.push(grant);
    return grant;
  }

  #oauthGrant(user: User) {
    const grant = this.#newGrant('oauth', user, OAUTH_MS);
    const refreshToken = randomBytes(32).toString('base64url');
    this.#refreshTokens.set(refreshToken, { grant, expiresAt: this.#world.now + REFRESH_MS });
    return { accessToken: grant.accessToken, refreshToken };
  }

  /** Parameters in the query, no body, an answer without the envelope. */
  #exchange({ body }: Call, values: Values): Reply {
    if (body.length > 0) this.#world.violate('the token call of OAuth has a body');
    const fail = (error: string, description: string): Reply => json(400, { error, error_description: description });
    if (values.text('client_id') !== this.#app.clientId || values.text('client_secret') !== this.#app.clientSecret) {
      return json(200, { code: 1, message: 'appId或secretId错误', data: null, 'x-traceID': '' });
    }
    const user = this.#granted(values);
    if (!user) return fail('invalid_grant', 'the code or refresh token is invalid');
    const { accessToken, refreshToken } = this.#oauthGrant(user);
    return json(200, {
      token_type: 'Bearer',
      access_token: accessToken,
      refresh_token: refreshToken,
      expires_in: OAUTH_MS / 1000,
      scope: 'user:base,file:all:read,file:all:write',
    });
  }

  #granted(values: Values): User | null {
    if (values.text('grant_type') === 'authorization_code') {
      const code = this.#codes.get(values.text('code'));
      this.#codes.delete(values.text('code'));
      return code?.redirectUri === values.text('redirect_uri') && code ? code.user : null;
    }
    if (values.text('grant_type') !== 'refresh_token') return null;
    const held = this.#refreshTokens.get(values.text('refresh_token'));
    // It works once, and the old access token dies at once.
    this.#refreshTokens.delete(values.text('refresh_token'));
    if (!held || held.expiresAt <= this.#world.now) return null;
    held.grant.ended ??= 'access_token无效';
    this.refreshes += 1;
    return held.grant.user;
  }
}

const json = (status: number, fields: Fields): Reply =>
  new Reply(status, { 'content-type': 'application/json' }, writeJson(fields));
