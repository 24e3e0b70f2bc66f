import { DriveError, type DriveErrorCategory, isRetryable } from '../../lib/drive-error.ts';
import { isObject } from '../../lib/json.ts';
import { type Classify, type Reply, retryAfterMs } from '../../transport/classify.ts';
import type { OutboundRequest } from '../../transport/request.ts';
import { errorCodesOf } from '../shared/error-codes.ts';
import { ERROR_ROWS } from './error-codes.ts';

export const PROVIDER = 'PAN115';
export const TITLE = '115';

const ROWS = new Map(ERROR_ROWS.map((row) => [String(row[0]), row]));

/** Waits that clients found to help, in milliseconds. */
const LIMIT_PAUSE_MS = 65_000;
const REFRESH_PAUSE_MS = 60_000;
/** Between two tries of a refresh that a gateway answered. */
const REFRESH_RETRY_MS = 4_000;
const BURST_PAUSE_MS = 3_000;
const BUSY_PAUSE_MS = 3_000;
const FIREWALL_PAUSE_MS = 5 * 60_000;
const CONNECTIONS_PAUSE_MS = 5_000;
/** Added to what the `X-RateLimit-Reset` header says. */
const RESET_MARGIN_MS = 5_000;

const PAUSES_MS: Readonly<Record<string, number>> = {
  '406': LIMIT_PAUSE_MS,
  '770004': LIMIT_PAUSE_MS,
  '40140117': REFRESH_PAUSE_MS,
  '590075': BURST_PAUSE_MS,
  '990005': BUSY_PAUSE_MS,
  '990009': BUSY_PAUSE_MS,
  '990019': BUSY_PAUSE_MS,
  '51012': BUSY_PAUSE_MS,
};

/** Codes with which 115 did nothing: also what is not idempotent may be sent again. */
const NOTHING_DONE: ReadonlySet<string> = new Set([
  '40110000',
  '40140121',
  '50199004',
  '990005',
  '990009',
  '990019',
  '51012',
]);

/** `Provider.errorCodes`. */
export const ERROR_CODES = errorCodesOf(ERROR_ROWS);

/** The error in a reply of 115's own hosts; null when there is none that its tables know. */
export const classify: Classify = (reply, request) => {
  if (request.endpoint === 'download') return downloadError(reply);
  // Each link has its own word, also where all of them failed.
  if (request.endpoint === 'offline.add' && hasResults(reply.json)) return null;
  const said = saidBy(reply);
  if (said) return saidError(said, reply, request);
  return transportError(reply, request);
};

const hasResults = (json: unknown): boolean =>
  isObject(json) && Array.isArray(json.data) && json.data.some((one: unknown) => isObject(one) && 'url' in one);

/** The error of one item of a list: the code and the text alone say what it is. */
export const itemError = (code: string, text: string): DriveError => codeError(code, text, null);

interface Said {
  /** '0' when it fails without a number. */
  readonly code: string;
  readonly text: string;
}

/** `state` is a number on one host and a boolean on the other; a success has it, and no number of an error. */
function saidBy({ json }: Reply): Said | null {
  if (!isObject(json)) return null;
  const { state } = json;
  const code =
    firstOf([json.code, json.errno, json.errNo, json.errcode, json.errCode], (value) => value !== '0') ?? '0';
  const succeeded = state === undefined ? code === '0' : isTrue(state) && code === '0';
  if (succeeded) return null;
  const text = firstOf([json.message, json.error, json.msg, json.error_msg], () => true) ?? '';
  return { code, text: text === '0' ? '' : text };
}

/** The first value that is there and says something, as text. */
const firstOf = (values: readonly unknown[], says: (value: string) => boolean): string | null =>
  values
    .filter((value) => typeof value === 'string' || typeof value === 'number')
    .map(String)
    .find((value) => value !== '' && says(value)) ?? null;

export const isTrue = (state: unknown): boolean =>
  state === true || Number(state) === 1 || (typeof state === 'string' && state.toLowerCase() === 'true');

function saidError(said: Said, reply: Reply, { endpoint, auth }: OutboundRequest): DriveError {
  const isEmpty = said.code === '0' && said.text === '';
  if (isEmpty && endpoint === 'oauth.poll') {
    return pan115Error('unauthenticated', 'does not know this sign-in any more. Begin again.', '0', {});
  }
  // Without a number and a word, it means that there were too many requests: never that there is nothing.
  if (isEmpty) {
    return pan115Error('rate_limited', 'answered nothing at all: there were too many requests.', '0', {
      retryAfterMs: BURST_PAUSE_MS,
      nothingDone: true,
    });
  }
  if (said.code === '0' && endpoint === 'video.play') {
    return pan115Error('unavailable', 'has not made this video ready to play yet.', '0', {
      cause: new Error(said.text.slice(0, 500)),
      hint: 'Ask for it by transcodeFile, then look again in some minutes.',
      retryable: false,
    });
  }
  return codeError(said.code, said.text, reply, auth || endpoint === 'oauth.refresh');
}

const LIMIT_TEXT = /已达到当前访问上限|770004/;
const TEXTS: readonly (readonly [RegExp, DriveErrorCategory])[] = [
  [/不存在|已删除/, 'not_found'],
  [/已存在/, 'already_exists'],
  [/空间不足/, 'quota_exceeded'],
  [/频繁|上限/, 'rate_limited'],
  [/参数/, 'invalid_argument'],
];

function categoryOf(code: string, text: string, auth: boolean): DriveErrorCategory {
  if (LIMIT_TEXT.test(text)) return 'rate_limited';
  // A token was sent: after a pair was burnt, everything is answered so.
  if (auth && code === '40100000') return 'unauthenticated';
  const known = ROWS.get(code)?.[1];
  if (known !== undefined) return known;
  // What other clients do with the rest of the codes that are about the token.
  if (auth && /^401\d{5}$/.test(code)) return 'unauthenticated';
  return TEXTS.find(([pattern]) => pattern.test(text))?.[1] ?? 'unexpected';
}

function codeError(code: string, text: string, reply: Reply | null, auth = false): DriveError {
  const category = categoryOf(code, text, auth);
  const row = ROWS.get(code);
  const pauseMs = LIMIT_TEXT.test(text) ? LIMIT_PAUSE_MS : (PAUSES_MS[code] ?? (reply ? resetMs(reply) : null));
  return pan115Error(category, `says: ${(row?.[2] ?? 'an unknown error').toLowerCase()} (${code}).`, code, {
    hint: row?.[3] ?? null,
    cause: text === '' ? undefined : new Error(text.slice(0, 500)),
    ...(pauseMs !== null && isRetryable(category) ? { retryAfterMs: pauseMs } : {}),
    ...(NOTHING_DONE.has(code) || category === 'rate_limited' ? { nothingDone: true } : {}),
  });
}

/** What HTTP says where 115 itself says nothing: pages of its firewall and its gateways. */
function transportError(reply: Reply, { endpoint, as }: OutboundRequest): DriveError | null {
  const { status, text } = reply;
  const providerCode = `HTTP ${status}`;
  const isRefresh = endpoint === 'oauth.refresh';
  // A grant is over when 115 says so by its number, never by what stands before it.
  if (endpoint.startsWith('oauth.') && (status === 401 || status === 403)) {
    return pan115Error('rate_limited', 'keeps requests of this server away for some minutes.', providerCode, {
      retryAfterMs: FIREWALL_PAUSE_MS,
    });
  }
  if (status === 401) return pan115Error('unauthenticated', 'no longer accepts the sign-in.', providerCode, {});
  if (status === 403 && isObject(reply.json)) {
    return pan115Error('unauthenticated', 'does not accept the sign-in for this.', providerCode, {});
  }
  if (status === 403 || status === 405) {
    return pan115Error('rate_limited', 'keeps requests of this server away for some minutes.', providerCode, {
      retryAfterMs: FIREWALL_PAUSE_MS,
      hint: 'Its firewall answered with a page. Fewer requests help, and time.',
    });
  }
  if (status === 404) return pan115Error('unsupported', 'has no such interface.', providerCode, {});
  if (status === 429) {
    return pan115Error('rate_limited', 'says that there were too many requests.', providerCode, {
      retryAfterMs: resetMs(reply) ?? LIMIT_PAUSE_MS,
    });
  }
  const isOdd = as === 'json' && text !== null && !isObject(reply.json);
  if (status >= 500 || (status < 400 && isOdd)) {
    // A page, or nothing: no application saw the request, so a refresh token is not used up by it.
    return pan115Error('unavailable', 'gave an answer that cannot be read. Try again.', providerCode, {
      ...(isRefresh ? { nothingDone: true, retryAfterMs: REFRESH_RETRY_MS } : {}),
    });
  }
  return null;
}

/** Of the content hosts, which speak another language. */
function downloadError(reply: Reply): DriveError | null {
  const { status } = reply;
  if (status !== 401 && status !== 403 && status !== 410) return null;
  const said = isObject(reply.json) ? String(reply.json.message ?? '') : (reply.text ?? '');
  if (status === 403 && !/invalid signature|expired/i.test(said)) {
    return pan115Error('rate_limited', 'allows no more connections to this file.', 'HTTP 403', {
      retryAfterMs: CONNECTIONS_PAUSE_MS,
    });
  }
  return pan115Error('invalid_argument', 'no longer accepts the address that it gave.', STALE_LINK, {
    cause: new Error(said.slice(0, 500)),
  });
}

/** The code of a download address that ran out, or was given for another User-Agent: a new one helps. */
export const STALE_LINK = 'stale link';

/** When to come back, by either header, in milliseconds; null when neither says. */
function resetMs({ headers }: Reply): number | null {
  const seconds = headers.get('x-ratelimit-reset')?.trim() ?? '';
  // Beyond a day it is a date, which this header is not documented to hold.
  if (/^\d{1,5}$/.test(seconds)) return Number(seconds) * 1000 + RESET_MARGIN_MS;
  return retryAfterMs(headers, new Date());
}

export const pan115Error = (
  category: DriveErrorCategory,
  message: string,
  providerCode: string | null,
  init: {
    hint?: string | null;
    cause?: unknown;
    retryAfterMs?: number;
    nothingDone?: boolean;
    retryable?: boolean;
    existingRef?: string;
    ability?: string;
  },
): DriveError => new DriveError(category, `${TITLE} ${message}`, { provider: PROVIDER, providerCode, ...init });

export const isMissing = (error: unknown): boolean => error instanceof DriveError && error.category === 'not_found';

export const notFound = () => pan115Error('not_found', 'has no such entry any more.', null, {});

export const invalid = (message: string, hint: string | null = null) =>
  pan115Error('invalid_argument', message, null, { hint });

export const corrupted = (message: string) => pan115Error('corrupted', message, null, {});
