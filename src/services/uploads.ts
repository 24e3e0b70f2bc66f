import { createHmac } from 'node:crypto';
import type { ConflictPolicy, DriveEntry, HashAlgorithm, Hashes } from '../drives/driver.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import {
  AlreadyExistsError,
  type InputIssue,
  RateLimitedError,
  StorageFullError,
  UnsupportedError,
} from '../lib/errors.ts';
import { hashToken, newId } from '../lib/ids.ts';
import type { Secret } from '../lib/secret.ts';
import { UploadRefusedError } from '../lib/upload-refusal.ts';
import type { Transfer, TransferKind } from '../storage/entities/transfer.ts';
import { findChild } from '../transfers/children.ts';
import type { TransferWorks } from '../transfers/open.ts';
import type { ReceiveRequest } from '../transfers/receiver.ts';
import { STATE_DEADLINES_MS } from '../transfers/states.ts';
import type { NewTransfer } from '../transfers/store.ts';
import type { TransferView } from '../transfers/watch.ts';
import { type Entries, type EntryTarget, type ResolvedEntry, uncancelled } from './entries.ts';
import type { Idempotency } from './idempotency.ts';
import type { Transfers } from './transfers.ts';
import { checkFits, checkPlan, checkSmall, type PromisedHash, plainMimeType, promisedHashes } from './upload-plans.ts';
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

export type SmallUpload = Omit<NewUpload, 'sizeBytes' | 'mimeType'> & { readonly mimeType?: string | null };

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
  readonly entries: Entries;
  readonly idempotency: Idempotency;
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
    const id = await this.#once(viewer, 'startUpload', key, asked, (id) => this.#begin(viewer, id, input, null));
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
  text(viewer: Viewer, input: SmallUpload & { readonly content: string }, signal: AbortSignal): Promise<TransferView> {
    const bytes = Buffer.from(input.content);
    return this.#small(viewer, 'TEXT', { ...input, sizeBytes: bytes.length }, [bytes], signal);
  }

  /**
   * Makes a file of bytes that came with the request. Waits for it a little while.
   * @throws as {@link start}; TooLargeError beyond 8 MiB.
   */
  file(viewer: Viewer, input: NewUpload, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<TransferView> {
    return this.#small(viewer, 'UPLOAD', input, bytes, signal);
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

  /** Does `make` once for a key; a repetition, also after a crash, gets the same id. */
  async #once(
    viewer: Viewer,
    operation: string,
    key: string | null | undefined,
    input: unknown,
    make: (id: string) => Promise<void>,
  ): Promise<string> {
    const { idempotency, works } = this.#options;
    return idempotency.once<string, string>(viewer, { operation, key, input }, async ({ parts, keep }) => {
      const id = parts[0] ?? newId();
      if (parts.length === 0) await keep(id);
      else if (await works.store.find(id)) return id;
      await make(id);
      return id;
    });
  }

  async #begin(viewer: Viewer, id: string, input: NewUpload, uploadMetadata: string | null): Promise<void> {
    const { works, clock, uploadExpiryMs } = this.#options;
    const plan = await this.#plan(viewer, id, 'UPLOAD', input);
    const overTus = uploadMetadata !== null;
    if (!overTus && (await this.#withoutBytes(plan))) return;

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

  async #small(
    viewer: Viewer,
    kind: TransferKind,
    input: NewUpload,
    bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<TransferView> {
    checkSmall(input.sizeBytes);
    const { idempotencyKey: key, ...asked } = input;
    const operation = kind === 'TEXT' ? 'uploadText' : 'uploadFile';
    const id = await this.#once(viewer, operation, key, asked, async (id) => {
      const plan = await this.#plan(viewer, id, kind, input);
      if (await this.#withoutBytes({ ...plan, expectedHashes: {} })) return;
      await this.#checkRoom(viewer, input.sizeBytes);
      await this.#queue({ ...plan.row, state: 'QUEUED', source: { type: 'spool' } }, bytes);
    });
    return this.#options.transfers.settled(id, SMALL_UPLOAD_WAIT_MS, signal);
  }

  /** Checks all that can be known before the bytes. */
  async #plan(viewer: Viewer, id: string, kind: TransferKind, input: NewUpload): Promise<Plan> {
    const issues: InputIssue[] = [];
    const expectedHashes = promisedHashes(input.hashes ?? [], issues);
    checkPlan(input.name, input.sizeBytes, issues);
    const folder = await this.#options.entries.resolveFolder(viewer, input.parent, ['input', 'parent']);
    const { driver, account } = folder;
    if (!driver.adopt && !driver.upload) throw new UnsupportedError('This drive does not take uploads.', 'UPLOAD');
    checkFits(input.name, input.sizeBytes, driver.capabilities);

    const onConflict = input.onConflict ?? 'FAIL';
    const existing = await findChild(driver, folder.entry.ref, input.name, uncancelled());
    if (existing && isRefused(existing, onConflict)) {
      throw new AlreadyExistsError(`There is already “${existing.name}” in this folder.`, {
        existing: { accountId: account.id, ref: existing.ref },
      });
    }
    const hashAlgorithms = new Set<HashAlgorithm>(['SHA256', ...(Object.keys(expectedHashes) as HashAlgorithm[])]);
    // A drive that is sent to asks for hashes of its own; one that takes the file over does not.
    if (!driver.adopt) for (const algorithm of driver.capabilities.hashes) hashAlgorithms.add(algorithm);
    return {
      folder,
      existing,
      expectedHashes,
      row: {
        id,
        userId: viewer.userId,
        kind,
        accountId: account.id,
        parentRef: folder.entry.ref,
        name: input.name,
        onConflict,
        bytesTotal: input.sizeBytes,
        mimeType: plainMimeType(input.mimeType),
        expectedHashes,
        hashAlgorithms: [...hashAlgorithms],
      },
    };
  }

  /** Finishes the upload without its bytes, where that is possible. */
  async #withoutBytes({ folder, existing, expectedHashes, row }: Plan): Promise<boolean> {
    const { transfers } = this.#options;
    if (existing && row.onConflict === 'SKIP') {
      await transfers.recordDone({ ...row, entryRef: existing.ref, route: null, bytesDone: 0 });
      return true;
    }
    if (expectedHashes.SHA256 === undefined) return false;
    const { parentRef, name, onConflict, mimeType = null, id: transferId } = row;
    const plan = {
      parentRef,
      name,
      onConflict,
      mimeType,
      transferId,
      sizeBytes: row.bytesTotal,
      hashes: expectedHashes,
    };
    const entry = await folder.driver.instantUpload?.(plan, uncancelled());
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
      bytesDone: row.bytesTotal ?? 0,
      expiresAt: addMs(clock.now(), STATE_DEADLINES_MS.QUEUED),
    });
  }

  async #checkRoom(viewer: Viewer, sizeBytes: number): Promise<void> {
    const { works } = this.#options;
    if (!(await works.spool.hasRoom(sizeBytes))) {
      throw new StorageFullError('The server has no room for this file just now.', { retryable: true });
    }
    if ((await works.store.countWaiting(viewer.userId)) >= OPEN_UPLOADS_MAX) {
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
    if (transfer.uploadTokenHash !== hashToken(token)) await works.store.setUploadToken(id, hashToken(token));
    // Asked for again in another session, as after a new sign-in: from now on it lives with that one.
    if (transfer.source.type === 'upload' && transfer.source.grantId !== viewer.grantId) {
      await works.store.setUploadGrant(id, viewer.grantId);
    }
    const expiresAt = transfer.state === 'WAITING' ? (transfer.expiresAt ?? null) : null;
    return { transfer, uploadPath: UPLOADS_PATH + token, chunkBytes: uploadChunkBytes, expiresAt };
  }

  #token(transferId: string): string {
    return createHmac('sha256', this.#options.tokenKey.reveal()).update(transferId).digest('base64url');
  }
}

interface Plan {
  readonly folder: ResolvedEntry;
  readonly existing: DriveEntry | null;
  readonly expectedHashes: Hashes;
  readonly row: Omit<NewTransfer, 'state' | 'source'> & {
    readonly id: string;
    readonly bytesTotal: number;
    readonly onConflict: ConflictPolicy;
  };
}

/** Whether what has the name stands in the way for good. */
const isRefused = ({ kind }: DriveEntry, onConflict: ConflictPolicy): boolean =>
  onConflict === 'FAIL' || (onConflict === 'REPLACE' && kind === 'FOLDER');
