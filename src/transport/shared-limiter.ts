import { newId } from '../lib/ids.ts';
import type { Timer } from '../lib/timer.ts';
import type { Limiter, RateTable } from './limiter.ts';
import type { TurnLedger } from './turn-ledger.ts';
import {
  gatesOf,
  giveTurns,
  isCounted,
  LEASE_MS,
  type Turn,
  type TurnAnswer,
  type TurnRequest,
  type Turns,
} from './turns.ts';
import { type AcquireOptions, type Waiter, WaitingLine } from './waiting-line.ts';

/** How often turns that are under way are told anew, in milliseconds: twice may fail before their lease ends. */
const RENEW_MS = LEASE_MS / 3;
/** How often a gate is asked that only the end of a turn opens, maybe in another process. In milliseconds. */
const LOOK_MS = 500;
/** Turns asked for at one time. */
const ASK_MAX = 64;

export interface SharedLimiterOptions {
  readonly accountId: string;
  readonly rates: RateTable;
  readonly ledger: TurnLedger;
  readonly timer: Timer;
}

/**
 * A limiter that several processes share: what was counted stands in the ledger, and only who waits stands here. One
 * question asks for all who wait, and none is asked before a gate can be open again. While the ledger cannot be reached
 * this process goes on by itself from what it knew last, and tells afterwards what it gave.
 */
export class SharedLimiter implements Limiter {
  readonly #accountId: string;
  readonly #ledger: TurnLedger;
  readonly #timer: Timer;
  readonly #line: WaitingLine;
  /** Turns under way whose end must be told. */
  readonly #held = new Map<string, Turn>();
  /** Gates that are known not to be open, and until when on our own clock. */
  readonly #closed = new Map<string, Closing>();
  #rates: RateTable;
  /** To be told with the next question. Times of our own clock. */
  #ended: Turn[] = [];
  #given: { readonly endpoint: string; readonly atMs: number }[] = [];
  #pauses: { readonly gate: string; readonly untilMs: number }[] = [];
  /** As they were last seen; the clock of the ledger is `aheadMs` before our own. */
  #known: { turns: Turns; aheadMs: number } = { turns: {}, aheadMs: 0 };
  #asking = false;
  #mustAsk = false;
  #toldMs = 0;
  #cancelWake: (() => void) | null = null;

  constructor({ accountId, rates, ledger, timer }: SharedLimiterOptions) {
    this.#accountId = accountId;
    this.#rates = rates;
    this.#ledger = ledger;
    this.#timer = timer;
    this.#line = new WaitingLine(timer, () => this.#proceed());
  }

  acquire(endpoint: string, options: AcquireOptions): Promise<() => void> {
    const turn = this.#line.join(endpoint, options);
    this.#proceed();
    return turn;
  }

  pause(gate: string, durationMs: number): void {
    const untilMs = this.#timer.nowMs() + durationMs;
    this.#pauses.push({ gate, untilMs });
    this.#close(gate, { untilMs, certain: true });
    this.#mustAsk = true;
    this.#proceed();
  }

  setRates(rates: RateTable): void {
    this.#rates = rates;
    this.#closed.clear();
    this.#proceed();
  }

  get idle(): boolean {
    const isWaiting = this.#line.waiting.length > 0 || this.#asking || this.#mustAsk;
    return !isWaiting && this.#held.size === 0 && this.#given.length === 0 && this.#pauses.length === 0;
  }

  /** Asks, when a question could change anything; else sees to it that one is asked as soon as it could. */
  #proceed(): void {
    if (this.#asking) return; // What came meanwhile is looked at after the answer.
    const now = this.#timer.nowMs();
    for (const [gate, { untilMs }] of this.#closed) if (untilMs <= now) this.#closed.delete(gate);
    let wakeMs = this.#held.size > 0 ? this.#toldMs + RENEW_MS : Number.POSITIVE_INFINITY;
    const mayBeGiven: Waiter[] = [];
    for (const waiter of this.#line.waiting) {
      const closings = gatesOf(waiter.endpoint).flatMap((gate) => this.#closed.get(gate) ?? []);
      const opensMs = Math.max(now, ...closings.map(({ untilMs }) => untilMs));
      if (opensMs > waiter.deadlineMs && closings.every(({ certain }) => certain)) waiter.refuse(opensMs - now);
      else if (closings.length === 0) mayBeGiven.push(waiter);
      else wakeMs = Math.min(wakeMs, opensMs);
    }
    if (mayBeGiven.length > 0 || this.#mustAsk || wakeMs <= now) void this.#ask(mayBeGiven.slice(0, ASK_MAX));
    else this.#wakeAt(wakeMs, now);
  }

  async #ask(waiters: readonly Waiter[]): Promise<void> {
    this.#asking = true;
    this.#mustAsk = false;
    const asked = waiters.map((waiter) => ({ waiter, turn: { id: newId(), endpoint: waiter.endpoint } }));
    const now = this.#timer.nowMs();
    const [given, pauses] = [[...this.#given], [...this.#pauses]];
    const request: TurnRequest = {
      rates: this.#rates,
      wanted: asked.map(({ turn }) => turn),
      held: [...this.#held.values()],
      ended: this.#ended,
      given: given.map(({ endpoint, atMs }) => ({ endpoint, agoMs: now - atMs })),
      pauses: pauses.map(({ gate, untilMs }) => ({ gate, durationMs: untilMs - now })),
    };
    this.#ended = [];
    this.#toldMs = now;
    const shared = await this.#ledger.change(this.#accountId, (turns, nowMs) => giveTurns(turns, request, nowMs));
    if (shared) {
      this.#known = { turns: shared.answer.turns, aheadMs: shared.nowMs - this.#timer.nowMs() };
      this.#given = this.#given.slice(given.length);
      this.#pauses = this.#pauses.slice(pauses.length);
    }
    const answer = shared?.answer ?? this.#giveAlone(request);
    this.#asking = false;
    if (request.rates === this.#rates) this.#noteClosed(answer);
    this.#admit(asked, answer, shared === null);
    this.#proceed();
  }

  /** What the ledger would answer, if nobody else had come to it since this process last did. */
  #giveAlone(request: TurnRequest): TurnAnswer {
    const now = this.#timer.nowMs();
    const { turns, aheadMs } = this.#known;
    // What was given alone stands in what is known already.
    const answer = giveTurns(turns, { ...request, given: [] }, now + aheadMs);
    this.#known = { turns: answer.turns, aheadMs };
    const keepMs = Math.max(0, ...Object.values(answer.turns).map(({ keep }) => keep.ms));
    this.#given = this.#given.filter(({ atMs }) => atMs + keepMs > now);
    this.#pauses = this.#pauses.filter(({ untilMs }) => untilMs > now);
    return answer;
  }

  #noteClosed({ opensInMs }: TurnAnswer): void {
    const now = this.#timer.nowMs();
    for (const [gate, inMs] of opensInMs) {
      const certain = Number.isFinite(inMs);
      if (!certain && this.#ended.length > 0) continue; // A turn ended since: that may have opened it.
      this.#close(gate, { untilMs: now + (certain ? inMs : LOOK_MS), certain });
    }
  }

  #admit(
    asked: readonly { readonly waiter: Waiter; readonly turn: Turn }[],
    { given }: TurnAnswer,
    alone: boolean,
  ): void {
    for (const { waiter, turn } of asked) {
      if (!given.has(turn.id)) continue;
      if (alone) this.#given.push({ endpoint: turn.endpoint, atMs: this.#timer.nowMs() });
      const isHeld = isCounted(this.#rates, turn.endpoint);
      if (isHeld) this.#held.set(turn.id, turn);
      const end = isHeld ? () => this.#end(turn) : () => {};
      if (waiter.waits) waiter.admit(end);
      else end(); // It left while its turn was asked for.
    }
  }

  #end(turn: Turn): void {
    if (!this.#held.delete(turn.id)) return;
    this.#ended.push(turn);
    this.#mustAsk = true; // Another process may wait for the place.
    for (const gate of gatesOf(turn.endpoint)) if (!this.#closed.get(gate)?.certain) this.#closed.delete(gate);
    this.#proceed();
  }

  #close(gate: string, closing: Closing): void {
    const known = this.#closed.get(gate);
    if (!known || known.untilMs < closing.untilMs) this.#closed.set(gate, closing);
  }

  #wakeAt(wakeMs: number, now: number): void {
    this.#cancelWake?.();
    this.#cancelWake = Number.isFinite(wakeMs) ? this.#timer.after(wakeMs - now, () => this.#proceed()) : null;
  }
}

interface Closing {
  readonly untilMs: number;
  /** Until then it is closed for sure; else it is only not asked before. */
  readonly certain: boolean;
}
