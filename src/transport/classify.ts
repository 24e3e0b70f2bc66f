import type { DriveError, DriveErrorCategory } from '../lib/drive-error.ts';
import { peerError } from './faults.ts';
import type { OutboundRequest, Peer } from './request.ts';

/** An answer as far as it tells whether it is a success. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly url: string;
  /** Null when the body is a stream that goes to the caller. */
  readonly text: string | null;
  /** The body by {@link parseLossless}; undefined when it is not JSON, or a stream. */
  readonly json: unknown;
}

/**
 * The provider's own table: the error in a reply, or null when the provider says nothing that its table knows. Then the
 * transport looks at the status, and at whether a JSON answer is JSON.
 */
export type Classify = (reply: Reply, request: OutboundRequest) => DriveError | null;

const STATUS_CATEGORIES: Readonly<Record<number, DriveErrorCategory>> = {
  401: 'unauthenticated',
  402: 'permission_denied',
  403: 'permission_denied',
  404: 'not_found',
  408: 'timeout',
  409: 'conflict',
  410: 'not_found',
  412: 'conflict',
  413: 'too_large',
  416: 'invalid_argument',
  423: 'conflict',
  425: 'unavailable',
  429: 'rate_limited',
  451: 'blocked',
  507: 'quota_exceeded',
};

const MEANINGS: Readonly<Partial<Record<DriveErrorCategory, string>>> = {
  unauthenticated: 'no longer accepts the sign-in. Link the account again.',
  permission_denied: 'does not permit this.',
  not_found: 'does not have what was asked for.',
  timeout: 'says that the request took too long. Try again.',
  conflict: 'says that this does not fit with what is there now.',
  too_large: 'says that this is too large.',
  invalid_argument: 'does not accept the range that was asked for.',
  unavailable: 'is out of order at the moment. Try again later.',
  rate_limited: 'says that there were too many requests. Try again later.',
  blocked: 'must not give this, for legal reasons.',
  quota_exceeded: 'has no space left.',
};

/** What HTTP itself says about a reply: null for 200–299. */
export function statusError(
  peer: Peer,
  { status, headers }: Pick<Reply, 'status' | 'headers'>,
  now: Date,
): DriveError | null {
  if (status >= 200 && status <= 299) return null;
  const category = STATUS_CATEGORIES[status] ?? (status >= 500 ? 'unavailable' : 'unexpected');
  const meaning = MEANINGS[category] ?? `gave an answer that is not understood (HTTP ${status}).`;
  return peerError(peer, category, `${peer.title} ${meaning}`, {
    providerCode: `HTTP ${status}`,
    retryAfterMs: retryAfterMs(headers, now),
  });
}

/** A day: a provider that asks for more means a date far away or a clock gone wrong. */
const RETRY_AFTER_MAX_MS = 86_400_000;

/** The `Retry-After` header (RFC 9110 §10.2.3), in milliseconds from now; null when there is none that can be read. */
export function retryAfterMs(headers: Headers, now: Date): number | null {
  const value = headers.get('retry-after')?.trim() ?? '';
  const delayMs = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now.getTime();
  return Number.isNaN(delayMs) ? null : Math.min(Math.max(0, delayMs), RETRY_AFTER_MAX_MS);
}
