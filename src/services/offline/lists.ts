import type { DriveOfflineTask, OfflineAllowance } from '../../drives/contract/offline.ts';
import type { CallContext } from '../../drives/driver.ts';
import { addMs, type Clock } from '../../lib/clock.ts';
import { DomainError, NotFoundError, ProviderError, UnsupportedError } from '../../lib/errors.ts';
import type { Account } from '../../storage/entities/account.ts';
import type { OfflineTask } from '../../storage/entities/offline-task.ts';
import { type Accounts, mayManage, type OpenAccount } from '../accounts.ts';
import { uncancelled } from '../entries.ts';
import { type ItemPage, type PageQuery, readPage } from '../pages.ts';
import type { Viewer } from '../viewer.ts';
import { nameOfLink } from './links.ts';
import { isUnfinished, type OfflineRecords } from './records.ts';
import { LIST_PAGES_MAX, type OfflineSync, pagesOf } from './sync.ts';

/** An offline task as the viewer sees it. */
export interface OfflineTaskView
  extends Pick<DriveOfflineTask, 'ref' | 'state' | 'percentDone' | 'sizeBytes' | 'addedAt' | 'updatedAt' | 'entryRef'> {
  readonly account: Account;
  readonly name: string;
  readonly parentRef: string | null;
  /** What it downloads; null where that is not known. Opened only when it is asked for. */
  readonly url: () => string | null;
  readonly error: DomainError | null;
}

/** Names a task: by its account and the provider's own id. */
export interface OfflineTaskKey {
  readonly accountId: string;
  readonly ref: string;
}

/** For how long what a provider told is told again without asking it, in milliseconds. */
const FRESH_MS = 5_000;
/** Tasks of a page that are asked about one by one, where the provider has no list of them. */
const STATS_MAX = 20;

export interface OfflineListsOptions {
  readonly accounts: Accounts;
  readonly records: OfflineRecords;
  readonly sync: OfflineSync;
  readonly clock: Clock;
}

/**
 * Which offline tasks there are. Where the provider lists them, who manages the account is told what it says; where it
 * does not, and for others who use a shared account, it is what was begun through this server.
 */
export class OfflineLists {
  readonly #options: OfflineListsOptions;

  constructor(options: OfflineListsOptions) {
    this.#options = options;
  }

  /** Whether all tasks of the account are the viewer's to see: a link may hold somebody's password. */
  seesAll(viewer: Viewer, account: Account): boolean {
    return account.ownerId === viewer.userId || mayManage(viewer, account);
  }

  /** Whether the viewer may see and change a task of the account. */
  mayTouch(viewer: Viewer, account: Account, record: OfflineTask | null): boolean {
    return this.seesAll(viewer, account) || record?.userId === viewer.userId;
  }

  /** A page of the account's tasks. @throws UnsupportedError where the provider has none; what the drive throws. */
  async page(
    viewer: Viewer,
    account: Account,
    query: PageQuery,
    call: CallContext,
  ): Promise<ItemPage<OfflineTaskView>> {
    const { accounts, records, sync } = this.#options;
    const abilities = accounts.abilities(account);
    if (!this.isListed(viewer, account) && (abilities.includes('OFFLINE_ADD') || abilities.includes('OFFLINE_LIST'))) {
      const page = await records.page(account.id, this.seesAll(viewer, account) ? null : viewer.userId, query);
      const rows = abilities.includes('OFFLINE_LIST') ? page.items : await this.#refreshed(account, page.items, call);
      return { ...page, items: rows.map((row) => this.viewOfRecord(account, row)) };
    }
    const { driver, run } = accounts.openVisible(account);
    const page = await readPage(
      (request) => run('offline.list', request, call),
      query,
      driver.capabilities.listPageMax,
    );
    await sync.take(account.id, driver, page.items, call);
    return { ...page, items: await this.viewsOf(account, page.items) };
  }

  /**
   * Tasks by their keys, in the order asked: null for what is not the viewer's, the error for what could not be asked.
   * @param knownForMs How old what is known of an unfinished task may be, in milliseconds.
   */
  async findMany(
    viewer: Viewer,
    keys: readonly OfflineTaskKey[],
    call: CallContext = uncancelled(),
    knownForMs = FRESH_MS,
  ): Promise<readonly (OfflineTaskView | null | Error)[]> {
    const accounts = await this.#options.accounts.visibleMany(viewer, [...new Set(keys.map((key) => key.accountId))]);
    const found = new Map<OfflineTaskKey, OfflineTaskView | Error>();
    await Promise.all(
      [...accounts.values()].map(async (account) => {
        const wanted = keys.filter(({ accountId }) => accountId === account.id);
        try {
          const views = await this.#findIn(
            viewer,
            account,
            [...new Set(wanted.map(({ ref }) => ref))],
            call,
            knownForMs,
          );
          for (const key of wanted) {
            const view = views.get(key.ref);
            if (view) found.set(key, view);
          }
        } catch (error) {
          for (const key of wanted) found.set(key, error as Error);
        }
      }),
    );
    return keys.map((key) => found.get(key) ?? null);
  }

  /** A task that the viewer may change, as far as we know: that it is there, the provider tells. @throws NotFoundError */
  async own(
    viewer: Viewer,
    key: OfflineTaskKey | null,
  ): Promise<{ readonly account: Account; readonly ref: string; readonly record: OfflineTask | null }> {
    const account = key && (await this.#options.accounts.visibleMany(viewer, [key.accountId])).get(key.accountId);
    if (!key || !account) throw noSuchTask();
    const record = (await this.#options.records.find(account.id, [key.ref])).get(key.ref) ?? null;
    if (!this.mayTouch(viewer, account, record) || (!record && !this.isListed(viewer, account))) throw noSuchTask();
    return { account, ref: key.ref, record };
  }

  /** @throws UnsupportedError where the provider does not tell. */
  allowance(account: Account, call: CallContext): Promise<OfflineAllowance> {
    return this.#options.accounts.openVisible(account).run('offline.allowance', call);
  }

  isListed(viewer: Viewer, account: Account): boolean {
    return this.seesAll(viewer, account) && this.#options.accounts.abilities(account).includes('OFFLINE_LIST');
  }

  async viewsOf(account: Account, tasks: readonly DriveOfflineTask[]): Promise<readonly OfflineTaskView[]> {
    const known = await this.#options.records.find(
      account.id,
      tasks.map(({ ref }) => ref),
    );
    return tasks.map((task) => this.#viewOf(account, task, known.get(task.ref) ?? null));
  }

  viewOfRecord(account: Account, record: OfflineTask): OfflineTaskView {
    return {
      account,
      ref: record.ref,
      name: record.name,
      url: () => this.#options.records.urlOf(record),
      state: record.state,
      percentDone: record.progress / 100,
      sizeBytes: record.sizeBytes ?? null,
      addedAt: record.addedAt,
      updatedAt: record.updatedAt,
      entryRef: record.entryRef ?? null,
      parentRef: record.parentRef ?? null,
      error: errorOf(account, record.failure ?? null),
    };
  }

  /** What the provider tells goes before what we remember. */
  #viewOf(account: Account, task: DriveOfflineTask, record: OfflineTask | null): OfflineTaskView {
    return {
      ...task,
      account,
      name: task.name ?? record?.name ?? (task.url === null ? task.ref : nameOfLink(task.url)),
      url: () => task.url ?? (record && this.#options.records.urlOf(record)),
      sizeBytes: task.sizeBytes ?? record?.sizeBytes ?? null,
      addedAt: task.addedAt ?? record?.addedAt ?? null,
      updatedAt: task.updatedAt ?? record?.updatedAt ?? null,
      entryRef: task.entryRef ?? record?.entryRef ?? null,
      parentRef: task.parentRef ?? record?.parentRef ?? null,
      error: errorOf(account, task.failure),
    };
  }

  async #findIn(
    viewer: Viewer,
    account: Account,
    refs: readonly string[],
    call: CallContext,
    knownForMs: number,
  ): Promise<ReadonlyMap<string, OfflineTaskView>> {
    const { accounts, records, sync } = this.#options;
    const known = new Map(
      [...(await records.find(account.id, refs))].filter(([, row]) => this.mayTouch(viewer, account, row)),
    );
    if (!this.isListed(viewer, account)) {
      const rows = accounts.abilities(account).includes('OFFLINE_LIST')
        ? [...known.values()]
        : await this.#refreshed(account, [...known.values()], call, knownForMs);
      return new Map(rows.map((row) => [row.ref, this.viewOfRecord(account, row)]));
    }
    const missing = new Set(refs.filter((ref) => !this.#isCurrent(known.get(ref), knownForMs)));
    const views = new Map(
      [...known].flatMap(([ref, row]) => (missing.has(ref) ? [] : [[ref, this.viewOfRecord(account, row)] as const])),
    );
    if (missing.size === 0) return views;
    const { driver, run } = accounts.openVisible(account);
    for await (const { items } of pagesOf((page) => run('offline.list', page, call), driver, LIST_PAGES_MAX)) {
      const wanted = items.filter(({ ref }) => missing.delete(ref));
      await sync.take(account.id, driver, wanted, call);
      for (const view of await this.viewsOf(account, wanted)) views.set(view.ref, view);
      if (missing.size === 0) break;
    }
    return views;
  }

  /** Of a provider that tells only of one task at a time: those asked about that may have changed. */
  async #refreshed(
    account: Account,
    rows: readonly OfflineTask[],
    call: CallContext,
    knownForMs = FRESH_MS,
  ): Promise<readonly OfflineTask[]> {
    const { accounts, records, sync } = this.#options;
    const stale = rows.filter((row) => !this.#isCurrent(row, knownForMs)).slice(0, STATS_MAX);
    if (stale.length === 0) return rows;
    try {
      const { driver, run } = accounts.openVisible(account);
      if (!driver.offline?.stat) return rows;
      for (const { ref } of stale) await sync.take(account.id, driver, [await run('offline.stat', ref, call)], call);
    } catch (error) {
      // Told as it was when the provider last answered; the follower goes on asking.
      if (!(error instanceof DomainError)) throw error;
    }
    const fresh = await records.find(
      account.id,
      rows.map(({ ref }) => ref),
    );
    return rows.map((row) => fresh.get(row.ref) ?? row);
  }

  #isCurrent(row: OfflineTask | undefined, knownForMs: number): boolean {
    return row !== undefined && (!isUnfinished(row) || addMs(row.checkedAt, knownForMs) > this.#options.clock.now());
  }
}

const errorOf = (
  { provider }: Account,
  failure: { readonly providerCode: string | null; readonly message: string } | null,
): DomainError | null =>
  failure && new ProviderError(failure.message, { provider, providerCode: failure.providerCode, hint: null });

export const noSuchTask = (cause?: unknown): NotFoundError =>
  new NotFoundError('You have no such offline task.', { cause });

/** @throws UnsupportedError before anything is sent. */
export function requireAbility(
  opened: OpenAccount,
  ability: 'OFFLINE_ADD' | 'OFFLINE_TORRENT' | 'OFFLINE_CANCEL' | 'OFFLINE_CLEAR',
): void {
  if (opened.abilities.has(ability)) return;
  throw new UnsupportedError(`This drive (${opened.account.provider}) cannot do that: ${ability}.`, ability);
}
