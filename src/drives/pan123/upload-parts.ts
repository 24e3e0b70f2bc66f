import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext } from '../driver.ts';
import type { Pan123Client } from './client.ts';
import { pan123Error } from './errors.ts';
import type { UploadState } from './upload-state.ts';

/** A slice at 32 KiB/s, and two minutes for 123pan itself. */
const SLICE_TIMEOUT_MS = 120_000;
const SLICE_BYTES_PER_MS = 32;

const PRESIGNED = z.object({ presignedURL: z.string().min(1) });

export interface Part {
  /** From 0. */
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly md5: string;
}

/** Sends one slice. @throws DriveError `not_found` when the upload is not known any more */
export async function sendPart(pan123: Pan123Client, state: UploadState, part: Part, call: CallContext): Promise<void> {
  try {
    await (state.version === 'v1' ? putPart(pan123, state, part, call) : spread(pan123, state, part, call));
  } catch (error) {
    throw asForgotten(error);
  }
}

/** The servers take turns; what fails at one is sent to the next. */
async function spread(pan123: Pan123Client, state: UploadState, part: Part, call: CallContext): Promise<void> {
  const { servers } = state;
  const server = servers[part.index % servers.length];
  const other = servers[(part.index + 1) % servers.length];
  if (server === undefined || other === undefined) throw forgotten();
  try {
    await postSlice(pan123, server, state, part, call);
  } catch (error) {
    const mayHelp = error instanceof DriveError && ELSEWHERE.has(error.category) && !call.signal.aborted;
    if (!mayHelp) throw error;
    await postSlice(pan123, other, state, part, call);
  }
}

const ELSEWHERE: ReadonlySet<string> = new Set(['unavailable', 'timeout', 'unexpected']);

async function postSlice(
  pan123: Pan123Client,
  server: string,
  { preuploadId }: UploadState,
  { index, bytes, md5 }: Part,
  call: CallContext,
): Promise<void> {
  await pan123.send(
    {
      method: 'POST',
      url: `${server}/upload/v2/file/slice`,
      body: {
        multipart: [
          { name: 'preuploadID', value: preuploadId },
          { name: 'sliceNo', value: String(index + 1) },
          { name: 'sliceMD5', value: md5 },
          { name: 'slice', filename: `slice-${index + 1}`, bytes },
        ],
      },
      // Text, because an empty body was seen for a slice that was taken. What is not empty is classified all the same.
      as: 'text',
      // A slice that is sent again replaces the one before.
      idempotent: true,
      timeoutMs: timeoutFor(bytes),
    },
    call,
    'upload/v2/file/slice',
  );
}

/** The first version: an address for each part, which is good for a short time only. */
async function putPart(
  pan123: Pan123Client,
  { preuploadId }: UploadState,
  { index, bytes }: Part,
  call: CallContext,
): Promise<void> {
  const json = { preuploadID: preuploadId, sliceNo: index + 1 };
  const { presignedURL } = await pan123.post(PRESIGNED, '/upload/v1/file/get_upload_url', json, call, {
    idempotent: true,
  });
  await pan123.sendBytes(
    {
      method: 'PUT',
      url: presignedURL,
      endpoint: 'bucket/part',
      body: { bytes },
      as: 'empty',
      idempotent: true,
      timeoutMs: timeoutFor(bytes),
    },
    call,
  );
}

export const timeoutFor = (bytes: Uint8Array): number =>
  SLICE_TIMEOUT_MS + Math.ceil(bytes.byteLength / SLICE_BYTES_PER_MS);

/** Answers that may be about an upload that is gone: its code is not documented. */
const UNTOLD: ReadonlySet<string | null> = new Set(['1', '400', '404']);

/** An upload that 123pan refuses for a reason that is not known is begun anew: the documents say not to go on with it. */
export function asForgotten(error: unknown): unknown {
  if (!(error instanceof DriveError)) return error;
  const isUntold = error.category === 'unexpected' && /^\d+$/.test(error.providerCode ?? '');
  const isVague = UNTOLD.has(error.providerCode) && VAGUE.has(error.category) && error.retryAfterMs === null;
  return isUntold || isVague ? forgotten(error) : error;
}

const VAGUE: ReadonlySet<string> = new Set(['unavailable', 'invalid_argument', 'not_found']);

const forgotten = (cause?: unknown) =>
  pan123Error('not_found', 'does not know this upload any more. Begin again.', null, { cause });
