import type { Storage } from '../storage/orm.ts';
import type { Accounts } from './accounts.ts';
import type { Audit } from './audit.ts';
import type { Drives } from './drives.ts';
import type { Entries } from './entries.ts';
import type { Identity } from './identity/identity.ts';
import type { Links } from './links.ts';
import type { Throttle } from './throttle.ts';

/** The use cases, as resolvers and routes call them. Each checks the viewer's right itself. */
export interface Services {
  readonly health: Health;
  readonly links: Links;
  readonly identity: Identity;
  readonly audit: Audit;
  readonly throttle: Throttle;
  readonly drives: Drives;
  readonly accounts: Accounts;
  readonly entries: Entries;
}

/** Whether this process can do its work. */
export class Health {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  async ready(): Promise<boolean> {
    try {
      await this.#storage.ping();
      return true;
    } catch {
      return false; // The reason is the database's, and in the log.
    }
  }
}
