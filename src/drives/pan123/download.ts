import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { ByteRange, CallContext, Driver } from '../driver.ts';
import { idOf, invalid, isMissing, notFound, type Pan123Client } from './client.ts';
import { DELIVERY_REFUSED_CODE, pan123Error } from './errors.ts';
import { isFolder, NUMBER, ROOT_REF, type WireFile } from './wire.ts';

const LINK = z.object({ downloadUrl: z.string().nullish() });
const DETAIL = z.object({ trashed: NUMBER.catch(0) });
/** A file that is listed may not be there for the download servers for a moment, in milliseconds. */
const LATE_MS = 1_000;

export const createDownload = (pan123: Pan123Client) =>
  ({
    /**
     * By a fresh link each time. The link is good only in the city of whoever asked for it, and not for long: so the
     * bytes pass through here, and nobody is sent there. The token does not go along.
     */
    async read(ref, range, call) {
      if (ref === ROOT_REF) throw noFile();
      const file = await pan123.file(ref, call);
      if (isFolder(file)) throw noFile();
      const wanted = range && within(range, file.size);
      return byFreshLink(() => bytesOf(pan123, file, wanted, call));
    },
  }) satisfies Partial<Driver>;

/** A link that its servers refuse is not tried again; another one may be taken. */
export async function byFreshLink<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof DriveError) || error.providerCode !== DELIVERY_REFUSED_CODE) throw error;
    return read();
  }
}

async function bytesOf(
  pan123: Pan123Client,
  file: WireFile,
  range: { readonly start: number; readonly end: number } | null,
  call: CallContext,
) {
  const { body } = await pan123.sendBytes(
    {
      method: 'GET',
      url: await linkTo(pan123, file, call),
      endpoint: 'download',
      as: 'stream',
      idempotent: true,
      range,
      expectedBytes: range ? range.end - range.start + 1 : file.size,
      // Its hosts change, and have ports of their own; addresses that are not public are refused for all of them.
      redirects: { hosts: ['*'] },
    },
    call,
  );
  return body;
}

async function linkTo(pan123: Pan123Client, file: WireFile, call: CallContext): Promise<string> {
  const ask = () => pan123.get(LINK, '/api/v1/file/download_info', { fileId: file.fileId }, call);
  const { downloadUrl } = await ask().catch(async (error) => {
    if (!isMissing(error)) throw error;
    await pan123.pause(LATE_MS, call);
    return ask().catch((again) => lateOrGone(pan123, file, again, call));
  });
  if (downloadUrl) return downloadUrl;
  // Clients saw this when the traffic was used up.
  throw pan123Error(
    'quota_exceeded',
    'gives no link to this file: the download traffic of this account is used up.',
    '5113',
    {
      hint: 'Accounts without membership have 10 GB a month: wait for the next month, or become a member.',
    },
  );
}

/** What its detail still shows is on its way. */
async function lateOrGone(
  pan123: Pan123Client,
  { fileId }: WireFile,
  error: unknown,
  call: CallContext,
): Promise<never> {
  if (!isMissing(error)) throw error;
  idOf(fileId);
  const detail = await pan123.get(DETAIL, '/api/v1/file/detail', { fileID: fileId }, call);
  if (detail.trashed !== 0) throw notFound();
  throw pan123Error('unavailable', 'does not give this file yet. Try again later.', '5066', { cause: error }).spent();
}

const noFile = () => pan123Error('wrong_kind', 'has a folder there, which has no bytes.', null, {});

/** The range with both its ends. @throws DriveError `invalid_argument` */
function within({ start, end }: ByteRange, size: number): { readonly start: number; readonly end: number } {
  const last = Math.min(end ?? size - 1, size - 1);
  const isRange = Number.isSafeInteger(start) && start >= 0 && start < size && last >= start;
  if (!isRange || (end !== null && (!Number.isSafeInteger(end) || end < start))) {
    throw invalid(`has a file of ${size} bytes there, which does not hold this range.`);
  }
  return { start, end: last };
}
