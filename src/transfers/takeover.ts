/** The right to work on a key, until it is released; the newest who wants it asks the holder to stop. */
export interface Hold {
  /** Aborted when somebody else wants the key: stop soon, in order. */
  readonly stop: AbortSignal;
  release(): void;
}

interface Holder {
  readonly controller: AbortController;
  readonly released: Promise<void>;
}

/**
 * One holder for each key, within this process. A connection that a client has lost looks alive to the server for
 * minutes: the client's next one must not wait for it, so it asks the holder to stop and goes on when it has.
 */
export class Takeover {
  readonly #holders = new Map<string, Holder>();

  /** Waits for the holder to stop, at most `waitMs`; null when it did not. */
  async acquire(key: string, waitMs: number): Promise<Hold | null> {
    const deadline = AbortSignal.timeout(waitMs);
    for (let holder = this.#holders.get(key); holder; holder = this.#holders.get(key)) {
      holder.controller.abort();
      await settledOrAborted(holder.released, deadline);
      if (deadline.aborted) return null;
    }
    const controller = new AbortController();
    const { promise: released, resolve } = Promise.withResolvers<void>();
    this.#holders.set(key, { controller, released });
    return {
      stop: controller.signal,
      release: () => {
        this.#holders.delete(key);
        resolve();
      },
    };
  }

  /** Asks the holder, if there is one, to stop, and waits until it has, at most `waitMs`. */
  async stop(key: string, waitMs: number): Promise<void> {
    const holder = this.#holders.get(key);
    if (!holder) return;
    holder.controller.abort();
    await settledOrAborted(holder.released, AbortSignal.timeout(waitMs));
  }

  /** As {@link Takeover.stop}, for every key. */
  async stopAll(waitMs: number): Promise<void> {
    await Promise.all([...this.#holders.keys()].map((key) => this.stop(key, waitMs)));
  }
}

function settledOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    promise.then(resolve);
  });
}
