import { OFFLINE_SCHEMES, type OfflineScheme } from '../../drives/contract/offline.ts';
import { type DomainError, InvalidInputError, UnsupportedError } from '../../lib/errors.ts';

/** Longest link, in characters: a magnet link may name dozens of trackers. */
export const OFFLINE_LINK_MAX = 8_192;
/** Longest name made of a link, in characters: as that of a file. */
const NAME_MAX = 255;

/**
 * A link that a provider can be asked to download: as given, but for spaces around it.
 * @param takes The kinds that the provider takes.
 * @param at Where it stands in the input.
 */
export function checkedLink(
  given: string,
  takes: readonly OfflineScheme[],
  at: string,
): { readonly url: string } | { readonly error: DomainError } {
  const url = given.trim();
  const refused = (message: string) => ({ error: InvalidInputError.at(at, message) });
  if (url === '' || url.length > OFFLINE_LINK_MAX) return refused(`must be from 1 to ${OFFLINE_LINK_MAX} characters`);
  // A line feed would be two links to a provider that takes them line by line.
  if (!url.isWellFormed() || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(url)) return refused('must be one line of plain text');
  const scheme = schemeOf(url);
  if (!scheme) return refused(`must be a link of one of these kinds: ${OFFLINE_SCHEMES.join(', ')}`);
  if (!FORMS[scheme](url)) return refused(`is no ${scheme} link that could be downloaded`);
  if (takes.includes(scheme)) return { url };
  return { error: new UnsupportedError(`This drive takes no ${scheme} links, only: ${takes.join(', ')}.`, null) };
}

const schemeOf = (url: string): OfflineScheme | null =>
  OFFLINE_SCHEMES.find((scheme) => url.toLowerCase().startsWith(`${scheme}:`)) ?? null;

/** The URL parser alone would also take `http:/host` and `http:///host`. */
const hasHost = (url: string): boolean => /^\w+:\/\/[^/]/.test(url) && URL.canParse(url);

const FORMS: Readonly<Record<OfflineScheme, (url: string) => boolean>> = {
  http: hasHost,
  https: hasHost,
  ftp: hasHost,
  magnet: (url) => /^magnet:\?(?:.*&)?xt(?:\.\d+)?=urn:/i.test(url),
  ed2k: (url) => /^ed2k:\/\/\|file\|[^|]+\|\d+\|[0-9a-f]{32}\|/i.test(url),
};

/** What to call the task of a link until its provider tells a name. */
export function nameOfLink(url: string): string {
  return (nameIn(url) || url)
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ')
    .slice(0, NAME_MAX)
    .toWellFormed();
}

function nameIn(url: string): string {
  switch (schemeOf(url)) {
    case 'magnet':
      return queryOf(url).get('dn') || hashOfMagnet(url) || '';
    case 'ed2k':
      return decoded(url.split('|')[2] ?? '');
    default: {
      if (!URL.canParse(url)) return '';
      const { pathname, hostname } = new URL(url);
      return decoded(pathname.split('/').findLast((segment) => segment !== '') ?? '') || hostname;
    }
  }
}

/**
 * What two links have in common that are the same to a provider: of magnet links the hash, whatever trackers they name;
 * of others the text.
 */
export const linkKey = (url: string): string => {
  const hash = hashOfMagnet(url);
  return hash ? keyOfHash(hash) : url.trim();
};

/** The {@link linkKey}s that a task answers to: by its link, and by its id where that is the hash of a torrent. */
export const keysOfTask = ({ ref, url }: { readonly ref: string; readonly url: string | null }): readonly string[] => [
  ...(url === null ? [] : [linkKey(url)]),
  ...(/^[0-9a-f]{40}$/i.test(ref) ? [keyOfHash(ref)] : []),
];

const keyOfHash = (hash: string): string => `btih:${hash.toLowerCase()}`;

/** The SHA-1 of a magnet link as hex; null where it has none. */
function hashOfMagnet(url: string): string | null {
  if (schemeOf(url) !== 'magnet') return null;
  const [, hash = ''] = /[?&]xt(?:\.\d+)?=urn:btih:([0-9a-z]+)(?:&|$)/i.exec(url) ?? [];
  if (/^[0-9a-f]{40}$/i.test(hash)) return hash.toLowerCase();
  return /^[a-z2-7]{32}$/i.test(hash) ? hexOfBase32(hash) : null;
}

function hexOfBase32(text: string): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
  const bits = [...text.toLowerCase()].map((char) => alphabet.indexOf(char).toString(2).padStart(5, '0')).join('');
  return (bits.match(/.{4}/g) ?? []).map((nibble) => Number.parseInt(nibble, 2).toString(16)).join('');
}

const queryOf = (url: string): URLSearchParams => new URLSearchParams(url.slice(url.indexOf('?') + 1));

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A stray % is part of the name.
  }
}
