import type { OfflineTasks } from '../../drives/contract/offline.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { StoredFailure } from '../../storage/entities/transfer.ts';
import type { Storage } from '../../storage/orm.ts';
import { storedFailureOf } from '../../transfers/failures.ts';
import type { Accounts, OpenAccount } from '../accounts.ts';
import { type Entries, type EntryTarget, uncancelled } from '../entries.ts';
import type { Viewer } from '../viewer.ts';
import { type AddedLink, addLinks } from './adding.ts';
import type { OfflineFollower } from './follower.ts';
import type { OfflineLists, OfflineTaskView } from './lists.ts';
import { type BegunTask, isUnfinished, type OfflineRecords } from './records.ts';
import type { OfflineSync } from './sync.ts';

/** As the idempotency record keeps it: no link, as one may hold a password. */
export interface StoredAnswer {
  readonly ref: string | null;
  readonly failure: StoredFailure | null;
}

/** What became of what was to be begun. */
type Added = Omit<AddedLink, 'url'> & Pick<BegunTask, 'url'>;

export interface StartOptions {
  /** Null: where the provider puts such files by itself. */
  readonly parentRef: string | null;
  /** An attempt before this one died: what it may have begun is looked for first. */
  readonly isRepeated: boolean;
  /** How the account's drive begins a link, where that is not its own way to. */
  readonly by?: (offline: OfflineTasks) => OfflineTasks;
}

export interface OfflineStarterOptions {
  readonly storage: Storage;
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly lists: OfflineLists;
  readonly records: OfflineRecords;
  readonly sync: OfflineSync;
  readonly follower: OfflineFollower;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Begins offline tasks for a user, keeps them and has them followed. */
export class OfflineStarter {
  readonly #options: OfflineStarterOptions;

  constructor(options: OfflineStarterOptions) {
    this.#options = options;
  }

  /** Has the provider download links; gives a result for each, batch by batch. */
  async *links(
    viewer: Viewer,
    { account }: OpenAccount,
    urls: readonly string[],
    { parentRef, isRepeated, by }: StartOptions,
  ): AsyncGenerator<readonly AddedLink[], void> {
    const { accounts, records, lists, clock, log } = this.#options;
    const { driver } = await accounts.openForUser(viewer.userId, account.id);
    const { offline } = driver;
    if (!offline) return;
    const mayAttach = async ({ ref }: { readonly ref: string }): Promise<boolean> => {
      const owner = (await records.find(account.id, [ref])).get(ref)?.userId ?? null;
      return owner === null || owner === viewer.userId || lists.seesAll(viewer, account);
    };
    const title = account.label;
    const accountId = account.id;
    yield* addLinks(urls, {
      driver,
      offline: by?.(offline) ?? offline,
      accountId,
      title,
      parentRef,
      isRepeated,
      mayAttach,
      clock,
      log,
      call: uncancelled(),
    });
  }

  /** Keeps what was begun, and has it followed. What of it is as it is now goes into `fresh`, by ref. */
  async keep(
    viewer: Viewer,
    { account, driver }: OpenAccount,
    added: readonly Added[],
    fresh: Map<string, OfflineTaskView>,
  ): Promise<readonly StoredAnswer[]> {
    const { storage, records, lists, follower, sync } = this.#options;
    const begun = added.flatMap(({ url, task, attached }) => (task ? [{ url, task, attached }] : []));
    const tasks = begun.map(({ task }) => task);
    await storage.transaction((em) => records.begin(em, viewer.userId, account.id, begun));
    const rows = await records.find(
      account.id,
      tasks.map(({ ref }) => ref),
    );
    for (const { task, attached } of begun) {
      const row = rows.get(task.ref);
      const hasJustSucceeded = task.state === 'SUCCEEDED' && !attached;
      if (row) await sync.tell(account.id, driver, { row, hasJustSucceeded }, uncancelled());
    }
    for (const view of await lists.viewsOf(account, tasks)) fresh.set(view.ref, view);
    if (begun.some(({ task }) => isUnfinished(task))) await follower.follow(account.id);
    return added.map(({ task, error }) => ({ ref: task?.ref ?? null, failure: error && storedFailureOf(error) }));
  }

  /** @throws NotFoundError, InvalidInputError when it is no folder; what the drive throws. */
  async folderRef(viewer: Viewer, destination: { readonly target: EntryTarget } | null): Promise<string | null> {
    if (!destination) return null;
    const folder = await this.#options.entries.resolveFolder(viewer, destination.target, ['input', 'destination']);
    return folder.entry.ref;
  }
}
