import { addAbortSignal, Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { BlobDamagedError } from './errors.ts';
import { storeError } from './s3-fault.ts';

/** How often a body that breaks off is gone on with, when no byte came in between. */
const TRIES = 4;
const PAUSE_MS = 200;

export interface BodyRange {
  /** Both included. */
  readonly start: number;
  readonly end: number;
  readonly signal: AbortSignal;
}

/** Opens the bytes from a position to the end of the range. The signal ends the body too. */
export type OpenBody = (position: number, signal: AbortSignal) => Promise<Readable>;

/**
 * The bytes of a range as one stream, though the connection break: it goes on behind the last byte that came. Also a reader
 * that pauses for so long that the store gives it up comes to its end. Rejects when the range cannot be opened at first.
 */
export async function followBody(range: BodyRange, open: OpenBody): Promise<Readable> {
  const gone = new AbortController();
  const signal = AbortSignal.any([range.signal, gone.signal]);
  const first = await open(range.start, signal);
  const stream = Readable.from(follow({ ...range, signal }, first, open), { objectMode: false });
  stream.on('error', () => {}); // An abort before anybody reads must not end the process.
  stream.once('close', () => gone.abort()); // What a reader that went away asked for need not come.
  return addAbortSignal(range.signal, stream);
}

async function* follow({ start, end, signal }: BodyRange, first: Readable, open: OpenBody): AsyncGenerator<Buffer> {
  let position = start;
  let failures = 0;
  for (let body: Readable | null = first; position <= end; body = null) {
    try {
      for await (const chunk of body ?? (await open(position, signal))) {
        position += chunk.length;
        failures = 0;
        if (position > end + 1) throw storeError('GetObject', { name: 'MoreThanAsked' });
        yield chunk;
      }
      if (position <= end) throw storeError('GetObject', { name: 'LessThanAsked' });
    } catch (error) {
      signal.throwIfAborted();
      failures += 1;
      if (error instanceof BlobDamagedError || position > end + 1) throw error;
      if (failures === TRIES) throw storeError('GetObject', error);
      await wait(PAUSE_MS * 2 ** failures, undefined, { signal });
    }
  }
}
