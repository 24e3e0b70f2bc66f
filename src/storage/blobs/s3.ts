import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { Logger } from '../../lib/log.ts';
import type { Secret } from '../../lib/secret.ts';
import { BlobDamagedError, type BlobStoreError } from './errors.ts';
import { checkLength, damagedIfMissing, openFile } from './files.ts';
import { type BlobName, keyOf, nameOf } from './name.ts';
import { PartBuffers } from './part-buffers.ts';
import type { ObjectStore } from './remote.ts';
import type { BlobRange, StoredBlob, WholeFile } from './room.ts';
import type { S3Address } from './s3-address.ts';
import { followBody } from './s3-body.ts';
import { replyOf, startFault, storeError } from './s3-fault.ts';

/** A part of an upload, in bytes: above the 5 MiB that S3 asks for at least, and a file below it is sent at once. */
const PART_BYTES = 8 * 1024 * 1024;
/** S3 takes no more; files above 78 GiB are sent in larger parts. */
const PARTS_MAX = 10_000;
/** Parts of one upload that are sent at once. */
const PARTS_AT_ONCE = 3;
/** Parts of all uploads that are in memory at once: 64 MiB. */
const PARTS_IN_MEMORY = 8;
/** What the store says of a body that has another hash than was sent with it; such a body is sent so often. */
const DAMAGED: ReadonlySet<string> = new Set(['BadDigest', 'XAmzContentSHA256Mismatch']);
const DIGEST_TRIES = 3;

/** Tries of a request that the store refuses for being asked too much, or that breaks: half a minute together at most. */
const REQUEST_TRIES = 5;
const CONNECT_MS = 5_000;
/** How long a connection may give and take nothing. */
const IDLE_MS = 60_000;
/** How long what nobody waits for may take. */
const TIDY_MS = 10_000;
const START_MS = 30_000;
const SWEEP_MS = 120_000;

export interface S3Options {
  readonly address: S3Address;
  /** Null: where the AWS SDK finds them, in the environment, in its files, or by the role of the machine. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: Secret } | null;
  readonly log: Logger;
  /** For tests; {@link PART_BYTES}. */
  readonly partBytes?: number;
  /** For tests; {@link REQUEST_TRIES}. */
  readonly tries?: number;
}

/**
 * Opens a bucket, and looks whether it can be used.
 * @throws ConfigError in words for an operator.
 */
export async function openS3(options: S3Options): Promise<S3Objects> {
  const objects = new S3Objects(options);
  try {
    await objects.list(AbortSignal.timeout(START_MS));
    return objects;
  } catch (error) {
    objects.close();
    throw startFault(error, options.address);
  }
}

/** Blobs as objects of an S3-compatible store: `<prefix>ab/cd/<sha256>.<generation>`. */
export class S3Objects implements ObjectStore {
  readonly #client: S3Client;
  readonly #address: S3Address;
  readonly #log: Logger;
  readonly #buffers = new PartBuffers(PARTS_IN_MEMORY);
  readonly #partBytes: number;
  #answers = true;

  constructor({ address, credentials, log, partBytes = PART_BYTES, tries = REQUEST_TRIES }: S3Options) {
    const { endpoint, region, pathStyle } = address;
    this.#address = address;
    this.#log = log;
    this.#partBytes = partBytes;
    this.#client = new S3Client({
      region,
      forcePathStyle: pathStyle,
      maxAttempts: tries,
      ...(endpoint === null ? {} : { endpoint }),
      ...(credentials
        ? {
            credentials: {
              accessKeyId: credentials.accessKeyId,
              secretAccessKey: credentials.secretAccessKey.reveal(),
            },
          }
        : {}),
      // Each body is sent with its MD5, which every store compares; newer checksums many do not know.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // It would take a new connection for each part.
      expectContinueHeader: false,
      requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: IDLE_MS },
    });
  }

  async put(name: BlobName, file: WholeFile, signal: AbortSignal): Promise<void> {
    const handle = await openFile(file.path, constants.O_RDONLY).catch(damagedIfMissing);
    try {
      await checkLength(handle, file);
      const source = new FileSource(handle, file, Math.max(this.#partBytes, partBytesOf(file.sizeBytes)));
      if (source.partCount <= 1) await this.#putWhole(name, source, signal);
      else await this.#putParts(name, source, signal);
    } finally {
      await handle.close();
    }
  }

  async sizeOf(name: BlobName, signal: AbortSignal): Promise<number | null> {
    const command = new HeadObjectCommand(this.#objectOf(name));
    try {
      const { ContentLength = 0 } = await within(signal, () => this.#client.send(command, { abortSignal: signal }));
      return ContentLength;
    } catch (error) {
      if (replyOf(error).status === 404) return null;
      throw failure('HeadObject', error, signal);
    }
  }

  async read(blob: StoredBlob, { start, end }: BlobRange, signal: AbortSignal): Promise<Readable> {
    return followBody({ start, end, signal }, (position, ended) => this.#open(blob, { start: position, end }, ended));
  }

  remove(name: BlobName): Promise<void> {
    return this.#ask('DeleteObject', AbortSignal.timeout(SWEEP_MS), async (abortSignal) => {
      await this.#client.send(new DeleteObjectCommand(this.#objectOf(name)), { abortSignal });
    });
  }

  async *names(before: Date): AsyncGenerator<BlobName[]> {
    const { bucket: Bucket, prefix: Prefix } = this.#address;
    for (let ContinuationToken: string | undefined; ; ) {
      const page = await this.#ask('ListObjectsV2', AbortSignal.timeout(SWEEP_MS), (abortSignal) =>
        this.#client.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }), { abortSignal }),
      );
      const old = (page.Contents ?? []).filter(
        ({ LastModified }) => LastModified !== undefined && LastModified < before,
      );
      yield old.flatMap(({ Key = '' }) => nameOf(Key.slice(Prefix.length)) ?? []);
      ContinuationToken = page.NextContinuationToken;
      if (!page.IsTruncated || ContinuationToken === undefined) return;
    }
  }

  async abortUploads(before: Date): Promise<void> {
    const { bucket: Bucket, prefix: Prefix } = this.#address;
    for (let KeyMarker: string | undefined, UploadIdMarker: string | undefined; ; ) {
      const page = await this.#ask('ListMultipartUploads', AbortSignal.timeout(SWEEP_MS), (abortSignal) =>
        this.#client.send(new ListMultipartUploadsCommand({ Bucket, Prefix, KeyMarker, UploadIdMarker }), {
          abortSignal,
        }),
      );
      for (const { Key = '', UploadId, Initiated } of page.Uploads ?? []) {
        const name = nameOf(Key.slice(Prefix.length));
        if (name && UploadId !== undefined && Initiated !== undefined && Initiated < before) {
          await this.#abort(name, UploadId);
        }
      }
      KeyMarker = page.NextKeyMarker;
      UploadIdMarker = page.NextUploadIdMarker;
      if (!page.IsTruncated || KeyMarker === undefined) return;
    }
  }

  async check(signal: AbortSignal): Promise<void> {
    const command = new HeadBucketCommand({ Bucket: this.#address.bucket });
    try {
      await within(signal, () => this.#client.send(command, { abortSignal: signal }));
      if (!this.#answers) this.#log.info('the store of files answers again');
      this.#answers = true;
    } catch (error) {
      const err = failure('HeadBucket', error, signal);
      if (this.#answers) this.#log.error({ err }, 'the store of files does not answer');
      this.#answers = false;
      throw err;
    }
  }

  /** Asks for the first key: what must be possible with right keys, and a reply that says why where it is not. */
  async list(abortSignal: AbortSignal): Promise<void> {
    const { bucket: Bucket, prefix: Prefix } = this.#address;
    const command = new ListObjectsV2Command({ Bucket, Prefix, MaxKeys: 1 });
    await within(abortSignal, () => this.#client.send(command, { abortSignal }));
  }

  close(): void {
    this.#client.destroy();
  }

  #objectOf(name: BlobName): { readonly Bucket: string; readonly Key: string } {
    const { bucket, prefix } = this.#address;
    return { Bucket: bucket, Key: prefix + keyOf(name) };
  }

  async #putWhole(name: BlobName, source: FileSource, signal: AbortSignal): Promise<void> {
    await this.#buffers.lend(source.file.sizeBytes, signal, async (buffer) => {
      const { bytes: Body, md5: ContentMD5 } = (await source.next(buffer)) ?? source.nothing;
      source.checkHash();
      const input = { ...this.#objectOf(name), Body, ContentMD5, ContentLength: Body.length };
      await this.#send('PutObject', signal, (abortSignal) =>
        this.#client.send(new PutObjectCommand(input), { abortSignal }),
      );
    });
  }

  async #putParts(name: BlobName, source: FileSource, signal: AbortSignal): Promise<void> {
    const object = this.#objectOf(name);
    const { UploadId } = await this.#ask('CreateMultipartUpload', signal, (abortSignal) =>
      this.#client.send(new CreateMultipartUploadCommand(object), { abortSignal }),
    );
    if (UploadId === undefined) throw storeError('CreateMultipartUpload', { name: 'NoUploadId' });
    try {
      const Parts = await this.#sendParts({ ...object, UploadId }, source, signal);
      source.checkHash();
      await this.#complete(name, { ...object, UploadId, MultipartUpload: { Parts } }, source.file.sizeBytes, signal);
    } catch (error) {
      await this.#abort(name, UploadId).catch((fault: BlobStoreError) => {
        this.#log.warn({ err: fault }, 'an upload to the store could not be ended; a sweep will');
      });
      throw error;
    }
  }

  /** Several parts at once; the first failure stops the others. */
  async #sendParts(
    upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string },
    source: FileSource,
    signal: AbortSignal,
  ): Promise<CompletedPart[]> {
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const parts: CompletedPart[] = [];
    const sendNext = (): Promise<boolean> =>
      this.#buffers.lend(source.partBytes, either, async (buffer) => {
        const part = await source.next(buffer);
        if (!part) return false;
        const { bytes: Body, md5: ContentMD5, number: PartNumber } = part;
        const input = { ...upload, PartNumber, Body, ContentMD5, ContentLength: Body.length };
        const { ETag } = await this.#send('UploadPart', either, (abortSignal) =>
          this.#client.send(new UploadPartCommand(input), { abortSignal }),
        );
        parts.push({ PartNumber, ETag });
        return true;
      });
    const worker = async (): Promise<void> => {
      try {
        while (await sendNext());
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    };
    const results = await Promise.allSettled(Array.from({ length: PARTS_AT_ONCE }, worker));
    signal.throwIfAborted();
    if (failed.signal.aborted) throw failed.signal.reason;
    if (results.some(({ status }) => status === 'rejected')) throw storeError('UploadPart', null);
    return parts.toSorted((left, right) => (left.PartNumber ?? 0) - (right.PartNumber ?? 0));
  }

  async #complete(
    name: BlobName,
    input: ConstructorParameters<typeof CompleteMultipartUploadCommand>[0],
    sizeBytes: number,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await within(signal, () => this.#client.send(new CompleteMultipartUploadCommand(input), { abortSignal: signal }));
    } catch (error) {
      // Of a try whose answer was lost, the upload is over and the object there.
      if (replyOf(error).code === 'NoSuchUpload' && (await this.sizeOf(name, signal)) === sizeBytes) return;
      throw failure('CompleteMultipartUpload', error, signal);
    }
  }

  async #abort(name: BlobName, UploadId: string): Promise<void> {
    const abortSignal = AbortSignal.timeout(TIDY_MS);
    try {
      const command = new AbortMultipartUploadCommand({ ...this.#objectOf(name), UploadId });
      await within(abortSignal, () => this.#client.send(command, { abortSignal }));
    } catch (error) {
      if (replyOf(error).code !== 'NoSuchUpload') throw storeError('AbortMultipartUpload', error);
    }
  }

  async #open(
    { sizeBytes, ...name }: StoredBlob,
    { start, end }: BlobRange,
    abortSignal: AbortSignal,
  ): Promise<Readable> {
    const command = new GetObjectCommand({ ...this.#objectOf(name), Range: `bytes=${start}-${end}` });
    try {
      const { Body, ContentLength, ContentRange } = await within(abortSignal, () =>
        this.#client.send(command, { abortSignal }),
      );
      const body = Body as Readable;
      const isAsked = ContentRange === `bytes ${start}-${end}/${sizeBytes}` && ContentLength === end - start + 1;
      // All of it may come without saying so.
      const isAll = ContentRange === undefined && ContentLength === sizeBytes && start === 0 && end === sizeBytes - 1;
      if (isAsked || isAll) return body;
      body.on('error', () => {}).destroy();
      const total = Number(ContentRange?.split('/')[1] ?? ContentLength);
      if (total !== sizeBytes) throw new BlobDamagedError(`${total} bytes where ${sizeBytes} are recorded`);
      throw storeError('GetObject', { name: 'AnotherRange' });
    } catch (error) {
      if (error instanceof BlobDamagedError) throw error;
      const { code } = replyOf(error);
      if (code === 'NoSuchKey') throw new BlobDamagedError('the object is missing');
      if (code === 'InvalidRange') throw new BlobDamagedError(`the object is shorter than ${sizeBytes} bytes`);
      throw failure('GetObject', error, abortSignal);
    }
  }

  /** Sends a body once more, where it did not arrive as it was sent. */
  async #send<Result>(
    operation: string,
    signal: AbortSignal,
    act: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await within(signal, () => act(signal));
      } catch (error) {
        const isDamaged = DAMAGED.has(replyOf(error).code) && !signal.aborted;
        if (!isDamaged || attempt === DIGEST_TRIES) throw failure(operation, error, signal);
        this.#log.warn({ operation, attempt }, 'bytes arrived damaged at the store, and are sent again');
      }
    }
  }

  async #ask<Result>(
    operation: string,
    signal: AbortSignal,
    act: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await within(signal, () => act(signal));
    } catch (error) {
      throw failure(operation, error, signal);
    }
  }
}

/** What failed; where the caller went away, the reason for that. A deadline is a store that does not answer. */
function failure(operation: string, error: unknown, { aborted, reason }: AbortSignal): unknown {
  if (!aborted) return storeError(operation, error);
  return reason instanceof DOMException && reason.name === 'TimeoutError' ? storeError(operation, reason) : reason;
}

/** So large that the parts are not too many, in bytes. */
const partBytesOf = (sizeBytes: number): number => Math.ceil(sizeBytes / PARTS_MAX / 1024 ** 2) * 1024 ** 2;

/** Ends with the signal also where the SDK waits between two tries. */
async function within<Result>(signal: AbortSignal, act: () => Promise<Result>): Promise<Result> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([act(), promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

interface Part {
  /** From 1. */
  readonly number: number;
  /** In the buffer that was given. */
  readonly bytes: Buffer;
  readonly md5: string;
}

/** Reads a file in parts, one after the other, and compares what it read with the file's hash at the end. */
class FileSource {
  readonly file: WholeFile;
  readonly partBytes: number;
  readonly partCount: number;
  readonly #handle: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  #number = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(handle: FileHandle, file: WholeFile, partBytes: number) {
    this.#handle = handle;
    this.file = file;
    this.partBytes = partBytes;
    this.partCount = Math.ceil(file.sizeBytes / partBytes);
  }

  /** The part of a file that has no bytes. */
  get nothing(): Part {
    return { number: 1, bytes: Buffer.alloc(0), md5: createHash('md5').digest('base64') };
  }

  /** The next part, in the beginning of the buffer; null: there is none. */
  next(buffer: Buffer): Promise<Part | null> {
    const part = this.#turn.then(() => this.#read(buffer));
    this.#turn = part.catch(() => {});
    return part;
  }

  /** Throws {@link BlobDamagedError} when the bytes are not those of the file's hash: changed on the disk since. */
  checkHash(): void {
    const found = this.#hash.digest('hex');
    if (found !== this.file.sha256) throw new BlobDamagedError(`the file has the SHA-256 ${found}`);
  }

  async #read(buffer: Buffer): Promise<Part | null> {
    if (this.#number === this.partCount) return null;
    const start = this.#number * this.partBytes;
    const bytes = buffer.subarray(0, Math.min(this.partBytes, this.file.sizeBytes - start));
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, start + done);
      if (bytesRead === 0) throw new BlobDamagedError('the file became shorter');
      done += bytesRead;
    }
    this.#number += 1;
    this.#hash.update(bytes);
    return { number: this.#number, bytes, md5: createHash('md5').update(bytes).digest('base64') };
  }
}
