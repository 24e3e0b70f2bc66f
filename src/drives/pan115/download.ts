import { createHash } from 'node:crypto';
import { type Readable, Transform } from 'node:stream';
import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { isObject } from '../../lib/json.ts';
import { cancelledError } from '../../transport/faults.ts';
import type { ByteRange, CallContext, Driver } from '../driver.ts';
import type { Pan115Client } from './client.ts';
import { classify, corrupted, invalid, notFound, PROVIDER, pan115Error, STALE_LINK, TITLE } from './errors.ts';
import { originsOf, USER_AGENT } from './hosts.ts';
import { DOWNLOAD_RATES, SINGLE_DOWNLOAD_RATES } from './rates.ts';
import type { Address } from './recent.ts';
import { ROOT_REF, type WireFile } from './wire.ts';

/** An address is used again for so long at most, in milliseconds; also one without a time of its own. */
const LINK_MS = 10 * 60_000;
/** It is not begun with when it has less than this left, in milliseconds. */
const LINK_MARGIN_MS = 3 * 60_000;

/** By the id of the file. A folder has no address, or an empty one. */
const LINKS = z.object({
  data: z.preprocess(
    (data) => (isObject(data) ? Object.fromEntries(Object.entries(data).filter(([, one]) => isObject(one))) : {}),
    z.record(
      z.string(),
      z.object({
        pick_code: z.string().optional().catch(undefined),
        url: z.object({ url: z.string() }).optional().catch(undefined),
      }),
    ),
  ),
});

export const createDownload = (pan115: Pan115Client) =>
  ({
    /**
     * From a content host, which gets the User-Agent, and never the token. The parts of a file come from one address, as
     * long as that is good: 115 counts how often it is asked for one.
     */
    async read(ref, range, call) {
      if (ref === ROOT_REF) throw noFile();
      const held = pan115.recent.address(ref);
      if (held) {
        try {
          return await readFrom(pan115, held.file, held.address, range, call, 1);
        } catch (error) {
          if (!isOver(error) && !isHeldBack(error)) throw error;
          pan115.recent.dropAddress(held);
        }
      }
      const file = await pan115.info(ref, call);
      if (file.isFolder) throw noFile();
      const fresh = await addressOf(pan115, file, call);
      try {
        return await readFrom(pan115, file, fresh, range, call);
      } catch (error) {
        // It ran out on the way, or was made for another program: a second one is asked for, never a third.
        if (!isOver(error) || held) throw error;
        pan115.recent.dropAddress({ file, address: fresh });
        return readFrom(pan115, file, await addressOf(pan115, file, call), range, call);
      }
    },

    /** Whoever follows it must name the same User-Agent as this server did. */
    async link(ref, call) {
      if (ref === ROOT_REF) throw noFile();
      const file = await pan115.info(ref, call);
      if (file.isFolder) throw noFile();
      const { url, headers, endsAt } = await addressOf(pan115, file, call);
      return { url, headers, expiresAt: endsAt ?? addMs(pan115.now(), LINK_MS) };
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

/** The address of a file: the one that is kept, or a new one, by one question for all who need it just now. */
async function addressOf(pan115: Pan115Client, file: WireFile, call: CallContext): Promise<Address> {
  const { recent } = pan115;
  const held = recent.address(file.id);
  if (held) return held.address;
  const ask = (signal: AbortSignal) => newAddress(pan115, file, { ...call, signal });
  return recent.asking.join(file.id, call.signal, ask, (cause) => cancelledError(PEER, cause));
}

const PEER = { provider: PROVIDER, title: TITLE };

async function newAddress(pan115: Pan115Client, file: WireFile, call: CallContext): Promise<Address> {
  const { id, pickCode } = file;
  if (!pickCode) throw notFound();
  const post = { url: '/open/ufile/downurl', form: { pick_code: pickCode }, idempotent: true };
  const { body, headers } = await pan115.exchange(LINKS, 'downurl', post, call);
  const found = body.data[id] ?? Object.values(body.data).find(({ pick_code }) => pick_code === pickCode);
  const url = found?.url?.url ?? '';
  if (url === '') throw notFound();
  // Some files have an address without a host.
  if (!/^https?:\/\/[^/]/i.test(url) || !URL.canParse(url)) {
    throw pan115Error('unavailable', 'gives no address for this file at the moment.', null, {});
  }
  const address = { url, ...termsOf(url, cookieOf(headers)) };
  const nowMs = pan115.now().getTime();
  const endsMs = address.endsAt === null ? Number.POSITIVE_INFINITY : address.endsAt.getTime() - LINK_MARGIN_MS;
  pan115.recent.keepAddress({ file, address, untilMs: Math.min(nowMs + LINK_MS, endsMs) });
  return address;
}

/** What an address says of itself: until when (`t`), how many connections (`c`), and what goes along (`f`). */
function termsOf(url: string, cookie: string): Omit<Address, 'url'> {
  const terms = new URL(url).searchParams;
  const seconds = Number(terms.get('t') ?? 0);
  const connections = Number(terms.get('c') ?? 0);
  const isCookieWanted = terms.get('f') === WITH_COOKIE && cookie !== '';
  return {
    headers: { 'User-Agent': USER_AGENT, ...(isCookieWanted ? { Cookie: cookie } : {}) },
    connections: connections > 0 ? connections : null,
    endsAt: seconds > 0 ? new Date(seconds * 1000) : null,
  };
}

/** Such an address wants the cookie that came with it. */
const WITH_COOKIE = '3';

/** The names and values of the cookies that an answer sets. */
const cookieOf = (headers: Headers): string =>
  headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0]?.trim() ?? '')
    .filter((cookie) => cookie.includes('='))
    .join('; ');

/** A content host tells an address that ran out from too many connections by its words only. */
const isHeldBack = (error: unknown): boolean => error instanceof DriveError && error.providerCode === 'HTTP 403';

const isOver = (error: unknown): boolean => error instanceof DriveError && error.providerCode === STALE_LINK;

async function readFrom(
  pan115: Pan115Client,
  file: WireFile,
  address: Address,
  range: ByteRange | null,
  call: CallContext,
  attempts?: number,
): Promise<Readable> {
  const { id, sizeBytes, sha1 } = file;
  const wanted = range && sizeBytes !== null ? within(range, sizeBytes) : range;
  const expectedBytes =
    sizeBytes === null ? undefined : wanted?.end != null ? wanted.end - wanted.start + 1 : sizeBytes;
  const options = { file: id, expectedBytes, address, attempts };
  const { body } = await fetchAddress(pan115, address.url, wanted, call, options);
  const isWhole = wanted === null || (wanted.start === 0 && wanted.end === (sizeBytes ?? 0) - 1);
  return isWhole && sha1 ? verified(body, sha1) : body;
}

interface FetchOptions {
  /** The connections are counted by file. */
  readonly file?: string;
  readonly expectedBytes?: number | undefined;
  /** Absent: an address that wants nothing. */
  readonly address?: Address;
  /** Tries in all. */
  readonly attempts?: number | undefined;
}

/** What stands at an address that 115 gave: the User-Agent goes there, and nothing that is the account's. */
export function fetchAddress(
  { accountId, services }: Pan115Client,
  url: string,
  range: ByteRange | null,
  { signal, priority }: CallContext,
  { file = 'media', expectedBytes, address, attempts }: FetchOptions = {},
) {
  const isSingle = address?.connections === 1;
  const transport = services.outbound.transport({
    provider: PROVIDER,
    title: TITLE,
    accountId: `${accountId}:download:${file}`,
    classify,
    headers: { 'user-agent': USER_AGENT },
    rates: file === 'media' ? {} : DOWNLOAD_RATES,
    trustedOrigins: originsOf(services.pan115),
  });
  if (isSingle) transport.setRates(SINGLE_DOWNLOAD_RATES);
  return transport.send({
    method: 'GET',
    url,
    headers: address?.headers ?? {},
    endpoint: 'download',
    as: 'stream',
    auth: false,
    idempotent: true,
    range,
    signal,
    ...(priority ? { priority } : {}),
    ...(expectedBytes === undefined ? {} : { expectedBytes }),
    ...(attempts === undefined ? {} : { attempts }),
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
