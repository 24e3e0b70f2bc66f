import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { UploadPlan } from '../contract/upload.ts';
import type { CallContext } from '../driver.ts';
import type { Pan123Client } from './client.ts';
import { pan123Error, VERIFYING_CODE } from './errors.ts';
import { asForgotten } from './upload-parts.ts';
import type { UploadState } from './upload-state.ts';
import { hashOf, isFolder, isLive, MAYBE_ID, toEntry, type WireFile } from './wire.ts';

/** The service is asked each second, as its guide wants it; for a minute, and half of one more for each GB. */
const POLL_MS = 1_000;
const POLLS_MIN = 60;
const POLLS_PER_GB = 30;
/** Failures in a row while it is asked: each of them may be a lost answer. */
const FAILURES_MAX = 8;
/** A file that is made may not be shown for a moment. */
const LOOKS_MAX = 5;

/** The clocks of 123pan and of this machine may differ by so much, in milliseconds. */
const CLOCK_MARGIN_MS = 60_000;

const RESULT = z.object({
  completed: z.boolean().nullish().transform(Boolean),
  fileID: MAYBE_ID,
  async: z.boolean().nullish().transform(Boolean),
});

/** Asks until the file is made. @throws DriveError `not_found` when the upload is not known any more */
export async function finishUpload(
  pan123: Pan123Client,
  plan: UploadPlan,
  state: UploadState,
  call: CallContext,
): Promise<{ readonly file: WireFile }> {
  const fileId = await resultOf(pan123, plan, state, call);
  for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
    if (looks > 0) await pan123.pause(POLL_MS, call);
    const file = (await pan123.infos([fileId], call)).get(fileId);
    if (file && isLive(file)) return { file };
  }
  const made = await findMade(pan123, plan, state.md5, state.startedAtMs, call);
  if (made) return { file: made };
  throw pan123Error('unavailable', 'says that the file is there, but does not show it.', null, {}).spent();
}

async function resultOf(
  pan123: Pan123Client,
  plan: UploadPlan,
  { version, preuploadId }: UploadState,
  call: CallContext,
): Promise<string> {
  const pollsMax = POLLS_MIN + Math.ceil((plan.sizeBytes / 1e9) * POLLS_PER_GB);
  let path = `/upload/${version}/file/upload_complete`;
  let failures = 0;
  for (let polls = 0; polls < pollsMax; polls += 1) {
    try {
      const json = { preuploadID: preuploadId };
      const answer = await pan123.post(RESULT, path, json, call, { idempotent: true, attempts: 1 });
      if (answer.fileID !== null && answer.completed) return answer.fileID;
      if (answer.async) path = '/upload/v1/file/upload_async_result';
      failures = 0;
    } catch (error) {
      failures = isVerifying(error) ? 0 : failures + 1;
      if (!isPassing(error) || failures > FAILURES_MAX) throw asForgotten(error);
    }
    await pan123.pause(POLL_MS, call);
  }
  throw pan123Error('timeout', 'is still putting the file together. It may appear later.', null, {}).spent();
}

const isVerifying = (error: unknown): boolean => error instanceof DriveError && error.providerCode === VERIFYING_CODE;

const isPassing = (error: unknown): boolean =>
  error instanceof DriveError && error.persistent && error.category !== 'unexpected';

/** A file of these bytes that came to the folder since this upload began: under its name, or a numbered one. */
export async function findMade(
  pan123: Pan123Client,
  plan: UploadPlan,
  md5: string,
  startedAtMs: number,
  call: CallContext,
): Promise<WireFile | null> {
  const stem = plan.name.replace(/\.[^.]*$/, '');
  for await (const file of pan123.children(plan.parentRef, call)) {
    const isName = plan.onConflict === 'RENAME' ? file.filename.startsWith(stem) : file.filename === plan.name;
    const isSame = !isFolder(file) && file.size === plan.sizeBytes && hashOf(file) === md5;
    const { createdAt, modifiedAt } = toEntry(file);
    const sinceMs = Math.max(createdAt?.getTime() ?? 0, modifiedAt?.getTime() ?? 0);
    if (isName && isSame && sinceMs >= startedAtMs - CLOCK_MARGIN_MS) return file;
  }
  return null;
}
