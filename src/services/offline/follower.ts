import type { DriveOfflineTask } from '../../drives/contract/offline.ts';
import type { CallContext, Driver } from '../../drives/driver.ts';
import { DriveError } from '../../drives/errors.ts';
import type { EventBus } from '../../events/bus.ts';
import { addMs, type Clock } from '../../lib/clock.ts';
import { DomainError } from '../../lib/errors.ts';
import { newId } from '../../lib/ids.ts';
import type { Logger } from '../../lib/log.ts';
import { Account } from '../../storage/entities/account.ts';
import { OfflineFollow, type OfflineTask } from '../../storage/entities/offline-task.ts';
import type { Storage } from '../../storage/orm.ts';
import type { Accounts } from '../accounts.ts';
import type { OfflineRecords } from './records.ts';
import { LIST_PAGES_MAX, type OfflineSync, pagesOf } from './sync.ts';

/** Between two questions to a provider, in milliseconds: while tasks change, and at most, with and without somebody who looks on. */
export const POLL_MIN_MS = 5_000;
export const POLL_WATCHED_MAX_MS = 60_000;
export const POLL_MAX_MS = 10 * 60_000;
const POLL_GROWTH = 1.5;
/** How long an account is left alone that its person, or an administrator, must first see to. */
export const PARKED_MS = 15 * 60_000;
/** How often what is due is looked for, in milliseconds. */
const LOOK_MS = 2_000;
/** Accounts that one process asks about at once. */
const POLLS_MAX = 4;
/** How long whoever asks is believed alive, in milliseconds; and how long asking may take, so that it ends before that. */
export const LEASE_MS = 120_000;
const POLL_TIMEOUT_MS = LEASE_MS - 30_000;
/** How long somebody is believed to look on without a sign of it, in milliseconds, and how often a sign is given. */
export const WATCH_MS = 90_000;
const WATCH_SIGN_MS = WATCH_MS / 3;
/** How long a provider may take to know a task that it has just begun, in milliseconds. */
export const UNKNOWN_GRACE_MS = 60_000;
/** Tasks asked about one by one at a time, where the provider has no list of them. */
const STATS_MAX = 20;

export interface OfflineFollowerParts {
  readonly storage: Storage;
  readonly accounts: Pick<Accounts, 'openForUser'>;
  readonly records: OfflineRecords;
  readonly sync: OfflineSync;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Asks providers how the unfinished tasks are: of accounts where somebody looks on, or where a task was begun through
 * this server. One process asks about an account at a time, and less and less often while nothing changes.
 */
export class OfflineFollower {
  readonly #parts: OfflineFollowerParts;
  readonly #watchers = new Map<string, number>();
  readonly #looks = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  #polls = 0;
  #signedAt = new Date(0);
  #timer: NodeJS.Timeout | null = null;
  #unlisten = (): void => {};

  constructor(parts: OfflineFollowerParts) {
    this.#parts = parts;
  }

  start(): void {
    // An account that works again, or that its owner gave up, is looked at soon.
    this.#unlisten = this.#parts.events.on('account.changed', ({ accountId }) => this.#hurry(accountId));
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    this.#unlisten();
    this.#closing.abort();
    await Promise.all(this.#looks);
  }

  /** Follows the account's tasks from now on, at first closely. */
  async follow(accountId: string): Promise<void> {
    const pollAt = addMs(this.#parts.clock.now(), POLL_MIN_MS);
    await this.#insert({ accountId, pollAt, intervalMs: POLL_MIN_MS });
    await this.#hurry(accountId, true);
  }

  /** Somebody looks on, until the function is called that this gives. */
  async watch(accountId: string): Promise<() => void> {
    this.#watchers.set(accountId, (this.#watchers.get(accountId) ?? 0) + 1);
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      const left = (this.#watchers.get(accountId) ?? 1) - 1;
      if (left > 0) this.#watchers.set(accountId, left);
      else this.#watchers.delete(accountId);
    };
    try {
      await this.#insert({ accountId, pollAt: null, intervalMs: POLL_MIN_MS });
      await this.#sign([accountId]);
      return end;
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Asks about what is due; over when nothing is asked any more. Never rejects. */
  async look(): Promise<void> {
    const look = this.#pollDue()
      .catch((error) => this.#parts.log.error({ err: error }, 'offline tasks cannot be looked at'))
      .finally(() => this.#looks.delete(look));
    this.#looks.add(look);
    await Promise.all(this.#looks);
  }

  /** Removes what is followed no more. */
  async sweep(): Promise<void> {
    const { storage, clock } = this.#parts;
    const unwatched = [{ watchedUntil: null }, { watchedUntil: { $lte: clock.now() } }];
    await storage.fork().nativeDelete(OfflineFollow, { pollAt: null, leaseUntil: null, $or: unwatched });
  }

  async #pollDue(): Promise<void> {
    const { storage, clock } = this.#parts;
    const now = clock.now();
    if (this.#watchers.size > 0 && addMs(this.#signedAt, WATCH_SIGN_MS) <= now)
      await this.#sign([...this.#watchers.keys()]);
    const limit = POLLS_MAX - this.#polls;
    if (limit <= 0 || this.#closing.signal.aborted) return;
    const due = await storage
      .fork()
      .find(
        OfflineFollow,
        { pollAt: { $lte: now }, $or: [{ leaseUntil: null }, { leaseUntil: { $lte: now } }] },
        { orderBy: { pollAt: 'asc' }, limit, disableIdentityMap: true, connectionType: 'write' },
      );
    this.#polls += due.length;
    try {
      await Promise.all(due.map((row) => this.#poll(row, now)));
    } finally {
      this.#polls -= due.length;
    }
  }

  async #poll(row: OfflineFollow, now: Date): Promise<void> {
    const { storage, log } = this.#parts;
    const { accountId } = row;
    const leaseOwner = newId();
    // Of several processes, the one whose statement changed the row asks.
    const claimed = await storage
      .fork()
      .nativeUpdate(
        OfflineFollow,
        { accountId, pollAt: row.pollAt ?? null, $or: [{ leaseUntil: null }, { leaseUntil: { $lte: now } }] },
        { leaseOwner, leaseUntil: addMs(now, LEASE_MS) },
      );
    if (claimed !== 1) return;
    let next: Next;
    try {
      next = await this.#ask(row);
    } catch (error) {
      next = this.#closing.signal.aborted ? { afterMs: 0, intervalMs: row.intervalMs } : this.#afterFailure(row, error);
      log[error instanceof DomainError || error instanceof DriveError ? 'info' : 'error'](
        { err: error, accountId, afterMs: next?.afterMs },
        'offline tasks of an account are asked about later',
      );
    }
    await this.#release(row, leaseOwner, next);
  }

  async #ask({ accountId, intervalMs, watchedUntil }: OfflineFollow): Promise<Next> {
    const { storage, accounts, records, clock } = this.#parts;
    const isWatched = (watchedUntil ?? new Date(0)) > clock.now();
    const followed = (rows: readonly OfflineTask[]): boolean =>
      rows.length > 0 && (isWatched || rows.some(({ userId }) => userId != null));
    const rows = await records.unfinished(accountId);
    if (!followed(rows)) return null;
    const account = await storage.fork().findOne(Account, { id: accountId }, { disableIdentityMap: true });
    if (!account) return null;
    const { driver } = await accounts.openForUser(account.ownerId, accountId);
    if (!driver.offline?.list && !driver.offline?.stat) return null;

    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]);
    const changed = await this.#read(driver, rows, { signal, priority: 'bulk' }, accountId);
    if (!followed(await records.unfinished(accountId))) return null;
    const before = new Map(rows.map((row) => [row.ref, row.state]));
    // Progress is worth a close look only where somebody sees it; a change of state tells that more may follow.
    const isLively = changed.some(({ ref, state }) => isWatched || before.get(ref) !== state);
    const grown = Math.min(intervalMs * POLL_GROWTH, isWatched ? POLL_WATCHED_MAX_MS : POLL_MAX_MS);
    const afterMs = isLively ? POLL_MIN_MS : Math.round(grown);
    return { afterMs, intervalMs: afterMs };
  }

  async #read(
    driver: Driver,
    rows: readonly OfflineTask[],
    call: CallContext,
    accountId: string,
  ): Promise<readonly OfflineTask[]> {
    const { sync } = this.#parts;
    const { tasks, missing } = await (driver.offline?.list
      ? this.#listed(driver, rows, call)
      : this.#asked(driver, rows, call));
    const changed = await sync.take(accountId, driver, tasks, call);
    await this.#giveUp(accountId, driver, missing.filter(this.#isOverdue), call);
    return changed;
  }

  /** One list tells of all. */
  async #listed(driver: Driver, rows: readonly OfflineTask[], call: CallContext): Promise<Told> {
    const missing = new Map(rows.map((row) => [row.ref, row]));
    const tasks: DriveOfflineTask[] = [];
    let isWhole = false;
    const list = driver.offline?.list?.bind(driver.offline);
    if (!list) return { tasks, missing: [] };
    for await (const { items, nextCursor } of pagesOf((page) => list(page, call), driver, LIST_PAGES_MAX)) {
      tasks.push(...items);
      for (const { ref } of items) missing.delete(ref);
      isWhole = nextCursor === null;
      if (missing.size === 0) break;
    }
    return { tasks, missing: isWhole ? [...missing.values()] : [] };
  }

  /** Each by itself, those first that were not asked about for longest. */
  async #asked(driver: Driver, rows: readonly OfflineTask[], call: CallContext): Promise<Told> {
    const tasks: DriveOfflineTask[] = [];
    const missing: OfflineTask[] = [];
    const oldest = rows.toSorted((left, right) => left.checkedAt.getTime() - right.checkedAt.getTime());
    for (const row of oldest.slice(0, STATS_MAX)) {
      try {
        const task = await driver.offline?.stat?.(row.ref, call);
        if (task) tasks.push(task);
      } catch (error) {
        if (!(error instanceof DriveError) || error.category !== 'not_found') throw error;
        missing.push(row);
      }
    }
    return { tasks, missing };
  }

  readonly #isOverdue = ({ addedAt }: OfflineTask): boolean =>
    addMs(addedAt, UNKNOWN_GRACE_MS) <= this.#parts.clock.now();

  /** What the provider no longer has: where it lists them, somebody ended it there; else nothing more will be heard of it. */
  async #giveUp(accountId: string, driver: Driver, rows: readonly OfflineTask[], call: CallContext): Promise<void> {
    const { storage, records, sync } = this.#parts;
    if (driver.offline?.list) {
      const refs = rows.map(({ ref }) => ref);
      return records.forget(storage.fork(), accountId, refs);
    }
    const lost = rows.map((row) => ({ ...taskOf(row), state: 'FAILED' as const, failure: LOST }));
    await sync.take(accountId, driver, lost, call);
  }

  #afterFailure({ intervalMs }: OfflineFollow, error: unknown): Next {
    // Not its provider's failure: the account must be authorized again, or is disabled. It costs nothing to look again.
    if (error instanceof DomainError) return { afterMs: PARKED_MS, intervalMs: POLL_MIN_MS };
    const grown = Math.min(intervalMs * 2, POLL_MAX_MS);
    if (!(error instanceof DriveError)) return { afterMs: grown, intervalMs: grown };
    const isStop = error.category === 'unauthenticated' || error.category === 'blocked';
    return { afterMs: Math.max(error.retryAfterMs ?? 0, isStop ? PARKED_MS : grown), intervalMs: grown };
  }

  /** Ends the claim. What was asked for meanwhile stays. */
  async #release({ accountId, pollAt }: OfflineFollow, leaseOwner: string, next: Next): Promise<void> {
    const { storage, clock } = this.#parts;
    const em = storage.fork();
    const planned = next
      ? { pollAt: addMs(clock.now(), next.afterMs), intervalMs: next.intervalMs }
      : { pollAt: null, intervalMs: POLL_MIN_MS };
    await em.nativeUpdate(OfflineFollow, { accountId, leaseOwner, pollAt: pollAt ?? null }, planned);
    await em.nativeUpdate(OfflineFollow, { accountId, leaseOwner }, { leaseOwner: null, leaseUntil: null });
  }

  /** Asks soon about an account that is followed. @param isNew Also when there was nothing to ask about. */
  async #hurry(accountId: string, isNew = false): Promise<void> {
    const pollAt = addMs(this.#parts.clock.now(), POLL_MIN_MS);
    const later = [{ pollAt: { $gt: pollAt } }, ...(isNew ? [{ pollAt: null }] : [])];
    await this.#parts.storage
      .fork()
      .nativeUpdate(OfflineFollow, { accountId, $or: later }, { pollAt, intervalMs: POLL_MIN_MS });
  }

  async #sign(accountIds: readonly string[]): Promise<void> {
    const { storage, clock } = this.#parts;
    const now = clock.now();
    this.#signedAt = now;
    await storage
      .fork()
      .nativeUpdate(OfflineFollow, { accountId: { $in: [...accountIds] } }, { watchedUntil: addMs(now, WATCH_MS) });
  }

  async #insert(row: Pick<OfflineFollow, 'accountId' | 'pollAt' | 'intervalMs'>): Promise<void> {
    await this.#parts.storage
      .fork()
      .createQueryBuilder(OfflineFollow)
      .insert({ ...row, watchedUntil: null, leaseOwner: null, leaseUntil: null })
      .onConflict(['accountId'])
      .ignore()
      .execute('run');
  }
}

/** When to ask next; null: there is nothing to ask about. */
type Next = { readonly afterMs: number; readonly intervalMs: number } | null;

interface Told {
  readonly tasks: readonly DriveOfflineTask[];
  /** What the provider does not know. */
  readonly missing: readonly OfflineTask[];
}

const LOST = { providerCode: null, message: 'The provider no longer knows this task.' } as const;

const taskOf = (row: OfflineTask): DriveOfflineTask => ({
  ...row,
  url: null,
  percentDone: row.progress / 100,
  sizeBytes: row.sizeBytes ?? null,
  entryRef: row.entryRef ?? null,
  parentRef: row.parentRef ?? null,
  filesRef: null,
  failure: row.failure ?? null,
});
