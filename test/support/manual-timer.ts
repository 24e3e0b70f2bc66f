import { setImmediate } from 'node:timers/promises';
import type { Timer } from '../../src/lib/timer.ts';

/** A timer whose time passes only by {@link ManualTimer.advance}. */
export class ManualTimer implements Timer {
  #nowMs = 0;
  #tasks: { readonly atMs: number; readonly task: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const entry = { atMs: this.#nowMs + Math.max(0, delayMs), task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== entry);
    };
  }

  /** How many tasks wait. */
  get pending(): number {
    return this.#tasks.length;
  }

  /** When the next task is due; null: none waits. */
  get nextMs(): number | null {
    return this.#tasks.length === 0 ? null : Math.min(...this.#tasks.map(({ atMs }) => atMs));
  }

  /** Lets time pass: each due task runs in its order and at its time, and what awaits it goes on before the next. */
  async advance(milliseconds: number): Promise<void> {
    const untilMs = this.#nowMs + milliseconds;
    for (;;) {
      await setImmediate();
      const due = this.#tasks.filter(({ atMs }) => atMs <= untilMs).sort((one, other) => one.atMs - other.atMs)[0];
      if (!due) break;
      this.#tasks = this.#tasks.filter((entry) => entry !== due);
      this.#nowMs = due.atMs;
      due.task();
    }
    this.#nowMs = untilMs;
    await setImmediate();
  }
}
