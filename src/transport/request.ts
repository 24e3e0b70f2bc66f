import type { Readable } from 'node:stream';
import type { Layer, Next } from '../lib/layers.ts';
import type { OutboundBody } from './body.ts';

/** How an answer is wanted, and what its body then is. */
export interface AnswerBodies {
  /** By {@link parseLossless}. Shared between callers where the request is `shareable`: read only. */
  json: unknown;
  text: string;
  /** Ends normally only when every byte promised has come. Read it or destroy it: it holds a connection. */
  stream: Readable;
  /** Read for errors, then thrown away. */
  empty: null;
}
export type AnswerKind = keyof AnswerBodies;

/** Values left out when null or undefined; encoded once, here. */
export type QueryValues = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Both ends included, in bytes from 0; `end` null: to the last byte. */
export interface RequestRange {
  readonly start: number;
  readonly end: number | null;
}

/** Where a GET or HEAD may be sent on to. A redirect that does not fit is refused as `permission_denied`. */
export interface RedirectPolicy {
  /** `cdn.example.com`, `*.example.com` (every host below), or `*` (every public address). */
  readonly hosts: readonly string[];
  /** Names of headers that go along to another origin, lower case; `range` always does, `authorization` and `cookie` never. */
  readonly keepHeaders?: readonly string[];
  /** Default {@link REDIRECTS_MAX}. */
  readonly max?: number;
}

/** Redirects followed where the policy does not say: providers' downloads take one or two. */
export const REDIRECTS_MAX = 3;

export interface OutboundRequest<Kind extends AnswerKind = AnswerKind> {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Absolute, or from `/` on below the transport's `baseUrl`. A query that it has is left as it is, signatures included. */
  readonly url: string;
  readonly query?: QueryValues;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: OutboundBody;
  /** Sent twice, it has the effect of once. Always stated: the method says nothing on these APIs. */
  readonly idempotent: boolean;
  /** The rate class, a key of the rate table; also what logs and metrics call the request. */
  readonly endpoint: string;
  readonly as: Kind;
  /** With the account's token, refreshed when it has expired. */
  readonly auth: boolean;
  readonly signal: AbortSignal;
  /** Default interactive. */
  readonly priority?: 'interactive' | 'bulk';
  /** For one attempt: until the whole answer is here, of a stream until it begins. Default {@link TIMEOUT_MS}. */
  readonly timeoutMs?: number;
  /** Longest silence within a stream, in milliseconds; waiting for its reader does not count. Default {@link SILENCE_MS}. */
  readonly silenceMs?: number;
  /** Tries in all. Default {@link ATTEMPTS_MAX}. */
  readonly attempts?: number;
  /** Largest answer that is held in memory, in bytes. Default {@link BODY_BYTES_MAX}. */
  readonly maxBodyBytes?: number;
  /** Default: none is followed. */
  readonly redirects?: RedirectPolicy;
  /** Of a stream: the bytes wanted. An answer with others is `corrupted`. */
  readonly range?: RequestRange | null;
  /** Of a stream: its exact length, where it is known. Another length is `corrupted`. */
  readonly expectedBytes?: number;
  /** Statuses outside 200–299 that are a success here. */
  readonly accept?: readonly number[];
  /** Of the address only the origin goes into logs: a person gave it, and any part of it may be a secret. */
  readonly hidden?: boolean;
  /** Equal GETs under way share one call. */
  readonly shareable?: boolean;
}

/** Enough for the slowest answers seen (listing a large folder), not so long that a person gives up. */
export const TIMEOUT_MS = 30_000;
export const SILENCE_MS = 30_000;
/** The first try, and three that follow after about 0.5, 1 and 2 seconds. */
export const ATTEMPTS_MAX = 4;
/** A page of 1,000 entries is about 0.5 MiB. */
export const BODY_BYTES_MAX = 16 * 1024 * 1024;

export interface Answer<Kind extends AnswerKind = AnswerKind> {
  readonly status: number;
  readonly headers: Headers;
  /** Where it came from in the end. Holds whatever secrets the query held. */
  readonly url: string;
  readonly body: AnswerBodies[Kind];
}

/** One attempt on its way through the layers. */
export interface OutboundCall {
  readonly request: OutboundRequest;
  /** From 1. */
  readonly attempt: number;
  /** Asked when its turn has come, which may be long after it was made ready: throws what keeps it from being sent by now. */
  readonly atTurn?: () => void;
}

export type OutboundLayer = Layer<OutboundCall, Answer>;
export type OutboundNext = Next<OutboundCall, Answer>;

/** Whom the requests go to, as messages and logs name it. */
export interface Peer {
  /** ProviderId: BAIDU… */
  readonly provider: string;
  /** For a person: `Baidu Netdisk`. */
  readonly title: string;
}

/** The request's address with its query, as it is sent. Null when that is not an http(s) URL. */
export function requestUrl({ url, query }: Pick<OutboundRequest, 'url' | 'query'>, baseUrl: string | null): URL | null {
  const absolute = url.startsWith('/') && baseUrl !== null ? baseUrl.replace(/\/+$/, '') + url : url;
  // `https:///name` would be read as the host `name`; some providers give such a link for a file that has none.
  if (!/^https?:\/\/[^/]/i.test(absolute)) return null;
  const values = formText(query ?? {});
  const [address = ''] = absolute.split('#');
  // Added as text, because URL.searchParams would write the whole query anew and so break a signature over it.
  const joint = address.includes('?') ? '&' : '?';
  return URL.parse(values === '' ? address : address + joint + values);
}

/** `a=1&b=2`, each name and value encoded once. */
export const formText = (values: QueryValues): string =>
  new URLSearchParams(
    Object.entries(values).flatMap(([name, value]) =>
      value === null || value === undefined ? [] : [[name, String(value)]],
    ),
  ).toString();
