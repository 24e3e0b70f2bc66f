import type { CallContext, DriveChange, DriveEntry } from '../drives/driver.ts';
import type { Clock } from '../lib/clock.ts';
import type { Account } from '../storage/entities/account.ts';
import type { ComputedChange } from '../storage/entities/snapshot.ts';
import type { AccountWatch } from './account-watch.ts';
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
  readonly watch: AccountWatch;
  readonly clock: Clock;
  readonly comparisons: Comparisons;
}

/** What changes in accounts: as a list to read after a cursor, and live. */
export class Changes {
  readonly #accounts: Accounts;
  readonly #entries: Entries;
  readonly #watch: AccountWatch;
  readonly #clock: Clock;
  readonly #comparisons: Comparisons;

  constructor({ accounts, entries, watch, clock, comparisons }: ChangesOptions) {
    this.#accounts = accounts;
    this.#entries = entries;
    this.#watch = watch;
    this.#clock = clock;
    this.#comparisons = comparisons;
  }

  /**
   * A page of an account's changes, oldest first: as the provider tells them, else found by comparing.
   * @throws UnsupportedError where it can neither tell nor list.
   */
  async page(account: Account, page: PageQuery, call: CallContext): Promise<ChangePage> {
    const opened = this.#accounts.openVisible(account);
    const { driver, run } = opened;
    if (!driver.changes && driver.list) {
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
    return this.#watch.follow(viewer, accountId, signal, {
      topic: 'entry.changed',
      filter: (event) => event.accountId === accountId && (event.everywhere || event.folderRefs.includes(ref)),
      present: async (): Promise<readonly ChangeView[]> => {
        const { account, entry } = await this.#entries.resolveFolder(viewer, folder, ['folderId'], { signal });
        const { kind: entryKind, path, modifiedAt } = entry;
        const at = modifiedAt ?? this.#clock.now();
        return [{ account, kind: 'MODIFIED', entryRef: ref, entryKind, path, at, entry }];
      },
      isVague: ({ folderRefs }) => !folderRefs.includes(ref),
      view: (account, event) => ({ ...event, account, at: new Date(event.at) }),
    });
  }

  /** The account now, and after each of its changes. Ends when the viewer may no longer see it, and with the signal. */
  async watchAccount(viewer: Viewer, accountId: string, signal: AbortSignal): Promise<AsyncGenerator<Account, void>> {
    return this.#watch.follow(viewer, accountId, signal, {
      topic: 'account.changed',
      filter: (event) => event.accountId === accountId,
      coalesceBy: () => accountId,
      present: async () => [await this.#accounts.visible(viewer, accountId)],
      view: (account) => account,
    });
  }
}

const viewOf = ({ kind, entryRef, entryKind, path, at }: ComputedChange) => ({
  kind,
  entryRef,
  entryKind,
  path: path ?? null,
  at,
});
