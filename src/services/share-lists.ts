import type { DriveShare } from '../drives/contract/shares.ts';
import type { CallContext } from '../drives/driver.ts';
import type { Account } from '../storage/entities/account.ts';
import type { Share } from '../storage/entities/share.ts';
import type { Accounts } from './accounts.ts';
import { uncancelled } from './entries.ts';
import { type ItemPage, type PageQuery, readPage } from './pages.ts';
import type { ShareRecords } from './share-records.ts';
import type { Viewer } from './viewer.ts';

/** A share as the viewer sees it. */
export interface ShareView extends Omit<DriveShare, 'password'> {
  readonly account: Account;
  /** What visitors must give; null: nothing, or the provider does not tell. Opened only when it is asked for. */
  readonly password: () => string | null;
  /** What it shows; null where it was not made through this server. */
  readonly entryRefs: readonly string[] | null;
}

/** Names a share: by its account and the provider's own id. */
export interface ShareKey {
  readonly accountId: string;
  readonly ref: string;
}

export interface ShareListsOptions {
  readonly accounts: Accounts;
  readonly records: ShareRecords;
}

/**
 * Which shares there are. Where the provider lists them, the owner of the account is told what it says; where it does
 * not, and for others who use a shared account, it is what the viewer made through this server.
 */
export class ShareLists {
  readonly #options: ShareListsOptions;

  constructor(options: ShareListsOptions) {
    this.#options = options;
  }

  /**
   * A page of the account's shares: all where its provider lists them to its owner, else those that the viewer made here.
   * @throws UnsupportedError where the provider has no shares.
   */
  async page(viewer: Viewer, account: Account, query: PageQuery, call: CallContext): Promise<ItemPage<ShareView>> {
    const { accounts, records } = this.#options;
    const owner = { userId: viewer.userId, accountId: account.id };
    const abilities = accounts.abilities(account);
    if (!this.isListed(viewer, account) && (abilities.includes('SHARE_CREATE') || abilities.includes('SHARE_LIST'))) {
      const page = await records.page(owner, query);
      return { ...page, items: page.items.map((record) => this.#viewOfRecord(account, record)) };
    }
    const { driver, run } = accounts.openVisible(account);
    const page = await readPage((request) => run('shares.list', request, call), query, driver.capabilities.listPageMax);
    const known = await records.find(
      owner,
      page.items.map(({ ref }) => ref),
    );
    return { ...page, items: page.items.map((share) => this.viewOf(account, share, known.get(share.ref) ?? null)) };
  }

  /** Shares by their keys, in the order asked: null for what is not the viewer's, the error for what could not be asked. */
  async findMany(
    viewer: Viewer,
    keys: readonly ShareKey[],
    call: CallContext = uncancelled(),
  ): Promise<readonly (ShareView | null | Error)[]> {
    const accounts = await this.#options.accounts.visibleMany(viewer, [...new Set(keys.map((key) => key.accountId))]);
    const found = new Map<ShareKey, ShareView | Error>();
    await Promise.all(
      [...accounts.values()].map(async (account) => {
        const wanted = keys.filter(({ accountId }) => accountId === account.id);
        try {
          const refs = new Set(wanted.map(({ ref }) => ref));
          const views = await this.#findIn(viewer, account, refs, call);
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

  /** Of a shared account, the list of the provider is its owner's: it tells the passwords of everybody's shares. */
  isListed(viewer: Viewer, account: Account): boolean {
    return account.ownerId === viewer.userId && this.#options.accounts.abilities(account).includes('SHARE_LIST');
  }

  /** What the provider tells goes before what we remember. */
  viewOf(account: Account, share: DriveShare, record: Share | null): ShareView {
    const { records } = this.#options;
    return {
      ...share,
      account,
      createdAt: share.createdAt ?? record?.createdAt ?? null,
      password: () => share.password ?? (record && records.passwordOf(record)),
      entryRefs: record?.entryRefs ?? null,
    };
  }

  async #findIn(
    viewer: Viewer,
    account: Account,
    refs: ReadonlySet<string>,
    call: CallContext,
  ): Promise<ReadonlyMap<string, ShareView>> {
    const { records, accounts } = this.#options;
    const known = await records.find({ userId: viewer.userId, accountId: account.id }, [...refs]);
    const views = new Map([...known].map(([ref, record]) => [ref, this.#viewOfRecord(account, record)]));
    if (!this.isListed(viewer, account)) return views;
    // What the list no longer has is over, whatever our record says.
    for (const [ref, view] of views) views.set(ref, { ...view, active: false });
    const { driver, run } = accounts.openVisible(account);
    const missing = new Set(refs);
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof run<'shares.list'>>> = await run(
        'shares.list',
        { cursor, limit: driver.capabilities.listPageMax },
        call,
      );
      for (const share of page.items) {
        if (missing.delete(share.ref)) views.set(share.ref, this.viewOf(account, share, known.get(share.ref) ?? null));
      }
      cursor = page.nextCursor;
    } while (cursor !== null && missing.size > 0);
    return views;
  }

  #viewOfRecord(account: Account, record: Share): ShareView {
    return this.viewOf(account, this.#options.records.shareOf(record), record);
  }
}
