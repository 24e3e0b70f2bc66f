import { DriveError, type DriveErrorCategory, isRetryable } from '../../lib/drive-error.ts';
import { isObject } from '../../lib/json.ts';
import { type Classify, type Reply, retryAfterMs } from '../../transport/classify.ts';
import type { OutboundRequest } from '../../transport/request.ts';
import type { DriveErrorCode } from '../driver.ts';
import { ERROR_ROWS, type ErrorRow, LOGIN } from './error-codes.ts';

export const PROVIDER = 'PAN123';
export const TITLE = '123pan';

/** The code of a file that is still being verified, by whichever words it was told. */
export const VERIFYING_CODE = '20103';
export const DELIVERY_REFUSED_CODE = '1010';

/** `Provider.errorCodes`: a code that means several things has a row for each. */
export const ERROR_CODES: readonly DriveErrorCode[] = ERROR_ROWS.filter(({ code }) => code !== null).map((row) => ({
  code: String(row.code),
  meaning: row.meaning,
  category: row.category,
  retryable: isRetryable(row.category),
  hint: row.hint ?? null,
}));

/** The error in a reply of any of its hosts; null when there is none that its table knows. */
export const classify: Classify = (reply, request) => {
  const { json, text, status } = reply;
  if (!isObject(json)) {
    const unreadable =
      text !== null && text.trim() !== '' && (request.as === 'json' || (request.as === 'text' && request.auth));
    return unreadable && status < 400
      ? pan123Error('unavailable', 'gave an answer that cannot be read.', null, {})
      : null;
  }
  if (typeof json.error === 'string') return oauthError(json.error, String(json.error_description ?? ''));
  const code = codeOf(status, request.endpoint, json);
  if (!Number.isFinite(code) || code === 0) return null;
  const said = { code, message: String(json.message ?? ''), traceId: traceOf(reply, json) };
  return request.endpoint === 'api/v1/oauth2/access_token' ? applicationError(said) : codeError(said, reply, request);
};

/** Of a status that says all, its number; what else the body's code says counts more than its status. */
function codeOf(status: number, endpoint: string, json: Record<string, unknown>): number {
  const isTold = LOGIN.test(endpoint) ? status >= 500 : status === 401;
  return isTold || status === 429 ? status : Number(json.code ?? 0);
}

interface Said {
  readonly code: number;
  readonly message: string;
  /** Empty when it was not told. */
  readonly traceId: string;
}

/** What their support asks for. It stands in the body, and at times in a header. */
const traceOf = ({ headers }: Reply, json: Record<string, unknown>): string =>
  String(json['x-traceID'] || headers.get('x-traceid') || '').slice(0, 200);

const rowOf = ({ code, message }: Said, endpoint: string): ErrorRow | undefined =>
  ERROR_ROWS.find(
    (row) =>
      (row.code === null || row.code === code) && (row.says?.test(message) ?? true) && (row.at?.test(endpoint) ?? true),
  );

/** A code that no table knows: with a question one more try can do no harm; what else was done, nobody knows. */
function codeError(said: Said, reply: Reply, request: OutboundRequest): DriveError {
  const row = rowOf(said, request.endpoint);
  const category = row?.category ?? (reply.status >= 500 ? 'unavailable' : 'unexpected');
  const pauseMs = row?.pauseMs ?? retryAfterMs(reply.headers, new Date());
  const isVerifying = row?.meaning === VERIFYING_ROW?.meaning;
  const code = isVerifying ? VERIFYING_CODE : String(said.code);
  return pan123Error(
    category,
    `says: ${(row?.meaning ?? 'something that is not known').toLowerCase()} (${code}).`,
    code,
    {
      hint: row?.hint ?? null,
      cause: causeOf(said),
      ...(pauseMs !== null && isRetryable(category) ? { retryAfterMs: pauseMs } : {}),
      ...(category === 'unexpected' && isQuestion(request) ? { retryable: true } : {}),
    },
  );
}

/** Calls that change nothing, though some of them are POSTs. */
const QUESTIONS = /^api\/v1\/(file\/infos|transcode\/(folder\/info|video\/(resolutions|record|result)))$/;
const isQuestion = ({ method, endpoint }: OutboundRequest): boolean => method === 'GET' || QUESTIONS.test(endpoint);

const VERIFYING_ROW = ERROR_ROWS.find(({ code }) => String(code) === VERIFYING_CODE);

/** The provider's own words, with the number that its support asks for. */
const causeOf = ({ message, traceId }: Said): Error =>
  new Error(`${message.slice(0, 500)}${traceId === '' ? '' : ` (x-traceID ${traceId})`}`);

/** What is said of one entry of several, in words alone: its code is not told. */
export function itemError(message: string): DriveError {
  const row = ERROR_ROWS.find(({ code, says }) => (code === null || code === 1) && says?.test(message));
  const meaning = (row?.meaning ?? 'something that is not known').toLowerCase();
  const cause = causeOf({ code: 1, message, traceId: '' });
  return pan123Error(row?.category ?? 'unexpected', `says: ${meaning}.`, null, { hint: row?.hint ?? null, cause });
}

/** A sign-in by the operator's application that was refused in the usual envelope. */
function applicationError(said: Said): DriveError {
  const init = { cause: causeOf(said) };
  if (said.code === 429) return pan123Error('rate_limited', 'says: too many requests (429).', '429', init);
  const category = /app_?id|secret|client/i.test(said.message) ? 'permission_denied' : 'unauthenticated';
  const hint = category === 'permission_denied' ? APPLICATION_HINT : null;
  return pan123Error(category, `refused the sign-in (${said.code}).`, String(said.code), { ...init, hint });
}

const APPLICATION_HINT = 'Check PAN123_CLIENT_ID and PAN123_CLIENT_SECRET, and the address of the callback.';

const OAUTH: Readonly<Record<string, DriveErrorCategory>> = {
  invalid_request: 'invalid_argument',
  invalid_client: 'permission_denied',
  invalid_grant: 'unauthenticated',
  unauthorized_client: 'permission_denied',
  unsupported_grant_type: 'invalid_argument',
  invalid_scope: 'permission_denied',
  access_denied: 'permission_denied',
};

function oauthError(error: string, description: string): DriveError {
  const category = OAUTH[error] ?? 'unauthenticated';
  const code = error.slice(0, 64);
  return pan123Error(category, `refused the sign-in (${code}).`, code, {
    hint: category === 'permission_denied' ? APPLICATION_HINT : null,
    cause: new Error(description.slice(0, 500)),
  });
}

export const pan123Error = (
  category: DriveErrorCategory,
  message: string,
  providerCode: string | null,
  init: {
    hint?: string | null;
    cause?: unknown;
    retryAfterMs?: number;
    retryable?: boolean;
    nothingDone?: boolean;
    existingRef?: string;
  },
): DriveError => new DriveError(category, `${TITLE} ${message}`, { provider: PROVIDER, providerCode, ...init });
