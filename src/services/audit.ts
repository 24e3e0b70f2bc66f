import type { Clock } from '../lib/clock.ts';
import { AuditRecord } from '../storage/entities/operations.ts';
import type { EntityManager, Storage } from '../storage/orm.ts';
import type { ItemPage, PageQuery } from './pages.ts';
import { type RowOrder, rowPage } from './row-pages.ts';
import { requireAdmin, type Viewer } from './viewer.ts';

export interface AuditEntry {
  /** Who did it, or whose account it concerns; null: nobody we know. */
  readonly userId: string | null;
  /** `noun.verb`, as in `session.open`. */
  readonly action: string;
  readonly accountId?: string | null;
  /** What else a reader needs. Never a secret or a file's content. */
  readonly detail?: Readonly<Record<string, string | number | boolean | null | readonly string[]>>;
}

export interface AuditFilter {
  readonly userId?: string | null | undefined;
  readonly action?: string | null | undefined;
}

const BY_SEQUENCE: RowOrder<{ readonly sequence: number }, number> = {
  keyOf: ({ sequence }) => sequence,
  parse: (cursor) => (/^\d{1,15}$/.test(cursor) ? Number(cursor) : null),
};

/** The record of who did what. */
export class Audit {
  readonly #storage: Storage;
  readonly #clock: Clock;

  constructor(storage: Storage, clock: Clock) {
    this.#storage = storage;
    this.#clock = clock;
  }

  /** Adds a record; in the transaction of `em` where one is given, so that the two cannot part. */
  async record(entry: AuditEntry, em: EntityManager = this.#storage.fork()): Promise<void> {
    await em.insert(AuditRecord, {
      at: this.#clock.now(),
      userId: entry.userId,
      action: entry.action,
      accountId: entry.accountId ?? null,
      detail: { ...entry.detail },
    });
  }

  /** Records, the newest first. @throws PermissionDeniedError to everybody but administrators. */
  page(viewer: Viewer, query: PageQuery, { userId, action }: AuditFilter): Promise<ItemPage<AuditRecord>> {
    requireAdmin(viewer);
    const where = { ...(userId ? { userId } : {}), ...(action ? { action: action.replaceAll('\0', '') } : {}) };
    return rowPage(query, BY_SEQUENCE, (behind, limit) =>
      this.#storage
        .fork()
        .find(
          AuditRecord,
          { ...where, ...(behind === null ? {} : { sequence: { $lt: behind } }) },
          { orderBy: { sequence: 'desc' }, limit },
        ),
    );
  }
}
