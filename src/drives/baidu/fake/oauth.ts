import type { Call, Endpoint, Fields } from './wire.ts';
import { OAuthRefusal, Reply } from './wire.ts';
import type { User, World } from './world.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const ACCESS_TOKEN_MS = 30 * DAY_MS;
const REFRESH_TOKEN_MS = 3650 * DAY_MS;
const CODE_MS = 10 * MINUTE_MS;
const DEVICE_CODE_MS = 300_000;
const POLL_INTERVAL_MS = 5000;

export interface App {
  readonly clientId: string;
  readonly clientSecret: string;
  /** For `/apaas/…`: another number than the key. */
  readonly appId: string;
  readonly redirectUris: readonly string[];
}

export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
}

interface Token {
  readonly user: User;
  readonly scope: string;
  expiresAt: number;
  state: 'live' | 'used' | 'revoked';
}

interface Code extends Token {
  readonly redirectUri: string;
}

/** A flow that waits for a person. */
export interface DeviceFlow {
  readonly deviceCode: string;
  readonly userCode: string;
  readonly scope: string;
  readonly expiresAt: number;
  intervalMs: number;
  lastPollAt: number | null;
  state: 'waiting' | 'scanned' | 'approved' | 'declined' | 'redeemed';
  user: User | null;
  polls: number;
}

/** Grants of the one application that this fake knows. */
export class OAuth {
  readonly app: App;
  readonly devices: DeviceFlow[] = [];
  /** Successful refreshes. */
  refreshes = 0;
  /** Who confirms the browser flow; null: the person refuses. */
  visitor: User | null = null;
  readonly #world: World;
  readonly #access = new Map<string, Token>();
  readonly #refresh = new Map<string, Token>();
  readonly #codes = new Map<string, Code>();

  constructor(world: World, app: App) {
    this.#world = world;
    this.app = app;
  }

  /** A pair as any of the grants gives it. */
  grant(user: User, scope = 'basic netdisk'): TokenPair {
    const pair = { accessToken: this.#world.nonce('at-'), refreshToken: this.#world.nonce('rt-') };
    const now = this.#world.nowMs;
    this.#access.set(pair.accessToken, { user, scope, expiresAt: now + ACCESS_TOKEN_MS, state: 'live' });
    this.#refresh.set(pair.refreshToken, { user, scope, expiresAt: now + REFRESH_TOKEN_MS, state: 'live' });
    return pair;
  }

  /** Who a token stands for, or why it stands for nobody. */
  check(accessToken: string): User | 'unknown' | 'expired' | 'revoked' | 'scope' {
    const token = this.#access.get(accessToken);
    if (!token) return 'unknown';
    if (token.state === 'revoked') return 'revoked';
    if (token.expiresAt <= this.#world.nowMs) return 'expired';
    return token.scope.split(' ').includes('netdisk') ? token.user : 'scope';
  }

  expireTokens(user?: User): void {
    for (const token of this.#access.values()) if (!user || token.user === user) token.expiresAt = 0;
  }

  /** The person took the grant back: neither token works any more. */
  revoke(user: User): void {
    for (const token of [...this.#access.values(), ...this.#refresh.values()]) {
      if (token.user === user && token.state === 'live') token.state = 'revoked';
    }
  }

  isRefreshable(refreshToken: string): boolean {
    return this.#refresh.get(refreshToken)?.state === 'live';
  }

  issueCode(user: User, redirectUri: string, scope = 'basic netdisk'): string {
    const code = this.#world.nonce('code');
    this.#codes.set(code, { user, scope, redirectUri, expiresAt: this.#world.nowMs + CODE_MS, state: 'live' });
    return code;
  }

  endpoints(): Endpoint[] {
    const open = { role: 'openapi', envelope: 'oauth', requestId: 'text', auth: 'none', query: '*' } as const;
    return [
      {
        ...open,
        name: 'authorize',
        verbs: ['GET'],
        path: '/oauth/2.0/authorize',
        answer: (call) => this.#authorize(call.query),
      },
      {
        ...open,
        name: 'device-code',
        verbs: ['GET'],
        path: '/oauth/2.0/device/code',
        answer: (call) => this.#startDevice(call.query),
      },
      {
        ...open,
        name: 'device-qrcode',
        verbs: ['GET'],
        path: '/oauth/2.0/device/qrcode/*',
        answer: () => new Reply(200, { 'content-type': 'image/png' }, QR_IMAGE),
      },
      {
        ...open,
        name: (call) => tokenCallName(call),
        verbs: ['GET', 'POST'],
        path: '/oauth/2.0/token',
        form: '*',
        answer: (call) => this.#token(call.verb === 'GET' ? call.query : call.form),
      },
      ...(['expireSession', 'revokeAuthorization'] as const).map(
        (name): Endpoint => ({
          ...open,
          name,
          verbs: ['GET', 'POST'],
          path: `/rest/2.0/passport/auth/${name}`,
          form: '*',
          answer: (call) => this.#disconnect(call, name),
        }),
      ),
    ];
  }

  #authorize(query: URLSearchParams): Reply {
    const redirectUri = required(query, 'redirect_uri');
    if (required(query, 'client_id') !== this.app.clientId)
      throw new OAuthRefusal('invalid_client', 'unknown client id');
    if (redirectUri !== 'oob' && !this.app.redirectUris.includes(redirectUri)) {
      throw new OAuthRefusal('redirect_uri_mismatch', 'Invalid redirect uri');
    }
    if (required(query, 'response_type') !== 'code') {
      throw new OAuthRefusal('unsupported_response_type', 'The response type is not supported');
    }
    const scope = grantedScope(query);
    const code = this.visitor && this.issueCode(this.visitor, redirectUri, scope);
    if (redirectUri === 'oob') return new Reply(200, { 'content-type': 'text/html' }, `<p>${code ?? 'refused'}</p>`);
    const target = new URL(redirectUri);
    if (code === null) {
      target.searchParams.set('error', 'access_denied');
      target.searchParams.set('error_description', 'The user refused');
    } else target.searchParams.set('code', code);
    const state = query.get('state');
    if (state !== null) target.searchParams.set('state', state);
    return new Reply(302, { location: target.href });
  }

  #startDevice(query: URLSearchParams): Fields {
    if (required(query, 'response_type') !== 'device_code') {
      throw new OAuthRefusal('unsupported_response_type', 'The response type is not supported');
    }
    if (required(query, 'client_id') !== this.app.clientId)
      throw new OAuthRefusal('invalid_client', 'unknown client id');
    if (query.has('client_secret')) this.#world.violate('device/code was sent the secret');
    const flow: DeviceFlow = {
      deviceCode: this.#world.nonce('dc-'),
      userCode: this.#world.nonce('uc').replace('-', ''),
      scope: grantedScope(query),
      expiresAt: this.#world.nowMs + DEVICE_CODE_MS,
      intervalMs: POLL_INTERVAL_MS,
      lastPollAt: null,
      state: 'waiting',
      user: null,
      polls: 0,
    };
    this.devices.push(flow);
    const { openapi } = this.#world.urls;
    return {
      device_code: flow.deviceCode,
      user_code: flow.userCode,
      verification_url: `${openapi}/device`,
      qrcode_url: `${openapi}/oauth/2.0/device/qrcode/x/${flow.userCode}`,
      expires_in: DEVICE_CODE_MS / 1000,
      interval: POLL_INTERVAL_MS / 1000,
    };
  }

  #token(params: URLSearchParams): Fields {
    const grantType = required(params, 'grant_type');
    const clientKnown =
      required(params, 'client_id') === this.app.clientId &&
      required(params, 'client_secret') === this.app.clientSecret;
    if (!clientKnown) {
      // By the documents a refresh that failed leaves the old token dead.
      const token = this.#refresh.get(params.get('refresh_token') ?? '');
      if (token) token.state = 'revoked';
      throw new OAuthRefusal('invalid_client', 'Client authentication failed', 401);
    }
    if (grantType === 'authorization_code') return this.#redeemCode(params);
    if (grantType === 'device_token') return this.#pollDevice(required(params, 'code'));
    if (grantType === 'refresh_token') return this.#refreshed(required(params, 'refresh_token'));
    throw new OAuthRefusal('unsupported_grant_type', 'The grant type is not supported');
  }

  #redeemCode(params: URLSearchParams): Fields {
    const code = this.#codes.get(required(params, 'code'));
    const redirectUri = required(params, 'redirect_uri');
    const valid = code?.state === 'live' && code.expiresAt > this.#world.nowMs && code.redirectUri === redirectUri;
    if (!code || !valid) throw new OAuthRefusal('invalid_grant', 'Invalid authorization code');
    code.state = 'used';
    return this.#answer(code.user, code.scope);
  }

  #pollDevice(deviceCode: string): Fields {
    const flow = this.devices.find((device) => device.deviceCode === deviceCode);
    if (!flow || flow.state === 'redeemed') throw new OAuthRefusal('invalid_grant', 'Invalid device code');
    flow.polls += 1;
    const sincePollMs = flow.lastPollAt === null ? Number.POSITIVE_INFINITY : this.#world.nowMs - flow.lastPollAt;
    flow.lastPollAt = this.#world.nowMs;
    if (flow.expiresAt <= this.#world.nowMs) throw new OAuthRefusal('expired_token', 'device code has expired');
    if (sincePollMs <= flow.intervalMs) {
      flow.intervalMs += 5000;
      throw new OAuthRefusal('slow_down', 'The device is polling too frequently');
    }
    if (flow.state === 'declined')
      throw new OAuthRefusal('authorization_declined', 'User has declined the authorization');
    if (flow.state !== 'approved' || !flow.user) {
      throw new OAuthRefusal('authorization_pending', 'User has not yet completed the authorization');
    }
    flow.state = 'redeemed';
    return this.#answer(flow.user, flow.scope);
  }

  #refreshed(refreshToken: string): Fields {
    const token = this.#refresh.get(refreshToken);
    if (!token) throw new OAuthRefusal('invalid_grant', 'Invalid refresh token');
    if (token.state === 'used') throw new OAuthRefusal('expired_token', 'refresh token has been used');
    if (token.state === 'revoked') throw new OAuthRefusal('invalid_grant', 'The grant was taken back');
    if (token.expiresAt <= this.#world.nowMs) throw new OAuthRefusal('expired_token', 'refresh token has expired');
    token.state = 'used';
    this.refreshes += 1;
    return this.#answer(token.user, token.scope);
  }

  #answer(user: User, scope: string): Fields {
    const pair = this.grant(user, scope);
    return {
      access_token: pair.accessToken,
      expires_in: ACCESS_TOKEN_MS / 1000,
      refresh_token: pair.refreshToken,
      scope,
      session_key: '',
      session_secret: '',
    };
  }

  #disconnect(call: Call, name: 'expireSession' | 'revokeAuthorization'): Fields {
    const accessToken = call.query.get('access_token') ?? call.form.get('access_token') ?? '';
    const token = this.#access.get(accessToken);
    if (token?.state !== 'live')
      throw new OAuthRefusal('invalid_grant', 'Access token invalid or no longer valid', 401);
    if (name === 'revokeAuthorization') this.revoke(token.user);
    else token.state = 'revoked';
    return { result: '1' };
  }
}

function tokenCallName(call: Call): string {
  const grantType = (call.verb === 'GET' ? call.query : call.form).get('grant_type');
  if (grantType === 'refresh_token') return 'refresh';
  return grantType === 'device_token' ? 'device-token' : 'token';
}

function required(params: URLSearchParams, name: string): string {
  const value = params.get(name);
  if (!value) throw new OAuthRefusal('invalid_request', `The parameter ${name} is missing`);
  return value;
}

/** Asked for with commas, granted with blanks. */
function grantedScope(params: URLSearchParams): string {
  const scopes = required(params, 'scope').split(',');
  const known = scopes.every((scope) => scope === 'basic' || scope === 'netdisk');
  if (!known) throw new OAuthRefusal('invalid_scope', 'The requested scope is invalid');
  return scopes.join(' ');
}

/** The smallest PNG: one pixel. */
const QR_IMAGE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
