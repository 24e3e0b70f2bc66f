import { createHmac } from 'node:crypto';
import type { ConflictPolicy } from '../drives/driver.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { RateLimitedError } from '../lib/errors.ts';
import { hashToken, newId } from '../lib/ids.ts';
import type { Secret } from '../lib/secret.ts';
import { UploadRefusedError } from '../lib/upload-refusal.ts';
import type { Transfer, TransferKind } from '../storage/entities/transfer.ts';
import type { TransferWorks } from '../transfers/open.ts';
import type { ReceiveRequest } from '../transfers/receiver.ts';
import type { NewTransfer } from '../transfers/rows.ts';
import { STATE_DEADLINES_MS } from '../transfers/states.ts';
import type { TransferView } from '../transfers/watch.ts';
import { type EntryTarget, uncancelled } from './entries.ts';
import type { Transfers } from './transfers.ts';
import type { Placing, Plan, UploadPlanner } from './upload-planner.ts';
import { checkSmall, type PromisedHash } from './upload-plans.ts';
import type { Viewer } from './viewer.ts';

/** Where bytes are sent, by tus. */
export const UPLOADS_PATH = '/uploads/';

/** Uploads of one user that may wait for bytes at one time: each holds a row, and whatever part of its file came. */
export const OPEN_UPLOADS_MAX = 10_000;
/** How long a small upload is waited for before it is answered as it stands, in milliseconds. */
const SMALL_UPLOAD_WAIT_MS = 10_000;

export interface NewUpload {
  readonly parent: EntryTarget;
  readonly name: string;
  readonly sizeBytes: number;
  readonly hashes?: readonly PromisedHash[] | null | undefined;
  readonly onConflict?: ConflictPolicy | null | undefined;
  readonly mimeType?: string | null;
  readonly idempotencyKey?: string | null | undefined;
}

/** An upload made over tus, whose client sends the bytes whatever is known of them. */
export interface NewTusUpload extends NewUpload {
  /** Upload-Metadata as it came. */
  readonly uploadMetadata: string | null;
}

export interface TextUpload extends Omit<NewUpload, 'sizeBytes' | 'mimeType' | 'hashes'> {
  readonly content: string;
}

export interface StartedUpload {
  readonly transfer: TransferView;
  /** Where to send the bytes; null: none are needed. */
  readonly uploadPath: string | null;
  /** How many bytes to send in one request. */
  readonly chunkBytes: number | null;
  /** Until when bytes must come; each that comes moves it. */
  readonly expiresAt: Date | null;
}

export interface UploadsOptions {
  readonly clock: Clock;
  readonly works: TransferWorks;
  readonly transfers: Transfers;
  readonly planner: UploadPlanner;
  /** Makes the tokens of upload URLs, so that a repeated request gets the same one, and none has to be stored. */
  readonly tokenKey: Secret<Buffer>;
  readonly uploadChunkBytes: number;
  readonly uploadRequestBytesMax: number;
  readonly uploadExpiryMs: number;
}

/** Files on their way in. Nothing of them is visible before they are whole and verified. */
export class Uploads {
  readonly #options: UploadsOptions;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /** Most bytes of one request to an upload URL. */
  get requestBytesMax(): number {
    return this.#options.uploadRequestBytesMax;
  }

  /**
   * Begins an upload. Bytes that this account has already make the file at once.
   * @throws InvalidInputError, NotFoundError (parent), AlreadyExistsError (by the policy), UnsupportedError,
   * TooLargeError, StorageFullError, RateLimitedError; what the drive throws.
   */
  async start(viewer: Viewer, input: NewUpload): Promise<StartedUpload> {
    const { idempotencyKey: key, ...asked } = input;
    const request = { operation: 'startUpload', key, input: asked };
    const id = await this.#options.planner.once(viewer, request, (id) => this.#begin(viewer, id, input, null));
    return this.#started(viewer, id);
  }

  /** As {@link start}, for a client that speaks tus only: it cannot be told that no bytes are needed. */
  async create(viewer: Viewer, input: NewTusUpload): Promise<StartedUpload> {
    const id = newId();
    await this.#begin(viewer, id, input, input.uploadMetadata);
    return this.#started(viewer, id);
  }

  /**
   * Makes a file of a text, in UTF-8. Waits for it a little while.
   * @throws as {@link start}; TooLargeError beyond 8 MiB.
   */
  async text(viewer: Viewer, input: TextUpload, signal: AbortSignal): Promise<TransferView> {
    const id = await this.queueText(viewer, input);
    return this.#options.transfers.settled(id, SMALL_UPLOAD_WAIT_MS, signal);
  }

  /** As {@link text}, without waiting; gives the id of the transfer. */
  queueText(viewer: Viewer, input: TextUpload, placing: Placing = {}): Promise<string> {
    const bytes = Buffer.from(input.content);
    return this.#small(viewer, 'TEXT', { ...input, sizeBytes: bytes.length }, [bytes], placing);
  }

  /**
   * Makes a file of bytes that came with the request. Waits for it a little while.
   * @throws as {@link start}; TooLargeError beyond 8 MiB.
   */
  async file(
    viewer: Viewer,
    input: NewUpload,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<TransferView> {
    const id = await this.#small(viewer, 'UPLOAD', input, bytes, {});
    return this.#options.transfers.settled(id, SMALL_UPLOAD_WAIT_MS, signal);
  }

  /** The upload behind a token, its offset certain. @throws UploadRefusedError */
  status(token: string): Promise<Transfer> {
    return this.#options.works.receiver.status(hashToken(token));
  }

  /** Appends bytes. @throws UploadRefusedError; StorageFullError: then what came before counts. */
  append(token: string, request: Omit<ReceiveRequest, 'bytesMax'>): Promise<Transfer> {
    const bytesMax = this.#options.uploadRequestBytesMax;
    return this.#options.works.receiver.append(hashToken(token), { ...request, bytesMax });
  }

  /** Ends an upload and frees its bytes. @throws UploadRefusedError (also when it is finished), ConflictError. */
  async terminate(token: string): Promise<void> {
    const { works, transfers } = this.#options;
    const row = await works.receiver.status(hashToken(token));
    if (row.state === 'SUCCEEDED') {
      throw new UploadRefusedError('finished', 'This upload is finished: its file can be deleted, not the upload.');
    }
    await transfers.cancelAs(row.userId, row.id);
  }

  async #begin(viewer: Viewer, id: string, input: NewUpload, uploadMetadata: string | null): Promise<void> {
    const { works, planner, clock, uploadExpiryMs } = this.#options;
    const plan = await planner.plan(viewer, { id, kind: 'UPLOAD' }, input);
    const overTus = uploadMetadata !== null;
    if (!overTus && (await this.#withoutBytes(plan, input.sizeBytes))) return;

    await this.#checkRoom(viewer, input.sizeBytes);
    const now = clock.now();
    const row: NewTransfer = {
      ...plan.row,
      state: 'WAITING',
      phase: 'RECEIVING',
      source: { type: 'upload', grantId: viewer.grantId },
      uploadMetadata,
      uploadTokenHash: hashToken(this.#token(id)),
      expiresAt: addMs(now, uploadExpiryMs),
    };
    if (input.sizeBytes > 0) await works.store.create(row);
    else await this.#queue(row, []);
  }

  #small(
    viewer: Viewer,
    kind: TransferKind,
    input: NewUpload,
    bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    placing: Placing,
  ): Promise<string> {
    checkSmall(input.sizeBytes);
    const { planner } = this.#options;
    const { idempotencyKey: key, ...asked } = input;
    const request = { operation: kind === 'TEXT' ? 'uploadText' : 'uploadFile', key, input: asked };
    const make = async (id: string): Promise<void> => {
      const plan = await planner.plan(viewer, { ...placing, id, kind }, input);
      if (await planner.isSkipped(plan)) return;
      await this.#checkRoom(viewer, input.sizeBytes);
      await this.#queue({ ...plan.row, state: 'QUEUED', source: { type: 'spool' } }, bytes);
    };
    return planner.once(viewer, request, make, placing);
  }

  /** Finishes the upload without its bytes, where that is possible. */
  async #withoutBytes(plan: Plan, sizeBytes: number): Promise<boolean> {
    const { transfers, planner } = this.#options;
    if (await planner.isSkipped(plan)) return true;
    const { folder, expectedHashes, row } = plan;
    if (expectedHashes.SHA256 === undefined) return false;
    const { parentRef, name, onConflict, mimeType = null, id: transferId } = row;
    const wanted = { parentRef, name, onConflict, mimeType, transferId, sizeBytes, hashes: expectedHashes };
    const entry = await folder.driver.instantUpload?.(wanted, uncancelled());
    if (!entry) return false;
    await transfers.recordDone({ ...row, entryRef: entry.ref, route: 'INSTANT' });
    return true;
  }

  /** Keeps the bytes, then queues the transfer: in this order a crash leaves at most a file, which is swept. */
  async #queue(row: NewTransfer, bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    const { works, clock } = this.#options;
    await works.spool.put(row.id ?? '', bytes);
    await works.store.create({
      ...row,
      state: 'QUEUED',
      phase: 'HASHING',
      spoolId: works.spool.id,
      bytesDone: row.bytesTotal ?? 0,
      expiresAt: addMs(clock.now(), STATE_DEADLINES_MS.QUEUED),
    });
  }

  async #checkRoom(viewer: Viewer, sizeBytes: number): Promise<void> {
    const { works, planner } = this.#options;
    await planner.checkRoom(sizeBytes);
    if ((await works.store.uploads.countWaiting(viewer.userId)) >= OPEN_UPLOADS_MAX) {
      throw new RateLimitedError(
        `You have ${OPEN_UPLOADS_MAX} uploads that wait for bytes. Finish or cancel some first.`,
      );
    }
  }

  async #started(viewer: Viewer, id: string): Promise<StartedUpload> {
    const { works, transfers, uploadChunkBytes } = this.#options;
    const transfer = await transfers.get(viewer, id);
    if (transfer.uploadTokenHash == null) return { transfer, uploadPath: null, chunkBytes: null, expiresAt: null };
    const token = this.#token(id);
    // Made with a key that has been rotated since: the new token takes the place of the old one.
    if (transfer.uploadTokenHash !== hashToken(token)) await works.store.uploads.setToken(id, hashToken(token));
    // Asked for again in another session, as after a new sign-in: from now on it lives with that one.
    if (transfer.source.type === 'upload' && transfer.source.grantId !== viewer.grantId) {
      await works.store.uploads.setGrant(id, viewer.grantId);
    }
    const expiresAt = transfer.state === 'WAITING' ? (transfer.expiresAt ?? null) : null;
    return { transfer, uploadPath: UPLOADS_PATH + token, chunkBytes: uploadChunkBytes, expiresAt };
  }

  #token(transferId: string): string {
    return createHmac('sha256', this.#options.tokenKey.reveal()).update(transferId).digest('base64url');
  }
}
