import type { IncomingHttpHeaders } from 'node:http';

/** What is known of the file as it is now. */
export interface Validators {
  /** Strong, with its quotes; null where the provider tells nothing that changes with the bytes. */
  readonly etag: string | null;
  readonly modifiedAt: Date | null;
}

export type Precondition = 'proceed' | 'not-modified' | 'failed';

/** Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of RFC 9110 §13.2.2. */
export function evaluatePreconditions(headers: IncomingHttpHeaders, { etag, modifiedAt }: Validators): Precondition {
  const ifMatch = headers['if-match'];
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, etag, 'strong')) return 'failed';
  } else if (isLaterThan(modifiedAt, headers['if-unmodified-since'])) {
    return 'failed';
  }

  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, etag, 'weak') ? 'not-modified' : 'proceed';
  const ifModifiedSince = headers['if-modified-since'];
  const known = modifiedAt !== null && parseDate(ifModifiedSince) !== null;
  return known && !isLaterThan(modifiedAt, ifModifiedSince) ? 'not-modified' : 'proceed';
}

/** Whether a Range header counts: If-Range is absent, or names the file as it is now (§13.1.5: strong, or the exact date). */
export function rangeApplies(ifRange: string | undefined, { etag, modifiedAt }: Validators): boolean {
  if (ifRange === undefined) return true;
  const value = ifRange.trim();
  if (value.startsWith('"') || value.startsWith('W/')) return etag !== null && value === etag;
  const date = parseDate(value);
  return modifiedAt !== null && date !== null && date === wholeSeconds(modifiedAt);
}

/** One entity tag of a list: optional weakness, then the quoted opaque part, which may hold commas. */
const ENTITY_TAG = /(W\/)?("[^"]*")/g;

function matches(list: string, etag: string | null, comparison: 'strong' | 'weak'): boolean {
  if (list.trim() === '*') return true; // The file is there: that is all `*` asks.
  if (etag === null) return false;
  for (const [, weak, opaque] of list.matchAll(ENTITY_TAG)) {
    if (opaque === etag && (comparison === 'weak' || !weak)) return true;
  }
  return false;
}

/** HTTP dates have whole seconds, so that a file changed within the second counts as unchanged. */
const wholeSeconds = (date: Date): number => Math.floor(date.getTime() / 1000);

/** In seconds. A date that cannot be read is no condition at all (§13.1.3, §13.1.4). */
function parseDate(text: string | undefined): number | null {
  if (text === undefined) return null;
  // The oldest of the three formats names no zone, and would be read as the server's own time.
  const time = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(time) ? null : Math.floor(time / 1000);
}

function isLaterThan(modifiedAt: Date | null, header: string | undefined): boolean {
  const limit = parseDate(header);
  return modifiedAt !== null && limit !== null && wholeSeconds(modifiedAt) > limit;
}
