import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { HashAlgorithm } from '../drives/driver.ts';
import type { EventBus } from '../events/bus.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { UploadRefusedError } from '../lib/upload-refusal.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { Hasher } from './hasher.ts';
import { Inflow } from './inflow.ts';
import { isReceivedElsewhere, type Neighbours } from './neighbours.ts';
import type { ProgressBoard } from './progress.ts';
import type { Spool } from './spool.ts';
import { STATE_DEADLINES_MS } from './states.ts';
import type { TransferStore } from './store.ts';
import { Takeover } from './takeover.ts';
import { RECEIVE_LEASE_MS } from './upload-store.ts';

/** How long a connection waits for the one before it to stop, in milliseconds. It only has to write what it has read. */
const TAKEOVER_WAIT_MS = 10_000;
/** How often a connection looks whether one of another process has stopped, in milliseconds. */
const TAKEOVER_POLL_MS = 50;
/** Running hashes kept between two requests, about a kilobyte each. One that is dropped is computed anew from the file. */
const HASHERS_MAX = 10_000;

export interface ReceiveRequest {
  /** Where the client believes that its bytes belong. */
  readonly offset: number;
  readonly body: Readable;
  /** How many bytes the body was announced to have; null when it was not. */
  readonly lengthBytes: number | null;
  /** Of the body's bytes, in lower-case hex. With it the body counts as a whole or not at all. */
  readonly checksum: { readonly algorithm: HashAlgorithm; readonly value: string } | null;
  /** Most bytes of one request. */
  readonly bytesMax: number;
}

export interface ReceiverParts {
  readonly store: TransferStore;
  readonly spool: Spool;
  readonly neighbours: Neighbours;
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly progress: ProgressBoard;
  /** Names this process in leases. */
  readonly owner: string;
  /** How long an upload may rest between two requests, in milliseconds. */
  readonly expiryMs: number;
}

/**
 * Takes the bytes of uploads into the spool. What it has told a client to be here survives the death of the process and
 * of the machine: the file is synced before the row records the offset, and the row before the client is answered.
 */
export class Receiver {
  readonly #parts: ReceiverParts;
  readonly #takeover = new Takeover();
  readonly #hashers = new LRUCache<string, Hasher>({ max: HASHERS_MAX });
  /** What comes in just now, and by whose right. */
  readonly #sending = new Map<string, { readonly userId: string; readonly grantId: string | null }>();
  readonly #unlisten: readonly (() => void)[];

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
    this.#unlisten = [
      parts.bus.on('transfer.control', ({ transferId }) => void this.release(transferId)),
      parts.bus.on('grant.revoked', (revoked) => this.#stopSendersOf(revoked)),
    ];
  }

  /** The upload as it stands, its offset certain: a connection that is still sending is asked to stop. */
  async status(uploadTokenHash: string): Promise<Transfer> {
    const found = await this.#find(uploadTokenHash);
    return found.state === 'WAITING' ? this.#owning(found, async (row) => row) : found;
  }

  /**
   * Appends the body's bytes. Also when it ends early: without a checksum, what came is kept. Gives the upload as it is
   * then; queued, when that was the last byte.
   * @throws UploadRefusedError and nothing was kept, except `locked`: what came before counts.
   */
  async append(uploadTokenHash: string, request: ReceiveRequest): Promise<Transfer> {
    const found = await this.#find(uploadTokenHash);
    if (found.state !== 'WAITING') return afterTheLast(found, request);
    return this.#owning(found, (row, stop) => this.#receive(row, request, stop));
  }

  /** Asks the connection that sends to this upload, if there is one here, to stop; resolves when its bytes are recorded. */
  release(transferId: string): Promise<void> {
    return this.#takeover.stop(transferId, TAKEOVER_WAIT_MS);
  }

  /** Stops every connection, in order. */
  async close(): Promise<void> {
    for (const unlisten of this.#unlisten) unlisten();
    await this.#takeover.stopAll(TAKEOVER_WAIT_MS);
  }

  async #find(uploadTokenHash: string): Promise<Transfer> {
    const row = await this.#parts.store.uploads.findByToken(uploadTokenHash);
    const sender = row && (await this.#parts.store.uploads.senderOf(row));
    if (!row || sender === 'disabled') throw new UploadRefusedError('unknown', 'There is no such upload.');
    if (sender === 'ended') {
      throw new UploadRefusedError(
        'ended',
        'The session or API key that began this upload has ended. Sign in, and begin it again: with its idempotencyKey it goes on.',
      );
    }
    if (row.state === 'FAILED' || row.state === 'CANCELLED' || this.#isExpired(row)) {
      throw new UploadRefusedError('gone', 'This upload was given up, and its bytes are gone. Start it again.');
    }
    return row;
  }

  #isExpired({ state, expiresAt }: Transfer): boolean {
    return state === 'WAITING' && expiresAt != null && expiresAt <= this.#parts.clock.now();
  }

  #stopSendersOf({
    userId,
    grantIds,
  }: {
    readonly userId: string;
    readonly grantIds: readonly string[] | 'all';
  }): void {
    for (const [transferId, sender] of this.#sending) {
      if (sender.userId !== userId) continue;
      if (grantIds === 'all' || (sender.grantId !== null && grantIds.includes(sender.grantId))) {
        void this.release(transferId);
      }
    }
  }

  /** Does `work` as the only connection, in this process and any other, that touches the upload's file. */
  async #owning(
    { id, uploadTokenHash, userId, source }: Transfer,
    work: (row: Transfer, stop: AbortSignal) => Promise<Transfer>,
  ): Promise<Transfer> {
    const hold = await this.#takeover.acquire(id, TAKEOVER_WAIT_MS);
    if (!hold) throw locked();
    this.#sending.set(id, { userId, grantId: source.type === 'upload' ? (source.grantId ?? null) : null });
    try {
      const claimed = await this.#claim(id, uploadTokenHash ?? '');
      const row = await this.#settle(claimed);
      try {
        return await work(row, hold.stop);
      } finally {
        await this.#parts.store.update(id, 'WAITING', row.fence, { leaseOwner: null, leaseUntil: null });
      }
    } finally {
      this.#sending.delete(id);
      hold.release();
    }
  }

  async #claim(id: string, uploadTokenHash: string): Promise<Transfer> {
    const { store, bus, owner, clock, neighbours } = this.#parts;
    for (let waitedMs = 0; waitedMs < TAKEOVER_WAIT_MS; waitedMs += TAKEOVER_POLL_MS) {
      const reach = await neighbours.reach();
      const claimed = await store.uploads.claimReceiving(id, owner, reach);
      if (claimed) return claimed;
      const now = await this.#find(uploadTokenHash);
      if (now.state !== 'WAITING') throw refusalOf(now);
      // Nothing is asked of the connection that sends there: it is where it should be.
      if (isReceivedElsewhere(now, reach, clock.now())) throw elsewhere();
      if (waitedMs === 0) void bus.publish('transfer.control', { transferId: id, action: 'release' });
      await delay(TAKEOVER_POLL_MS);
    }
    throw locked();
  }

  /** The row with the offset that its file really has: less than recorded only if the file, or the host that had it, was lost. */
  async #settle(row: Transfer): Promise<Transfer> {
    const size = (await this.#parts.spool.size(row.id)) ?? 0;
    if (size < row.bytesDone) {
      row.bytesDone = size;
      await this.#parts.store.update(row.id, 'WAITING', row.fence, { bytesDone: size });
    }
    return row;
  }

  async #receive(row: Transfer, request: ReceiveRequest, stop: AbortSignal): Promise<Transfer> {
    const start = row.bytesDone;
    checkExtent(row, request);

    let completed: Transfer | null = null;
    const progress = this.#parts.progress.track(row);
    const inflow = new Inflow({
      writer: await this.#parts.spool.writer(row.id, start),
      hasher: this.#hasherAt(row, start),
      bytesMax: Math.min(totalOf(row) - start, request.bytesMax),
      checksum: request.checksum,
      onBytes: (offset) => progress.report('RECEIVING', offset),
      record: async (offset, hasher) => {
        if (offset < totalOf(row)) return this.#recordOffset(row, offset);
        // One step with the last offset: a crash in between would leave an upload that nobody sends to or works on.
        completed = await this.#complete(row, hasher);
        return completed !== null;
      },
    });
    try {
      await inflow.take(request.body, stop);
    } finally {
      if (completed) progress.stop();
      else {
        progress.report('RECEIVING', inflow.offset);
        this.#parts.progress.rest(row.id, progress);
      }
      if (inflow.hasher && !completed) this.#hashers.set(row.id, inflow.hasher);
      else this.#hashers.delete(row.id);
    }
    if (completed) return completed;
    // Who was asked to stop, but had brought all of its bytes by then, has done what it came for.
    const whole = request.lengthBytes !== null && inflow.offset - start === request.lengthBytes;
    if (stop.aborted && !whole) throw locked();
    return { ...row, bytesDone: inflow.offset };
  }

  async #recordOffset(row: Transfer, bytesDone: number): Promise<boolean> {
    const { store, clock, expiryMs } = this.#parts;
    const { id, fence } = row;
    const now = clock.now();
    const kept = await store.update(id, 'WAITING', fence, {
      bytesDone,
      leaseUntil: addMs(now, RECEIVE_LEASE_MS),
      expiresAt: addMs(now, expiryMs),
    });
    // Where another process ended the right, its word may have been lost.
    if (kept && (await store.uploads.senderOf(row)) !== 'granted') void this.release(id);
    return kept;
  }

  /** The running hash, if it has seen exactly the bytes before `offset`. */
  #hasherAt(row: Transfer, offset: number): Hasher | null {
    if (offset === 0) return Hasher.of(row.hashAlgorithms);
    const kept = this.#hashers.get(row.id);
    return kept?.bytes === offset ? kept : null;
  }

  #complete(row: Transfer, hasher: Hasher | null): Promise<Transfer | null> {
    const { store, clock } = this.#parts;
    const now = clock.now();
    return store.change(
      row.id,
      'receive',
      {
        phase: 'HASHING',
        spoolHashes: hasher?.hashes() ?? null,
        bytesDone: totalOf(row),
        runAfter: now,
        expiresAt: addMs(now, STATE_DEADLINES_MS.QUEUED),
      },
      { fence: row.fence },
    );
  }
}

const totalOf = ({ bytesTotal }: Transfer): number => bytesTotal ?? 0;

const locked = (): UploadRefusedError =>
  new UploadRefusedError(
    'locked',
    'Another request is sending to this upload, or has taken it over. Ask for its offset.',
  );

const elsewhere = (): UploadRefusedError =>
  new UploadRefusedError(
    'elsewhere',
    'Another server has what came of this upload so far. Send the request again; it should reach that one.',
  );

function refusalOf({ state }: Transfer): UploadRefusedError {
  if (state === 'PAUSED') return new UploadRefusedError('paused', 'This upload is paused. Resume the transfer first.');
  return new UploadRefusedError('finished', 'All bytes of this upload are here already.');
}

/** A request that only asks whether the last byte arrived is answered; every other one is refused. */
function afterTheLast(row: Transfer, { offset, lengthBytes }: ReceiveRequest): Transfer {
  if (row.state !== 'PAUSED' && offset === row.bytesTotal && lengthBytes === 0) return row;
  throw refusalOf(row);
}

function checkExtent({ bytesDone, bytesTotal }: Transfer, { offset, lengthBytes, bytesMax }: ReceiveRequest): void {
  if (offset !== bytesDone) {
    throw new UploadRefusedError(
      'offset',
      `The next byte is number ${bytesDone}, and the request begins at ${offset}.`,
    );
  }
  if (lengthBytes === null) return;
  if (lengthBytes > bytesMax) {
    throw new UploadRefusedError('tooLarge', `One request may have at most ${bytesMax} bytes. Send smaller chunks.`);
  }
  if (bytesTotal != null && offset + lengthBytes > bytesTotal) {
    throw new UploadRefusedError(
      'tooLarge',
      `The upload was announced to have ${bytesTotal} bytes; this would be more.`,
    );
  }
}
