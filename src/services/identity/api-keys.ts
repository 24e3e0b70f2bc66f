import { LockMode } from '@mikro-orm/core';
import type { Clock } from '../../lib/clock.ts';
import {
  ConflictError,
  type InputIssue,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
} from '../../lib/errors.ts';
import { hashToken, isRowId, newToken } from '../../lib/ids.ts';
import { ApiKey, type ApiScope, Session, User } from '../../storage/entities/identity.ts';
import type { Storage } from '../../storage/orm.ts';
import type { Audit } from '../audit.ts';
import type { ItemPage, PageQuery } from '../pages.ts';
import { BY_ID, rowPage } from '../row-pages.ts';
import type { Viewer } from '../viewer.ts';
import { API_KEY_PREFIX, type Grants } from './grants.ts';
import { displayNameFault } from './names.ts';

/** Keys that one user may have: enough for every program, few enough to look through. */
export const API_KEYS_MAX = 100;
/** Characters of a key that stay visible: its prefix and 6 of 43, which leave 220 bits unknown. */
const VISIBLE_CHARACTERS = API_KEY_PREFIX.length + 6;

export interface CreateApiKeyInput {
  readonly name: string;
  readonly scopes: readonly ApiScope[];
  /** Null: it does not end by itself. */
  readonly expiresAt?: Date | null | undefined;
}

export interface ApiKeysOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly grants: Grants;
  readonly audit: Audit;
}

/** Keys for programs: each may do less than its user, and ends by itself or by revocation. */
export class ApiKeys {
  readonly #options: ApiKeysOptions;

  constructor(options: ApiKeysOptions) {
    this.#options = options;
  }

  /**
   * A new key of the viewer. Its secret is in this answer only.
   * @throws InvalidInputError, PermissionDeniedError (ADMIN scope without the role), ConflictError (too many keys)
   */
  async create(viewer: Viewer, input: CreateApiKeyInput): Promise<{ apiKey: ApiKey; secret: string }> {
    const { storage, clock, audit } = this.#options;
    const now = clock.now();
    checkInput(input, now);
    const secret = `${API_KEY_PREFIX}${newToken()}`;
    const apiKey = await storage.transaction(async (em) => {
      const user = await em.findOneOrFail(User, viewer.userId, { lockMode: LockMode.PESSIMISTIC_WRITE });
      const session = await em.findOneOrFail(Session, viewer.grantId);
      // A password change may just have ended all keys: a session that it ended must not leave one behind.
      if (session.revokedAt || user.disabledAt)
        throw new PermissionDeniedError('This session has ended. Sign in again.');
      if (input.scopes.includes('ADMIN') && user.role !== 'ADMIN') {
        throw new PermissionDeniedError('Only an administrator can make a key with the scope ADMIN.');
      }
      if ((await em.count(ApiKey, { userId: user.id, revokedAt: null })) >= API_KEYS_MAX) {
        throw new ConflictError(`There are ${API_KEYS_MAX} API keys already. Revoke one that is no longer used.`);
      }
      const created = em.create(ApiKey, {
        userId: user.id,
        name: input.name.trim(),
        prefix: secret.slice(0, VISIBLE_CHARACTERS),
        hash: hashToken(secret),
        scopes: [...new Set(input.scopes)],
        createdAt: now,
        expiresAt: input.expiresAt ?? null,
      });
      await em.flush();
      const detail = { apiKeyId: created.id, scopes: created.scopes };
      await audit.record({ userId: user.id, action: 'apiKey.create', detail }, em);
      return created;
    });
    return { apiKey, secret };
  }

  /** Ends a key of the viewer. @throws NotFoundError */
  async revoke(viewer: Viewer, id: string): Promise<ApiKey> {
    const { storage, audit, grants } = this.#options;
    const apiKey = await storage.transaction(async (em) => {
      const found = isRowId(id) ? await em.findOne(ApiKey, { id, userId: viewer.userId, revokedAt: null }) : null;
      if (!found) throw new NotFoundError('There is no such API key, or it was revoked before.');
      await grants.end(em, viewer.userId, { sessions: [], apiKeys: [id] });
      await audit.record({ userId: viewer.userId, action: 'apiKey.revoke', detail: { apiKeyId: id } }, em);
      return found;
    });
    await grants.announceEnd(viewer.userId, [id]);
    return apiKey;
  }

  /** The viewer's keys that were not revoked, newest first. */
  page(viewer: Viewer, query: PageQuery): Promise<ItemPage<ApiKey>> {
    return rowPage(query, BY_ID, (behind, limit) =>
      this.#options.storage
        .fork()
        .find(
          ApiKey,
          { userId: viewer.userId, revokedAt: null, ...(behind ? { id: { $lt: behind } } : {}) },
          { orderBy: { id: 'desc' }, limit },
        ),
    );
  }
}

function checkInput({ name, scopes, expiresAt }: CreateApiKeyInput, now: Date): void {
  const issues: InputIssue[] = [];
  const fault = displayNameFault(name);
  if (fault) issues.push({ path: ['input', 'name'], message: fault });
  if (scopes.length === 0) issues.push({ path: ['input', 'scopes'], message: 'must name at least one scope' });
  if (expiresAt && expiresAt <= now) issues.push({ path: ['input', 'expiresAt'], message: 'must be in the future' });
  if (issues.length > 0) throw new InvalidInputError(issues);
}
