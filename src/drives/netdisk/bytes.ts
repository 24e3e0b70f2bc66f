import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { numberedName } from '../../lib/names.ts';
import type { SpooledFile, UploadPlan } from '../contract/upload.ts';
import type { ByteRange, CallContext, DriveEntry, Driver } from '../driver.ts';
import { checkEntryName } from '../shared/names.ts';
import type { NetdiskClient } from './client.ts';
import { remove, rename, taken } from './editing.ts';
import { envelopeError, invalid, isCategory, isEnvelope, netdiskError, PROVIDER } from './errors.ts';
import { below, entryOf } from './paths.ts';

/** For one file in one piece: 1 GiB at 16 Mbit/s. */
const UPLOAD_TIMEOUT_MS = 9 * 60_000;
/** The longest answer that may be an error in place of a file, in bytes. */
const ERROR_BYTES_MAX = 16 * 1024;
/** Numbers tried for a name that is taken. */
const NUMBERS_MAX = 1_000;

export const createBytes = (netdisk: NetdiskClient) =>
  ({
    /**
     * The specification names no ranges. One is asked for all the same; a server that gives the whole file has the rest
     * of it thrown away here.
     */
    async read(ref, range, call) {
      checkRange(range);
      // First looked up: at this address the server makes a folder of what is not there.
      const file = await netdisk.file(ref, call);
      const { status, headers, body } = await netdisk.send(
        {
          method: 'GET',
          url: '/api/downloadFile',
          query: { destination: file.ref },
          headers: range ? { range: `bytes=${range.start}-${range.end ?? ''}` } : {},
          endpoint: 'bytes',
          as: 'stream',
          idempotent: true,
        },
        call,
      );
      const length = lengthOf(headers);
      if (mayBeError(headers)) {
        return cut(await withoutError(body), status === 206 ? null : range, length);
      }
      if (!range) return body;
      if (status === 206) {
        const first = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '')?.[1];
        if (Number(first) === range.start) return body;
        body.destroy();
        throw netdiskError('corrupted', 'gave other bytes of the file than were asked for.');
      }
      return cut(body, range, length);
    },

    /** By the head of the answer to a request for one byte; what comes of the bytes is not waited for. */
    async measure(ref, call) {
      const file = await netdisk.file(ref, call);
      const { status, headers, body } = await netdisk.send(
        {
          method: 'GET',
          url: '/api/downloadFile',
          query: { destination: file.ref },
          headers: { range: 'bytes=0-0' },
          endpoint: 'bytes',
          as: 'stream',
          idempotent: true,
          accept: [416], // A file of no bytes has no first one.
        },
        call,
      );
      if (status !== 200) {
        body.destroy();
        return { sizeBytes: totalOf(headers), parts: true };
      }
      const length = lengthOf(headers);
      if (mayBeError(headers)) await withoutError(body);
      body.destroy();
      return { sizeBytes: length, parts: false };
    },

    /** One form with the whole file: the server knows no slices. */
    async adopt(plan, file, call) {
      checkFile(plan, file);
      const parent = await netdisk.folder(plan.parentRef, call);
      const interim = `.panql-${plan.transferId ?? randomBytes(9).toString('hex')}.part`;
      // What a try before left when it died between two of its steps.
      const left = plan.onConflict === 'REPLACE' ? await netdisk.find(below(parent.ref, interim), call) : null;
      if (left) await remove(netdisk, left.ref, call);
      const existing = await netdisk.find(below(parent.ref, plan.name), call);
      if (!existing) return upload(netdisk, parent, plan.name, file, call);
      if (plan.onConflict === 'SKIP') return existing;
      if (plan.onConflict === 'RENAME') {
        return upload(netdisk, parent, await freeName(netdisk, parent, plan.name, call), file, call);
      }
      if (plan.onConflict === 'FAIL' || existing.kind !== 'FILE') throw taken(existing.ref);
      // Whether the server replaces a file by itself, it does not say. The old one goes when the new one is there.
      const sent = await upload(netdisk, parent, interim, file, call);
      try {
        await remove(netdisk, existing.ref, call);
      } catch (error) {
        await remove(netdisk, sent.ref, call).catch(() => {}); // What failed is told; the rest may stay.
        throw error;
      }
      await rename(netdisk, sent.ref, plan.name, call);
      return entryOf(existing.ref, 'FILE', file.sizeBytes);
    },
  }) satisfies Partial<Driver>;

async function upload(
  netdisk: NetdiskClient,
  parent: DriveEntry,
  name: string,
  { path, sizeBytes }: SpooledFile,
  call: CallContext,
): Promise<DriveEntry> {
  const ref = below(parent.ref, name);
  const send = (destination: string) => {
    const multipart = [
      { name: 'destination', value: destination },
      { name: 'file', filename: name, length: sizeBytes, open: () => createReadStream(path) },
    ];
    return netdisk.send(
      {
        method: 'POST',
        url: '/api/uploadFile',
        body: { multipart },
        endpoint: 'bytes',
        as: 'json',
        idempotent: false,
        timeoutMs: UPLOAD_TIMEOUT_MS,
      },
      call,
    );
  };
  try {
    await send(parent.ref);
  } catch (error) {
    // The name is free, so this is about the folder: then the place of an upload is the file's own path, as a new folder's is.
    if (!isCategory(error, 'already_exists') || (await netdisk.find(ref, call))) throw error;
    await send(ref);
  }
  return entryOf(ref, 'FILE', sizeBytes);
}

async function freeName(netdisk: NetdiskClient, parent: DriveEntry, name: string, call: CallContext): Promise<string> {
  for (let number = 2; number <= NUMBERS_MAX; number += 1) {
    const numbered = numberedName(name, number);
    if (!(await netdisk.find(below(parent.ref, numbered), call))) return numbered;
  }
  throw taken(below(parent.ref, name));
}

function checkFile({ name, sizeBytes, hashes }: UploadPlan, file: SpooledFile): void {
  checkEntryName(name, PROVIDER);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw invalid('takes no file of such a size.');
  if (file.sizeBytes !== sizeBytes || (hashes.SHA256 !== undefined && hashes.SHA256 !== file.hashes.SHA256)) {
    throw netdiskError('corrupted', 'was to get another file than this one. Send it again.');
  }
}

function checkRange(range: ByteRange | null): void {
  if (!range) return;
  const { start, end } = range;
  const isRange =
    Number.isSafeInteger(start) && start >= 0 && (end === null || (Number.isSafeInteger(end) && end >= start));
  if (!isRange) throw invalid('cannot give such a range of bytes.');
}

/** The bytes of the range out of all of them. @throws DriveError `invalid_argument` where it begins past the end. */
function cut(body: Readable, range: ByteRange | null, length: number | null): Readable {
  if (!range) return body;
  if (length !== null && range.start >= length) {
    body.destroy();
    throw invalid(`has a file of ${length} bytes there, which does not hold this range.`);
  }
  return Readable.from(bytesOf(body, range), { objectMode: false });
}

async function* bytesOf(body: Readable, { start, end }: ByteRange): AsyncGenerator<Buffer, void> {
  let at = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    const from = Math.max(0, start - at);
    const to = end === null ? chunk.length : Math.min(chunk.length, end + 1 - at);
    if (from < to) yield chunk.subarray(from, to);
    at += chunk.length;
    if (end !== null && at > end) return;
  }
}

const lengthOf = (headers: Headers): number | null =>
  headers.has('content-length') ? Number(headers.get('content-length')) : null;

/** Of the whole file, by the answer to a range; null: not told. */
function totalOf(headers: Headers): number | null {
  const total = /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1];
  return total === undefined ? null : Number(total);
}

const mayBeError = (headers: Headers): boolean =>
  /^application\/json\b/i.test(headers.get('content-type') ?? '') && (lengthOf(headers) ?? 0) <= ERROR_BYTES_MAX;

/** The server answers 200 to everything: what could be its error in place of a file is read before it is given as one. */
async function withoutError(body: Readable): Promise<Readable> {
  const bytes = Buffer.concat(await body.toArray());
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch {
    return Readable.from([bytes], { objectMode: false });
  }
  const error = isEnvelope(json) && 'msg' in json && 'state' in json ? envelopeError(json) : null;
  if (error) throw error;
  return Readable.from(bytes.length > 0 ? [bytes] : [], { objectMode: false });
}
