/** What one plan may cost, however many folders are asked for. */
export const PLAN_LIMITS = {
  /** Entries of folders: each is told. Memory: some 300 bytes each. */
  entries: 10_000,
  /** Pages of folders that are asked for. */
  calls: 300,
  /** Time for reading them, in milliseconds. */
  ms: 15_000,
} as const;

/** Why not all of a folder was looked at. */
export const PLAN_GAPS = ['ENTRIES', 'PROVIDER_CALLS', 'TIME', 'UNREADABLE'] as const;
export type PlanGap = (typeof PLAN_GAPS)[number];

/** What is left of {@link PLAN_LIMITS}. */
export class PlanBudget {
  /** Aborts when whoever asks is gone. */
  readonly caller: AbortSignal;
  /** Aborts then, and when the time is over. */
  readonly signal: AbortSignal;
  readonly #time: AbortSignal;
  #entries: number;
  #calls: number;

  constructor(caller: AbortSignal, limits: { readonly [Limit in keyof typeof PLAN_LIMITS]: number } = PLAN_LIMITS) {
    this.caller = caller;
    this.#time = AbortSignal.timeout(limits.ms);
    this.signal = AbortSignal.any([caller, this.#time]);
    this.#entries = limits.entries;
    this.#calls = limits.calls;
  }

  get isTimeOver(): boolean {
    return this.#time.aborted;
  }

  /** Takes one more page; or says why not. */
  takeCall(): PlanGap | null {
    if (this.isTimeOver) return 'TIME';
    if (this.#calls <= 0) return 'PROVIDER_CALLS';
    this.#calls -= 1;
    return null;
  }

  /** Whether there is place for one more entry; then it is taken. */
  takeEntry(): boolean {
    this.#entries -= 1;
    return this.#entries >= 0;
  }
}
