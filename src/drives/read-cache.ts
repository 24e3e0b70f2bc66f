import { LRUCache } from 'lru-cache';
import { Flights } from '../lib/flights.ts';

/** Entries kept, of all accounts together: some 20 MB at most. */
const ENTRIES_MAX = 20_000;
/** Nothing older is given, whatever age a caller allows, in milliseconds. */
export const AGE_MAX_MS = 60_000;

export interface ReadCacheOptions {
  readonly now: () => Date;
  /** A clock that never jumps, for ages. */
  readonly nowMs: () => number;
  /** Called when an act of this process changed something in an account, so that other processes {@link ReadCache.forget} too. */
  readonly onWrite?: (accountId: string) => void;
}

export interface Read<Value> {
  readonly value: Value;
  /** When the provider told it. */
  readonly at: Date;
}

interface Kept extends Read<unknown> {
  readonly atMs: number;
}

/**
 * What providers told a short while ago, by account: whoever may use an account may be given it. Only whole answers of
 * acts that succeeded. Equal reads under way are one.
 */
export class ReadCache {
  readonly #options: ReadCacheOptions;
  readonly #kept = new LRUCache<string, Kept>({ maxSize: ENTRIES_MAX, sizeCalculation: ({ value }) => sizeOf(value) });
  readonly #flights = new Flights<unknown>();
  /** How often an account was forgotten: what was read before has another key than what is read after. */
  readonly #generations = new Map<string, number>();

  constructor(options: ReadCacheOptions) {
    this.#options = options;
  }

  /** What is kept of a question, if it is young enough. */
  find(accountId: string, question: string, maxAgeMs: number): Read<unknown> | null {
    const kept = this.#kept.get(this.#keyOf(accountId, question));
    const ageMs = kept ? this.#options.nowMs() - kept.atMs : 0;
    return kept && ageMs < Math.min(maxAgeMs, AGE_MAX_MS) ? kept : null;
  }

  /** Keeps an answer that was read since nothing was forgotten: see {@link generation}. */
  keep(accountId: string, question: string, value: unknown, generation: number): Read<unknown> {
    const kept = { value, at: this.#options.now(), atMs: this.#options.nowMs() };
    if (generation === this.generation(accountId)) this.#kept.set(this.#keyOf(accountId, question), kept);
    return kept;
  }

  /** Asks, unless an equal question has been under way since nothing was forgotten. As {@link Flights.join}. */
  share<Result>(
    accountId: string,
    question: string,
    signal: AbortSignal,
    launch: (signal: AbortSignal) => Promise<Result>,
    leaving: (reason: unknown) => Error,
  ): Promise<Result> {
    return this.#flights.join(this.#keyOf(accountId, question), signal, launch, leaving) as Promise<Result>;
  }

  generation(accountId: string): number {
    return this.#generations.get(accountId) ?? 0;
  }

  /** Something changed in the account, or the account itself: nothing that was read before is given any more. */
  forget(accountId: string): void {
    this.#generations.set(accountId, this.generation(accountId) + 1);
  }

  /** As {@link forget}, after an act of this process. */
  written(accountId: string): void {
    this.forget(accountId);
    this.#options.onWrite?.(accountId);
  }

  #keyOf(accountId: string, question: string): string {
    return `${accountId} ${this.generation(accountId)} ${question}`;
  }
}

/** In entries. */
function sizeOf(value: unknown): number {
  const items = typeof value === 'object' && value !== null && 'items' in value ? value.items : null;
  return 1 + (Array.isArray(items) ? items.length : 0);
}
