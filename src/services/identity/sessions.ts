import { createHmac } from 'node:crypto';
import { LockMode } from '@mikro-orm/core';
import { addMs, type Clock } from '../../lib/clock.ts';
import { NotFoundError, PermissionDeniedError } from '../../lib/errors.ts';
import { hashToken, isRowId, newToken } from '../../lib/ids.ts';
import { Session, User } from '../../storage/entities/identity.ts';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import type { KeyRing } from '../../vault/keyring.ts';
import type { Audit } from '../audit.ts';
import type { ItemPage, PageQuery } from '../pages.ts';
import { BY_ID, rowPage } from '../row-pages.ts';
import { addressBlock, type Throttle } from '../throttle.ts';
import type { Viewer } from '../viewer.ts';
import type { AccessTokens } from './access-tokens.ts';
import type { Grants } from './grants.ts';

const DAY_MS = 86_400_000;
/** Life of a session that is not used; each refresh begins it anew. */
export const SESSION_MS = DAY_MS;
/** The same for a sign-in with `remember`. */
export const REMEMBERED_SESSION_MS = 90 * DAY_MS;
/**
 * How long the refresh token before the current one gives the same answer again: a client that lost the answer asks
 * again at once, and two tabs wake at the same moment.
 */
export const REFRESH_GRACE_MS = 30_000;

/** Who is at the other end, for the list of sessions and for throttling. */
export interface Client {
  readonly address: string;
  readonly userAgent: string | null;
}

/** What a client needs to go on: the pair is shown once and kept nowhere in clear. */
export interface SessionTokens {
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
  readonly refreshToken: string;
  readonly refreshTokenExpiresAt: Date;
}

export interface SessionsOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly keys: KeyRing;
  readonly accessTokens: AccessTokens;
  readonly grants: Grants;
  readonly audit: Audit;
  readonly throttle: Throttle;
}

/** Sign-ins and their refresh tokens. */
export class Sessions {
  readonly #options: SessionsOptions;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** A new session, in the caller's transaction, which has checked that the user may sign in. */
  open(em: EntityManager, userId: string, client: Client, remember: boolean): SessionTokens {
    const now = this.#options.clock.now();
    const token = { family: newToken(), secret: newToken() };
    const session = em.create(Session, {
      userId,
      familyHash: hashToken(token.family),
      refreshHash: hashToken(token.secret),
      rotatedAt: now,
      remember,
      userAgent: client.userAgent?.slice(0, USER_AGENT_MAX) ?? null,
      address: client.address.slice(0, ADDRESS_MAX),
      createdAt: now,
      lastUsedAt: now,
      expiresAt: addMs(now, lifetimeMs(remember)),
    });
    return this.#tokensOf(session, token);
  }

  /**
   * Exchanges a refresh token for the next pair. A token works once; within {@link REFRESH_GRACE_MS}, and as long as its
   * successor was not used, it gives that same successor again. Any other use of an old token ends the session: it is in
   * two hands, and nobody can tell whose is right.
   * @throws PermissionDeniedError when the session has ended, or ends by this.
   */
  async refresh(refreshToken: string, client: Client): Promise<SessionTokens> {
    const { storage, throttle, grants } = this.#options;
    const block = addressBlock(client.address);
    await throttle.consume('token.address', block);
    const token = parseRefreshToken(refreshToken);
    const outcome = token && (await storage.transaction((em) => this.#exchange(em, token, client)));
    if (!outcome) throw new PermissionDeniedError('This session has ended. Sign in again.');
    if ('reusedSession' in outcome) {
      await grants.announceEnd(outcome.userId, [outcome.reusedSession]);
      throw new PermissionDeniedError(
        'This refresh token was used before, so the session has been ended for safety. Sign in again.',
      );
    }
    await throttle.refund('token.address', block);
    return outcome;
  }

  /** Ends the viewer's session, or all of the user's. API keys go on: they are revoked one by one. */
  async logout(viewer: Viewer, everywhere: boolean): Promise<void> {
    await this.#end(viewer, everywhere ? 'all' : [viewer.grantId], everywhere ? 'session.closeAll' : 'session.close');
  }

  /** Ends one session of the viewer. @throws NotFoundError */
  async revoke(viewer: Viewer, id: string): Promise<void> {
    const ended = isRowId(id) ? await this.#end(viewer, [id], 'session.revoke') : [];
    if (ended.length === 0) throw new NotFoundError('There is no such session, or it has ended.');
  }

  /** The viewer's sessions that go on, newest first. */
  page(viewer: Viewer, query: PageQuery): Promise<ItemPage<Session>> {
    const { storage, clock } = this.#options;
    const live = { userId: viewer.userId, revokedAt: null, expiresAt: { $gt: clock.now() } };
    return rowPage(query, BY_ID, (behind, limit) =>
      storage
        .fork()
        .find(Session, { ...live, ...(behind ? { id: { $lt: behind } } : {}) }, { orderBy: { id: 'desc' }, limit }),
    );
  }

  async #end(viewer: Viewer, which: string[] | 'all', action: string): Promise<readonly string[]> {
    const { storage, grants, audit } = this.#options;
    const { userId } = viewer;
    const ended = await storage.transaction(async (em) => {
      const ended = await grants.end(em, userId, { sessions: which, apiKeys: [] });
      if (ended.length > 0) await audit.record({ userId, action, detail: { sessionIds: ended } }, em);
      return ended;
    });
    await grants.announceEnd(userId, ended);
    return ended;
  }

  async #exchange(
    em: EntityManager,
    token: RefreshToken,
    client: Client,
  ): Promise<SessionTokens | { readonly reusedSession: string; readonly userId: string } | null> {
    const now = this.#options.clock.now();
    const familyHash = hashToken(token.family);
    const session = await em.findOne(Session, { familyHash }, { lockMode: LockMode.PESSIMISTIC_WRITE });
    if (!session || session.revokedAt || session.expiresAt <= now) return null;
    const user = await em.findOneOrFail(User, session.userId);
    if (user.disabledAt) return null;

    const presented = hashToken(token.secret);
    if (presented === session.refreshHash) {
      const successor = this.#successors(token)[0] ?? '';
      session.previousRefreshHash = session.refreshHash;
      session.refreshHash = hashToken(successor);
      session.rotatedAt = now;
      session.lastUsedAt = now;
      session.expiresAt = addMs(now, lifetimeMs(session.remember));
      session.address = client.address.slice(0, ADDRESS_MAX);
      return this.#tokensOf(session, { family: token.family, secret: successor });
    }
    if (presented === session.previousRefreshHash && now <= addMs(session.rotatedAt, REFRESH_GRACE_MS)) {
      const successor = this.#successors(token).find((secret) => hashToken(secret) === session.refreshHash);
      if (successor) return this.#tokensOf(session, { family: token.family, secret: successor });
    }

    session.revokedAt = now;
    const detail = { sessionId: session.id, address: client.address };
    await this.#options.audit.record({ userId: user.id, action: 'session.reuse', detail }, em);
    return { reusedSession: session.id, userId: user.id };
  }

  /**
   * What may follow a token, by the current key first. Derived, not drawn: so the same question gets the same answer
   * within the grace, while only hashes are stored. Without our key the next token cannot be known from the last.
   */
  #successors({ family, secret }: RefreshToken): string[] {
    return this.#options.keys.keys.map(({ key }) =>
      createHmac('sha256', key.reveal()).update(`refresh token\0${family}\0${secret}`).digest('base64url'),
    );
  }

  #tokensOf(session: Session, { family, secret }: RefreshToken): SessionTokens {
    const access = this.#options.accessTokens.issue(session);
    return {
      accessToken: access.token,
      accessTokenExpiresAt: access.expiresAt,
      refreshToken: `${family}.${secret}`,
      refreshTokenExpiresAt: session.expiresAt,
    };
  }
}

/** Column widths. */
const USER_AGENT_MAX = 512;
const ADDRESS_MAX = 64;

interface RefreshToken {
  /** Stays the same for the life of the session. */
  readonly family: string;
  /** Rotates. */
  readonly secret: string;
}

const REFRESH_TOKEN = /^([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

function parseRefreshToken(text: string): RefreshToken | null {
  const [, family, secret] = REFRESH_TOKEN.exec(text) ?? [];
  return family && secret ? { family, secret } : null;
}

const lifetimeMs = (remember: boolean): number => (remember ? REMEMBERED_SESSION_MS : SESSION_MS);
