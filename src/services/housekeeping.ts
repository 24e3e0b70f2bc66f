import type { Logger } from '../lib/log.ts';

/** How often what has expired is removed, in milliseconds. It is refused at once when it expires; only its rows wait. */
const INTERVAL_MS = 10 * 60_000;
/** The first time, in milliseconds: a process that is started often sweeps all the same, but not while it starts. */
const FIRST_MS = 60_000;

/** Removes from time to time what nobody needs any more. Each task must be safe in several processes at once. */
export class Housekeeping {
  readonly #tasks: Readonly<Record<string, () => Promise<unknown>>>;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> | null = null;

  /** @param tasks By a name for the log. */
  constructor(tasks: Readonly<Record<string, () => Promise<unknown>>>, log: Logger) {
    this.#tasks = tasks;
    this.#log = log;
  }

  start(): void {
    this.#schedule(FIRST_MS);
  }

  /** Sweeps no more; resolves when what is under way is done. */
  async close(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#sweeping;
  }

  /** One sweep; a second caller waits for the one that is under way. Never rejects: what fails is tried again next time. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepAll().finally(() => {
      this.#sweeping = null;
    });
    return this.#sweeping;
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(async () => {
      await this.sweep();
      if (this.#timer) this.#schedule(INTERVAL_MS);
    }, delayMs).unref();
  }

  async #sweepAll(): Promise<void> {
    for (const [task, run] of Object.entries(this.#tasks)) {
      try {
        await run();
      } catch (error) {
        this.#log.warn({ err: error, task }, 'a sweep failed: it is tried again later');
      }
    }
  }
}
