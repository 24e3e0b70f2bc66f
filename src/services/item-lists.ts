import type { CallContext, DriveEntry, EntryKind } from '../drives/driver.ts';
import { type DomainError, InvalidInputError, NotFoundError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { StoredFailure } from '../storage/entities/transfer.ts';
import { failureOf, storedFailureOf } from '../transfers/failures.ts';
import type { Accounts, OpenAccount } from './accounts.ts';
import { type Entries, type EntryKey, type EntryTarget, type EntryView, noSuchEntry, uncancelled } from './entries.ts';
import type { Attempt, Idempotency } from './idempotency.ts';
import { checkedSegments, entryAt } from './paths.ts';
import type { Transfers, TransferView } from './transfers.ts';
import { keptOf } from './unexpected.ts';
import type { Viewer } from './viewer.ts';

/** Items of one list mutation: each may cost a request to the provider. */
export const ITEMS_MAX = 100;

/** A list of entries that something is done to. */
export interface ItemList {
  readonly entries: readonly EntryTarget[];
  /** The field of the input that they are in. Absent: `entries`. */
  readonly field?: 'entries' | 'ids';
  /** What each entry's revision must be, by its place; null: any. Absent: any of all. */
  readonly ifRevisions?: readonly (string | null | undefined)[] | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

/** What became of one item. */
export interface ItemResult {
  /** What was found at the path, of an item that was named by its path. */
  readonly source: SourceKey | null;
  /** The entry afterwards; null when it failed, or is no more. */
  readonly entry: EntryView | null;
  /** The job that does it, where bytes must cross drives; left out or null: it is done. */
  readonly transfer?: TransferView | null;
  readonly error: DomainError | null;
}

export interface SourceKey extends EntryKey {
  readonly kind: EntryKind;
}

/** An item that was found, and its drive. */
export interface Item {
  readonly opened: OpenAccount;
  readonly ref: string;
  readonly options: { readonly ifRevision?: string };
}

/** What is done to one item; gives the entry afterwards, null when it is no more. */
export type Act = (item: Item) => Promise<DriveEntry | null | Elsewhere>;

/** What comes of an item in another drive: a job that was begun, or an entry. */
export type Elsewhere = { readonly transferId: string } | { readonly stays: EntryView };

/** As the idempotency record keeps it. */
export interface ItemAnswer {
  readonly source: SourceKey | null;
  readonly entry: EntryKey | null;
  readonly transferId?: string;
  readonly failure: StoredFailure | null;
}

export interface ListedWork {
  readonly operation: string;
  readonly list: ItemList;
  /** What else was asked for, for the comparison of repeats. */
  readonly input?: object;
  /** Finds what is needed for all items, and gives what is done to each. Its failure is that of the whole. */
  readonly prepare: (attempt: Attempt<ItemAnswer>, call: CallContext) => Promise<Act>;
}

export interface ItemListsOptions {
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly idempotency: Idempotency;
  /** For jobs that were begun. */
  readonly transfers: Pick<Transfers, 'findMany'>;
  readonly log: Logger;
}

/** Does one thing to many entries. */
export class ItemLists {
  readonly #accounts: Accounts;
  readonly #entries: Entries;
  readonly #idempotency: Idempotency;
  readonly #transfers: ItemListsOptions['transfers'];
  readonly #log: Logger;

  constructor({ accounts, entries, idempotency, transfers, log }: ItemListsOptions) {
    this.#transfers = transfers;
    this.#accounts = accounts;
    this.#entries = entries;
    this.#idempotency = idempotency;
    this.#log = log;
  }

  /**
   * One result for each item, in their order. One failure never stops the others. They come one after the other, so that
   * two of one name meet in the order asked.
   * @throws InvalidInputError when the list is empty or too long; what `prepare` throws.
   */
  async each(viewer: Viewer, { operation, list, input, prepare }: ListedWork): Promise<readonly ItemResult[]> {
    const { entries, ifRevisions, idempotencyKey } = list;
    checkLengths(list);
    const fresh = new Map<string, EntryView>();
    const request = { operation, key: idempotencyKey, input: { ...input, entries, ifRevisions } };
    const answers = await this.#idempotency.once<readonly ItemAnswer[], ItemAnswer>(
      viewer,
      request,
      async (attempt) => {
        const call = uncancelled();
        const act = await prepare(attempt, call);
        const find = this.finder(viewer, call);
        const done = [...attempt.parts];
        for (const [index, target] of [...entries.entries()].slice(done.length)) {
          const ifRevision = ifRevisions?.[index];
          const answer = await this.#one(() => find(target), act, ifRevision == null ? {} : { ifRevision }, fresh);
          done.push(answer);
          await attempt.keep(answer);
        }
        return done;
      },
    );
    return this.results(viewer, answers, fresh);
  }

  async #one(
    find: () => Promise<Found>,
    act: Act,
    options: Item['options'],
    fresh: Map<string, EntryView>,
  ): Promise<ItemAnswer> {
    let source: SourceKey | null = null;
    try {
      const found = await find();
      source = found.source;
      const acted = await act({ ...found, options });
      if (acted === null) return { source, entry: null, failure: null };
      if ('transferId' in acted) return { source, entry: null, transferId: acted.transferId, failure: null };
      const { account, entry } = 'stays' in acted ? acted.stays : { account: found.opened.account, entry: acted };
      fresh.set(keyOf({ accountId: account.id, ref: entry.ref }), { account, entry });
      return { source, entry: { accountId: account.id, ref: entry.ref }, failure: null };
    } catch (error) {
      return { source, entry: null, failure: storedFailureOf(keptOf(error, this.#log)) };
    }
  }

  /** Finds items; opens each account once. An id costs no request: the act says whether there is such an entry. */
  finder(viewer: Viewer, call: CallContext): (target: EntryTarget) => Promise<Found> {
    const opened = new Map<string, Promise<OpenAccount>>();
    const open = (accountId: string): Promise<OpenAccount> => {
      const opening = opened.get(accountId) ?? this.#accounts.open(viewer, accountId);
      opened.set(accountId, opening);
      return opening;
    };
    return async (target) => {
      if (target === null) throw noSuchEntry();
      const segments = 'path' in target ? checkedSegments(target.path, target.at ?? ['path']) : null;
      try {
        const account = await open(target.accountId);
        if ('ref' in target) return { opened: account, ref: target.ref, source: null };
        const { ref, kind } = await entryAt(account, segments ?? [], call);
        return { opened: account, ref, source: { accountId: target.accountId, ref, kind } };
      } catch (error) {
        throw error instanceof NotFoundError ? noSuchEntry(error) : error;
      }
    };
  }

  /** Answers with their entries: as the act gave them, or as they are now when the answer is repeated. */
  async results(
    viewer: Viewer,
    answers: readonly ItemAnswer[],
    fresh: ReadonlyMap<string, EntryView>,
  ): Promise<readonly ItemResult[]> {
    const missing = answers.flatMap(({ entry }) => (entry && !fresh.has(keyOf(entry)) ? [entry] : []));
    const loaded = missing.length > 0 ? await this.#entries.findMany(viewer, missing) : [];
    const views = new Map(fresh);
    for (const [index, key] of missing.entries()) {
      const view = loaded[index];
      if (view && !(view instanceof Error)) views.set(keyOf(key), view);
    }
    const ids = answers.flatMap(({ transferId }) => transferId ?? []);
    const begun = ids.length > 0 ? await this.#transfers.findMany(viewer, ids) : [];
    const transfers = new Map(ids.map((id, index) => [id, begun[index] ?? null]));
    return answers.map(({ source, entry, transferId, failure }) => ({
      source,
      transfer: (transferId !== undefined && transfers.get(transferId)) || null,
      entry: (entry && views.get(keyOf(entry))) ?? null,
      error: failure && failureOf(failure),
    }));
  }
}

/** An item that was found. */
export interface Found extends Omit<Item, 'options'> {
  readonly source: SourceKey | null;
}

export const keyOf = ({ accountId, ref }: EntryKey): string => `${accountId}/${ref}`;

export function checkLengths({
  entries,
  field = 'entries',
  ifRevisions,
}: Pick<ItemList, 'field' | 'ifRevisions'> & { readonly entries: readonly unknown[] }): void {
  if (entries.length === 0 || entries.length > ITEMS_MAX) {
    throw InvalidInputError.at(`input.${field}`, `must be from 1 to ${ITEMS_MAX}`);
  }
  if (ifRevisions && ifRevisions.length !== entries.length) {
    throw InvalidInputError.at('input.ifRevisions', 'must have one place for each entry');
  }
}
