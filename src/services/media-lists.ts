import type { DriveMediaList } from '../drives/contract/media.ts';
import type { CallContext } from '../drives/driver.ts';
import type { Account } from '../storage/entities/account.ts';
import type { Accounts } from './accounts.ts';
import type { EntryKey, EntryView } from './entries.ts';
import { type ItemPage, type PageQuery, readPage } from './pages.ts';
import type { Viewer } from './viewer.ts';

/** A list and the account that it is in: the object behind the schema's `MediaList`. */
export interface MediaListView {
  readonly account: Account;
  readonly list: DriveMediaList;
}

/** Lists looked through for one that is asked for by its id: no provider has a call for one. */
const LOOKED_THROUGH_MAX = 1_000;

/** The lists of films and sounds that people put together at their providers. */
export class MediaLists {
  readonly #accounts: Accounts;

  constructor(accounts: Accounts) {
    this.#accounts = accounts;
  }

  /** @throws UnsupportedError where the provider tells none. */
  async page(account: Account, query: PageQuery, call: CallContext): Promise<ItemPage<MediaListView>> {
    const { driver, run } = this.#accounts.openVisible(account);
    const page = await readPage((request) => run('media.lists', request, call), query, driver.capabilities.listPageMax);
    return { ...page, items: page.items.map((list) => ({ account, list })) };
  }

  /** The files of a list, in its order, as far as they are in the drive. */
  async files({ account, list }: MediaListView, query: PageQuery, call: CallContext): Promise<ItemPage<EntryView>> {
    const { driver, run } = this.#accounts.openVisible(account);
    const page = await readPage(
      (request) => run('media.listFiles', list.ref, request, call),
      query,
      driver.capabilities.listPageMax,
    );
    return { ...page, items: page.items.map((entry) => ({ account, entry })) };
  }

  /** A list by its account and ref; null when there is none, or it is another's. */
  async find(viewer: Viewer, { accountId, ref }: EntryKey, call: CallContext): Promise<MediaListView | null> {
    const account = (await this.#accounts.visibleMany(viewer, [accountId])).get(accountId);
    if (!account || !this.#accounts.abilities(account).includes('MEDIA_LISTS')) return null;
    let after: string | null = null;
    for (let seen = 0; seen < LOOKED_THROUGH_MAX; ) {
      const page: ItemPage<MediaListView> = await this.page(account, { limit: 100, after }, call);
      const found = page.items.find(({ list }) => list.ref === ref);
      if (found || !page.hasNextPage) return found ?? null;
      seen += page.items.length;
      after = page.cursors.at(-1) ?? null;
    }
    return null;
  }
}
