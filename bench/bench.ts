import type { Comparison } from './measure.ts';

/** What a bench gets. */
export interface BenchContext {
  /** Temporary and empty; removed afterwards. */
  readonly folder: string;
  /** Fewer bytes and rounds: to see that it works, not to believe its figures. */
  readonly quick: boolean;
  /** Ends the bench when its time is over. */
  readonly signal: AbortSignal;
}

export interface BenchResult {
  readonly comparisons: readonly Comparison[];
  /** What else is worth knowing, a line each. */
  readonly notes: readonly string[];
}

export interface Bench {
  readonly name: string;
  readonly title: string;
  /** What is compared with what. */
  readonly about: string;
  /** What the two sides are called in the table; left out, ours is PanQL. */
  readonly ours?: string;
  readonly control: string;
  /** Null: it cannot run here, and has said why. */
  run(context: BenchContext): Promise<BenchResult | { readonly skipped: string }>;
}
