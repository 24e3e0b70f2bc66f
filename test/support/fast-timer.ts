import type { Timer } from '../../src/lib/timer.ts';

/** A timer on which time passes faster than it does: a minute is over in less than a second, in their order. */
export class FastTimer implements Timer {
  readonly #factor: number;

  constructor(factor = 100) {
    this.#factor = factor;
  }

  nowMs(): number {
    return performance.now() * this.#factor;
  }

  after(delayMs: number, task: () => void): () => void {
    const handle = setTimeout(task, Math.max(0, delayMs) / this.#factor);
    return () => clearTimeout(handle);
  }
}
