/**
 * Query parameters whose values say what was asked and give no access. Everything else is hidden: a provider may put a
 * secret or a signature under any name.
 */
const HARMLESS_PARAMETERS: ReadonlySet<string> = new Set([
  'method',
  'limit',
  'offset',
  'start',
  'num',
  'page',
  'pagesize',
  'order',
  'desc',
  'type',
  'partseq',
  'partnumber',
  'max-parts',
  'part-number-marker',
  'grant_type',
  'response_type',
]);

/** Longest segment of a path that is shown: beyond it may be a token, as in `/download/<token>`. */
const SEGMENT_CHARACTERS_MAX = 32;
/** Not percent-encoded, so that a person can read it. */
const HIDDEN = '[redacted]';

/** An address for a log line: without user, password, fragment, and the values of parameters that may be secret. */
export function redactUrl(url: URL): string {
  const path = url.pathname
    .split('/')
    .map((segment) => (segment.length > SEGMENT_CHARACTERS_MAX ? HIDDEN : segment))
    .join('/');
  const query = [...url.searchParams].map(([name, value]) =>
    HARMLESS_PARAMETERS.has(name.toLowerCase()) ? `${name}=${value}` : `${name}=${HIDDEN}`,
  );
  return url.origin + path + (query.length > 0 ? `?${query.join('&')}` : '');
}
