import type { CallContext, DriveChange, DriveEntry } from '../drives/driver.ts';
import { BUFFER_EVENTS_MAX, type EventBus } from '../events/bus.ts';
import type { Topic, Topics } from '../events/topics.ts';
import type { Clock } from '../lib/clock.ts';
import type { Account } from '../storage/entities/account.ts';
import type { ComputedChange } from '../storage/entities/snapshot.ts';
import type { Accounts } from './accounts.ts';
import { type Entries, type EntryKey, noSuchEntry } from './entries.ts';
import { type ItemPage, type PageQuery, readPage } from './pages.ts';
import type { Comparisons } from './snapshots/comparisons.ts';
import type { Viewer } from './viewer.ts';

/** A change of an entry, and the account that it is in. */
export interface ChangeView extends Pick<DriveChange, 'kind' | 'entryRef' | 'entryKind' | 'path' | 'at'> {
  readonly account: Account;
  /** The entry now; null when it is gone; absent: to be looked up. */
  readonly entry?: DriveEntry | null;
}

export interface ChangePage extends ItemPage<ChangeView> {
  /** False where the provider cannot show deletions, where some are no longer kept, and before the first comparison. */
  readonly complete: boolean;
  /** Found by comparing what is there with what was: the provider tells none. */
  readonly computed: boolean;
  /** Of computed ones: until when changes are told. Null: until now; of computed ones, nothing is known yet. */
  readonly comparedAt: Date | null;
}

export interface ChangesOptions {
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly comparisons: Comparisons;
}

/** What changes in accounts: as a list to read after a cursor, and live. */
export class Changes {
  readonly #accounts: Accounts;
  readonly #entries: Entries;
  readonly #events: EventBus;
  readonly #clock: Clock;
  readonly #comparisons: Comparisons;

  constructor({ accounts, entries, events, clock, comparisons }: ChangesOptions) {
    this.#accounts = accounts;
    this.#entries = entries;
    this.#events = events;
    this.#clock = clock;
    this.#comparisons = comparisons;
  }

  /** A page of an account's changes, oldest first: as the provider tells them, else found by comparing. */
  async page(account: Account, page: PageQuery, call: CallContext): Promise<ChangePage> {
    const opened = this.#accounts.openVisible(account);
    const { driver, run } = opened;
    if (!driver.changes) {
      const compared = await this.#comparisons.page(opened, page, call);
      return { ...compared, items: compared.items.map((change) => ({ ...viewOf(change), account })), computed: true };
    }
    let complete = true;
    const changes = await readPage(
      async (request) => {
        const read = await run('changes', request, call);
        complete &&= read.complete;
        return read;
      },
      page,
      driver.capabilities.listPageMax,
    );
    const items = changes.items.map((change) => ({ ...change, account }));
    return { ...changes, items, complete, computed: false, comparedAt: null };
  }

  /**
   * What changes directly in a folder. The first is about the folder itself, as it is now; whoever reads its children
   * then misses nothing. So is one that stands for changes which a slow reader has lost. Ends when the viewer may no
   * longer see the account, and with the signal.
   * @throws NotFoundError, InvalidInputError when it is no folder.
   */
  async watchFolder(
    viewer: Viewer,
    folder: EntryKey | null,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<ChangeView, void>> {
    if (folder === null) throw noSuchEntry();
    const { accountId, ref } = folder;
    return this.#watch(viewer, accountId, signal, {
      topic: 'entry.changed',
      filter: (event) => event.accountId === accountId && (event.everywhere || event.folderRefs.includes(ref)),
      present: async (): Promise<ChangeView> => {
        const { account, entry } = await this.#entries.resolveFolder(viewer, folder, ['folderId'], { signal });
        const { kind: entryKind, path, modifiedAt } = entry;
        return {
          account,
          kind: 'MODIFIED',
          entryRef: ref,
          entryKind,
          path,
          at: modifiedAt ?? this.#clock.now(),
          entry,
        };
      },
      isVague: ({ folderRefs }) => !folderRefs.includes(ref),
      view: (account, event) => ({ ...event, account, at: new Date(event.at) }),
    });
  }

  /** The account now, and after each of its changes. Ends when the viewer may no longer see it, and with the signal. */
  async watchAccount(viewer: Viewer, accountId: string, signal: AbortSignal): Promise<AsyncGenerator<Account, void>> {
    return this.#watch(viewer, accountId, signal, {
      topic: 'account.changed',
      filter: (event) => event.accountId === accountId,
      coalesceBy: () => accountId,
      present: () => this.#accounts.visible(viewer, accountId),
      view: (account) => account,
    });
  }

  async #watch<Name extends Topic, View>(
    viewer: Viewer,
    accountId: string,
    signal: AbortSignal,
    watched: Watched<Name, View>,
  ): Promise<AsyncGenerator<View, void>> {
    const ending = new AbortController();
    const backlog = new Backlog();
    const { topic, filter, coalesceBy, present } = watched;
    // Listens before it reads the present state: nothing can happen unseen in between.
    const stream = this.#events.subscribe(topic, {
      signal: AbortSignal.any([signal, ending.signal]),
      ...(coalesceBy ? { filter, coalesceBy } : { filter: (event) => filter(event) && backlog.add() }),
    });
    const stopChecking = this.#events.on('account.changed', async (event) => {
      if (event.accountId === accountId && !(await this.#find(viewer, accountId))) ending.abort();
    });
    const end = (): void => {
      ending.abort();
      stopChecking();
    };
    signal.addEventListener('abort', end, { once: true });
    const follow = async function* (this: Changes, first: View): AsyncGenerator<View, void> {
      try {
        yield first;
        for await (const event of stream) {
          const account = await this.#find(viewer, accountId);
          if (!account) return;
          const vague = watched.isVague?.(event) ?? false;
          if (backlog.take() || vague) yield await present();
          if (!vague) yield watched.view(account, event);
        }
      } finally {
        end();
      }
    };
    try {
      return follow.call(this, await present());
    } catch (error) {
      end();
      throw error;
    }
  }

  async #find(viewer: Viewer, accountId: string): Promise<Account | null> {
    return (await this.#accounts.visibleMany(viewer, [accountId])).get(accountId) ?? null;
  }
}

interface Watched<Name extends Topic, View> {
  readonly topic: Name;
  readonly filter: (event: Topics[Name]) => boolean;
  readonly coalesceBy?: (event: Topics[Name]) => string;
  /** The present state. */
  readonly present: () => Promise<View>;
  /** Whether the event only says that something may be different: then the present state is told. */
  readonly isVague?: (event: Topics[Name]) => boolean;
  readonly view: (account: Account, event: Topics[Name]) => View;
}

const viewOf = ({ kind, entryRef, entryKind, path, at }: ComputedChange) => ({
  kind,
  entryRef,
  entryKind,
  path: path ?? null,
  at,
});

/** Counts what a subscription has not read: it drops the oldest beyond its buffer, and its reader must be told. */
class Backlog {
  #unread = 0;
  #lost = false;

  /** An event was announced. True, to stand in a filter. */
  add(): true {
    if (this.#unread < BUFFER_EVENTS_MAX) this.#unread += 1;
    else this.#lost = true;
    return true;
  }

  /** An event was read; gives whether others were lost before it. */
  take(): boolean {
    this.#unread -= 1;
    const lost = this.#lost;
    this.#lost = false;
    return lost;
  }
}
