import type { Driver } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { wrapActs } from '../drives/operations.ts';
import type { EventBus } from '../events/bus.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { ReauthorizationRequiredError, UnavailableError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { ACQUIRE_LIMITS, type AcquireLimits } from './acquire.ts';
import { ClaimLostError } from './delivery.ts';
import { Endings } from './endings.ts';
import { ATTEMPTS_MAX } from './failures.ts';
import type { Neighbours } from './neighbours.ts';
import type { ProgressBoard, ProgressTrack } from './progress.ts';
import type { SlotLimits } from './queue.ts';
import type { Sources } from './sources.ts';
import type { Spool } from './spool.ts';
import { COMMIT_PHASE, STATE_DEADLINES_MS } from './states.ts';
import { LEASE_MS, type TransferStore } from './store.ts';
import { work } from './work.ts';

export interface EngineLimits extends SlotLimits {
  /** Transfers that this process works on at once. */
  readonly runningMax: number;
  /** How often the queue is looked at without being told to, in milliseconds: an announcement may be lost. */
  readonly pollMs: number;
}

/**
 * Enough to keep a disk and a line busy; a user with a thousand files leaves room for the others, and a drive that hangs
 * leaves slots for its user's other drives.
 */
export const ENGINE_LIMITS: EngineLimits = {
  runningMax: 8,
  runningPerUserMax: 4,
  runningPerAccountMax: 2,
  pollMs: 5_000,
};

/** How long a shutdown waits for the workers to park, in milliseconds. */
const PARK_WAIT_MS = 5_000;

export interface EngineParts {
  readonly store: TransferStore;
  readonly spool: Spool;
  readonly neighbours: Neighbours;
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly progress: ProgressBoard;
  /** Names this process in leases. */
  readonly owner: string;
  /** The drive of a user's account, ready for use. Throws a DomainError when it cannot be used. */
  readonly openDrive: (userId: string, accountId: string) => Promise<Driver>;
  /** Frees what a transfer holds that was given up: its file, its session at the provider. Never rejects. */
  readonly free: (row: Transfer) => Promise<void>;
  /** How bytes are had that nobody sends. */
  readonly sources: Sources;
  readonly limits?: Partial<EngineLimits & AcquireLimits>;
  readonly random?: () => number;
}

/** Why a worker stops before its end. */
type StopReason = 'parked' | 'controlled' | 'lost';

interface Job {
  readonly row: Transfer;
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
  readonly #endings: Endings;
  /** Two of one transfer, while a worker that lost it has not yet noticed. */
  readonly #jobs = new Set<Job>();
  readonly #unlisten: (() => void)[] = [];
  #timer: NodeJS.Timeout | null = null;
  #filling: Promise<void> | null = null;
  #again = false;
  #closed = false;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#limits = { ...ENGINE_LIMITS, ...parts.limits };
    this.#endings = new Endings(parts);
  }

  start(): void {
    const { bus } = this.#parts;
    this.#unlisten.push(
      bus.on('transfer.queued', () => this.#wake()),
      // It may be authorized again, and what waits for that can go on.
      bus.on('account.changed', () => this.#wake()),
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
    for (const { controller } of this.#jobs) controller.abort('parked');
    const deadline = AbortSignal.timeout(PARK_WAIT_MS);
    const late = new Promise<void>((resolve) => deadline.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([Promise.all([...this.#jobs].map(({ done }) => done)), late]);
  }

  /** Stops the work on a transfer; of a tree, on its items too. */
  #stop(transferId: string, reason: StopReason): void {
    for (const { row, controller } of this.#jobs) {
      // An item that is just being finished is let finish.
      const isItem = row.treeId === transferId && row.phase !== COMMIT_PHASE;
      if (row.id === transferId || isItem) controller.abort(reason);
    }
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
          const { store, owner, neighbours } = this.#parts;
          const row = await store.claim({ ...this.#limits, owner, reach: await neighbours.reach() });
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
    const job: Job = {
      row,
      controller,
      done: this.#run(row, controller).finally(() => {
        this.#jobs.delete(job);
        this.#wake();
      }),
    };
    this.#jobs.add(job);
  }

  async #run(row: Transfer, controller: AbortController): Promise<void> {
    const log = this.#parts.log.child({ transferId: row.id, attempt: row.attempts });
    const progress = this.#parts.progress.track(row);
    const heartbeat = this.#beat(row, controller, progress, log);
    try {
      if (row.attemptsStuck > ATTEMPTS_MAX) throw new UnavailableError(GIVEN_UP, { retryable: false });
      const { openDrive, spool, store, sources, limits } = this.#parts;
      const driver = await openDrive(row.userId, row.accountId);
      const call = { signal: controller.signal, priority: 'bulk' } as const;
      const openSourceDrive = async (accountId: string): Promise<Driver> =>
        asSource(await openDrive(row.userId, accountId), accountId);
      const delivery = {
        row,
        claimedBefore: claimBefore(row),
        driver,
        openSourceDrive,
        spool,
        store,
        progress,
        call,
        log,
      };
      const outcome = await work(delivery, sources, { ...ACQUIRE_LIMITS, ...limits });
      // The share of an item in its tree's speed, though it was too quick to be told of.
      if (outcome?.route && row.treeId != null) progress.report('SENDING', row.bytesTotal ?? 0);
      progress.stop();
      if (outcome) await this.#endings.succeed(row, outcome, log);
      else if (!(await store.trees.awaitItems(row))) throw new ClaimLostError();
    } catch (error) {
      progress.stop();
      try {
        const runAfter = await this.#endings.settle(row, error, controller.signal, log);
        if (runAfter) this.#wakeAt(runAfter);
      } catch (fault) {
        log.error({ err: fault }, 'the end of a transfer cannot be stored; its lease runs out, and it is tried again');
      }
    } finally {
      clearInterval(heartbeat);
    }
  }

  /** Shows that the worker lives; stops it when its claim is gone, or was not renewed for as long as the lease. */
  #beat(row: Transfer, controller: AbortController, progress: ProgressTrack, log: Logger): NodeJS.Timeout {
    const { store, clock } = this.#parts;
    let renewedAtMs = performance.now();
    let moved = progress.reports;
    const beat = async (): Promise<void> => {
      try {
        const leaseUntil = addMs(clock.now(), LEASE_MS);
        // What moves has time; what does not is given up at the deadline of its state.
        const expiry = progress.reports === moved ? {} : { expiresAt: addMs(clock.now(), STATE_DEADLINES_MS.RUNNING) };
        moved = progress.reports;
        if (!(await store.update(row.id, 'RUNNING', row.fence, { leaseUntil, ...expiry }))) controller.abort('lost');
        renewedAtMs = performance.now();
      } catch (error) {
        log.warn({ err: error }, 'the lease of a transfer could not be renewed');
        if (performance.now() - renewedAtMs > LEASE_MS) controller.abort('lost');
      }
    };
    return setInterval(() => void beat(), LEASE_MS / 3).unref();
  }

  /** Looks at the queue when something in it comes due before the next poll. */
  #wakeAt(at: Date): void {
    const waitMs = at.getTime() - this.#parts.clock.now().getTime();
    if (waitMs < this.#limits.pollMs) setTimeout(() => this.#wake(), Math.max(0, waitMs)).unref();
  }
}

/** What was begun by a version that kept no names stands at its own, unless it may be a numbered one. */
const claimBefore = ({ claimedName, phase, onConflict, name }: Transfer): string | null =>
  claimedName ?? (phase === COMMIT_PHASE && onConflict !== 'RENAME' ? name : null);

/**
 * The drive of a source for a job whose own drive is another: that it must be authorized again is told of its account,
 * not of the one that the bytes go to.
 */
const asSource = (driver: Driver, accountId: string): Driver =>
  wrapActs(driver, (_path, act) => async (...args) => {
    try {
      return await act(...args);
    } catch (error) {
      if (!(error instanceof DriveError) || error.category !== 'unauthenticated') throw error;
      throw new ReauthorizationRequiredError(error.message, accountId, { cause: error });
    }
  });

const GIVEN_UP = `The transfer was begun ${ATTEMPTS_MAX} times without getting on. Retry it later.`;
