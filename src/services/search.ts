import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { CallContext, DriveEntry, EntryKind, Page, PageRequest } from '../drives/driver.ts';
import { decodeCursor, encodeCursor } from '../drives/shared/paging.ts';
import { type DomainError, InvalidInputError, NotFoundError, UnavailableError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Timer } from '../lib/timer.ts';
import type { Account } from '../storage/entities/account.ts';
import type { Accounts } from './accounts.ts';
import type { EntryView } from './entries.ts';
import { type ItemPage, type PageQuery, readPage } from './pages.ts';
import { toldOf } from './unexpected.ts';
import type { Viewer } from './viewer.ts';

export type SearchMode = 'NAME' | 'SEMANTIC';

export interface SearchQuery {
  /** As typed. */
  readonly query: string;
  /** Null: all that the viewer may use. */
  readonly accountIds: readonly string[] | null;
  readonly mode: SearchMode;
  readonly kind: EntryKind | null;
}

export interface SearchPage extends ItemPage<EntryView> {
  /** Accounts that this page has nothing of because they failed. */
  readonly gaps: readonly SearchGap[];
}

export interface SearchGap {
  readonly account: Account;
  readonly error: DomainError;
}

/** Longest text to search for, in characters: no name is longer. */
export const QUERY_LENGTH_MAX = 255;
/** Accounts searched at one time. */
export const SEARCH_ACCOUNTS_MAX = 100;

/**
 * How long one account is waited for, in milliseconds: the others have long answered, and a person looks at their results.
 * Long enough for the turn of a search after another one, where a provider allows ten in a minute.
 */
const ACCOUNT_WAIT_MS = 10_000;

/** How far an account's results have been given: behind this cursor of its own; null: nothing yet. */
type Progress = readonly [accountId: string, after: string | null];

/** Finds entries on many drives at once. */
export class Search {
  readonly #accounts: Accounts;
  readonly #log: Logger;
  readonly #timer: Timer;

  constructor({ accounts, log, timer }: { readonly accounts: Accounts; readonly log: Logger; readonly timer: Timer }) {
    this.#accounts = accounts;
    this.#log = log;
    this.#timer = timer;
  }

  /**
   * A page of the results of all accounts, one of each in turn. The cursor tells how far each has been given, so that
   * pages of any size give the same order. An account that fails, or does not answer in time, is a gap of this page; the
   * next page asks it again.
   * @throws InvalidInputError, and NotFoundError when an account is not there or not the viewer's to see.
   */
  async find(viewer: Viewer, wanted: SearchQuery, page: PageQuery, call: CallContext): Promise<SearchPage> {
    const query = checkedQuery(wanted.query);
    const mark = markOf({ ...wanted, query });
    const start = page.after === null ? await this.#begin(viewer, wanted.accountIds) : progressOf(page.after, mark);
    const accounts = await this.#accounts.visibleMany(
      viewer,
      start.map(([accountId]) => accountId),
    );

    const gaps: SearchGap[] = [];
    const results = new Map<string, ItemPage<DriveEntry>>();
    await Promise.all(
      start.map(async ([accountId, after]) => {
        const account = accounts.get(accountId);
        if (!account) return; // Unlinked since the page before.
        try {
          const ask = (patient: CallContext) =>
            this.#ask(account, { ...wanted, query }, { limit: page.limit, after }, patient);
          results.set(accountId, await this.#inTime(account, ask, call));
        } catch (error) {
          gaps.push({ account, error: toldOf(error, this.#log) });
        }
      }),
    );
    const places = new Map(start.map(([accountId], place) => [accountId, place]));
    return {
      ...merge(start, results, accounts, page.limit, mark),
      gaps: gaps.toSorted((left, right) => (places.get(left.account.id) ?? 0) - (places.get(right.account.id) ?? 0)),
    };
  }

  async #begin(viewer: Viewer, accountIds: readonly string[] | null): Promise<readonly Progress[]> {
    if (accountIds === null) return (await this.#accounts.all(viewer)).map(({ id }) => [id, null]);
    if (accountIds.length === 0 || accountIds.length > SEARCH_ACCOUNTS_MAX) {
      throw InvalidInputError.at('accountIds', `must be from 1 to ${SEARCH_ACCOUNTS_MAX}, or left out`);
    }
    const ids = [...new Set(accountIds)];
    const visible = await this.#accounts.visibleMany(viewer, ids);
    if (visible.size < ids.length) throw new NotFoundError('There is no such account.');
    return ids.map((id) => [id, null]);
  }

  /** @throws UnavailableError when the account takes too long; what it was asked is then ended. */
  async #inTime<Result>(
    { label }: Account,
    ask: (call: CallContext) => Promise<Result>,
    call: CallContext,
  ): Promise<Result> {
    const late = new AbortController();
    const { promise: expired, reject } = Promise.withResolvers<never>();
    const stop = this.#timer.after(ACCOUNT_WAIT_MS, () => {
      reject(new UnavailableError(`“${label}” did not answer in time. Search it again.`));
      late.abort();
    });
    try {
      return await Promise.race([ask({ ...call, signal: AbortSignal.any([call.signal, late.signal]) }), expired]);
    } finally {
      stop();
    }
  }

  #ask(account: Account, wanted: SearchQuery, page: PageQuery, call: CallContext): Promise<ItemPage<DriveEntry>> {
    const { driver, run } = this.#accounts.openVisible(account);
    const request = { query: wanted.query, ...(wanted.kind ? { kind: wanted.kind } : {}) };
    const act = wanted.mode === 'NAME' ? 'searchByName' : 'searchByMeaning';
    const list = (place: PageRequest): Promise<Page<DriveEntry>> => run(act, request, place, call);
    return readPage(list, page, driver.capabilities.listPageMax);
  }
}

/** Takes one result of each account in turn. An account that failed keeps its turn and its place for the next page. */
function merge(
  start: readonly Progress[],
  results: ReadonlyMap<string, ItemPage<DriveEntry>>,
  accounts: ReadonlyMap<string, Account>,
  limit: number,
  mark: string,
): ItemPage<EntryView> {
  const items: EntryView[] = [];
  const cursors: string[] = [];
  const taken = new Map<string, number>();
  const isEmpty = (accountId: string): boolean => {
    const result = results.get(accountId);
    return result !== undefined && !result.hasNextPage && (taken.get(accountId) ?? 0) >= result.items.length;
  };
  let turns = start.filter(([accountId]) => accounts.has(accountId) && !isEmpty(accountId));
  const hasMore = (): boolean => turns.some(([accountId]) => results.has(accountId));

  while (items.length < limit && hasMore()) {
    const [turn, ...others] = turns;
    if (!turn) break;
    const [accountId] = turn;
    const index = taken.get(accountId) ?? 0;
    const account = accounts.get(accountId);
    const entry = results.get(accountId)?.items[index];
    if (!account || !entry) {
      turns = [...others, turn];
      continue;
    }
    taken.set(accountId, index + 1);
    const after = results.get(accountId)?.cursors.at(index) ?? null;
    turns = isEmpty(accountId) ? others : [...others, [accountId, after]];
    items.push({ account, entry });
    cursors.push(encodeCursor([mark, turns]));
  }
  return { items, cursors, hasNextPage: hasMore() };
}

const CURSOR = z.tuple([z.string(), z.array(z.tuple([z.string(), z.string().nullable()])).max(SEARCH_ACCOUNTS_MAX)]);

function progressOf(cursor: string, mark: string): readonly Progress[] {
  const [made, progress] = decodeCursor(cursor, CURSOR) ?? [];
  if (made !== mark || !progress) throw InvalidInputError.at('after', 'must be a cursor that this search gave');
  return progress;
}

/** Tells searches apart, so that a cursor is not used with another. */
const markOf = ({ query, accountIds, mode, kind }: SearchQuery): string =>
  createHash('sha256')
    .update(JSON.stringify([query, accountIds, mode, kind]))
    .digest('base64url')
    .slice(0, 12);

function checkedQuery(query: string): string {
  const trimmed = query.trim();
  if (trimmed === '' || trimmed.length > QUERY_LENGTH_MAX || /\p{Cc}/u.test(trimmed) || !trimmed.isWellFormed()) {
    throw InvalidInputError.at('query', `must be from 1 to ${QUERY_LENGTH_MAX} characters of plain text`);
  }
  return trimmed;
}
