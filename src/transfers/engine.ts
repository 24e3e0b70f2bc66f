import type { Driver } from '../drives/driver.ts';
import type { EventBus } from '../events/bus.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { type DomainError, IntegrityError, TooLargeError, UnavailableError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Transfer, TransferPhase } from '../storage/entities/transfer.ts';
import { ACQUIRE_LIMITS, type AcquireLimits, acquire } from './acquire.ts';
import { ClaimLostError, type Delivered } from './delivery.ts';
import { ATTEMPTS_MAX, backoffMs, domainFailure, isUncertain, storedFailureOf } from './failures.ts';
import type { ProgressBoard } from './progress.ts';
import type { Sources } from './sources.ts';
import type { Spool } from './spool.ts';
import { COMMIT_PHASE, RETRY_WINDOW_MS, STATE_DEADLINES_MS } from './states.ts';
import { LEASE_MS, type TransferStore } from './store.ts';
import { deliver } from './strategy.ts';

export interface EngineLimits {
  /** Transfers that this process works on at once. */
  readonly runningMax: number;
  /** Of these, and those of other processes, one user's. */
  readonly runningPerUserMax: number;
  /** How often the queue is looked at without being told to, in milliseconds: an announcement may be lost. */
  readonly pollMs: number;
}

/** Enough to keep a disk and a line busy; a user with a thousand files leaves room for the others. */
export const ENGINE_LIMITS: EngineLimits = { runningMax: 8, runningPerUserMax: 3, pollMs: 5_000 };

/** How long a shutdown waits for the workers to park, in milliseconds. */
const PARK_WAIT_MS = 5_000;

export interface EngineParts {
  readonly store: TransferStore;
  readonly spool: Spool;
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly progress: ProgressBoard;
  /** Names this process in leases. */
  readonly owner: string;
  /** The drive of a user's account, ready for use. Throws a DomainError when it cannot be used. */
  readonly openDrive: (userId: string, accountId: string) => Promise<Driver>;
  /** How bytes are had that nobody sends. */
  readonly sources: Sources;
  readonly limits?: Partial<EngineLimits & AcquireLimits>;
  readonly random?: () => number;
}

/** Why a worker stops before its end. */
type StopReason = 'parked' | 'controlled' | 'lost';

interface Job {
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

/**
 * Works off the queue of transfers. The row is the job: a worker claims it by a lease, shows that it lives by a
 * heartbeat, and carries the fence of its claim in each write; when it dies, the lease runs out and another goes on.
 */
export class Engine {
  readonly #parts: EngineParts;
  readonly #limits: EngineLimits;
  readonly #jobs = new Map<string, Job>();
  readonly #unlisten: (() => void)[] = [];
  #timer: NodeJS.Timeout | null = null;
  #filling: Promise<void> | null = null;
  #again = false;
  #closed = false;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#limits = { ...ENGINE_LIMITS, ...parts.limits };
  }

  start(): void {
    const { bus } = this.#parts;
    this.#unlisten.push(
      bus.on('transfer.queued', () => this.#wake()),
      bus.on('transfer.control', ({ transferId, action }) => {
        if (action !== 'release') this.#stop(transferId, 'controlled');
      }),
    );
    this.#wake();
  }

  /** Parks what is running, so that it goes on after the next start, and takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const unlisten of this.#unlisten) unlisten();
    if (this.#timer) clearTimeout(this.#timer);
    await this.#filling;
    for (const id of this.#jobs.keys()) this.#stop(id, 'parked');
    const deadline = AbortSignal.timeout(PARK_WAIT_MS);
    const late = new Promise<void>((resolve) => deadline.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([Promise.all([...this.#jobs.values()].map(({ done }) => done)), late]);
  }

  #stop(transferId: string, reason: StopReason): void {
    this.#jobs.get(transferId)?.controller.abort(reason);
  }

  /** Looks at the queue now; once more afterwards, when it is asked while it looks. */
  #wake(): void {
    this.#again = true;
    if (this.#closed) return;
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = null;
      this.#schedule();
      if (this.#again) this.#wake();
    });
  }

  async #fill(): Promise<void> {
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        while (!this.#closed && this.#jobs.size < this.#limits.runningMax) {
          const row = await this.#parts.store.claim({ ...this.#limits, owner: this.#parts.owner });
          if (!row) break;
          this.#begin(row);
        }
      }
    } catch (error) {
      this.#again = false;
      this.#parts.log.error({ err: error }, 'the queue of transfers cannot be read');
    }
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => this.#wake(), this.#limits.pollMs).unref();
  }

  #begin(row: Transfer): void {
    const controller = new AbortController();
    const done = this.#run(row, controller).finally(() => {
      this.#jobs.delete(row.id);
      this.#wake();
    });
    this.#jobs.set(row.id, { controller, done });
  }

  async #run(row: Transfer, controller: AbortController): Promise<void> {
    const log = this.#parts.log.child({ transferId: row.id, attempt: row.attempts });
    const heartbeat = this.#beat(row, controller, log);
    const progress = this.#parts.progress.track(row);
    try {
      if (row.attempts > ATTEMPTS_MAX) throw new UnavailableError(GIVEN_UP, { retryable: false });
      const { openDrive, spool, store } = this.#parts;
      const driver = await openDrive(row.userId, row.accountId);
      const call = { signal: controller.signal, priority: 'bulk' } as const;
      const delivery = { row, driver, spool, store, progress, call, log };
      await acquire(delivery, this.#parts.sources, { ...ACQUIRE_LIMITS, ...this.#parts.limits });
      const delivered = await deliver(delivery);
      progress.stop();
      await this.#succeed(row, delivered, log);
    } catch (error) {
      progress.stop();
      await this.#settle(row, error, controller.signal, log).catch((fault) =>
        log.error({ err: fault }, 'the end of a transfer cannot be stored; its lease runs out, and it is tried again'),
      );
    } finally {
      clearInterval(heartbeat);
    }
  }

  /** Shows that the worker lives; stops it when its claim is gone, or was not renewed for as long as the lease. */
  #beat(row: Transfer, controller: AbortController, log: Logger): NodeJS.Timeout {
    const { store, clock } = this.#parts;
    let renewedAtMs = performance.now();
    const beat = async (): Promise<void> => {
      try {
        const leaseUntil = addMs(clock.now(), LEASE_MS);
        if (!(await store.update(row.id, 'RUNNING', row.fence, { leaseUntil }))) controller.abort('lost');
        renewedAtMs = performance.now();
      } catch (error) {
        log.warn({ err: error }, 'the lease of a transfer could not be renewed');
        if (performance.now() - renewedAtMs > LEASE_MS) controller.abort('lost');
      }
    };
    return setInterval(() => void beat(), LEASE_MS / 3).unref();
  }

  async #succeed(row: Transfer, { entry, route }: Delivered, log: Logger): Promise<void> {
    const { store, spool, clock } = this.#parts;
    const done = await store.change(
      row.id,
      'succeed',
      {
        phase: null,
        route,
        entryRef: entry.ref,
        bytesDone: row.bytesTotal ?? row.bytesDone,
        failure: null,
        driverSession: null,
        sealedSource: null,
        expiresAt: null,
        finishedAt: clock.now(),
      },
      { fence: row.fence },
    );
    if (!done) throw new ClaimLostError();
    await spool.remove(row.id);
    await store.forgetSlices(row.id);
    log.info({ route, bytesTotal: row.bytesTotal }, 'transfer finished');
  }

  async #settle(row: Transfer, error: unknown, { aborted, reason }: AbortSignal, log: Logger): Promise<void> {
    if (error instanceof ClaimLostError || reason === 'lost') return;
    const { store, clock } = this.#parts;
    const now = clock.now();
    const phase = phaseToGoOnWith(row, error);
    const queued = { phase, expiresAt: addMs(now, STATE_DEADLINES_MS.QUEUED) } as const;
    const guard = { fence: row.fence };
    if (aborted) {
      // Parked. Or its owner paused or ended it: then the fence is another, and this changes nothing.
      await store.change(row.id, 'requeue', { ...queued, runAfter: now, attempts: row.attempts - 1 }, guard);
      return;
    }

    const known = domainFailure(error, row.accountId, now);
    if (!known) log.error({ err: error }, 'unexpected error in a transfer');
    const failure =
      known ?? new UnavailableError('The server could not finish this transfer. The fault has been logged.');
    if (failure.retryable && row.attempts < ATTEMPTS_MAX) {
      const earliest = addMs(now, backoffMs(row.attempts, this.#parts.random ?? Math.random));
      const runAfter = failure.retryAt && failure.retryAt > earliest ? failure.retryAt : earliest;
      log.warn({ err: error, runAfter }, 'transfer is tried again later');
      const changed = await store.change(
        row.id,
        'requeue',
        { ...queued, runAfter, failure: storedFailureOf(failure) },
        guard,
      );
      if (changed) this.#wakeAt(runAfter);
      return;
    }
    await this.#fail(row, failure, log);
  }

  async #fail(row: Transfer, failure: DomainError, log: Logger): Promise<void> {
    const { store, spool, clock } = this.#parts;
    const now = clock.now();
    const keepsBytes = !(failure instanceof IntegrityError || failure instanceof TooLargeError);
    const failed = await store.change(
      row.id,
      'fail',
      {
        phase: null,
        failure: storedFailureOf(failure),
        finishedAt: now,
        expiresAt: keepsBytes ? addMs(now, RETRY_WINDOW_MS) : null,
      },
      { fence: row.fence },
    );
    if (!failed) return;
    log.info({ code: failure.code }, 'transfer failed');
    if (!keepsBytes) await spool.remove(row.id);
  }

  /** Looks at the queue when something in it comes due before the next poll. */
  #wakeAt(at: Date): void {
    const waitMs = at.getTime() - this.#parts.clock.now().getTime();
    if (waitMs < this.#limits.pollMs) setTimeout(() => this.#wake(), Math.max(0, waitMs)).unref();
  }
}

/** Where the next try begins. What the drive may have done is looked for first. */
function phaseToGoOnWith({ phase }: Transfer, error: unknown): TransferPhase {
  if (phase === 'RECEIVING' || (phase === COMMIT_PHASE && isUncertain(error))) return phase;
  return 'HASHING';
}

const GIVEN_UP = `The transfer was begun ${ATTEMPTS_MAX} times, and did not come to an end. Retry it later.`;
