import type { Timer } from '../lib/timer.ts';

/** At most `max` requests in any stretch of `windowMs`. */
export interface RateWindow {
  readonly max: number;
  readonly windowMs: number;
}

export interface Rate {
  /** All hold at once: 10 in a second and 500 in a minute. */
  readonly windows?: readonly RateWindow[];
  /** Requests under way at once; of a stream, until it is read or closed. */
  readonly concurrent?: number;
}

/** Rates by endpoint class; `*` counts the requests of all classes together. A class that is not named has no rate of its own. */
export type RateTable = Readonly<Record<string, Rate>>;

/** `rate` in a second, at most `burst` of them at once: `perSecond(0.2)` is one in 5 s, `perSecond(2, 5)` five in 2.5 s. */
export const perSecond = (rate: number, burst = Math.max(1, Math.floor(rate))): RateWindow => ({
  max: burst,
  windowMs: (burst / rate) * 1000,
});

/** `rate` in a minute, at most `burst` of them at once. */
export const perMinute = (rate: number, burst?: number): RateWindow =>
  perSecond(rate / 60, burst ?? Math.max(1, Math.floor(rate)));

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

/**
 * Gives the requests of one account their turns. Several processes that share an account need one limiter between them:
 * whoever makes that implements this interface over a shared store.
 */
export interface Limiter {
  /**
   * Resolves when it is the caller's turn, with the function that ends it (once; more calls do nothing).
   * @throws NoTurnError; the signal's reason when it aborts.
   */
  acquire(endpoint: string, options: AcquireOptions): Promise<() => void>;
  /** Nobody gets a turn for `endpoint` (`*`: for any) during `durationMs` from now: the provider asked for it. */
  pause(endpoint: string, durationMs: number): void;
  /** From now on these rates; what was counted stays counted. */
  setRates(rates: RateTable): void;
  /** Nothing waits, runs or is remembered: a new limiter would behave the same. */
  readonly idle: boolean;
}

/** Waiting callers of one account. Each holds a GraphQL field or a job; more only means that all of them fail later. */
export const QUEUE_MAX = 1000;

/** Windows are kept this much longer, because a provider counts arrivals, and requests do not travel at one speed. */
const WINDOW_MARGIN = 1.05;

/** Counts of one endpoint class, or of all together. */
interface Gate {
  readonly name: string;
  /** When turns were given, ascending; as many as the largest window counts. */
  stamps: number[];
  running: number;
  pausedUntilMs: number;
}

interface Waiter {
  readonly gates: readonly Gate[];
  readonly bulk: boolean;
  readonly deadlineMs: number;
  admit(): void;
  refuse(error: NoTurnError): void;
}

/** A limiter for one process. Turns are given in the order asked, interactive first; windows slide, and are never exceeded. */
export class MemoryLimiter implements Limiter {
  readonly #timer: Timer;
  readonly #gates = new Map<string, Gate>();
  #rates: RateTable;
  #waiting: Waiter[] = [];
  #cancelWake: (() => void) | null = null;

  constructor(rates: RateTable, timer: Timer) {
    this.#rates = rates;
    this.#timer = timer;
  }

  acquire(endpoint: string, { priority, waitMaxMs, signal }: AcquireOptions): Promise<() => void> {
    const { promise, resolve, reject } = Promise.withResolvers<() => void>();
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#waiting.length >= QUEUE_MAX) {
      return Promise.reject(new NoTurnError(`${QUEUE_MAX} requests of this account wait already.`, null));
    }
    const gates = [...new Set([this.#gate('*'), this.#gate(endpoint)])];
    const leave = (): void => {
      cancelDeadline();
      signal.removeEventListener('abort', abort);
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
    };
    const waiter: Waiter = {
      gates,
      bulk: priority === 'bulk',
      deadlineMs: this.#timer.nowMs() + waitMaxMs,
      admit: () => {
        leave();
        resolve(this.#begin(gates));
      },
      refuse: (error) => {
        leave();
        reject(error);
      },
    };
    const abort = (): void => {
      leave();
      reject(signal.reason);
      this.#giveTurns();
    };
    const cancelDeadline = this.#timer.after(waitMaxMs, () => {
      waiter.refuse(new NoTurnError('There was no turn in time: too many requests of this account.', null));
      this.#giveTurns();
    });
    signal.addEventListener('abort', abort, { once: true });

    const place = waiter.bulk ? this.#waiting.length : this.#waiting.findIndex(({ bulk }) => bulk);
    this.#waiting.splice(place === -1 ? this.#waiting.length : place, 0, waiter);
    this.#giveTurns();
    return promise;
  }

  pause(endpoint: string, durationMs: number): void {
    const gate = this.#gate(endpoint);
    gate.pausedUntilMs = Math.max(gate.pausedUntilMs, this.#timer.nowMs() + durationMs);
    this.#giveTurns();
  }

  setRates(rates: RateTable): void {
    this.#rates = rates;
    this.#giveTurns();
  }

  get idle(): boolean {
    const now = this.#timer.nowMs();
    return (
      this.#waiting.length === 0 &&
      [...this.#gates.values()].every(
        (gate) => gate.running === 0 && now >= gate.pausedUntilMs && this.#forgettable(gate, now),
      )
    );
  }

  #gate(name: string): Gate {
    const known = this.#gates.get(name);
    if (known) return known;
    const gate: Gate = { name, stamps: [], running: 0, pausedUntilMs: 0 };
    this.#gates.set(name, gate);
    return gate;
  }

  /** Admits every waiter whose turn it is. One that a gate holds back also holds back those behind it at that gate. */
  #giveTurns(): void {
    const now = this.#timer.nowMs();
    const closed = new Set<Gate>();
    let wakeMs = Number.POSITIVE_INFINITY;
    for (const waiter of [...this.#waiting]) {
      const opensMs = Math.max(...waiter.gates.map((gate) => this.#opensMs(gate, now)));
      if (Number.isFinite(opensMs) && opensMs > waiter.deadlineMs) {
        waiter.refuse(new NoTurnError('The provider allows no request in time.', Math.ceil(opensMs - now)));
        continue;
      }
      if (opensMs <= now && !waiter.gates.some((gate) => closed.has(gate))) {
        waiter.admit();
        continue;
      }
      for (const gate of waiter.gates) if (this.#opensMs(gate, now) > now) closed.add(gate);
      wakeMs = Math.min(wakeMs, opensMs);
    }
    this.#wakeAt(wakeMs, now);
  }

  /** When the gate lets the next one through; infinite while only the end of another request can tell. */
  #opensMs(gate: Gate, now: number): number {
    const rate = this.#rates[gate.name];
    if (rate?.concurrent !== undefined && gate.running >= rate.concurrent) return Number.POSITIVE_INFINITY;
    let opensMs = gate.pausedUntilMs;
    for (const { max, windowMs } of rate?.windows ?? []) {
      const oldest = gate.stamps.at(-max);
      if (gate.stamps.length >= max && oldest !== undefined)
        opensMs = Math.max(opensMs, oldest + windowMs * WINDOW_MARGIN);
    }
    return Math.max(opensMs, now);
  }

  #begin(gates: readonly Gate[]): () => void {
    const now = this.#timer.nowMs();
    for (const gate of gates) {
      gate.running += 1;
      const kept = Math.max(0, ...(this.#rates[gate.name]?.windows ?? []).map(({ max }) => max));
      gate.stamps.push(now);
      if (gate.stamps.length > 2 * kept) gate.stamps = kept === 0 ? [] : gate.stamps.slice(-kept);
    }
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      for (const gate of gates) gate.running -= 1;
      this.#giveTurns();
    };
  }

  #forgettable(gate: Gate, now: number): boolean {
    const newest = gate.stamps.at(-1) ?? Number.NEGATIVE_INFINITY;
    return (this.#rates[gate.name]?.windows ?? []).every(({ windowMs }) => newest + windowMs * WINDOW_MARGIN <= now);
  }

  #wakeAt(wakeMs: number, now: number): void {
    this.#cancelWake?.();
    this.#cancelWake = Number.isFinite(wakeMs) ? this.#timer.after(wakeMs - now, () => this.#giveTurns()) : null;
  }
}
