import type { Logger } from '../lib/log.ts';
import { reasonOf } from './hub.ts';

/** First and longest wait between two tries to connect, in milliseconds. Doubles; a restarted server is met softly. */
const RETRY_FIRST_MS = 50;
const RETRY_LONGEST_MS = 5_000;

/** The time limits of a transport's connections. Tests shorten them. */
export interface LinkLimits {
  /** How long the server may take to accept a connection or to answer a command, in milliseconds. */
  readonly answerMs: number;
  /** How often a quiet connection is asked whether it still lives, in milliseconds. */
  readonly heartbeatMs: number;
}

/**
 * A firewall that forgets a connection says nothing: without the heartbeat a listener would wait on it for ever. Two
 * seconds are far more than a server in the same network needs, and as long as a publisher can be held up.
 */
export const LINK_LIMITS: LinkLimits = { answerMs: 2_000, heartbeatMs: 15_000 };

/** Whether one connection stands: says in the log once that it is lost and once that it is back, and paces the tries. */
export class LinkState {
  /** Resolves at the first success or failure. */
  readonly settled: Promise<void>;
  readonly #name: string;
  readonly #log: Logger;
  readonly #settle: () => void;
  #isDown = false;
  #isClosed = false;
  #failures = 0;

  constructor(name: string, log: Logger) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.settled = promise;
    this.#settle = resolve;
    this.#name = name;
    this.#log = log;
  }

  up(): void {
    if (this.#isDown) this.#log.info({ link: this.#name }, 'the event link is back');
    this.#isDown = false;
    this.#failures = 0;
    this.#settle();
  }

  down(error: unknown): void {
    if (this.#isClosed) return;
    const level = this.#isDown ? 'debug' : 'warn';
    this.#log[level](
      { link: this.#name, reason: reasonOf(error) },
      'the event link is lost: until it is back, events stay within each process',
    );
    this.#isDown = true;
    this.#settle();
  }

  /** From now on a loss is meant. */
  close(): void {
    this.#isClosed = true;
    this.#settle();
  }

  /** How long to wait before the next try; with jitter, so that many processes do not come back at once. */
  nextRetryMs(): number {
    const ceilingMs = Math.min(RETRY_FIRST_MS * 2 ** this.#failures, RETRY_LONGEST_MS);
    this.#failures += 1;
    return ceilingMs * (0.5 + Math.random() / 2);
  }
}
