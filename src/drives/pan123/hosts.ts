import type { Pan123Settings } from '../cloud.ts';

const OWN_HOSTS = /(^|\.)(123pan\.(com|cn)|123clouddisk\.com)$/;

/** Its servers know callers by this header, on each request but those for bytes that are elsewhere. */
export const PLATFORM = { platform: 'open_platform' } as const;
/** And by this one, of questions too; a form has its own in its place. */
export const JSON_HEADERS = { ...PLATFORM, 'content-type': 'application/json' } as const;

/** The hosts that the operator put in the place of 123pan's: an imitation, which may be at a private address. */
export const originsOf = ({ apiUrl, authUrl }: Pan123Settings): readonly string[] =>
  [apiUrl, authUrl]
    .map((url) => new URL(url))
    .filter(({ hostname }) => !OWN_HOSTS.test(hostname))
    .map(({ origin }) => origin);

/**
 * An upload server as 123pan names it, as the beginning of an address: without its scheme at times, or with http. The
 * token goes there, so the connection is no worse than the one to the API. Null when it is no address.
 */
export function uploadServerUrl(server: string, apiUrl: string): string | null {
  const { protocol } = new URL(apiUrl);
  const text = server.trim().replace(/\/+$/, '');
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `${protocol}//${text}`);
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return null;
  const secured = protocol === 'https:' ? `https://${url.host}` : url.origin;
  return `${secured}${url.pathname.replace(/\/+$/, '')}`;
}
