import { LockMode, raw } from '@mikro-orm/core';
import type { Clock } from '../../lib/clock.ts';
import { ConflictError, NotFoundError } from '../../lib/errors.ts';
import { isRowId } from '../../lib/ids.ts';
import { usernameKey } from '../../lib/names.ts';
import { type Role, User } from '../../storage/entities/identity.ts';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import type { Audit } from '../audit.ts';
import type { ItemPage, PageQuery } from '../pages.ts';
import { BY_ID, rowPage } from '../row-pages.ts';
import { isAdmin, requireAdmin, type Viewer } from '../viewer.ts';
import type { Grants } from './grants.ts';
import { USERNAME_LENGTH_MAX } from './names.ts';

export interface UsersOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly grants: Grants;
  readonly audit: Audit;
}

/** The users of this server, for themselves and for administrators. */
export class Users {
  readonly #options: UsersOptions;

  constructor(options: UsersOptions) {
    this.#options = options;
  }

  /** The users with these ids, by id; without those that there are not, or that are not for the viewer to see. */
  async findMany(viewer: Viewer, ids: readonly string[]): Promise<ReadonlyMap<string, User>> {
    const visible = ids.filter((id) => isRowId(id) && (id === viewer.userId || isAdmin(viewer)));
    const users = visible.length === 0 ? [] : await this.#options.storage.fork().find(User, { id: visible });
    return new Map(users.map((user) => [user.id, user]));
  }

  /** Whether it is an administrator who may sign in. */
  async isAdmin(userId: string): Promise<boolean> {
    return (await this.#options.storage.fork().count(User, { id: userId, role: 'ADMIN', disabledAt: null })) > 0;
  }

  /**
   * All users, the oldest first; with `search`, those whose username begins so.
   * @throws PermissionDeniedError to everybody but administrators.
   */
  page(viewer: Viewer, query: PageQuery, search: string | null): Promise<ItemPage<User>> {
    requireAdmin(viewer);
    const prefix = usernameKey((search ?? '').slice(0, USERNAME_LENGTH_MAX).replaceAll('\0', ' '));
    // Not `like`: SQLite and PostgreSQL do not agree on how `%` and `_` are escaped in it.
    const where = prefix === '' ? {} : { [raw('substr(username_key, 1, ?)', [[...prefix].length])]: prefix };
    return rowPage(query, BY_ID, (behind, limit) =>
      this.#options.storage
        .fork()
        .find(User, { ...where, ...(behind ? { id: { $gt: behind } } : {}) }, { orderBy: { id: 'asc' }, limit }),
    );
  }

  /** @throws PermissionDeniedError, NotFoundError, ConflictError (the last administrator stays one) */
  setRole(viewer: Viewer, userId: string, role: Role): Promise<User> {
    return this.#change(viewer, userId, 'user.setRole', async (em, user) => {
      if (user.role === 'ADMIN' && role !== 'ADMIN') await checkNotLastAdmin(em, user);
      user.role = role;
      return { detail: { role }, ended: [] };
    });
  }

  /**
   * Keeps a user out: ends all sessions and API keys, and refuses new ones. What is theirs stays.
   * @throws PermissionDeniedError, NotFoundError, ConflictError (oneself, or the last administrator)
   */
  disable(viewer: Viewer, userId: string): Promise<User> {
    return this.#change(viewer, userId, 'user.disable', async (em, user) => {
      if (userId === viewer.userId) throw new ConflictError('You cannot disable yourself: another administrator can.');
      if (user.role === 'ADMIN') await checkNotLastAdmin(em, user);
      user.disabledAt ??= this.#options.clock.now();
      return { detail: {}, ended: await this.#options.grants.end(em, userId, { sessions: 'all', apiKeys: 'all' }) };
    });
  }

  /** Lets a disabled user sign in again. @throws PermissionDeniedError, NotFoundError */
  enable(viewer: Viewer, userId: string): Promise<User> {
    return this.#change(viewer, userId, 'user.enable', async (_em, user) => {
      user.disabledAt = null;
      return { detail: {}, ended: [] };
    });
  }

  async #change(
    viewer: Viewer,
    userId: string,
    action: string,
    act: (em: EntityManager, user: User) => Promise<{ detail: Record<string, string>; ended: readonly string[] }>,
  ): Promise<User> {
    requireAdmin(viewer);
    const { storage, audit, grants } = this.#options;
    const { user, ended } = await storage.transaction(async (em) => {
      await lockAdmins(em);
      const user = isRowId(userId)
        ? await em.findOne(User, userId, { lockMode: LockMode.PESSIMISTIC_WRITE, refresh: true })
        : null;
      if (!user) throw new NotFoundError('There is no such user.');
      const { detail, ended } = await act(em, user);
      await audit.record({ userId: viewer.userId, action, detail: { ...detail, of: userId } }, em);
      return { user, ended };
    });
    await grants.announceEnd(userId, ended);
    return user;
  }
}

/** In the order of their ids, so that two administrators who act on each other wait instead of blocking each other. */
const lockAdmins = (em: EntityManager): Promise<unknown> =>
  em.find(User, { role: 'ADMIN' }, { lockMode: LockMode.PESSIMISTIC_WRITE, orderBy: { id: 'asc' }, fields: ['id'] });

async function checkNotLastAdmin(em: EntityManager, user: User): Promise<void> {
  const others = await em.count(User, { role: 'ADMIN', disabledAt: null, id: { $ne: user.id } });
  if (others === 0) throw new ConflictError('This is the last administrator. Make another user ADMIN first.');
}
