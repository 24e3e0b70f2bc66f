import { createHash } from 'node:crypto';
import { type Readable, Transform } from 'node:stream';
import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import type { ByteRange, CallContext, Driver } from '../driver.ts';
import type { Pan115Client } from './client.ts';
import { classify, corrupted, invalid, notFound, PROVIDER, pan115Error, STALE_LINK, TITLE } from './errors.ts';
import { originsOf, USER_AGENT } from './hosts.ts';
import { DOWNLOAD_RATES } from './rates.ts';
import { ROOT_REF, type WireFile } from './wire.ts';

/** An address without a time of its own is taken for good so long, in milliseconds. */
const LINK_MS = 10 * 60_000;

/** By the id of the file. A folder has no address, or an empty one. */
const LINKS = z.object({
  data: z.preprocess(
    (data) => (Array.isArray(data) || data === null || data === undefined ? {} : data),
    z.record(
      z.string(),
      z.object({
        pick_code: z.string().optional(),
        url: z.object({ url: z.string() }).optional().catch(undefined),
      }),
    ),
  ),
});

export const createDownload = (pan115: Pan115Client) =>
  ({
    /** By a fresh address, which leads to a content host: it gets the User-Agent, and never the token. */
    async read(ref, range, call) {
      if (ref === ROOT_REF) throw noFile();
      const file = await pan115.info(ref, call);
      if (file.isFolder) throw noFile();
      const size = file.sizeBytes;
      const wanted = range && size !== null ? within(range, size) : range;
      const body = await fetchBytes(pan115, file, wanted, call);
      const isWhole = wanted === null || (wanted.start === 0 && wanted.end === (size ?? 0) - 1);
      return isWhole && file.sha1 ? verified(body, file.sha1) : body;
    },

    /** Whoever follows it must name the same User-Agent as this server did. */
    async link(ref, call) {
      if (ref === ROOT_REF) throw noFile();
      const file = await pan115.info(ref, call);
      if (file.isFolder) throw noFile();
      const url = await addressOf(pan115, file, call);
      const seconds = Number(new URL(url).searchParams.get('t') ?? 0);
      return {
        url,
        headers: { 'User-Agent': USER_AGENT },
        expiresAt: seconds > 0 ? new Date(seconds * 1000) : addMs(pan115.now(), LINK_MS),
      };
    },
  }) satisfies Partial<Driver>;

const noFile = () => pan115Error('wrong_kind', 'has a folder there, which has no bytes.', null, {});

/** The range with both its ends. @throws DriveError `invalid_argument` */
function within({ start, end }: ByteRange, size: number): { readonly start: number; readonly end: number } {
  const last = Math.min(end ?? size - 1, size - 1);
  const isRange = Number.isSafeInteger(start) && start >= 0 && start < size && last >= start;
  if (!isRange || (end !== null && (!Number.isSafeInteger(end) || end < start))) {
    throw invalid(`has a file of ${size} bytes there, which does not hold this range.`);
  }
  return { start, end: last };
}

async function addressOf(pan115: Pan115Client, { id, pickCode }: WireFile, call: CallContext): Promise<string> {
  if (!pickCode) throw notFound();
  const post = { url: '/open/ufile/downurl', form: { pick_code: pickCode }, idempotent: true };
  const { data } = await pan115.post(LINKS, 'downurl', post, call);
  const found = data[id] ?? Object.values(data).find(({ pick_code }) => pick_code === pickCode);
  const url = found?.url?.url ?? '';
  if (url === '') throw notFound();
  // Some files have an address without a host.
  if (!/^https?:\/\/[^/]/i.test(url)) {
    throw pan115Error('unavailable', 'gives no address for this file at the moment.', null, {});
  }
  return url;
}

async function fetchBytes(
  pan115: Pan115Client,
  file: WireFile,
  range: ByteRange | null,
  call: CallContext,
): Promise<Readable> {
  const { sizeBytes } = file;
  const expectedBytes = sizeBytes === null ? undefined : range?.end != null ? range.end - range.start + 1 : sizeBytes;
  const get = async (): Promise<Readable> =>
    (await fetchAddress(pan115, await addressOf(pan115, file, call), range, call, { file: file.id, expectedBytes }))
      .body;
  try {
    return await get();
  } catch (error) {
    // It ran out on the way, or was made for another program: a second one is asked for, never a third.
    if (!(error instanceof DriveError) || error.providerCode !== STALE_LINK) throw error;
    return get();
  }
}

/** What stands at an address that 115 gave: the User-Agent goes there, and nothing that is the account's. */
export function fetchAddress(
  { accountId, services }: Pan115Client,
  url: string,
  range: ByteRange | null,
  { signal, priority }: CallContext,
  { file = 'media', expectedBytes }: { readonly file?: string; readonly expectedBytes?: number | undefined } = {},
) {
  const transport = services.outbound.transport({
    provider: PROVIDER,
    title: TITLE,
    // The connections are counted by file.
    accountId: `${accountId}:download:${file}`,
    classify,
    headers: { 'user-agent': USER_AGENT },
    rates: file === 'media' ? {} : DOWNLOAD_RATES,
    trustedOrigins: originsOf(services.pan115),
  });
  return transport.send({
    method: 'GET',
    url,
    endpoint: 'download',
    as: 'stream',
    auth: false,
    idempotent: true,
    range,
    signal,
    ...(priority ? { priority } : {}),
    ...(expectedBytes === undefined ? {} : { expectedBytes }),
    redirects: { hosts: ['*'], keepHeaders: ['user-agent'] },
  });
}

/** The bytes, ending well only when they have the hash that 115 tells of the file. */
function verified(body: Readable, sha1: string): Readable {
  const hash = createHash('sha1');
  const checked = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      const isSame = hash.digest('hex').toUpperCase() === sha1.toUpperCase();
      done(isSame ? null : corrupted('sent other bytes than its hash of the file says.'));
    },
  });
  body.on('error', (error) => checked.destroy(error));
  checked.on('close', () => body.destroy());
  return body.pipe(checked);
}
