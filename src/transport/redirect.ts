import { headerText } from '../lib/header-text.ts';
import { peerError } from './faults.ts';
import { type OutboundRequest, type Peer, REDIRECTS_MAX, type RedirectPolicy } from './request.ts';

/** An address to ask, and what to say there. */
export interface Hop {
  readonly url: URL;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Only what changes nothing is sent on: a POST redirected is an answer like another. */
export const isRedirect = ({ method }: OutboundRequest, status: number): boolean =>
  REDIRECTS.has(status) && (method === 'GET' || method === 'HEAD');

/** Say what is wanted, not who wants it. */
const ALWAYS_KEPT = ['accept-encoding', 'range'];
/** Say who wants it: never to another origin, whatever a policy says. */
const NEVER_KEPT: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization']);

/**
 * Where a redirect leads. To another origin only the headers go along that the policy names.
 * @throws DriveError `permission_denied` when the policy forbids it, `unexpected` when there are too many.
 */
export function followed(
  peer: Peer,
  { url: from, headers }: Hop,
  location: string | string[] | undefined,
  { hosts, keepHeaders = [], max = REDIRECTS_MAX }: RedirectPolicy,
  hops: number,
): Hop {
  if (hops >= max) throw peerError(peer, 'unexpected', `${peer.title} redirects in circles, or too often.`);
  const url = typeof location === 'string' ? URL.parse(headerText(location), from) : null;
  const forbidden =
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    (from.protocol === 'https:' && url.protocol === 'http:') ||
    url.username !== '' ||
    url.password !== '' ||
    !(url.origin === from.origin || hosts.some((pattern) => matches(url.hostname, pattern)));
  if (forbidden) {
    throw peerError(peer, 'permission_denied', `${peer.title} redirects to an address that is not allowed for it.`, {
      hint: url ? `It redirects to ${url.protocol}//${url.host}.` : null,
    });
  }
  if (url.origin === from.origin) return { url, headers };
  const kept = [...ALWAYS_KEPT, ...keepHeaders].filter((name) => !NEVER_KEPT.has(name) && headers[name] !== undefined);
  return { url, headers: Object.fromEntries(kept.map((name) => [name, headers[name] ?? ''])) };
}

const matches = (host: string, pattern: string): boolean =>
  pattern === '*' || host === pattern || (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)));
