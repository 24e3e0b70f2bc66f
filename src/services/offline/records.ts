import type { DriveOfflineTask, OfflineClearScope } from '../../drives/contract/offline.ts';
import { addMs, type Clock } from '../../lib/clock.ts';
import { newId } from '../../lib/ids.ts';
import { OfflineTask, type OfflineTaskState } from '../../storage/entities/offline-task.ts';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import type { Vault } from '../../vault/vault.ts';
import type { ItemPage, PageQuery } from '../pages.ts';
import { BY_ID, rowPage } from '../row-pages.ts';
import { nameOfLink } from './links.ts';

/** How long a task is remembered after it last changed, in milliseconds: one that stands still for so long never ends. */
export const TASK_KEPT_MS = 30 * 24 * 3_600_000;

export const UNFINISHED = ['PENDING', 'RUNNING'] as const satisfies readonly OfflineTaskState[];
export const isUnfinished = ({ state }: { readonly state: OfflineTaskState }): boolean =>
  state === 'PENDING' || state === 'RUNNING';

/** A task that was just begun, and the link that it was begun with. */
export interface BegunTask {
  readonly task: DriveOfflineTask;
  readonly url: string | null;
  /** It was there before: whoever began it keeps it. */
  readonly attached: boolean;
}

/** A row that is other than before. */
export interface ChangedTask {
  readonly row: OfflineTask;
  /** It was not known, or had not succeeded, before. */
  readonly hasJustSucceeded: boolean;
}

export interface OfflineRecordsOptions {
  readonly storage: Storage;
  readonly vault: Vault;
  readonly clock: Clock;
}

/** What this server knows of offline tasks. */
export class OfflineRecords {
  readonly #storage: Storage;
  readonly #vault: Vault;
  readonly #clock: Clock;

  constructor({ storage, vault, clock }: OfflineRecordsOptions) {
    this.#storage = storage;
    this.#vault = vault;
    this.#clock = clock;
  }

  /** Keeps tasks that a user began. A provider that gives a ref again means the new task by it. */
  async begin(em: EntityManager, userId: string, accountId: string, begun: readonly BegunTask[]): Promise<void> {
    const now = this.#clock.now();
    const refs = begun.map(({ task }) => task.ref);
    const known = await this.#rows(em, accountId, refs);
    for (const { task } of begun) if (!known.has(task.ref)) await this.#insert(em, accountId, task, now);
    // Read again: somebody who asked the provider meanwhile may have been first to make a row of it.
    const rows = await this.#rows(em, accountId, refs);
    const byRef = new Map(begun.map((one) => [one.task.ref, one]));
    for (const { task, url, attached } of byRef.values()) {
      const row = rows.get(task.ref);
      if (!row) continue; // Its ref is none that a database keeps.
      const { id } = row;
      const link = url ?? task.url;
      const isKnown = attached && link === null;
      const columns = {
        ...(attached ? changesOf(row, task) : columnsOf(task)),
        name: task.name ?? (isKnown ? row.name : link === null ? task.ref : nameOfLink(link)),
        ...(isKnown ? {} : { sealedUrl: link === null ? null : this.#vault.sealJson(link, placeOf(id)) }),
        userId: (attached ? row.userId : null) ?? userId,
        updatedAt: task.updatedAt ?? now,
        checkedAt: now,
      };
      await em.nativeUpdate(OfflineTask, { id }, attached ? columns : { ...columns, addedAt: task.addedAt ?? now });
    }
  }

  /**
   * Takes over what the provider tells of tasks; gives what is other than before. Of tasks begun elsewhere, those that
   * are unfinished are kept from then on.
   */
  async absorb(accountId: string, tasks: readonly DriveOfflineTask[]): Promise<readonly ChangedTask[]> {
    if (tasks.length === 0) return [];
    const now = this.#clock.now();
    const em = this.#storage.fork();
    const known = await this.#rows(
      em,
      accountId,
      tasks.map(({ ref }) => ref),
    );
    const changed = new Map<string, boolean>();
    for (const task of tasks) {
      const row = known.get(task.ref);
      if (!row && isUnfinished(task)) await this.#insert(em, accountId, task, now);
      else if (!row || !differs(row, task)) continue;
      else await em.nativeUpdate(OfflineTask, { id: row.id }, { ...changesOf(row, task), updatedAt: now });
      changed.set(task.ref, task.state === 'SUCCEEDED' && row?.state !== 'SUCCEEDED');
    }
    const asked = [...known.values()].filter(isUnfinished).map(({ id }) => id);
    if (asked.length > 0) await em.nativeUpdate(OfflineTask, { id: { $in: asked } }, { checkedAt: now });
    const rows = await this.#rows(this.#storage.fork(), accountId, [...changed.keys()]);
    return [...rows.values()].map((row) => ({ row, hasJustSucceeded: changed.get(row.ref) ?? false }));
  }

  /** The account's tasks with these refs, by ref. */
  find(accountId: string, refs: readonly string[]): Promise<ReadonlyMap<string, OfflineTask>> {
    return this.#rows(this.#storage.fork(), accountId, refs);
  }

  unfinished(accountId: string): Promise<readonly OfflineTask[]> {
    return this.#storage
      .fork()
      .find(
        OfflineTask,
        { accountId, state: { $in: [...UNFINISHED] } },
        { orderBy: { id: 'asc' }, disableIdentityMap: true, connectionType: 'write' },
      );
  }

  /** An account's tasks that a user began (null: whoever did), the newest first. */
  page(accountId: string, userId: string | null, query: PageQuery): Promise<ItemPage<OfflineTask>> {
    const where = { accountId, ...(userId === null ? {} : { userId }) };
    return rowPage(query, BY_ID, (behind, limit) =>
      this.#storage
        .fork()
        .find(
          OfflineTask,
          { ...where, ...(behind === null ? {} : { id: { $lt: behind } }) },
          { orderBy: { id: 'desc' }, limit, disableIdentityMap: true },
        ),
    );
  }

  async setEntry({ id }: OfflineTask, entryRef: string): Promise<void> {
    await this.#storage.fork().nativeUpdate(OfflineTask, { id }, { entryRef });
  }

  async forget(em: EntityManager, accountId: string, refs: readonly string[]): Promise<void> {
    const wanted = plain(refs);
    if (wanted.length > 0) await em.nativeDelete(OfflineTask, { accountId, ref: { $in: wanted } });
  }

  /** As {@link OfflineTasks.clear} of a drive does with its own list. */
  async clear(em: EntityManager, accountId: string, scope: OfflineClearScope): Promise<void> {
    const states = CLEARED[scope];
    await em.nativeDelete(OfflineTask, { accountId, ...(states === null ? {} : { state: { $in: [...states] } }) });
  }

  /** The link that a task was begun with; null where it is not known. @throws SealBrokenError when it cannot be opened. */
  urlOf({ id, sealedUrl }: OfflineTask): string | null {
    return sealedUrl ? (this.#vault.openJson(sealedUrl, placeOf(id)) as string) : null;
  }

  /** Forgets what has not changed for long. */
  async sweep(): Promise<void> {
    const before = addMs(this.#clock.now(), -TASK_KEPT_MS);
    await this.#storage.fork().nativeDelete(OfflineTask, { updatedAt: { $lt: before } });
  }

  async #insert(em: EntityManager, accountId: string, task: DriveOfflineTask, now: Date): Promise<void> {
    const id = newId();
    if (task.ref.includes('\0')) return;
    await em
      .createQueryBuilder(OfflineTask)
      .insert({
        ...columnsOf(task),
        id,
        accountId,
        userId: null,
        ref: task.ref,
        name: task.name ?? (task.url === null ? task.ref : nameOfLink(task.url)),
        sealedUrl: task.url === null ? null : this.#vault.sealJson(task.url, placeOf(id)),
        addedAt: task.addedAt ?? now,
        updatedAt: task.updatedAt ?? now,
        checkedAt: now,
      })
      .onConflict(['accountId', 'ref'])
      .ignore()
      .execute('run');
  }

  async #rows(
    em: EntityManager,
    accountId: string,
    refs: readonly string[],
  ): Promise<ReadonlyMap<string, OfflineTask>> {
    const wanted = plain(refs);
    if (wanted.length === 0) return new Map();
    const rows = await em.find(
      OfflineTask,
      { accountId, ref: { $in: wanted } },
      { disableIdentityMap: true, connectionType: 'write' },
    );
    return new Map(rows.map((row) => [row.ref, row]));
  }
}

/** PostgreSQL refuses NUL in a text. */
const plain = (refs: readonly string[]): string[] => refs.filter((ref) => !ref.includes('\0'));

const placeOf = (id: string) => ({ row: id, field: 'offline_tasks.sealed_url' }) as const;

const CLEARED: Readonly<Record<OfflineClearScope, readonly OfflineTaskState[] | null>> = {
  SUCCEEDED: ['SUCCEEDED'],
  SUCCEEDED_WITH_FILES: ['SUCCEEDED'],
  FAILED: ['FAILED'],
  RUNNING: UNFINISHED,
  ALL: null,
  ALL_WITH_FILES: null,
};

const columnsOf = ({ state, percentDone, sizeBytes, entryRef, parentRef, failure }: DriveOfflineTask) => ({
  state,
  progress: Math.round(Math.min(Math.max(percentDone, 0), 100) * 100),
  sizeBytes,
  entryRef,
  parentRef,
  failure,
});

/** What the provider tells goes before what is known; what it does not tell stays. */
const changesOf = (row: OfflineTask, task: DriveOfflineTask) => ({
  ...columnsOf(task),
  name: task.name ?? row.name,
  sizeBytes: task.sizeBytes ?? row.sizeBytes ?? null,
  entryRef: task.entryRef ?? row.entryRef ?? null,
  parentRef: task.parentRef ?? row.parentRef ?? null,
});

function differs(row: OfflineTask, task: DriveOfflineTask): boolean {
  const changes = changesOf(row, task);
  return (Object.keys(changes) as (keyof typeof changes)[]).some((key) =>
    key === 'failure'
      ? row.failure?.message !== changes.failure?.message || row.failure?.providerCode !== changes.failure?.providerCode
      : (row[key] ?? null) !== changes[key],
  );
}
