import type { Logger } from '../lib/log.ts';
import type { SharedState } from '../lib/shared-state.ts';
import type { Timer } from '../lib/timer.ts';
import { TURNS, type TurnAnswer, type Turns } from './turns.ts';

/** How long a process counts for itself before it asks again for what all share, in milliseconds. */
export const AWAY_MS = 5_000;
/** Times that another process may be faster. Each loses a few milliseconds; so many in a row do not happen by chance. */
const TRIES_MAX = 30;
/** Longest wait between two of them, in milliseconds. */
const TRY_WAIT_MS = 20;
/** Beyond what matters of it a state is kept this long, as clocks run at different speeds, in milliseconds. */
const LIFE_MARGIN_MS = 60_000;

export interface TurnLedgerOptions {
  readonly state: SharedState;
  readonly log: Logger;
  readonly timer: Timer;
  /** From 0 to below 1: spreads processes that collided. */
  readonly random: () => number;
}

/** The turns of all accounts, as all processes see them. */
export class TurnLedger {
  readonly #state: SharedState;
  readonly #log: Logger;
  readonly #timer: Timer;
  readonly #random: () => number;
  #awayUntilMs: number | null = null;
  #underway = new Set<Promise<unknown>>();
  #closed = false;

  constructor({ state, log, timer, random }: TurnLedgerOptions) {
    this.#state = state;
    this.#log = log;
    this.#timer = timer;
    this.#random = random;
  }

  /**
   * Changes an account's turns, as if no other process did so at the same time. Null: they cannot be reached, and the
   * process must count for itself.
   * @param change May be called again when another process was faster.
   */
  async change(
    accountId: string,
    change: (turns: Turns, nowMs: number) => TurnAnswer,
  ): Promise<{ readonly answer: TurnAnswer; readonly nowMs: number } | null> {
    if (this.#closed || (this.#awayUntilMs !== null && this.#timer.nowMs() < this.#awayUntilMs)) return null;
    const changing = this.#change(`turns:${accountId}`, change);
    this.#underway.add(changing);
    try {
      const changed = await changing;
      if (this.#awayUntilMs !== null) this.#log.info('the rates of the providers are shared between processes again');
      this.#awayUntilMs = null;
      return changed;
    } catch (error) {
      if (this.#awayUntilMs === null && !this.#closed) {
        this.#log.warn({ err: error }, 'the rates of the providers cannot be shared: each process counts for itself');
      }
      this.#awayUntilMs = this.#timer.nowMs() + AWAY_MS;
      return null;
    } finally {
      this.#underway.delete(changing);
    }
  }

  async #change(key: string, change: (turns: Turns, nowMs: number) => TurnAnswer) {
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      const { value, nowMs } = await this.#state.read(key);
      const answer = change(parsed(value), nowMs);
      const text = JSON.stringify(answer.turns);
      if (await this.#state.replace(key, value, text, answer.lifeMs + LIFE_MARGIN_MS)) return { answer, nowMs };
      await new Promise<void>((resolve) => this.#timer.after(this.#random() * TRY_WAIT_MS, resolve));
    }
    throw new Error(`${TRIES_MAX} times another process was faster`);
  }

  /** What is under way ends first: a turn that is not given back would count until its lease ends. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#underway);
    await this.#state.close();
  }
}

/** A text of another version of this program counts as none. */
function parsed(value: string | null): Turns {
  if (value === null) return {};
  try {
    return TURNS.parse(JSON.parse(value));
  } catch {
    return {};
  }
}
