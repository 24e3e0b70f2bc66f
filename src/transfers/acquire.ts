import { PassThrough, type Readable } from 'node:stream';
import { DriveError } from '../drives/errors.ts';
import {
  AlreadyExistsError,
  IntegrityError,
  StorageFullError,
  TooLargeError,
  UnavailableError,
  UnsupportedError,
} from '../lib/errors.ts';
import { UploadRefusedError } from '../lib/upload-refusal.ts';
import { findChild } from './children.ts';
import { type Delivery, keep } from './delivery.ts';
import { Hasher } from './hasher.ts';
import { Inflow } from './inflow.ts';
import type { TransferChanges } from './rows.ts';
import { isAcquired, type OpenedSource, openSource, type Sources } from './sources.ts';

/** Most bytes of a source that does not tell its size. */
export const UNTOLD_BYTES_MAX = 64 * 1024 ** 3;
/** How long a source may give no byte, in milliseconds. */
export const STALL_MS = 60_000;

/** Bytes that are taken off a source before somebody asks for them. */
const EARLY_BYTES = 256 * 1024;

export interface AcquireLimits {
  readonly untoldBytesMax: number;
  readonly stallMs: number;
}

export const ACQUIRE_LIMITS: AcquireLimits = { untoldBytesMax: UNTOLD_BYTES_MAX, stallMs: STALL_MS };

/**
 * Brings the bytes of the row's source into the spool, unless they are there. What came before an interruption is kept,
 * and the source goes on behind it as long as it is still the same; else it begins anew. Memory: a megabyte.
 */
export async function acquire(delivery: Delivery, sources: Sources, limits: AcquireLimits): Promise<void> {
  const { row, spool, call } = delivery;
  if (row.phase !== 'RECEIVING' || !isAcquired(row.source)) return;
  const offset = Math.min(row.bytesDone, (await spool.size(row.id)) ?? 0);
  const version = row.sourceVersion ?? null;
  const opening = openSource(sources, {
    source: row.source,
    transferId: row.id,
    sealed: row.sealedSource ?? null,
    userId: row.userId,
    offset,
    version,
    sizeBytes: row.bytesTotal ?? null,
    call,
  });
  if (!opening) throw new UnsupportedError('This server does not take files from there.', null);
  const opened = await opening;
  const body = new SourceBody(opened.body);
  try {
    await receive(delivery, opened, body, limits);
  } finally {
    body.destroy();
  }
}

/**
 * The bytes of a source, taken off it from the first moment: what has come when it breaks off counts, also if that is
 * before anybody asks for it.
 */
class SourceBody {
  /** All that came. It ends by itself also where the source broke off. */
  readonly bytes = new PassThrough({ highWaterMark: EARLY_BYTES });
  /** Whether the source has ended by itself. */
  isWhole = false;
  /** What broke it off, where that was told. */
  fault: unknown = null;
  readonly #source: Readable;

  constructor(source: Readable) {
    this.#source = source;
    source
      .once('end', () => {
        this.isWhole = true;
      })
      .on('error', (error) => {
        this.fault = error;
      })
      .once('close', () => this.bytes.end())
      .pipe(this.bytes);
    if (source.destroyed) this.bytes.end(); // Too late to hear of it.
  }

  destroy(): void {
    this.#source.destroy();
    this.bytes.destroy();
  }
}

async function receive(
  delivery: Delivery,
  opened: OpenedSource,
  body: SourceBody,
  limits: AcquireLimits,
): Promise<void> {
  const { row, spool, progress, call } = delivery;
  const { offset, version, sizeBytes } = opened;
  const bytesMax = sizeBytes ?? Math.min(limits.untoldBytesMax, opened.bytesMax ?? limits.untoldBytesMax);
  await checkRoom(delivery, (sizeBytes ?? offset) - offset);
  await checkWelcome(delivery, opened);
  // What goes on behind what came before has got on with each byte; what begins anew each time has not.
  const goesOn = version !== null && offset === row.bytesDone;
  // Before the first byte: what is in the file from here on is of this version.
  await keep(delivery, {
    bytesDone: offset,
    sourceVersion: version,
    bytesTotal: sizeBytes,
    spoolHashes: null,
    // The drive does not have them, so nothing was made. A session that was begun keeps its name.
    ...(row.driverSession == null ? { claimedName: null } : {}),
    ...(opened.mimeType === undefined ? {} : { mimeType: opened.mimeType }),
    ...(opened.name === undefined ? {} : { name: opened.name }),
    ...(opened.hashes === undefined ? {} : { expectedHashes: opened.hashes }),
  });

  const stalled = new Stall(limits.stallMs);
  const inflow = new Inflow({
    writer: await spool.writer(row.id, offset),
    hasher: offset === 0 ? Hasher.of(row.hashAlgorithms) : null,
    bytesMax: bytesMax - offset,
    checksum: null,
    onBytes: (bytes) => {
      stalled.moved();
      progress.report('RECEIVING', bytes);
    },
    record: async (bytesDone, hasher) => {
      // The last offset of a source that told its size comes when the body has ended, and not before.
      await keep(delivery, {
        bytesDone,
        ...(goesOn && bytesDone > offset ? { attemptsStuck: 0 } : {}),
        ...(bytesDone === sizeBytes ? received(bytesDone, hasher) : {}),
      });
      await checkRoom(delivery, sizeBytes === null ? 0 : sizeBytes - bytesDone);
      return true;
    },
  });
  try {
    await inflow.take(body.bytes, AbortSignal.any([call.signal, stalled.signal]));
    if (inflow.offset === sizeBytes) return;
    call.signal.throwIfAborted();
    if (stalled.signal.aborted) throw new UnavailableError('The source gave no more bytes. It is asked again later.');
    if (sizeBytes !== null || !body.isWhole) throw broken(body.fault);
  } catch (error) {
    throw isTooLong(error) ? tooLong(sizeBytes, bytesMax) : error;
  } finally {
    stalled.end();
  }
  await keep(delivery, received(inflow.offset, inflow.hasher));
}

/** All bytes are here; their hashes too, if they came in one go. */
const received = (bytesTotal: number, hasher: Hasher | null): TransferChanges => ({
  phase: 'HASHING',
  bytesTotal,
  spoolHashes: hasher?.hashes() ?? null,
});

/** @throws StorageFullError, which may pass. */
async function checkRoom({ spool }: Delivery, bytes: number): Promise<void> {
  if (await spool.hasRoom(bytes)) return;
  throw new StorageFullError('The server has no room for this file just now.', { retryable: true });
}

/** What the drive would refuse in the end, for what only the source could tell, is refused before its first byte. */
async function checkWelcome({ row, driver, call }: Delivery, { name, sizeBytes, offset }: OpenedSource): Promise<void> {
  const { fileBytesMax } = driver.capabilities;
  if (fileBytesMax !== null && sizeBytes !== null && sizeBytes > fileBytesMax) {
    throw new TooLargeError(`A file on this drive can have at most ${fileBytesMax} bytes. This one has ${sizeBytes}.`);
  }
  if (name === undefined || row.onConflict !== 'FAIL' || offset > 0) return;
  const existing = await findChild(driver, row.parentRef, name, call);
  if (!existing) return;
  throw new AlreadyExistsError(`There is already “${existing.name}” in this folder.`, {
    existing: { accountId: row.accountId, ref: existing.ref },
  });
}

const isTooLong = (error: unknown): boolean => error instanceof UploadRefusedError && error.refusal === 'tooLarge';

const tooLong = (sizeBytes: number | null, bytesMax: number): Error =>
  sizeBytes === null
    ? new TooLargeError(`The source does not tell its size, and has more than ${bytesMax} bytes.`)
    : new IntegrityError(`The source has more than the ${sizeBytes} bytes that it told of.`);

/** A source that broke off goes on another time. */
const broken = (fault: unknown): Error =>
  fault instanceof DriveError
    ? fault
    : new UnavailableError('The source broke off before all of its bytes came.', { cause: fault });

/** Aborts when nothing moved for a while. */
class Stall {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(stallMs: number) {
    this.#timer = setTimeout(() => this.#controller.abort(), stallMs).unref();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  moved(): void {
    this.#timer.refresh();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
