import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { SliceReceipt, UploadPlan, UploadSession } from '../contract/upload.ts';
import type { CallContext } from '../driver.ts';
import type { Pan123Client } from './client.ts';
import { md5OfRange } from './hashing.ts';
import { asForgotten } from './upload-parts.ts';
import { RECEIPT, stateOf } from './upload-state.ts';
import { listOf, NUMBER } from './wire.ts';

const PARTS = z.object({
  parts: listOf(
    z.object({
      /** From 1; a text at times. */
      partNumber: NUMBER,
      size: NUMBER,
      etag: z.string().transform((etag) => etag.replaceAll('"', '').toLowerCase()),
    }),
  ),
});

/**
 * What 123pan has of an upload of the first version: parts with the length and the MD5 of what is to be there. A part whose
 * receipt is not known is compared with the source, where that can be read. The second version has no such call.
 */
export async function heldSlices(
  pan123: Pan123Client,
  plan: UploadPlan,
  session: UploadSession,
  known: readonly SliceReceipt[],
  call: CallContext,
): Promise<readonly SliceReceipt[]> {
  const state = stateOf(session);
  // A file that is no longer than a part has none in the list.
  if (state.version === 'v2' || session.sliceCount < 2) return known;
  const parts = await partsOf(pan123, state.preuploadId, call);
  if (parts === null) return known;
  const md5s = new Map(known.map((receipt) => [receipt.index, RECEIPT.safeParse(receipt.state).data?.md5]));
  const held: SliceReceipt[] = [];
  for (const { partNumber, size, etag } of parts) {
    const index = partNumber - 1;
    const start = index * session.sliceBytes;
    const length = Math.min(session.sliceBytes, plan.sizeBytes - start);
    if (!Number.isInteger(index) || index < 0 || index >= session.sliceCount || size !== length) continue;
    const range = { start, length };
    const md5 = md5s.get(index) ?? (plan.readSource && (await md5OfRange(plan.readSource, range, call.signal)));
    if (md5 === etag) held.push({ index, state: { md5 } });
  }
  return held;
}

/** Null where it cannot be told: the call is an optional one, and an upload that is gone is told by the next slice. */
async function partsOf(pan123: Pan123Client, preuploadID: string, call: CallContext) {
  try {
    const path = '/upload/v1/file/list_upload_parts';
    return (await pan123.post(PARTS, path, { preuploadID }, call, { idempotent: true })).parts;
  } catch (error) {
    const reason = asForgotten(error);
    if (!(reason instanceof DriveError) || !OF_THIS_CALL.has(reason.category)) throw error;
    return null;
  }
}

/** Failures that a slice need not meet as well. */
const OF_THIS_CALL: ReadonlySet<string> = new Set(['not_found', 'invalid_argument', 'unexpected', 'permission_denied']);
