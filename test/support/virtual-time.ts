import type { Timer } from '../../src/lib/timer.ts';
import { type Limiter, MemoryLimiter, type RateTable } from '../../src/transport/limiter.ts';

/** Waits up to this long pass by themselves; longer ones are time limits, which nobody wants to come. */
const WAIT_MAX_MS = 10_000;

/** A limiter whose endpoints with streams do not hold back the time: a stream is under way until it is read. */
const STREAMS: ReadonlySet<string> = new Set(['download']);

interface Task {
  readonly atMs: number;
  readonly task: () => void;
}

/**
 * Time that passes only while nothing else goes on: each wait ends at once, and still everything happens in the order
 * and at the distances that it would have. So real rates can be kept, and counted at the other end, without waiting.
 */
export class VirtualTime {
  #nowMs = 0;
  #running = 0;
  #tasks: Task[] = [];
  #scheduled = false;

  readonly timer: Timer = {
    nowMs: () => this.#nowMs,
    after: (delayMs, task) => {
      if (delayMs > WAIT_MAX_MS) {
        const handle = setTimeout(task, delayMs);
        return () => clearTimeout(handle);
      }
      const entry = { atMs: this.#nowMs + Math.max(0, delayMs), task };
      this.#tasks.push(entry);
      this.#goOn();
      return () => {
        this.#tasks = this.#tasks.filter((other) => other !== entry);
      };
    },
  };

  /** Since the beginning, in milliseconds. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** For `createLimiter`: knows when requests are on their way. */
  limiter(rates: RateTable): Limiter {
    const inner = new MemoryLimiter(rates, this.timer);
    return {
      acquire: async (endpoint, options) => {
        const end = await inner.acquire(endpoint, options);
        if (STREAMS.has(endpoint)) return end;
        this.#running += 1;
        let ended = false;
        return () => {
          if (ended) return;
          ended = true;
          this.#running -= 1;
          this.#goOn();
          end();
        };
      },
      pause: (endpoint, durationMs) => inner.pause(endpoint, durationMs),
      setRates: (table) => inner.setRates(table),
      get idle() {
        return inner.idle;
      },
    };
  }

  #goOn(): void {
    if (this.#scheduled || this.#running > 0 || this.#tasks.length === 0) return;
    this.#scheduled = true;
    // Whatever can still be done at this moment is done first, also what takes a few turns of the loop.
    setTimeout(() => {
      this.#scheduled = false;
      if (this.#running > 0) return;
      const next = this.#tasks.toSorted((one, other) => one.atMs - other.atMs)[0];
      if (!next) return;
      this.#tasks = this.#tasks.filter((task) => task !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.task();
      this.#goOn();
    }, 0);
  }
}
