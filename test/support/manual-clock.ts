import type { Clock } from '../../src/lib/clock.ts';

/** A clock that stands still until it is moved. It begins at the present time. */
export class ManualClock implements Clock {
  #ms = Math.floor(Date.now() / 1000) * 1000;

  now(): Date {
    return new Date(this.#ms);
  }

  advance(milliseconds: number): void {
    this.#ms += milliseconds;
  }
}
