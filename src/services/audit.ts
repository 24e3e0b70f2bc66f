import type { Clock } from '../lib/clock.ts';
import { AuditRecord } from '../storage/entities/operations.ts';
import type { EntityManager, Storage } from '../storage/orm.ts';

export interface AuditEntry {
  /** Who did it, or whose account it concerns; null: nobody we know. */
  readonly userId: string | null;
  /** `noun.verb`, as in `session.open`. */
  readonly action: string;
  readonly accountId?: string | null;
  /** What else a reader needs. Never a secret or a file's content. */
  readonly detail?: Readonly<Record<string, string | number | boolean | null | readonly string[]>>;
}

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
}
