import { DriveError, type DriveErrorCategory, isRetryable } from '../../lib/drive-error.ts';
import { isObject } from '../../lib/json.ts';
import { type Classify, type Reply, retryAfterMs } from '../../transport/classify.ts';
import type { OutboundRequest } from '../../transport/request.ts';
import { errorCodesOf } from '../shared/error-codes.ts';
import { ERROR_ROWS } from './error-codes.ts';

export const PROVIDER = 'BAIDU';
export const TITLE = 'Baidu Netdisk';

const ROWS = new Map(ERROR_ROWS.map((row) => [String(row[0]), row]));

/** Waits that Baidu's clients found to help, in milliseconds. */
const FREQUENCY_PAUSE_MS = 45_000;
const BUDGET_PAUSE_MS = 5 * 60_000;
const RISK_PAUSE_MS = 3_000;
const BUSY_PAUSE_MS = 2_000;
/** Baidu's clients say 10 s and up; longer than a person's request waits, who is rather told. */
const TRANSCODING_PAUSE_MS = 30_000;

/** The calls of the whole application are used up. */
export const BUDGET_USED = '20012';

const PAUSES_MS: Readonly<Record<string, number>> = {
  '31034': FREQUENCY_PAUSE_MS,
  [BUDGET_USED]: BUDGET_PAUSE_MS,
  '8001': RISK_PAUSE_MS,
  '8002': RISK_PAUSE_MS,
  '9019': RISK_PAUSE_MS,
  '111': BUSY_PAUSE_MS,
  '31341': TRANSCODING_PAUSE_MS,
};

/** Codes of which Baidu did nothing before it refused: also what is not idempotent may be sent again. */
const NOTHING_DONE: ReadonlySet<string> = new Set(['111', '31034', BUDGET_USED, '429']);

/** `Provider.errorCodes`. */
export const ERROR_CODES = errorCodesOf(ERROR_ROWS);

/** The error in a reply of any of Baidu's hosts; null when there is none that its tables know. */
export const classify: Classify = (reply, request) => {
  const said = saidBy(reply);
  const item = said?.code === '12' ? failedItem(reply.json) : null;
  // Of several, each has its own reason, or none: whoever sent them reads that.
  if (item !== null) return isOfSeveral(request) ? null : itemError(item, request.endpoint);
  // The answer that comes before a playlist: it is read, not refused.
  if (said?.code === ADVERTISEMENT && request.endpoint === 'streaming') return null;
  if (said)
    return said.oauth ? oauthError(said.code, said.text) : codeError(said.code, said.text, reply, request.endpoint);
  // Content hosts say it without a code.
  if (reply.status === 403 && /\bhitcode\b/.test(reply.text ?? ''))
    return codeError(LEECH, '', reply, request.endpoint);
  if (reply.text !== null && request.as === 'json' && !isObject(reply.json) && reply.status < 400) {
    return baiduError('unavailable', 'gave an answer that cannot be read.', null, {});
  }
  return null;
};

/** The error of one item of a list, or of a task: the code alone says what it is. */
export const itemError = (code: string | number, endpoint: string): DriveError =>
  codeError(String(code), '', null, endpoint);

/** An advertisement plays before the playlist is given. */
const ADVERTISEMENT = '133';

interface Said {
  readonly code: string;
  readonly text: string;
  readonly oauth?: true;
}

/** Whether the request changes several entries. */
function isOfSeveral({ body }: OutboundRequest): boolean {
  const filelist: unknown = body && 'form' in body && body.form.filelist;
  return typeof filelist === 'string' && (JSON.parse(filelist) as readonly unknown[]).length > 1;
}

/** A batch that failed says of each item why. */
function failedItem(json: unknown): string | null {
  const info = isObject(json) && Array.isArray(json.info) ? json.info : [];
  const codes = info.map((item: unknown) => (isObject(item) ? String(item.errno ?? 0) : '0'));
  return codes.find((code) => code !== '0') ?? null;
}

/** Baidu has four ways to say that something failed; the order is that of the reference (§8.1). */
function saidBy({ json }: Reply): Said | null {
  if (!isObject(json)) return null;
  if (typeof json.error === 'string') {
    return { code: json.error, text: String(json.error_description ?? ''), oauth: true };
  }
  for (const [code, text] of [
    ['errno', json.errmsg ?? json.show_msg],
    ['error_code', json.error_msg],
    ['error_no', json.error_msg],
  ] as const) {
    const value = json[code];
    if (value !== undefined && value !== null && String(value) !== '0') {
      return { code: String(value), text: String(text ?? '') };
    }
  }
  return null;
}

/** Endpoints at which a task of the account may be in the way: 111 means that there. */
const LEAVES_TASKS: ReadonlySet<string> = new Set(['filemanager', 'share.transfer', 'recycle']);

/** What some codes mean with some calls (§8.2); the table's own category otherwise. */
function categoryOf(code: string, text: string, reply: Reply | null, endpoint: string): DriveErrorCategory {
  if (/invalid bduss/i.test(text)) return 'unauthenticated';
  if (code === '111' || code === '110') {
    // The gateway before every call has these numbers too, for tokens: its status or its text tells.
    if (reply?.status === 401 || /access.?token/i.test(text)) return 'unauthenticated';
    if (code === '111') return LEAVES_TASKS.has(endpoint) ? 'unavailable' : 'unauthenticated';
    return endpoint.startsWith('share.') ? 'rate_limited' : 'unauthenticated';
  }
  if (code === '10') return endpoint === 'share.transfer' ? 'already_exists' : 'unavailable';
  if (code === '31299' && /exp(ir|ri)ed time not match/i.test(text)) return 'unavailable';
  if (code === '4' && reply?.status === 403) return 'permission_denied';
  if (code === '3' && reply?.status === 400) return 'unsupported';
  // An announcement or commit whose slices are gone: the session is, and a new one is begun.
  if (/uploadid/i.test(text) && /invalid|expired|not found/i.test(text)) return 'not_found';
  if (endpoint === 'superfile2') {
    if (code === '31355') return 'not_found';
    if (code === '31363') return 'unavailable'; // This slice is to be sent again.
  }
  return ROWS.get(code)?.[1] ?? (reply !== null && reply.status >= 500 ? 'unavailable' : 'unexpected');
}

function codeError(code: string, text: string, reply: Reply | null, endpoint: string): DriveError {
  const category = categoryOf(code, text, reply, endpoint);
  const row = ROWS.get(code);
  const pauseMs = PAUSES_MS[code] ?? (reply ? retryAfterMs(reply.headers, new Date()) : null);
  return baiduError(category, `says: ${(row?.[2] ?? 'an unknown error').toLowerCase()} (${code}).`, code, {
    hint: row?.[3] ?? null,
    cause: text === '' ? undefined : new Error(text.slice(0, 500)),
    ...(pauseMs !== null && isRetryable(category) ? { retryAfterMs: pauseMs } : {}),
    // Asked again, the same link gives the same answer.
    ...(code === LINK_EXPIRED ? { retryable: false, persistent: true } : {}),
    ...(NOTHING_DONE.has(code) && category !== 'unauthenticated' ? { nothingDone: true } : {}),
  });
}

const OAUTH: Readonly<Record<string, DriveErrorCategory>> = {
  invalid_request: 'invalid_argument',
  invalid_client: 'permission_denied',
  invalid_grant: 'unauthenticated',
  expired_token: 'unauthenticated',
  unauthorized_client: 'permission_denied',
  unsupported_grant_type: 'invalid_argument',
  unsupported_response_type: 'invalid_argument',
  invalid_scope: 'permission_denied',
  redirect_uri_mismatch: 'invalid_argument',
  invalid_referer: 'permission_denied',
  authorization_pending: 'unavailable',
  slow_down: 'rate_limited',
  authorization_declined: 'permission_denied',
  access_denied: 'permission_denied',
};

/** What polling for a device code reads off the error: `providerCode` is OAuth's own word. */
function oauthError(error: string, description: string): DriveError {
  const risk = /security policy/i.test(`${error} ${description}`);
  const category = risk ? 'rate_limited' : (OAUTH[error] ?? 'unexpected');
  return baiduError(category, `refused the sign-in (${error.slice(0, 64)}).`, error.slice(0, 64), {
    hint: risk ? 'Its risk control is on: try again after some minutes.' : (HINTS[error] ?? null),
    cause: new Error(description.slice(0, 500)),
    ...(risk ? { retryAfterMs: BUDGET_PAUSE_MS } : {}),
    nothingDone: category === 'rate_limited',
  });
}

const HINTS: Readonly<Record<string, string>> = {
  invalid_client: 'Check BAIDU_CLIENT_ID and BAIDU_CLIENT_SECRET, and whether the application is enabled.',
  redirect_uri_mismatch: 'Register the callback address with the application at Baidu, or set BAIDU_REDIRECT_URI.',
  expired_token: 'Link the account again.',
  invalid_grant: 'Begin again: codes work once, and not for long.',
};

/** A download link is too old. */
export const LINK_EXPIRED = '31360';
/** Anti-leech: of the wrong `User-Agent`, and of links that were used too often. */
export const LEECH = '31326';

export const baiduError = (
  category: DriveErrorCategory,
  message: string,
  providerCode: string | null,
  init: {
    hint?: string | null;
    cause?: unknown;
    retryAfterMs?: number;
    retryable?: boolean;
    persistent?: boolean;
    nothingDone?: boolean;
    existingRef?: string;
  },
): DriveError => new DriveError(category, `${TITLE} ${message}`, { provider: PROVIDER, providerCode, ...init });
