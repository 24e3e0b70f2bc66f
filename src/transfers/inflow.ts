import { finished, type Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import type { HashAlgorithm } from '../drives/driver.ts';
import { StorageFullError } from '../lib/errors.ts';
import { UploadRefusedError } from '../lib/upload-refusal.ts';
import { Hasher } from './hasher.ts';
import type { SpoolWriter } from './spool.ts';
import { RECEIVE_LEASE_MS } from './upload-store.ts';

/** Bytes of one connection that wait in memory for the disk. */
const BUFFER_BYTES = 1024 * 1024;
/** What a crash of the machine can cost a long request, in bytes: behind each such stretch the file is synced. */
const RECORD_BYTES = 16 * 1024 * 1024;
/** How long the right to write counts as fresh, in milliseconds: well below the lease that it rests on. */
const FRESH_MS = RECEIVE_LEASE_MS / 3;

export interface InflowParts {
  /** At the place where the bytes belong; closed here. */
  readonly writer: SpoolWriter;
  /** Has seen the bytes before that place; null: there is none that has. */
  readonly hasher: Hasher | null;
  /** More than these are refused. */
  readonly bytesMax: number;
  readonly checksum: { readonly algorithm: HashAlgorithm; readonly value: string } | null;
  readonly onBytes: (offset: number) => void;
  /**
   * Keeps the offset for good; false: the upload is somebody else's now. The hasher has seen the bytes up to there; null:
   * none has. The offset behind the last of {@link InflowParts.bytesMax} comes only when the body has ended.
   */
  readonly record: (offset: number, hasher: Hasher | null) => Promise<boolean>;
}

/** How a body ended. */
export interface BodyEnd {
  /** By itself, behind its last byte. */
  readonly whole: boolean;
  /** What broke it off, where that was told. */
  readonly fault: unknown;
}

/** The bytes of one body on their way into the file: counted, hashed, written, synced, recorded. */
export class Inflow {
  readonly #parts: InflowParts;
  readonly #start: number;
  readonly #checksum: Hasher | null;
  /** Works on a copy: a body that is refused leaves the hash as it was. */
  #hasher: Hasher | null;
  #written: number;
  #recorded: number;
  #recordedAtMs = performance.now();
  #checked: boolean;

  constructor(parts: InflowParts) {
    this.#parts = parts;
    this.#start = parts.writer.offset;
    this.#written = this.#start;
    this.#recorded = this.#start;
    this.#hasher = parts.hasher?.copy() ?? null;
    this.#checksum = parts.checksum ? Hasher.of([parts.checksum.algorithm]) : null;
    this.#checked = parts.checksum === null;
  }

  /** Behind the last byte that counts. */
  get offset(): number {
    return this.#recorded;
  }

  /** Has seen exactly the bytes before {@link Inflow.offset}; null: nobody has. */
  get hasher(): Hasher | null {
    return this.#hasherAt(this.#recorded);
  }

  /** Takes the body in until it ends, breaks off, or `stop` is aborted. The body itself is left open. */
  async take(body: Readable, stop: AbortSignal): Promise<BodyEnd> {
    try {
      const end = await this.#pour(body, stop);
      if (this.#checksum) await this.#settleChecksum(this.#checksum, end.whole);
      return end;
    } catch (error) {
      // Of a refused body nothing counts; of one that met a full disk, what was written does.
      if (!isDiskFull(error) || this.#checksum) this.#written = this.#recorded;
      throw isDiskFull(error)
        ? new StorageFullError('The server has no room left for this upload. Free some, then go on.', {
            cause: error,
            retryable: true,
          })
        : error;
    } finally {
      await this.#finish();
    }
  }

  async #pour(body: Readable, stop: AbortSignal): Promise<BodyEnd> {
    const sink = new Writable({
      highWaterMark: BUFFER_BYTES,
      write: (chunk: Buffer, _encoding, done) => void this.#take([chunk]).then(() => done(), done),
      // Not joined: a copy of each megabyte would keep the garbage collector busy.
      writev: (chunks, done) => void this.#take(chunks.map(({ chunk }) => chunk as Buffer)).then(() => done(), done),
    });
    let whole = false;
    let fault: unknown = null;
    const end = (): void => {
      body.unpipe(sink);
      sink.end();
    };
    const onEnd = (): void => {
      whole = true;
    };
    const onError = (error: unknown): void => {
      fault = error;
      end();
    };
    body.once('end', onEnd).once('close', end).on('error', onError);
    stop.addEventListener('abort', end);
    try {
      if (stop.aborted || body.destroyed) end();
      else body.pipe(sink);
      await promisify(finished)(sink);
      return { whole, fault };
    } finally {
      body.unpipe(sink).off('end', onEnd).off('close', end);
      stop.removeEventListener('abort', end);
    }
  }

  async #take(chunks: readonly Buffer[]): Promise<void> {
    const { writer, bytesMax, onBytes } = this.#parts;
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (this.#written - this.#start + length > bytesMax) {
      throw new UploadRefusedError('tooLarge', 'The request has more bytes than were announced, or than one may have.');
    }
    // A connection that was silent for long may have lost its right to another one, which writes to the same file.
    if (performance.now() - this.#recordedAtMs > FRESH_MS) await this.#record();
    await writer.write(chunks);
    for (const chunk of chunks) {
      this.#hasher?.update(chunk);
      this.#checksum?.update(chunk);
    }
    this.#written += length;
    onBytes(this.#written);
    // Not behind the last byte: the body may have one too many.
    const isFull = this.#written - this.#start === bytesMax;
    if (this.#checked && !isFull && this.#written - this.#recorded >= RECORD_BYTES) await this.#record();
  }

  #hasherAt(offset: number): Hasher | null {
    return [this.#hasher, this.#parts.hasher].find((hasher) => hasher?.bytes === offset) ?? null;
  }

  async #settleChecksum(hasher: Hasher, whole: boolean): Promise<void> {
    const { checksum } = this.#parts;
    if (!checksum) return;
    // A body that broke off cannot be checked, so none of it counts.
    if (!whole) this.#written = this.#recorded;
    else if (hasher.hashes()[checksum.algorithm] !== checksum.value) {
      throw new UploadRefusedError('checksum', 'The bytes are not those of Upload-Checksum. Send them again.');
    }
  }

  async #finish(): Promise<void> {
    const { writer } = this.#parts;
    try {
      // What stands in the file behind the recorded offset is cut off by the next request: it may be another's already.
      this.#checked = true;
      await this.#record();
    } finally {
      await writer.close();
    }
  }

  /** Records what counts so far: of a body with a checksum nothing, until it is checked. */
  async #record(): Promise<void> {
    const { writer, record } = this.#parts;
    const offset = this.#checked ? this.#written : this.#recorded;
    if (offset !== this.#recorded) await writer.sync();
    if (!(await record(offset, this.#hasherAt(offset)))) {
      throw new UploadRefusedError('locked', 'Another request has taken this upload over. Ask for its offset.');
    }
    this.#recorded = offset;
    this.#recordedAtMs = performance.now();
  }
}

const DISK_FULL_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

const isDiskFull = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && DISK_FULL_CODES.has(error.code);
