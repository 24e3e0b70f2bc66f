import type { CallContext, DriveChange, DriveEntry } from '../drives/driver.ts';
import type { EventBus } from '../events/bus.ts';
import type { Topic, Topics } from '../events/topics.ts';
import type { Clock } from '../lib/clock.ts';
import type { Account } from '../storage/entities/account.ts';
import type { Accounts } from './accounts.ts';
import { type Entries, type EntryKey, noSuchEntry } from './entries.ts';
import { type ItemPage, type PageQuery, readPage } from './pages.ts';
import type { Viewer } from './viewer.ts';

/** A change of an entry, and the account that it is in. */
export interface ChangeView extends Pick<DriveChange, 'kind' | 'entryRef' | 'entryKind' | 'path' | 'at'> {
  readonly account: Account;
  /** The entry now; null when it is gone; absent: to be looked up. */
  readonly entry?: DriveEntry | null;
}

export interface ChangePage extends ItemPage<ChangeView> {
  /** False where the provider cannot show deletions. */
  readonly complete: boolean;
}

export interface ChangesOptions {
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly events: EventBus;
  readonly clock: Clock;
}

/** What changes in accounts: as a list to read after a cursor, and live. */
export class Changes {
  readonly #accounts: Accounts;
  readonly #entries: Entries;
  readonly #events: EventBus;
  readonly #clock: Clock;

  constructor({ accounts, entries, events, clock }: ChangesOptions) {
    this.#accounts = accounts;
    this.#entries = entries;
    this.#events = events;
    this.#clock = clock;
  }

  /** A page of an account's changes, oldest first. @throws UnsupportedError where the provider does not tell. */
  async page(account: Account, page: PageQuery, call: CallContext): Promise<ChangePage> {
    const { driver, run } = this.#accounts.openVisible(account);
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
    return { ...changes, items: changes.items.map((change) => ({ ...change, account })), complete };
  }

  /**
   * What changes directly in a folder. The first is about the folder itself, as it is now; whoever reads its children
   * then misses nothing. Ends when the viewer may no longer see the account, and with the signal.
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
      filter: (event) => event.accountId === accountId && event.folderRefs.includes(ref),
      first: async (): Promise<ChangeView> => {
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
      view: (account, event) => ({ ...event, account, at: new Date(event.at) }),
    });
  }

  /** The account now, and after each of its changes. Ends when the viewer may no longer see it, and with the signal. */
  async watchAccount(viewer: Viewer, accountId: string, signal: AbortSignal): Promise<AsyncGenerator<Account, void>> {
    return this.#watch(viewer, accountId, signal, {
      topic: 'account.changed',
      filter: (event) => event.accountId === accountId,
      coalesceBy: () => accountId,
      first: () => this.#accounts.visible(viewer, accountId),
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
    // Listens before it reads the present state: nothing can happen unseen in between.
    const stream = this.#events.subscribe(watched.topic, {
      filter: watched.filter,
      ...(watched.coalesceBy ? { coalesceBy: watched.coalesceBy } : {}),
      signal: AbortSignal.any([signal, ending.signal]),
    });
    const stopChecking = this.#events.on('account.changed', async (event) => {
      if (event.accountId === accountId && !(await this.#find(viewer, accountId))) ending.abort();
    });
    const end = (): void => {
      ending.abort();
      stopChecking();
    };
    signal.addEventListener('abort', end, { once: true });
    try {
      return this.#follow(viewer, accountId, await watched.first(), stream, watched.view, end);
    } catch (error) {
      end();
      throw error;
    }
  }

  async *#follow<Event, View>(
    viewer: Viewer,
    accountId: string,
    first: View,
    stream: AsyncIterable<Event>,
    view: (account: Account, event: Event) => View,
    end: () => void,
  ): AsyncGenerator<View, void> {
    try {
      yield first;
      for await (const event of stream) {
        const account = await this.#find(viewer, accountId);
        if (!account) return;
        yield view(account, event);
      }
    } finally {
      end();
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
  readonly first: () => Promise<View>;
  readonly view: (account: Account, event: Topics[Name]) => View;
}
