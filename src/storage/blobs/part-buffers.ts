/** Memory for parts that are being sent: a fixed number of buffers, which are filled again when they are given back. */
export class PartBuffers {
  readonly #free: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #max: number;
  #taken = 0;

  /** @param max Buffers that are taken at one time. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Does `work` with a buffer of at least `bytes`, when one is free. Rejects with the signal's reason. */
  async lend<Result>(bytes: number, signal: AbortSignal, work: (buffer: Buffer) => Promise<Result>): Promise<Result> {
    if (this.#taken < this.#max) this.#taken += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve)); // Whoever wakes it hands over its place.
    try {
      signal.throwIfAborted();
      const kept = this.#free.pop();
      const buffer = kept && kept.length >= bytes ? kept : Buffer.allocUnsafeSlow(bytes);
      try {
        return await work(buffer);
      } finally {
        this.#free.push(buffer);
      }
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#taken -= 1;
      // Those that are idle are not kept for ever.
      if (this.#taken === 0) this.#free.length = 0;
    }
  }
}
