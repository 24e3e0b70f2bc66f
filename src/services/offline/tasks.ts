import type { OfflineClearScope } from '../../drives/contract/offline.ts';
import type { Clock } from '../../lib/clock.ts';
import {
  ConflictError,
  type DomainError,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  UnsupportedError,
} from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { Account } from '../../storage/entities/account.ts';
import type { Storage } from '../../storage/orm.ts';
import { failureOf } from '../../transfers/failures.ts';
import type { AccountWatch } from '../account-watch.ts';
import type { Accounts, OpenAccount } from '../accounts.ts';
import type { Audit } from '../audit.ts';
import { type EntryTarget, noSuchEntry, uncancelled } from '../entries.ts';
import type { Idempotency } from '../idempotency.ts';
import { ITEMS_MAX } from '../item-lists.ts';
import { toldOf } from '../unexpected.ts';
import type { Viewer } from '../viewer.ts';
import type { OfflineFollower } from './follower.ts';
import { checkedLink } from './links.ts';
import { noSuchTask, type OfflineLists, type OfflineTaskKey, type OfflineTaskView, requireAbility } from './lists.ts';
import { isUnfinished, type OfflineRecords } from './records.ts';
import type { OfflineStarter, StoredAnswer } from './starter.ts';

/** Links of one mutation. Some providers take one at a time: more would take longer than a client waits. */
export const OFFLINE_LINKS_MAX = 500;
/** Tasks that a subscription tells at first: what a page shows. */
const PRESENT_MAX = 100;
/** Tasks of which a slow subscriber may have a change unread. */
const UNREAD_MAX = 2_000;

type Input<Value> = Value | null | undefined;

export interface NewOfflineTasks {
  readonly accountId: string;
  readonly urls: readonly string[];
  /** Null: where the provider puts such files by itself. */
  readonly destination?: Input<{ readonly target: EntryTarget }>;
  readonly idempotencyKey?: Input<string>;
}

/** What became of one link. */
export interface AddedOfflineTask {
  readonly url: string;
  readonly task: OfflineTaskView | null;
  readonly error: DomainError | null;
}

export interface OfflineTasksOptions {
  readonly storage: Storage;
  readonly accounts: Accounts;
  readonly lists: OfflineLists;
  readonly records: OfflineRecords;
  readonly starter: OfflineStarter;
  readonly follower: OfflineFollower;
  readonly watch: AccountWatch;
  readonly idempotency: Idempotency;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Downloads that providers do by themselves: begun, ended, cleared away, tried again and watched. */
export class OfflineTasks {
  readonly #options: OfflineTasksOptions;

  constructor(options: OfflineTasksOptions) {
    this.#options = options;
  }

  /**
   * Has the provider download links; gives a result for each, in their order. One failure never stops the others.
   * @throws InvalidInputError for the list as a whole, NotFoundError, UnsupportedError; ConflictError by the idempotency
   *   key; what the drive throws about the destination.
   */
  async add(viewer: Viewer, wanted: NewOfflineTasks): Promise<readonly AddedOfflineTask[]> {
    const { idempotency, accounts, starter } = this.#options;
    const { urls, destination } = wanted;
    if (urls.length < 1 || urls.length > OFFLINE_LINKS_MAX) {
      throw InvalidInputError.at('input.urls', `must be from 1 to ${OFFLINE_LINKS_MAX} links`);
    }
    const account = await accounts.visible(viewer, wanted.accountId);
    if (destination && destination.target?.accountId !== account.id) throw noSuchEntry();
    const opened = accounts.openVisible(account);
    requireAbility(opened, 'OFFLINE_ADD');
    const schemes = opened.driver.offline?.schemes ?? [];
    const checked = urls.map((url, index) => checkedLink(url, schemes, `input.urls.${index}`));
    const links = [...new Set(checked.flatMap((link) => ('url' in link ? [link.url] : [])))];
    const input = { accountId: account.id, urls, destination: destination ?? null };
    const request = { operation: 'addOfflineTasks', key: wanted.idempotencyKey, input };
    const fresh = new Map<string, OfflineTaskView>();
    const answers = await idempotency.once<readonly StoredAnswer[], readonly StoredAnswer[]>(
      viewer,
      request,
      async (attempt) => {
        const done = attempt.parts.flat();
        const rest = links.slice(done.length);
        if (rest.length === 0) return done;
        const parentRef = await starter.folderRef(viewer, destination ?? null);
        const isRepeated = attempt.since !== null;
        for await (const added of starter.links(viewer, opened, rest, { parentRef, isRepeated })) {
          const part = await starter.keep(viewer, opened, added, fresh);
          done.push(...part);
          await attempt.keep(part);
        }
        const begun = done.filter(({ ref }) => ref !== null).length;
        await this.#audited(viewer, account, 'offline.add', { tasks: begun, failed: done.length - begun });
        return done;
      },
    );
    const results = await this.#results(viewer, account, links, answers, fresh);
    return checked.map((link, index) => ({
      url: urls[index] ?? '',
      ...('error' in link ? { task: null, error: link.error } : (results.get(link.url) ?? NOTHING)),
    }));
  }

  /** Ends tasks, each by itself; gives a result for each, in their order. @throws InvalidInputError for the list as a whole. */
  async cancel(
    viewer: Viewer,
    keys: readonly (OfflineTaskKey | null)[],
    deleteFiles: boolean,
  ): Promise<readonly (DomainError | null)[]> {
    if (keys.length < 1 || keys.length > ITEMS_MAX) {
      throw InvalidInputError.at('input.ids', `must be from 1 to ${ITEMS_MAX}`);
    }
    const results: (DomainError | null)[] = [];
    for (const key of keys) {
      try {
        await this.#cancel(viewer, key, deleteFiles);
        results.push(null);
      } catch (error) {
        results.push(toldOf(error, this.#options.log));
      }
    }
    return results;
  }

  /**
   * Clears tasks away, whoever began them: for who manages the account.
   * @throws NotFoundError, PermissionDeniedError, UnsupportedError; what the drive throws.
   */
  async clear(viewer: Viewer, accountId: string, scope: OfflineClearScope): Promise<void> {
    const { accounts, lists, records, storage, audit } = this.#options;
    const account = await accounts.visible(viewer, accountId);
    if (!lists.seesAll(viewer, account)) {
      throw new PermissionDeniedError('Only an administrator can clear the tasks of this account: cancel your own.');
    }
    const opened = accounts.openVisible(account);
    requireAbility(opened, 'OFFLINE_CLEAR');
    await opened.run('offline.clear', scope, uncancelled());
    await storage.transaction(async (em) => {
      await records.clear(em, account.id, scope);
      await audit.record({ userId: viewer.userId, action: 'offline.clear', accountId, detail: { scope } }, em);
    });
  }

  /**
   * Begins a failed task once more, with the same link and folder.
   * @throws NotFoundError, ConflictError when it has not failed or its link is not known; UnsupportedError; what the drive throws.
   */
  async retry(viewer: Viewer, key: OfflineTaskKey | null, idempotencyKey: Input<string>): Promise<OfflineTaskView> {
    const { accounts, idempotency, lists, starter } = this.#options;
    const account = key && (await accounts.visibleMany(viewer, [key.accountId])).get(key.accountId);
    if (!account) throw noSuchTask();
    const { ref } = key;
    const opened = accounts.openVisible(account);
    requireAbility(opened, 'OFFLINE_ADD');
    const fresh = new Map<string, OfflineTaskView>();
    const request = { operation: 'retryOfflineTask', key: idempotencyKey, input: { accountId: account.id, ref } };
    const answer = await idempotency.once<StoredAnswer>(viewer, request, async ({ since }) => {
      await lists.own(viewer, key);
      const failed = await this.#get(viewer, { accountId: account.id, ref }, 0);
      const url = failed.url();
      if (failed.state !== 'FAILED') {
        if (since !== null) return { ref, failure: null }; // Begun by the attempt that died.
        throw new ConflictError(`The task is ${failed.state}, and cannot be retried.`);
      }
      if (url === null) throw new ConflictError('The link of this task is not known. Add it again.');
      await clearWay(opened, ref);
      const where = { parentRef: failed.parentRef, isRepeated: since !== null };
      for await (const added of starter.links(viewer, opened, [url], where)) {
        const [kept] = await starter.keep(viewer, opened, added, fresh);
        if (kept?.failure) throw failureOf(kept.failure);
        if (!kept) continue;
        if (kept.ref !== ref) await this.#forget(account, ref);
        await this.#audited(viewer, account, 'offline.retry', { taskRef: ref });
        return kept;
      }
      throw noSuchTask();
    });
    return fresh.get(answer.ref ?? '') ?? this.#get(viewer, { accountId: account.id, ref: answer.ref ?? '' });
  }

  /**
   * The account's tasks now, the unfinished ones first, then each as it changes. Ends when the viewer may no longer see
   * the account, and with the signal.
   * @throws NotFoundError, UnsupportedError; what the drive throws.
   */
  async follow(viewer: Viewer, accountId: string, signal: AbortSignal): Promise<AsyncGenerator<OfflineTaskView, void>> {
    const { accounts, lists, records, follower, watch } = this.#options;
    const { abilities } = await accounts.open(viewer, accountId);
    if (!abilities.has('OFFLINE_ADD') && !abilities.has('OFFLINE_LIST'))
      throw new UnsupportedError('This drive has no offline tasks.', 'OFFLINE_LIST');
    const unwatch = await follower.watch(accountId);
    // A change may be known twice: reading the present state announces what it finds.
    const shown = new Map<string, string>();
    const isNews = (view: OfflineTaskView): boolean => {
      const before = shown.get(view.ref);
      const now = fingerprint(view);
      shown.set(view.ref, now);
      return now !== before;
    };
    return watch.follow(viewer, accountId, signal, {
      topic: 'offlineTask.changed',
      filter: (event) => event.accountId === accountId,
      coalesceBy: ({ taskId }) => taskId,
      keysMax: UNREAD_MAX,
      present: async () => {
        const account = await accounts.visible(viewer, accountId);
        const { items } = await lists.page(viewer, account, { limit: PRESENT_MAX, after: null }, { signal });
        if (items.some(isUnfinished)) await follower.follow(accountId);
        return [...items.filter(isUnfinished), ...items.filter((item) => !isUnfinished(item))].filter(isNews);
      },
      view: async (account, { taskId }) => {
        const record = (await records.find(accountId, [taskId])).get(taskId) ?? null;
        if (!record || !lists.mayTouch(viewer, account, record)) return null;
        const view = lists.viewOfRecord(account, record);
        return isNews(view) ? view : null;
      },
      onEnd: unwatch,
    });
  }

  async #cancel(viewer: Viewer, key: OfflineTaskKey | null, deleteFiles: boolean): Promise<void> {
    const { accounts, lists } = this.#options;
    const { account, ref, record } = await lists.own(viewer, key);
    const opened = accounts.openVisible(account);
    requireAbility(opened, 'OFFLINE_CANCEL');
    try {
      await opened.run('offline.cancel', ref, { deleteFiles }, uncancelled());
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      if (!record) throw noSuchTask(error);
      // Ended elsewhere: that it is over is all that was asked for.
    }
    await this.#forget(account, ref);
    await this.#audited(viewer, account, 'offline.cancel', { taskRef: ref, deleteFiles });
  }

  /** Answers with their tasks: as they were begun, or as they are now when the answer is repeated. */
  async #results(
    viewer: Viewer,
    account: Account,
    links: readonly string[],
    answers: readonly StoredAnswer[],
    fresh: ReadonlyMap<string, OfflineTaskView>,
  ): Promise<ReadonlyMap<string, Omit<AddedOfflineTask, 'url'>>> {
    const { lists, records } = this.#options;
    const refs = answers.flatMap(({ ref }) => (ref === null || fresh.has(ref) ? [] : [ref]));
    const views = new Map(fresh);
    for (const [ref, row] of await records.find(account.id, refs)) {
      if (lists.mayTouch(viewer, account, row)) views.set(ref, lists.viewOfRecord(account, row));
    }
    return new Map(
      links.map((url, index) => {
        const { ref, failure } = answers[index] ?? { ref: null, failure: null };
        return [url, { task: views.get(ref ?? '') ?? null, error: failure && failureOf(failure) }];
      }),
    );
  }

  async #get(viewer: Viewer, key: OfflineTaskKey, knownForMs?: number): Promise<OfflineTaskView> {
    const [view] = await this.#options.lists.findMany(viewer, [key], uncancelled(), knownForMs);
    if (view instanceof Error) throw view;
    if (!view) throw noSuchTask();
    return view;
  }

  #forget(account: Account, ref: string): Promise<void> {
    const { storage, records } = this.#options;
    return records.forget(storage.fork(), account.id, [ref]);
  }

  #audited(
    { userId }: Viewer,
    { id: accountId }: Account,
    action: string,
    detail: Readonly<Record<string, string | number | boolean>>,
  ): Promise<void> {
    return this.#options.audit.record({ userId, action, accountId, detail });
  }
}

/** Takes a failed task out of the provider's list, where it would keep the new one out. Our record of it stays. */
async function clearWay({ abilities, run }: OpenAccount, ref: string): Promise<void> {
  if (!abilities.has('OFFLINE_CANCEL')) return;
  try {
    await run('offline.cancel', ref, { deleteFiles: false }, uncancelled());
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error; // It is out already.
  }
}

/** What of a task a subscriber is told. */
const fingerprint = ({ state, percentDone, name, sizeBytes, entryRef, error }: OfflineTaskView): string =>
  JSON.stringify([state, Math.round(percentDone * 100), name, sizeBytes, entryRef, error?.message]);

const NOTHING = { task: null, error: null };
