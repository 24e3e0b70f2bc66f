import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Call, Endpoint, Success } from './wire.ts';
import { Refusal, Reply } from './wire.ts';
import type { User, World } from './world.ts';

const DEVICE_MS = 300_000;
const CODE_MS = 10 * 60_000;
const REFRESH_MS = 365 * 86_400_000;
/** A second refresh of one authorization within this time is too soon. */
const REFRESH_INTERVAL_MS = 60_000;
/** A refresh token that failed so often is dead for good. */
const FAILURES_MAX = 3;

export interface App {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Domains that a redirect may lead to. */
  readonly redirectHosts: readonly string[];
}

export interface DeviceFlow {
  readonly uid: string;
  readonly time: number;
  readonly sign: string;
  readonly challenge: string;
  readonly method: 'sha256' | 'sha1' | 'md5';
  readonly expiresAt: number;
  state: 'waiting' | 'scanned' | 'approved' | 'cancelled' | 'redeemed';
  /** The state that was told last. */
  told: string;
  user: User | null;
}

interface Grant {
  readonly user: User;
  access: string;
  accessExpiresAt: number;
  refresh: string;
  readonly refreshExpiresAt: number;
  /** 0: never. */
  refreshedAt: number;
  state: 'live' | 'removed';
}

interface Code {
  readonly user: User;
  readonly redirectUri: string;
  readonly expiresAt: number;
  used: boolean;
}

/** Authorizations of the one application that this fake knows. */
export class OAuth {
  readonly app: App;
  readonly devices: DeviceFlow[] = [];
  /** Successful refreshes. */
  refreshes = 0;
  /** Who is signed in in the browser; null: nobody. */
  visitor: User | null = null;
  readonly #world: World;
  readonly #grants: Grant[] = [];
  readonly #codes = new Map<string, Code>();
  readonly #spent = new Map<string, Grant>();
  readonly #failures = new Map<string, number>();
  readonly #wakers = new Set<() => void>();

  constructor(world: World, app: App) {
    this.#world = world;
    this.app = app;
  }

  endpoints(): Endpoint[] {
    const passport = { role: 'passport', auth: 'none' } as const;
    return [
      {
        ...passport,
        name: 'authDeviceCode',
        verbs: ['POST'],
        path: '/open/authDeviceCode',
        form: 'client_id code_challenge code_challenge_method',
        answer: (call) => this.#startDevice(call),
      },
      {
        name: 'status',
        role: 'qrcode',
        auth: 'none',
        verbs: ['GET'],
        path: '/get/status/',
        query: 'uid time sign',
        answer: (call) => this.#status(call),
      },
      {
        ...passport,
        name: 'deviceCodeToToken',
        verbs: ['POST'],
        path: '/open/deviceCodeToToken',
        form: 'uid code_verifier',
        answer: (call) => this.#redeemDevice(call),
      },
      {
        ...passport,
        name: 'authorize',
        verbs: ['GET'],
        path: '/open/authorize',
        query: 'client_id redirect_uri response_type state',
        answer: (call) => this.#authorize(call),
      },
      {
        ...passport,
        name: 'authCodeToToken',
        verbs: ['POST'],
        path: '/open/authCodeToToken',
        form: 'client_id client_secret code redirect_uri grant_type',
        answer: (call) => this.#redeemCode(call),
      },
      {
        ...passport,
        name: 'refreshToken',
        verbs: ['POST'],
        path: '/open/refreshToken',
        form: 'refresh_token',
        answer: (call) => this.#refresh(call),
      },
    ];
  }

  /** A new authorization; the oldest of too many ends. */
  grant(user: User) {
    const world = this.#world;
    const grant: Grant = {
      user,
      access: '',
      accessExpiresAt: 0,
      refresh: '',
      refreshExpiresAt: world.nowMs + REFRESH_MS,
      refreshedAt: 0,
      state: 'live',
    };
    this.#renew(grant);
    this.#grants.push(grant);
    const live = this.#grants.filter((other) => other.user === user && other.state === 'live');
    for (const old of live.slice(0, -world.settings.grantsMax)) old.state = 'removed';
    return { accessToken: grant.access, refreshToken: grant.refresh };
  }

  /** Whose token it is. @throws Refusal with the number that the service would give. */
  check(token: string): User {
    const grant = this.#grants.find(({ access }) => access === token);
    if (!grant) throw new Refusal(token === '' ? 40100000 : 40140123, 'access_token 格式错误');
    if (grant.state === 'removed') throw new Refusal(40140125, 'access_token 无效');
    if (this.#world.nowMs >= grant.accessExpiresAt) throw new Refusal(40140125, 'access_token 无效');
    return grant.user;
  }

  expireTokens(user?: User): void {
    for (const grant of this.#grants) if (!user || grant.user === user) grant.accessExpiresAt = 0;
  }

  /** The person removes the authorizations. */
  revoke(user: User): void {
    for (const grant of this.#grants) if (grant.user === user) grant.state = 'removed';
  }

  /** What the person does whose device code it is. */
  setDevice(flow: DeviceFlow, state: DeviceFlow['state'], user: User | null): void {
    flow.state = state;
    flow.user = user;
    for (const wake of this.#wakers) wake();
  }

  #renew(grant: Grant): void {
    const world = this.#world;
    grant.access = world.nonce('at.');
    grant.refresh = world.nonce('rt.');
    grant.accessExpiresAt = world.nowMs + world.settings.accessTokenSeconds * 1000;
  }

  #tokens({ accessToken, refreshToken }: { accessToken: string; refreshToken: string }): Success {
    return {
      data: {
        access_token: accessToken,
        refresh_token: refreshToken,
        ...(this.#world.settings.tellsLifetime ? { expires_in: this.#world.settings.accessTokenSeconds } : {}),
      },
    };
  }

  #startDevice({ form }: Call): Success {
    const world = this.#world;
    if (form.get('client_id') !== this.app.clientId) throw new Refusal(40140100, 'client_id 错误');
    const challenge = form.get('code_challenge');
    if (!challenge) throw new Refusal(40140101, 'code_challenge 必填');
    const method = form.get('code_challenge_method') ?? '';
    if (method !== 'sha256' && method !== 'sha1' && method !== 'md5') throw new Refusal(40140102);
    const uid = world.nonce('dev');
    const flow: DeviceFlow = {
      uid,
      time: world.now,
      sign: createHash('sha1').update(uid).digest('hex'),
      challenge,
      method,
      expiresAt: world.nowMs + DEVICE_MS,
      state: 'waiting',
      told: 'waiting',
      user: null,
    };
    this.devices.push(flow);
    return { data: { uid, time: flow.time, sign: flow.sign, qrcode: `https://115.com/scan/dg-${uid}` } };
  }

  /** Held until something happens, or for a while. */
  async #status({ query, gone }: Call): Promise<Success> {
    const world = this.#world;
    const flow = this.devices.find(({ uid }) => uid === query.get('uid'));
    if (!flow || world.nowMs >= flow.expiresAt) throw new Refusal(40199002, '二维码已过期');
    if (query.get('sign') !== flow.sign || query.get('time') !== String(flow.time)) throw new Refusal(40140104);
    if (flow.told === flow.state) {
      const changed = new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#wakers.delete(wake);
          resolve();
        };
        this.#wakers.add(wake);
      });
      const timeout = delay(world.settings.longPollMs, undefined, { signal: gone, ref: false }).catch(() => undefined);
      await Promise.race([changed, timeout]);
    }
    flow.told = flow.state;
    const status = { waiting: null, scanned: 1, approved: 2, cancelled: -2, redeemed: 2 }[flow.state];
    return { data: status === null ? [] : { msg: '请确认', status, version: '1.0' } };
  }

  #redeemDevice({ form }: Call): Success {
    const flow = this.devices.find(({ uid }) => uid === form.get('uid'));
    if (!flow || flow.state === 'redeemed') throw new Refusal(40199002, '二维码已过期');
    const verifier = form.get('code_verifier') ?? '';
    if (verifier.length < 43 || verifier.length > 128) throw new Refusal(40140112);
    const hash = createHash(flow.method).update(verifier).digest();
    if (flow.challenge !== hash.toString('base64') && flow.challenge !== hash.toString('base64url')) {
      throw new Refusal(40140113);
    }
    if (flow.state !== 'approved' || !flow.user) throw new Refusal(40101017, '用户验证失败');
    flow.state = 'redeemed';
    return this.#tokens(this.grant(flow.user));
  }

  #authorize({ query }: Call): Reply {
    if (query.get('client_id') !== this.app.clientId) throw new Refusal(40140100);
    if (query.get('response_type') !== 'code') throw new Refusal(40140127);
    const target = this.#redirect(query.get('redirect_uri') ?? '');
    if (!this.visitor) return new Reply(302, { location: 'https://115.com/?mode=login' });
    const code = this.issueCode(this.visitor, query.get('redirect_uri') ?? '');
    target.searchParams.set('code', code);
    const state = query.get('state');
    if (state !== null) target.searchParams.set('state', state);
    return new Reply(302, { location: target.href });
  }

  #redirect(uri: string): URL {
    if (!/^https?:/.test(uri)) throw new Refusal(40140128);
    const url = URL.parse(uri);
    if (!url?.hostname) throw new Refusal(40140129);
    if (this.app.redirectHosts.length === 0) throw new Refusal(40140130);
    if (!this.app.redirectHosts.includes(url.hostname)) throw new Refusal(40140131);
    return url;
  }

  issueCode(user: User, redirectUri: string): string {
    const code = this.#world.nonce('code');
    this.#codes.set(code, { user, redirectUri, expiresAt: this.#world.nowMs + CODE_MS, used: false });
    return code;
  }

  #redeemCode({ form }: Call): Success {
    if (form.get('grant_type') !== 'authorization_code') throw new Refusal(40140132);
    if (form.get('client_id') !== this.app.clientId) throw new Refusal(40140135);
    if (form.get('client_secret') !== this.app.clientSecret) throw new Refusal(40140133);
    const code = this.#codes.get(form.get('code') ?? '');
    if (!code || code.used || this.#world.nowMs >= code.expiresAt) throw new Refusal(40140134);
    if (code.redirectUri !== form.get('redirect_uri')) throw new Refusal(40140136);
    code.used = true;
    return this.#tokens(this.grant(code.user));
  }

  #refresh({ form }: Call): Success {
    const world = this.#world;
    const token = form.get('refresh_token') ?? '';
    if (token === '') throw new Refusal(40100000, '参数缺失');
    const grant = this.#grants.find(({ refresh }) => refresh === token);
    const failure =
      grant?.state === 'removed'
        ? 40140116
        : grant && world.nowMs >= grant.refreshExpiresAt
          ? 40140119
          : grant
            ? null
            : 40140120;
    if (failure !== null) {
      const before = this.#failures.get(token) ?? 0;
      this.#failures.set(token, before + 1);
      // What failed for good must not come again.
      if (before > 0) world.violate(`a refresh token that was refused with ${failure} came again`);
      throw new Refusal(before >= FAILURES_MAX ? 40140137 : failure, 'refresh_token 检验失败');
    }
    if (!grant) throw new Error('unreachable');
    if (grant.refreshedAt > 0 && world.nowMs - grant.refreshedAt < REFRESH_INTERVAL_MS) {
      world.violate('tokens were refreshed twice within a minute');
      throw new Refusal(40140117, 'access_token 刷新太频繁');
    }
    this.#spent.set(token, grant);
    grant.refreshedAt = world.nowMs;
    this.#renew(grant);
    this.refreshes += 1;
    return this.#tokens({ accessToken: grant.access, refreshToken: grant.refresh });
  }
}
