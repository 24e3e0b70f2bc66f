import type { CallContext, DriveEntry, Driver, FileCategory, ListOptions } from '../drives/driver.ts';
import { AGE_MAX_MS } from '../drives/read-cache.ts';
import { categoryOf } from '../drives/shared/categories.ts';
import { InvalidInputError, NotFoundError, UnsupportedError } from '../lib/errors.ts';
import type { Account } from '../storage/entities/account.ts';
import type { Accounts, OpenAccount } from './accounts.ts';
import { type ItemPage, type PageQuery, readPage } from './pages.ts';
import { checkedSegments, entryAt } from './paths.ts';
import type { Viewer } from './viewer.ts';

/** An entry and the account that it is in: the object behind the schema's `Entry`. */
export interface EntryView {
  readonly account: Account;
  readonly entry: DriveEntry;
}

/** How a caller names an entry. Null: by an id that is none. */
export type EntryTarget =
  | { readonly accountId: string; readonly ref: string }
  /** `at`: where the path stands in the input, for the error. */
  | { readonly accountId: string; readonly path: string; readonly at?: readonly string[] }
  | null;

export interface EntryKey {
  readonly accountId: string;
  readonly ref: string;
}

export interface ResolvedEntry extends OpenAccount {
  readonly entry: DriveEntry;
}

/** What of an account is listed. */
export interface EntrySelection {
  /** Only files of this category, at any depth. */
  readonly category?: FileCategory | null;
  /** All that is below the folder, at any depth. */
  readonly recursive?: boolean | null;
  /** Null: the root. */
  readonly folderRef: string | null;
}

/** Refs that a driver is asked for at one time. */
const STAT_BATCH = 100;

/** A call that nobody cancels. A signal of its own, as listeners would pile up on a shared one. */
export const uncancelled = (): CallContext => ({ signal: new AbortController().signal });

/** How long an entry that was looked up is given again, in milliseconds, where listings are for longer. */
const ENTRY_AGE_MS = 5_000;

/** What is in the accounts, for reading. */
export class Entries {
  readonly #accounts: Accounts;
  readonly #listAgeMs: number;
  readonly #entryAgeMs: number;

  /** @param listAgeMs How long what a provider listed is given again to a caller that names no age. */
  constructor(accounts: Accounts, listAgeMs: number) {
    this.#accounts = accounts;
    this.#listAgeMs = listAgeMs;
    this.#entryAgeMs = Math.min(listAgeMs, ENTRY_AGE_MS);
  }

  /**
   * The entry that a caller named, and the drive to do something with it.
   * @throws NotFoundError with one message, whether the id is malformed, unknown, or not the viewer's to see; also what
   * `Accounts.open` throws.
   */
  async resolve(viewer: Viewer, target: EntryTarget, call: CallContext = uncancelled()): Promise<ResolvedEntry> {
    if (target === null) throw noSuchEntry();
    const segments = 'path' in target ? checkedSegments(target.path, target.at ?? ['path']) : null;
    try {
      const opened = await this.#accounts.open(viewer, target.accountId);
      const { driver } = opened;
      const entry = 'ref' in target ? await driver.stat(target.ref, call) : await entryAt(opened, segments ?? [], call);
      return { ...opened, entry };
    } catch (error) {
      throw error instanceof NotFoundError ? noSuchEntry(error) : error;
    }
  }

  /** As {@link resolve}, to look at it only: what was told a short while ago is good enough. */
  look(viewer: Viewer, target: EntryTarget, call: CallContext): Promise<ResolvedEntry> {
    return this.resolve(viewer, target, { maxAgeMs: this.#entryAgeMs, ...call });
  }

  /** As {@link resolve}, for a folder that something is put into. `at` names the input for the error. */
  async resolveFolder(
    viewer: Viewer,
    target: EntryTarget,
    at: readonly string[],
    call?: CallContext,
  ): Promise<ResolvedEntry> {
    const resolved = await this.resolve(viewer, target, call);
    if (resolved.entry.kind === 'FOLDER') return resolved;
    throw new InvalidInputError([{ path: at, message: 'must be a folder, and is a file' }]);
  }

  /**
   * Entries by their keys, in the order asked: null for what is not there or not the viewer's to see, and the error for
   * what could not be asked. One request to each account, where its provider can.
   */
  async findMany(
    viewer: Viewer,
    keys: readonly EntryKey[],
    call: CallContext = uncancelled(),
  ): Promise<readonly (EntryView | null | Error)[]> {
    const accounts = await this.#accounts.visibleMany(viewer, [...new Set(keys.map(({ accountId }) => accountId))]);
    const byAccount = Map.groupBy(keys, ({ accountId }) => accountId);
    const found = new Map<EntryKey, EntryView | Error | null>();
    await Promise.all(
      [...accounts.values()].map(async (account) => {
        const wanted = byAccount.get(account.id) ?? [];
        const entries = await this.#statAll(
          account,
          wanted.map(({ ref }) => ref),
          { maxAgeMs: this.#entryAgeMs, ...call },
        );
        for (const [index, key] of wanted.entries()) {
          const entry = entries[index] ?? null;
          found.set(key, entry === null || entry instanceof Error ? entry : { account, entry });
        }
      }),
    );
    return keys.map((key) => found.get(key) ?? null);
  }

  /** The root of an account's drive, to be found by {@link findMany}. */
  rootKey(account: Account): EntryKey {
    return { accountId: account.id, ref: this.#accounts.openVisible(account).driver.rootRef };
  }

  /** A page of what is in a folder. `totalCount` only as far as the page told it: see {@link count}. */
  async children(
    { account, entry }: EntryView,
    options: ListOptions,
    page: PageQuery,
    call: CallContext,
  ): Promise<ItemPage<EntryView>> {
    const { driver, run } = this.#accounts.openVisible(account);
    checkSort(driver, options);
    return viewsOf(
      account,
      await readPage(
        (request) => run('list', entry.ref, options, request, this.#listing(call)),
        page,
        driver.capabilities.listPageMax,
      ),
    );
  }

  /** How many entries a folder holds; null where the provider does not tell. */
  async count(
    { account, entry }: EntryView,
    options: Pick<ListOptions, 'kind'>,
    call: CallContext,
  ): Promise<number | null> {
    const { driver } = this.#accounts.openVisible(account);
    return (await driver.count?.(entry.ref, options, this.#listing(call))) ?? null;
  }

  /**
   * A page of an account's entries: of a folder, of all below it, or of one category.
   * @throws UnsupportedError where the provider cannot list so.
   */
  async list(
    account: Account,
    { category, recursive, folderRef }: EntrySelection,
    page: PageQuery,
    call: CallContext,
  ): Promise<ItemPage<EntryView>> {
    const { driver, run } = this.#accounts.openVisible(account);
    const folder = folderRef ?? driver.rootRef;
    const listing = this.#listing(call);
    if (category && recursive === false) {
      throw InvalidInputError.at('recursive', 'must not be false with a category: its files are listed at any depth');
    }
    const { listPageMax, wholePages } = driver.capabilities;
    const act = category ? 'listByCategory' : recursive ? 'listRecursive' : null;
    const isWhole = act !== null && (wholePages?.includes(act) ?? false);
    return viewsOf(
      account,
      await readPage(
        (request, isRest) => {
          const context = isWhole && isRest ? { ...listing, maxAgeMs: AGE_MAX_MS } : listing;
          if (category) return run('listByCategory', category, folderRef, request, context);
          if (recursive) return run('listRecursive', folder, request, context);
          return run('list', folder, {}, request, context);
        },
        page,
        listPageMax,
        isWhole,
      ),
    );
  }

  /** A page of the recycle bin. @throws UnsupportedError where the provider has none that can be read. */
  async recycleBin(account: Account, page: PageQuery, call: CallContext): Promise<ItemPage<EntryView>> {
    const { driver, run } = this.#accounts.openVisible(account);
    return viewsOf(
      account,
      await readPage((request) => run('recycleBin.list', request, call), page, driver.capabilities.listPageMax),
    );
  }

  /** Where the entry is, as `/folder/name`; null where the provider cannot tell. */
  async pathOf({ account, entry }: EntryView, call: CallContext): Promise<string | null> {
    if (entry.path !== null || entry.deletedAt !== null) return entry.path;
    const { driver } = this.#accounts.openVisible(account);
    return (await driver.pathOf?.(entry.ref, this.#listing(call))) ?? null;
  }

  /**
   * The folder that an entry is in, found by its path where its provider tells only that; null at the root, in the recycle
   * bin, and where that is not told either.
   */
  async parentOf(view: EntryView, call: CallContext): Promise<EntryView | null> {
    const { account } = view;
    const path = this.folderPathOf(view);
    if (path === null) return null;
    const opened = this.#accounts.openVisible(account);
    const segments = path === '/' ? [] : path.slice(1).split('/');
    const listing = this.#listing(call);
    try {
      if (segments.length === 0) return { account, entry: await opened.driver.stat(opened.driver.rootRef, listing) };
      return { account, entry: await entryAt(opened, segments, listing) };
    } catch (error) {
      if (error instanceof NotFoundError) return null; // It moved since the path was told.
      throw error;
    }
  }

  /** The path of the folder that an entry is in; null where that is not told, or there is none. */
  folderPathOf({ entry: { path, deletedAt } }: EntryView): string | null {
    if (path === null || path === '/' || deletedAt !== null) return null;
    return path.slice(0, path.lastIndexOf('/')) || '/';
  }

  /** What people use the file for: as the provider tells, else by its name. */
  categoryOf({ entry }: EntryView): FileCategory {
    return entry.category ?? categoryOf(entry.name);
  }

  #listing(call: CallContext): CallContext {
    return { maxAgeMs: this.#listAgeMs, ...call };
  }

  async #statAll(
    account: Account,
    refs: readonly string[],
    call: CallContext,
  ): Promise<readonly (DriveEntry | Error | null)[]> {
    try {
      const { driver } = this.#accounts.openVisible(account);
      const batches = Array.from({ length: Math.ceil(refs.length / STAT_BATCH) }, (_, index) =>
        refs.slice(index * STAT_BATCH, (index + 1) * STAT_BATCH),
      );
      return (await Promise.all(batches.map((batch) => statBatch(driver, batch, call)))).flat();
    } catch (error) {
      return refs.map(() => error as Error);
    }
  }
}

async function statBatch(
  driver: Driver,
  refs: readonly string[],
  call: CallContext,
): Promise<readonly (DriveEntry | Error | null)[]> {
  if (driver.statMany) return driver.statMany(refs, call);
  const settled = await Promise.allSettled(refs.map((ref) => driver.stat(ref, call)));
  return settled.map((result) => {
    if (result.status === 'fulfilled') return result.value;
    return result.reason instanceof NotFoundError ? null : result.reason;
  });
}

function checkSort({ capabilities }: Driver, { orderBy }: ListOptions): void {
  if (!orderBy || capabilities.sorts.includes(orderBy.by)) return;
  const sorts = capabilities.sorts.join(', ') || 'none';
  throw new UnsupportedError(`This drive cannot sort by ${orderBy.by}; its sorts are: ${sorts}.`, null);
}

const viewsOf = (account: Account, page: ItemPage<DriveEntry>): ItemPage<EntryView> => ({
  ...page,
  items: page.items.map((entry) => ({ account, entry })),
});

export const noSuchEntry = (cause?: unknown): NotFoundError =>
  new NotFoundError('There is no such file or folder.', { cause });
