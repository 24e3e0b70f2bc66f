import { createHash, type Hash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { newId } from '../../lib/ids.ts';
import type { SlicedUpload, UploadPlan, UploadSession } from '../contract/upload.ts';
import type { Driver, Hashes } from '../driver.ts';
import type { LocalContext } from './context.ts';
import { localError } from './errors.ts';
import { checkPlan, existingSpot, fileBytes, findAttempt, instantUpload } from './filing.ts';

/** One write and one sync each; four of them at once are 16 MiB of memory. */
const SLICE_BYTES = 4 * 1024 * 1024;
const SLICES_AT_ONCE = 4;

/**
 * Takes a file in slices, as copies from other drives come: each is written at its place in a file of the blob store's
 * incoming folder, which becomes the blob when all are there and the hashes agree.
 */
export const createUploading = (local: LocalContext) => ({ upload: createUpload(local) }) satisfies Partial<Driver>;

const createUpload = (local: LocalContext): SlicedUpload => ({
  concurrency: SLICES_AT_ONCE,
  instantHashes: ['SHA256'],

  async begin(plan, call) {
    checkPlan(plan);
    const there = (await findAttempt(local, plan)) ?? (await existingSpot(local, plan, call));
    const instant = there ?? (await instantUpload(local, plan, call));
    if (instant) return { instant };
    if (plan.sizeBytes > (await local.blobs.incomingBytes()))
      throw localError('quota_exceeded', "The file is larger than the free space on the server's disk.");

    const state: SessionState = { id: newId() };
    const file = await open(await pathOf(local, state), 'wx', 0o600);
    try {
      await file.truncate(plan.sizeBytes); // Its length from the start, so that slices come in any order.
    } finally {
      await file.close();
    }
    return { session: { sliceBytes: SLICE_BYTES, sliceCount: Math.ceil(plan.sizeBytes / SLICE_BYTES), state } };
  },

  async putSlice(plan, session, index, bytes, call) {
    const expected = sliceLength(plan, session, index);
    if (bytes.byteLength !== expected)
      throw localError('corrupted', `Slice ${index} has ${bytes.byteLength} bytes where it must have ${expected}.`);
    call.signal.throwIfAborted();
    const file = await openSession(local, session);
    try {
      for (let done = 0; done < expected; ) {
        const { bytesWritten } = await file.write(bytes, done, expected - done, index * session.sliceBytes + done);
        done += bytesWritten;
      }
      await file.datasync(); // The receipt promises that the slice is kept, also through a power cut.
    } finally {
      await file.close();
    }
    return { index, state: null };
  },

  async complete(plan, session, receipts, call) {
    const kept = new Set(receipts.map(({ index }) => index));
    for (let index = 0; index < session.sliceCount; index += 1)
      if (!kept.has(index)) throw localError('corrupted', `Slice ${index} of ${session.sliceCount} has not arrived.`);

    const { id } = stateOf(session);
    const once = { ...plan, transferId: plan.transferId ?? id };
    const done = await findAttempt(local, once);
    if (done) return done;
    await (await openSession(local, session)).close();
    const path = await pathOf(local, { id });
    const { sizeBytes, hashes } = await hashFile(path, plan.hashes, call.signal);
    return fileBytes(local, once, { path, sizeBytes, hashes }, call);
  },

  async abort(session) {
    await rm(await pathOf(local, stateOf(session)), { force: true });
  },
});

interface SessionState {
  readonly id: string;
}

/** The id becomes part of a path: nothing but an id may. */
const SESSION_STATE: z.ZodType<SessionState> = z.object({ id: z.uuid() });

function stateOf(session: UploadSession): SessionState {
  const { success, data } = SESSION_STATE.safeParse(session.state);
  if (!success) throw localError('invalid_argument', 'That is not an upload session of this drive.');
  return data;
}

const pathOf = ({ blobs }: LocalContext, { id }: SessionState): Promise<string> => blobs.incomingPath(`${id}.part`);

async function openSession(local: LocalContext, session: UploadSession): Promise<FileHandle> {
  const path = await pathOf(local, stateOf(session));
  try {
    return await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    throw localError('not_found', 'The upload has expired. Begin it again.', { cause: error });
  }
}

function sliceLength(plan: UploadPlan, session: UploadSession, index: number): number {
  if (!Number.isSafeInteger(index) || index < 0 || index >= session.sliceCount)
    throw localError('invalid_argument', `The upload has ${session.sliceCount} slices; there is no slice ${index}.`);
  return Math.min(session.sliceBytes, plan.sizeBytes - index * session.sliceBytes);
}

const HASH_CHUNK_BYTES = 1024 * 1024;
const DIGESTS = { SHA256: 'sha256', SHA1: 'sha1', MD5: 'md5' } as const;

/** The file's length and its SHA-256, and the other hashes that were promised, to compare them. */
async function hashFile(
  path: string,
  promised: Hashes,
  signal: AbortSignal,
): Promise<{ readonly sizeBytes: number; readonly hashes: Hashes & { readonly SHA256: string } }> {
  const sha256 = createHash('sha256');
  const others = new Map<'SHA1' | 'MD5', Hash>();
  for (const algorithm of ['SHA1', 'MD5'] as const)
    if (promised[algorithm] !== undefined) others.set(algorithm, createHash(DIGESTS[algorithm]));
  let checksum = 0;
  let sizeBytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: HASH_CHUNK_BYTES, signal })) {
    sha256.update(chunk);
    for (const hash of others.values()) hash.update(chunk);
    if (promised.CRC32 !== undefined) checksum = crc32(chunk, checksum);
    sizeBytes += chunk.length;
  }
  return {
    sizeBytes,
    hashes: {
      SHA256: sha256.digest('hex'),
      ...Object.fromEntries([...others].map(([algorithm, hash]) => [algorithm, hash.digest('hex')])),
      ...(promised.CRC32 === undefined ? {} : { CRC32: checksum.toString(16).padStart(8, '0') }),
    },
  };
}
