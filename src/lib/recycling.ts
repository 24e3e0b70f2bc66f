import { Buffer } from 'node:buffer';
import { addAbortSignal, Readable } from 'node:stream';

/**
 * Bytes whose buffers may be given back once they are used up, to be filled again. A download of gigabytes then lives on
 * a few buffers; with new ones for each part, collecting them takes more time than sending them.
 */
export class RecyclingReadable extends Readable {
  readonly #fill: (buffer: Buffer) => Promise<number>;
  readonly #close: () => Promise<void>;
  readonly #chunkBytes: number;
  readonly #free: ArrayBufferLike[] = [];
  #leftBytes: number;

  constructor(source: {
    /** Fills the buffer with the bytes that come next, as far as it likes; gives how many, 0 when there are no more. */
    readonly fill: (buffer: Buffer) => Promise<number>;
    readonly close: () => Promise<void>;
    /** How many bytes there are; fewer are an error. */
    readonly lengthBytes: number;
    readonly chunkBytes: number;
    readonly signal: AbortSignal;
  }) {
    // Objects, as a stream of bytes would join two buffers into a new one. One is read ahead while another is used.
    super({ objectMode: true, highWaterMark: 1 });
    this.#fill = source.fill;
    this.#close = source.close;
    this.#leftBytes = source.lengthBytes;
    this.#chunkBytes = Math.min(source.chunkBytes, source.lengthBytes);
    this.on('error', () => {}); // An abort before anybody reads must not end the process.
    addAbortSignal(source.signal, this); // Last: one that is aborted already destroys what must be whole by then.
  }

  /** Takes back a chunk that this stream gave, whole; it must not be looked at any more. */
  recycle(chunk: Buffer): void {
    if (chunk.buffer instanceof ArrayBuffer && chunk.buffer.byteLength === this.#chunkBytes)
      this.#free.push(chunk.buffer);
  }

  override async _read(): Promise<void> {
    if (this.#leftBytes === 0) {
      this.push(null);
      return;
    }
    const memory = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#chunkBytes).buffer;
    const buffer = Buffer.from(memory, 0, Math.min(this.#chunkBytes, this.#leftBytes));
    try {
      const bytes = await this.#fill(buffer);
      if (bytes === 0) throw new Error(`The bytes ended ${this.#leftBytes} too early.`);
      this.#leftBytes -= bytes;
      this.push(buffer.subarray(0, bytes));
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#free.length = 0;
    this.#close().then(
      () => done(error),
      (failure) => done(error ?? failure),
    );
  }
}

/** Gives a chunk back to its stream, if that takes it. */
export function recycle(stream: Readable, chunk: Buffer): void {
  if (stream instanceof RecyclingReadable) stream.recycle(chunk);
}
