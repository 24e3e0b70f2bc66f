import type { Timer } from '../lib/timer.ts';

export interface AcquireOptions {
  /** Interactive requests go before bulk ones. */
  readonly priority: 'interactive' | 'bulk';
  /** Longest wait for a turn. */
  readonly waitMaxMs: number;
  readonly signal: AbortSignal;
}

/** A turn cannot be had in time, or too many wait already. */
export class NoTurnError extends Error {
  override readonly name = 'NoTurnError';
  /** When it may be had, as far as is known. */
  readonly retryAfterMs: number | null;

  constructor(message: string, retryAfterMs: number | null) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Waiting callers of one account. Each holds a GraphQL field or a job; more only means that all of them fail later. */
export const QUEUE_MAX = 1000;

/** Somebody who waits for a turn. */
export interface Waiter {
  readonly endpoint: string;
  readonly deadlineMs: number;
  /** False once it has its turn, was refused or left. */
  readonly waits: boolean;
  /** It is its turn, which the function ends. */
  admit(end: () => void): void;
  /** It gets none. `opensInMs`: when it could have one. */
  refuse(opensInMs: number): void;
}

/** Who waits for a turn at one account: in the order asked, interactive before bulk, each until its deadline. */
export class WaitingLine {
  readonly #timer: Timer;
  readonly #onLeave: () => void;
  #waiting: (Waiter & { readonly bulk: boolean })[] = [];

  /** @param onLeave Called after somebody gave up or ran out of time: others may have waited for them. */
  constructor(timer: Timer, onLeave: () => void) {
    this.#timer = timer;
    this.#onLeave = onLeave;
  }

  /** In order; stays as it is when somebody leaves. */
  get waiting(): readonly Waiter[] {
    return this.#waiting;
  }

  /**
   * Resolves when it is the caller's turn, with the function that ends it.
   * @throws NoTurnError; the signal's reason when it aborts.
   */
  join(endpoint: string, { priority, waitMaxMs, signal }: AcquireOptions): Promise<() => void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#waiting.length >= QUEUE_MAX) {
      return Promise.reject(new NoTurnError(`${QUEUE_MAX} requests of this account wait already.`, null));
    }
    const { promise, resolve, reject } = Promise.withResolvers<() => void>();
    let waits = true;
    const leave = (): void => {
      waits = false;
      cancelDeadline();
      signal.removeEventListener('abort', abort);
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
    };
    const waiter = {
      endpoint,
      bulk: priority === 'bulk',
      deadlineMs: this.#timer.nowMs() + waitMaxMs,
      get waits() {
        return waits;
      },
      admit: (end: () => void) => {
        leave();
        resolve(end);
      },
      refuse: (opensInMs: number) => {
        leave();
        reject(new NoTurnError('The provider allows no request in time.', Math.ceil(opensInMs)));
      },
    };
    const abort = (): void => {
      leave();
      reject(signal.reason);
      this.#onLeave();
    };
    const cancelDeadline = this.#timer.after(waitMaxMs, () => {
      leave();
      reject(new NoTurnError('There was no turn in time: too many requests of this account.', null));
      this.#onLeave();
    });
    signal.addEventListener('abort', abort, { once: true });

    const place = waiter.bulk ? -1 : this.#waiting.findIndex(({ bulk }) => bulk);
    this.#waiting = this.#waiting.toSpliced(place === -1 ? this.#waiting.length : place, 0, waiter);
    return promise;
  }
}
