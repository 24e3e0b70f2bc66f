import type { Timer } from '../lib/timer.ts';
import { type AcquireOptions, WaitingLine } from './waiting-line.ts';

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

/**
 * Gives the requests of one account their turns. Processes that share an account share its turns as well: see
 * shared-limiter.ts.
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

/** Windows are kept this much longer, because a provider counts arrivals, and requests do not travel at one speed. */
export const WINDOW_MARGIN = 1.05;

/** Counts of one endpoint class, or of all together. */
interface Gate {
  readonly name: string;
  /** When turns were given, ascending; as many as the largest window counts. */
  stamps: number[];
  running: number;
  pausedUntilMs: number;
}

/** A limiter for one process. Turns are given in the order asked, interactive first; windows slide, and are never exceeded. */
export class MemoryLimiter implements Limiter {
  readonly #timer: Timer;
  readonly #gates = new Map<string, Gate>();
  #rates: RateTable;
  readonly #line: WaitingLine;
  #cancelWake: (() => void) | null = null;

  constructor(rates: RateTable, timer: Timer) {
    this.#rates = rates;
    this.#timer = timer;
    this.#line = new WaitingLine(timer, () => this.#giveTurns());
  }

  acquire(endpoint: string, options: AcquireOptions): Promise<() => void> {
    const turn = this.#line.join(endpoint, options);
    this.#giveTurns();
    return turn;
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
      this.#line.waiting.length === 0 &&
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
    for (const waiter of this.#line.waiting) {
      const gates = [...new Set([this.#gate('*'), this.#gate(waiter.endpoint)])];
      const opensMs = Math.max(...gates.map((gate) => this.#opensMs(gate, now)));
      if (Number.isFinite(opensMs) && opensMs > waiter.deadlineMs) {
        waiter.refuse(opensMs - now);
        continue;
      }
      if (opensMs <= now && !gates.some((gate) => closed.has(gate))) {
        waiter.admit(this.#begin(gates));
        continue;
      }
      for (const gate of gates) if (this.#opensMs(gate, now) > now) closed.add(gate);
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
