import { addMs, type Clock } from '../lib/clock.ts';
import {
  type DomainError,
  IntegrityError,
  ReauthorizationRequiredError,
  TooLargeError,
  UnavailableError,
} from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Transfer, TransferPhase } from '../storage/entities/transfer.ts';
import { ClaimLostError } from './delivery.ts';
import { ATTEMPTS_MAX, backoffMs, domainFailure, isUncertain, storedFailureOf } from './failures.ts';
import type { TransferChanges } from './rows.ts';
import { isAcquired } from './sources.ts';
import {
  COMMIT_PHASE,
  isFinal,
  PARKED_DEADLINE_MS,
  RETRY_WINDOW_MS,
  STATE_DEADLINES_MS,
  STRETCHED_MAX_MS,
} from './states.ts';
import type { TransferStore } from './store.ts';
import { BytesGoneError } from './strategy.ts';
import type { Outcome } from './work.ts';

export interface EndingsParts {
  readonly store: TransferStore;
  readonly clock: Clock;
  /** Frees what a transfer holds that was given up: its file, its session at the provider. Never rejects. */
  readonly free: (row: Transfer) => Promise<void>;
  readonly random?: () => number;
}

/** How a worker leaves a transfer: done, to be tried again, waiting for an account, or failed. */
export class Endings {
  readonly #parts: EndingsParts;

  constructor(parts: EndingsParts) {
    this.#parts = parts;
  }

  /** The transfer is done. @throws ClaimLostError */
  async succeed(row: Transfer, outcome: Outcome, log: Logger): Promise<void> {
    const { store, clock } = this.#parts;
    const changes = {
      ...outcome,
      phase: null,
      ...(row.listing == null ? bytesOf(row, outcome) : {}),
      failure: null,
      driverSession: null,
      sealedSource: null,
      expiresAt: null,
      finishedAt: clock.now(),
    };
    if (!(await store.change(row.id, 'succeed', changes, { fence: row.fence }))) throw new ClaimLostError();
    // With another route than slices, a session that was begun is of no use any more.
    await this.#parts.free(outcome.route === 'SLICED' ? { ...row, driverSession: null } : row);
    await store.slices.forget(row.id);
    log.info({ route: outcome.route, bytesTotal: row.bytesTotal }, 'transfer finished');
  }

  /** A worker stopped before its end. Gives when the transfer is due again; null: nobody knows, or never. */
  async settle(row: Transfer, error: unknown, { aborted, reason }: AbortSignal, log: Logger): Promise<Date | null> {
    if (error instanceof ClaimLostError || reason === 'lost') {
      await this.#leaveNothing(row);
      return null;
    }
    const { store, clock } = this.#parts;
    const now = clock.now();
    if (aborted) {
      // Parked. Or its owner held or ended it: then the fence is another, and this changes nothing.
      const changes = { ...this.#queued(row, error), ...uncounted(row), runAfter: now };
      if (!(await store.change(row.id, 'requeue', changes, mine(row)))) await this.#leaveNothing(row);
      return null;
    }
    const known = domainFailure(error, row.accountId, now);
    if (!known) log.error({ err: error }, 'unexpected error in a transfer');
    const failure =
      known ?? new UnavailableError('The server could not finish this transfer. The fault has been logged.');
    if (failure instanceof ReauthorizationRequiredError && (await store.isParked(failure.accountId))) {
      await this.#park(row, error, failure, log);
      return null;
    }
    if (mayBeTried(row, now) && (failure.retryable || mayBeginAnew(row, failure))) {
      return this.#tryAgain(row, error, failure, log);
    }
    await this.#fail(row, failure, log);
    return null;
  }

  /** Until its account is authorized again: the queue passes it over meanwhile. */
  async #park(row: Transfer, error: unknown, failure: DomainError, log: Logger): Promise<void> {
    const { store, clock } = this.#parts;
    const now = clock.now();
    const changes = {
      ...this.#queued(row, error),
      ...uncounted(row),
      runAfter: now,
      failure: storedFailureOf(failure),
    };
    await store.change(row.id, 'park', { ...changes, expiresAt: addMs(now, PARKED_DEADLINE_MS) }, mine(row));
    log.warn({ err: error }, 'transfer waits until its account is authorized again');
  }

  async #tryAgain(row: Transfer, error: unknown, failure: DomainError, log: Logger): Promise<Date | null> {
    const { store, clock, random = Math.random } = this.#parts;
    const earliest = addMs(clock.now(), backoffMs(Math.max(1, row.attemptsStuck), failure.code, random));
    const runAfter = failure.retryAt && failure.retryAt > earliest ? failure.retryAt : earliest;
    log.warn({ err: error, runAfter }, 'transfer is tried again later');
    const anew = failure instanceof IntegrityError ? BEGUN_ANEW : {};
    if (failure instanceof IntegrityError) await this.#parts.free(row);
    const changes = { ...this.#queued(row, error), ...anew, runAfter, failure: storedFailureOf(failure) };
    return (await store.change(row.id, 'requeue', changes, mine(row))) ? runAfter : null;
  }

  async #fail(row: Transfer, failure: DomainError, log: Logger): Promise<void> {
    const { store, clock, free } = this.#parts;
    const now = clock.now();
    // One of thousands of items can be fetched again, and would keep its bytes on the disk for a day.
    const keepsBytes = !(failure instanceof IntegrityError || failure instanceof TooLargeError) && row.treeId == null;
    const changes = {
      phase: null,
      failure: storedFailureOf(failure),
      finishedAt: now,
      expiresAt: keepsBytes ? addMs(now, RETRY_WINDOW_MS) : null,
      ...(keepsBytes ? {} : { driverSession: null }),
    };
    if (!(await store.change(row.id, 'fail', changes, mine(row)))) return this.#leaveNothing(row);
    log.info({ code: failure.code }, 'transfer failed');
    if (!keepsBytes) await free(row);
  }

  /** A worker that lost its transfer may have written after the end of it, when all was freed. */
  async #leaveNothing({ id, driverSession }: Transfer): Promise<void> {
    const { store, free } = this.#parts;
    const row = await store.find(id);
    const isOver = row === null || (isFinal(row.state) && !(row.state === 'FAILED' && row.expiresAt !== null));
    if (isOver) await free({ ...(row ?? ({ id } as Transfer)), driverSession: driverSession ?? null });
  }

  #queued(row: Transfer, error: unknown): TransferChanges {
    const expiresAt = row.treeId == null ? addMs(this.#parts.clock.now(), STATE_DEADLINES_MS.QUEUED) : null;
    return { phase: phaseToGoOnWith(row, error), expiresAt };
  }
}

/** The bytes of a file that is done: those that passed this server too, where they did not take a shortcut. */
function bytesOf({ bytesTotal, bytesDone, spoolHashes }: Transfer, { route }: Outcome): TransferChanges {
  const all = bytesTotal ?? bytesDone;
  const isSent = route === 'SLICED' || route === 'STREAMED';
  return { bytesDone: all, bytesReceived: isSent || spoolHashes != null ? all : 0, bytesSent: isSent ? all : 0 };
}

const mine = ({ fence }: Transfer) => ({ fence });

/** What was broken off through no fault of its own is no try. */
const uncounted = ({ attempts, attemptsStuck }: Transfer) => ({
  attempts: attempts - 1,
  attemptsStuck: Math.max(0, attemptsStuck - 1),
});

/** Whether it has not been tried too often since it got on last; after {@link STRETCHED_MAX_MS}, in all. */
const mayBeTried = ({ attempts, attemptsStuck, startedAt }: Transfer, now: Date): boolean =>
  attempts < ATTEMPTS_MAX || (attemptsStuck < ATTEMPTS_MAX && addMs(startedAt ?? now, STRETCHED_MAX_MS) > now);

const BEGUN_ANEW = { phase: 'RECEIVING', bytesDone: 0, bytesSent: 0, spoolHashes: null, driverSession: null } as const;

/** Bytes that were not those of the source may be, when they are fetched once more: it may just have changed. */
const mayBeginAnew = ({ source, attempts, entryRef }: Transfer, failure: DomainError): boolean =>
  failure instanceof IntegrityError &&
  isAcquired(source) &&
  (attempts === 1 || failure instanceof BytesGoneError) &&
  entryRef == null;

/** Where the next try begins. What the drive may have done is looked for first. */
function phaseToGoOnWith({ phase, route, listing, entryRef }: Transfer, error: unknown): TransferPhase {
  if (listing != null) return phase === COMMIT_PHASE ? phase : 'LISTING';
  if (entryRef != null) return COMMIT_PHASE;
  if (phase === 'RECEIVING' || (phase === COMMIT_PHASE && isUncertain(error))) return phase;
  return route === 'SERVER_SIDE' ? 'RECEIVING' : 'HASHING';
}
