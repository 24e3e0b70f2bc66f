import type { Readable } from 'node:stream';
import { parse as parseDisposition } from 'content-disposition';
import { headerText } from '../lib/header-text.ts';
import { nameInUrl } from '../lib/names.ts';
import { decoderOf } from './content-encoding.ts';
import { faultOf, peerError } from './faults.ts';
import type { Outbound } from './outbound.ts';
import type { Answer, Peer } from './request.ts';
import { checkedStream } from './stream.ts';

/** Redirects of one address that are followed: shorteners, mirrors and signed addresses each take one or two. */
export const REMOTE_REDIRECTS_MAX = 5;
/** Tries of one opening: who has to wait longer for an address gives its place to others meanwhile. */
const ATTEMPTS = 2;
/** Stands for every address that a person gave, where a provider is named: in logs, metrics and errors. */
const PROVIDER = 'URL';

/** Where to go on with a file of which the beginning is here. */
export interface RemotePlace {
  /** The first byte that is missing; more than 0. */
  readonly offset: number;
  /** Of the beginning: tells whether it is still the same file. */
  readonly validator: string;
  readonly totalBytes: number | null;
}

export interface RemoteRequest {
  readonly url: string;
  /** For the address itself: they do not go along when it redirects to another origin. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Null: from the beginning. */
  readonly from: RemotePlace | null;
  readonly signal: AbortSignal;
}

/** A file at an address, on its way. */
export interface RemoteFile {
  /** Ends normally only when every byte promised has come. Read it or destroy it: it holds a connection. */
  readonly body: Readable;
  /** The place of its first byte; 0 also where the file became another one, or cannot be gone on with. */
  readonly start: number;
  /** Length of the whole file; null: not told. */
  readonly totalBytes: number | null;
  /** For {@link RemotePlace}; null: it can only be fetched from the beginning. */
  readonly validator: string | null;
  /** What the file may be called, the best first, as the other side writes it: not fit to name an entry yet. */
  readonly names: readonly string[];
  readonly mimeType: string | null;
}

/** Fetches files from addresses that persons give. What answers there is hostile until shown otherwise. */
export interface RemoteFiles {
  /** @throws DriveError */
  open(request: RemoteRequest): Promise<RemoteFile>;
}

export function createRemoteFiles(outbound: Outbound): RemoteFiles {
  return {
    open: async (request) => {
      const peer = { provider: PROVIDER, title: URL.parse(request.url)?.hostname || 'The address' };
      const { from } = request;
      if (from) {
        const rest = await ask(outbound, peer, request, from);
        if (rest.status === 200 || goesOn(rest, from)) return remoteFile(peer, rest, request);
        rest.body.on('error', ignore).destroy();
        // It gave other bytes than were asked for, or has none there: once more, from the beginning.
      }
      return remoteFile(peer, await ask(outbound, peer, request, null), { ...request, from: null });
    },
  };
}

const ask = (
  outbound: Outbound,
  peer: Peer,
  { url, headers = {}, signal }: RemoteRequest,
  from: RemotePlace | null,
): Promise<Answer<'stream'>> =>
  outbound.transport({ ...peer, accountId: PROVIDER, classify: () => null }).send({
    method: 'GET',
    url,
    // Not as the request's own range: an answer with the whole file is as good here.
    headers: { ...headers, ...(from ? { range: `bytes=${from.offset}-`, 'if-range': from.validator } : {}) },
    redirects: { hosts: ['*'], keepHeaders: ['if-range'], max: REMOTE_REDIRECTS_MAX },
    accept: from ? [412, 416] : [],
    idempotent: true,
    endpoint: 'fetch',
    as: 'stream',
    auth: false,
    hidden: true,
    signal,
    priority: 'bulk',
    attempts: ATTEMPTS,
  });

/** Whether the answer is the rest that was asked for, of the file that was begun. */
function goesOn({ status, headers }: Answer, { offset, validator, totalBytes }: RemotePlace): boolean {
  const rest = status === 206 ? restIn(headers) : null;
  if (rest?.start !== offset || (totalBytes !== null && totalBytes !== rest.totalBytes)) return false;
  // Some servers know ranges but not If-Range: the rest of another file has another validator.
  const now = validatorOf(headers);
  return now === null || now === validator;
}

/** @throws DriveError when the answer has no file, or a part that nobody asked for. */
function remoteFile(peer: Peer, answer: Answer<'stream'>, { url, from, signal }: RemoteRequest): RemoteFile {
  const { status, headers, body } = answer;
  const rest = from && status === 206 ? restIn(headers) : null;
  if (status !== 200 && !rest) {
    body.on('error', ignore).destroy();
    throw peerError(peer, 'unexpected', `${peer.title} gave no file (HTTP ${status}).`, {
      providerCode: `HTTP ${status}`,
    });
  }
  const names = namesOf(headers, [answer.url, url]);
  const facts = { names, mimeType: headers.get('content-type') };
  const decoder = rest ? null : decoderOf(headers.get('content-encoding'), names[0] ?? '');
  if (decoder) {
    const decoded = body.on('error', (error) => decoder.destroy(error)).pipe(decoder);
    decoded.on('close', () => body.destroy());
    const fault = (error: unknown) =>
      'code' in (error as Error)
        ? peerError(peer, 'corrupted', `${peer.title} sent compressed bytes that are damaged.`, { cause: error })
        : faultOf(peer, error, signal);
    // How long it is unpacked nobody tells, and a range would be one of the packed bytes.
    const plain = checkedStream(decoded, { peer, promised: null, fault });
    return { ...facts, body: plain, start: 0, totalBytes: null, validator: null };
  }
  const announced = headers.has('content-length') ? Number(headers.get('content-length')) : null;
  if (!rest) return { ...facts, body, start: 0, totalBytes: announced, validator: validatorOf(headers) };
  return { ...facts, body, ...rest, validator: validatorOf(headers) ?? from?.validator ?? null };
}

/** The part that a partial answer has, where it reaches to the end of the file; null for any other. */
function restIn(headers: Headers): { readonly start: number; readonly totalBytes: number } | null {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get('content-range') ?? '') ?? [];
  if (first === undefined || Number(last) + 1 !== Number(total)) return null;
  const length = headers.get('content-length');
  if (length !== null && Number(length) !== Number(total) - Number(first)) return null;
  return { start: Number(first), totalBytes: Number(total) };
}

/** What changes with the file (RFC 9110 §13.1.5). Not a weak ETag, which other bytes may share. */
function validatorOf(headers: Headers): string | null {
  const etag = headers.get('etag');
  return etag?.startsWith('"') ? etag : headers.get('last-modified');
}

/** By Content-Disposition (RFC 6266, RFC 8187), then by the addresses, that which gave the file first. */
function namesOf(headers: Headers, urls: readonly string[]): readonly string[] {
  const disposition = headers.get('content-disposition');
  const told = disposition === null ? undefined : parseDisposition(headerText(disposition)).parameters.filename;
  return [told, ...urls.map(nameInUrl)].filter((name) => name !== undefined && name !== '') as string[];
}

/** An answer that was given up may still break. */
const ignore = (): void => {};
