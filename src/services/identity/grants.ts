import { LockMode } from '@mikro-orm/core';
import type { EventBus } from '../../events/bus.ts';
import type { Clock } from '../../lib/clock.ts';
import { hashToken } from '../../lib/ids.ts';
import type { Logger } from '../../lib/log.ts';
import { API_SCOPES, ApiKey, Session, type User } from '../../storage/entities/identity.ts';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import type { Viewer } from '../viewer.ts';
import type { AccessTokens } from './access-tokens.ts';

/** What an API key begins with, so that scanners of leaked secrets can know it. */
export const API_KEY_PREFIX = 'panql_';
/** A session may do whatever its user may. */
const ALL_SCOPES: Viewer['scopes'] = new Set(API_SCOPES);
/** How exact `lastUsedAt` of a key is: a write for each request would cost more than the request. */
const LAST_USED_EVERY_MS = 60_000;

/** Every request passes here: a statement written out takes a twentieth of the time of one that is built anew. */
const SESSION_AND_USER = `select s.user_id, s.revoked_at, s.expires_at, u.role, u.disabled_at
  from sessions s join users u on u.id = s.user_id where s.id = ?`;

/** Times as the database gives them: milliseconds on SQLite, text on PostgreSQL. */
interface SessionRow {
  readonly user_id: string;
  readonly revoked_at: number | string | null;
  readonly expires_at: number | string;
  readonly role: User['role'];
  readonly disabled_at: number | string | null;
}

export interface GrantsOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly accessTokens: AccessTokens;
  readonly events: Pick<EventBus, 'publish'>;
  readonly log: Logger;
}

/** Sessions and API keys as rights: who presents what, and what has ended. */
export class Grants {
  readonly #options: GrantsOptions;

  constructor(options: GrantsOptions) {
    this.#options = options;
  }

  /**
   * Who presents this access token or API key; null when it is unknown, of another kind, changed, expired or revoked.
   * Asks the database each time, so that what has ended is refused at once.
   */
  authenticate(token: string): Promise<Viewer | null> {
    return token.startsWith(API_KEY_PREFIX) ? this.#byApiKey(token) : this.#bySession(token);
  }

  /** Ends sessions and, where asked, keys of a user, in the caller's transaction; gives their ids, to announce after it. */
  async end(em: EntityManager, userId: string, which: { sessions: string[] | 'all'; apiKeys: string[] | 'all' }) {
    const now = this.#options.clock.now();
    const live = (ids: string[] | 'all') => ({ userId, revokedAt: null, ...(ids === 'all' ? {} : { id: ids }) });
    // In one order, so that two that end the same grants wait for each other instead of blocking each other.
    const lock = { lockMode: LockMode.PESSIMISTIC_WRITE, orderBy: { id: 'asc' } } as const;
    const ended = [
      ...(await em.find(Session, live(which.sessions), lock)),
      ...(await em.find(ApiKey, live(which.apiKeys), lock)),
    ];
    for (const grant of ended) grant.revokedAt = now;
    await em.flush();
    return ended.map(({ id }) => id);
  }

  /** Tells open subscriptions and tickets; after the commit. */
  async announceEnd(userId: string, grantIds: readonly string[]): Promise<void> {
    if (grantIds.length > 0) await this.#options.events.publish('grant.revoked', { userId, grantIds });
  }

  async #bySession(token: string): Promise<Viewer | null> {
    const claims = this.#options.accessTokens.read(token);
    if (!claims) return null;
    const [row] = await this.#options.storage.read<SessionRow>(SESSION_AND_USER, [claims.sessionId]);
    if (!row || row.user_id !== claims.userId || row.revoked_at || row.disabled_at) return null;
    if (new Date(row.expires_at) <= this.#options.clock.now()) return null;
    return {
      userId: row.user_id,
      role: row.role,
      grantId: claims.sessionId,
      grant: 'session',
      scopes: ALL_SCOPES,
      expiresAt: claims.expiresAt,
    };
  }

  async #byApiKey(token: string): Promise<Viewer | null> {
    const row = await this.#rows()
      .selectFrom('ApiKey as k')
      .innerJoin('User as u', 'u.id', 'k.userId')
      .select(['k.id', 'k.userId', 'k.revokedAt', 'k.expiresAt', 'k.lastUsedAt', 'k.scopes'])
      .select(['u.role', 'u.disabledAt'])
      .where('k.hash', '=', hashToken(token))
      .executeTakeFirst();
    if (!row || this.#hasEnded(row)) return null;
    await this.#noteUse(row.id, row.lastUsedAt ?? null);
    return {
      userId: row.userId,
      role: row.role,
      grantId: row.id,
      grant: 'apiKey',
      scopes: new Set(row.scopes),
      expiresAt: row.expiresAt ?? null,
    };
  }

  #hasEnded(row: Pick<Session | ApiKey, 'revokedAt' | 'expiresAt'> & Pick<User, 'disabledAt'>): boolean {
    return Boolean(row.revokedAt || row.disabledAt || (row.expiresAt && row.expiresAt <= this.#options.clock.now()));
  }

  async #noteUse(id: string, lastUsedAt: Date | null): Promise<void> {
    const now = this.#options.clock.now();
    if (lastUsedAt && now.getTime() - lastUsedAt.getTime() < LAST_USED_EVERY_MS) return;
    try {
      await this.#options.storage.fork().nativeUpdate(ApiKey, { id }, { lastUsedAt: now });
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the use of an API key could not be noted'); // The key is good all the same.
    }
  }

  /**
   * Rows, not entities, which cost twice the time. Aliases of one letter:
   * with a table called `user`, the ORM's plugin takes a column `user_id` for the `id` of it.
   */
  #rows() {
    return this.#options.storage.fork().getKysely<{ Session: Session; ApiKey: ApiKey; User: User }>({
      tableNamingStrategy: 'entity',
      columnNamingStrategy: 'property',
      convertValues: true,
    });
  }
}
