import { BUFFER_EVENTS_MAX, type SubscribeOptions } from './bus.ts';
import type { Topic, Topics } from './topics.ts';

/**
 * What one reader has not read yet. Ends by `return()`, by the signal or by {@link end}; what is unread then is dropped
 * and every pending `next()` gives done. It listens until it ends: whoever takes one and never reads it must end it.
 */
export class Subscription<Name extends Topic> implements AsyncIterableIterator<Topics[Name], undefined> {
  readonly #options: SubscribeOptions<Name>;
  readonly #bufferMax: number;
  readonly #onEnd: (subscription: Subscription<Name>) => void;
  /** A Map keeps the place of a key that is set again: that is coalescing. Events without a key get a number. */
  readonly #unread = new Map<string | number, Topics[Name]>();
  readonly #readers: ((result: IteratorResult<Topics[Name], undefined>) => void)[] = [];
  #nextNumber = 0;
  #ended = false;

  /** @throws RangeError when `bufferMax` is not a whole number from 1 on. */
  constructor(options: SubscribeOptions<Name>, onEnd: (subscription: Subscription<Name>) => void) {
    this.#options = options;
    this.#bufferMax = options.bufferMax ?? BUFFER_EVENTS_MAX;
    this.#onEnd = onEnd;
    if (!Number.isInteger(this.#bufferMax) || this.#bufferMax < 1) {
      throw new RangeError(`A subscription keeps 1 unread event or more, not ${this.#bufferMax}.`);
    }
    if (options.signal?.aborted) this.end();
    else options.signal?.addEventListener('abort', this.end);
  }

  /** Takes an event that was announced. Throws only what the filter or `coalesceBy` throws. */
  receive(event: Topics[Name]): void {
    const { filter, coalesceBy } = this.#options;
    if (this.#ended || (filter && !filter(event))) return;
    const reader = this.#readers.shift();
    if (reader) reader({ done: false, value: event });
    else this.#keep(coalesceBy?.(event) ?? this.#nextNumber++, event);
  }

  #keep(key: string | number, event: Topics[Name]): void {
    if (this.#unread.size >= this.#bufferMax && !this.#unread.has(key)) this.#takeOldest();
    this.#unread.set(key, event);
  }

  #takeOldest(): [Topics[Name]] | null {
    for (const [key, event] of this.#unread) {
      this.#unread.delete(key);
      return [event];
    }
    return null;
  }

  next(): Promise<IteratorResult<Topics[Name], undefined>> {
    const oldest = this.#takeOldest();
    if (oldest) return Promise.resolve({ done: false, value: oldest[0] });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return(): Promise<IteratorResult<Topics[Name], undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  readonly end = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#unread.clear();
    this.#options.signal?.removeEventListener('abort', this.end);
    this.#onEnd(this);
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
  };

  [Symbol.asyncIterator](): this {
    return this;
  }
}
