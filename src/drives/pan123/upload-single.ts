import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { UploadPlan } from '../contract/upload.ts';
import type { CallContext } from '../driver.ts';
import { isMissing, type Pan123Client } from './client.ts';
import { PROVIDER, pan123Error, TITLE } from './errors.ts';
import { parsed } from './linking.ts';
import { findMade } from './upload-end.ts';
import { timeoutFor } from './upload-parts.ts';
import { MAYBE_ID, type WireFile } from './wire.ts';

/** There is no call to ask how far it is: the folder is looked at so often, each second. */
const LOOKS_MAX = 10;
const LOOK_MS = 1_000;

const MADE = z.object({
  data: z.object({ completed: z.boolean().nullish().transform(Boolean), fileID: MAYBE_ID }),
});

/**
 * Sends a whole file in one request to one of the servers.
 * @throws DriveError `unsupported` where this account has no such call
 */
export async function sendSingle(
  pan123: Pan123Client,
  servers: readonly string[],
  plan: UploadPlan,
  bytes: Uint8Array,
  duplicate: number | undefined,
  call: CallContext,
): Promise<WireFile> {
  const md5 = createHash('md5').update(bytes).digest('hex');
  if (bytes.byteLength !== plan.sizeBytes || (plan.hashes.MD5 ?? md5) !== md5) {
    throw pan123Error('corrupted', 'was to get other bytes than were promised.', null, {});
  }
  const startedAtMs = pan123.now().getTime();
  const post = async (server: string) => {
    const { body } = await pan123.send(
      {
        method: 'POST',
        url: `${server}/upload/v2/file/single/create`,
        body: {
          multipart: [
            { name: 'parentFileID', value: plan.parentRef },
            { name: 'filename', value: plan.name },
            { name: 'etag', value: md5 },
            { name: 'size', value: String(plan.sizeBytes) },
            ...(duplicate === undefined ? [] : [{ name: 'duplicate', value: String(duplicate) }]),
            { name: 'file', filename: 'file', bytes },
          ],
        },
        as: 'json',
        idempotent: plan.onConflict === 'REPLACE',
        timeoutMs: timeoutFor(bytes),
      },
      call,
      'upload/v2/file/single/create',
    );
    return parsed(MADE, body).data;
  };
  const { fileID } = await post(servers[0] ?? '').catch(async (error) => {
    if (isMissing(error)) throw unsupported(error);
    if (!(error instanceof DriveError) || !MAYBE_MADE.has(error.category) || call.signal.aborted) throw error;
    const made = await findMade(pan123, plan, md5, startedAtMs, call);
    if (!made) throw error;
    return { fileID: made.fileId };
  });
  for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
    if (looks > 0) await pan123.pause(LOOK_MS, call);
    const file =
      fileID === null
        ? await findMade(pan123, plan, md5, startedAtMs, call)
        : (await pan123.infos([fileID], call)).get(fileID);
    if (file) return file;
  }
  throw pan123Error(
    'unavailable',
    'took the file, but does not show it yet. Look at the folder later.',
    null,
    {},
  ).spent();
}

/** Failures after which the file may be there; with a taken name it may be the one of the try before. */
const MAYBE_MADE: ReadonlySet<string> = new Set(['unavailable', 'timeout', 'unexpected']);

const unsupported = (cause: unknown) =>
  new DriveError('unsupported', `${TITLE} takes no whole files of this account.`, { provider: PROVIDER, cause });
