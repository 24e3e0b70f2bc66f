import { User } from '../../storage/entities/identity.ts';
import type { Storage } from '../../storage/orm.ts';
import type { Viewer } from '../viewer.ts';

export interface UsersOptions {
  readonly storage: Storage;
}

/** The users of this server, for themselves and for administrators. */
export class Users {
  readonly #options: UsersOptions;

  constructor(options: UsersOptions) {
    this.#options = options;
  }

  /** The user; null when there is none, or it is not for the viewer to see. */
  async find(viewer: Viewer, userId: string): Promise<User | null> {
    if (userId !== viewer.userId && !isAdmin(viewer)) return null;
    return this.#options.storage.fork().findOne(User, userId);
  }
}

/** Whether the viewer acts as an administrator: by role, and by a grant that covers it. */
export const isAdmin = (viewer: Viewer): boolean => viewer.role === 'ADMIN' && viewer.scopes.has('ADMIN');
