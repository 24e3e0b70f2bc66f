import { DriveError, type DriveErrorCategory } from '../../lib/drive-error.ts';
import type { Classify } from '../../transport/classify.ts';
import type { DriveErrorCode } from '../driver.ts';

export const PROVIDER = 'NETDISK';
export const TITLE = 'The Netdisk server';

/** From the specification's own list of codes (README.md). What 300 and 404 mean, their text says. */
const ROWS: readonly (readonly [number, DriveErrorCategory, string, string | null])[] = [
  [300, 'unexpected', 'It failed', 'The text of the server says what failed.'],
  [404, 'not_found', 'There is no such file', null],
  [500, 'unavailable', 'The server is out of order', 'Look at the log of the Netdisk server.'],
  [600, 'not_found', 'The link has expired', 'Have it made once more.'],
  [1000, 'unauthenticated', 'The sign-in has expired, or lacks the right', null],
];

/** Texts of the specification's examples, where one code stands for several things. */
const TEXTS: readonly (readonly [RegExp, DriveErrorCategory, string])[] = [
  [/账号或密码错误/, 'unauthenticated', 'does not know this user and password.'],
  [/同名文件或文件夹已经存在|重复文件名/, 'already_exists', 'has something of that name there already.'],
  [/has been exit/, 'already_exists', 'has a file of that name there already.'],
  [/目标不存在/, 'not_found', 'has no such entry.'],
  [/缺少参数/, 'invalid_argument', 'misses something in the request.'],
];

/** `Provider.errorCodes`. */
export const ERROR_CODES: readonly DriveErrorCode[] = ROWS.map(([code, category, meaning, hint]) => ({
  code: String(code),
  meaning: `${meaning}.`,
  category,
  retryable: category === 'unavailable',
  hint,
}));

/** The error in a reply: HTTP says 200, and the body has a `code` of its own. Null when it is a success. */
export const classify: Classify = ({ json }) => envelopeError(json);

/** The error that a body tells; null when it tells none, or is no answer of the interface at all. */
export function envelopeError(json: unknown): DriveError | null {
  if (!isEnvelope(json) || json.code === 200) return null;
  const { code, msg } = json;
  const text = typeof msg === 'string' ? msg : '';
  const known = code === 1000 ? undefined : TEXTS.find(([pattern]) => pattern.test(text));
  const row = ROWS.find(([number]) => number === code);
  const category = known?.[1] ?? row?.[1] ?? 'unexpected';
  const meaning = known?.[2] ?? `says: ${(row?.[2] ?? 'an unknown error').toLowerCase()} (${code}).`;
  return netdiskError(category, meaning, {
    providerCode: String(code),
    hint: row?.[3] ?? null,
    cause: text === '' ? undefined : new Error(text.slice(0, 500)),
  });
}

export const isEnvelope = (json: unknown): json is { readonly code: number; readonly msg?: unknown } =>
  typeof json === 'object' && json !== null && 'code' in json && Number.isSafeInteger(json.code);

export const netdiskError = (
  category: DriveErrorCategory,
  message: string,
  init: {
    readonly providerCode?: string | null;
    readonly hint?: string | null;
    readonly cause?: unknown;
    readonly existingRef?: string;
  } = {},
): DriveError => new DriveError(category, `${TITLE} ${message}`, { provider: PROVIDER, ...init });

export const notFound = (): DriveError => netdiskError('not_found', 'has no such entry.');

export const invalid = (message: string): DriveError => netdiskError('invalid_argument', message);

export const isCategory = (error: unknown, category: DriveErrorCategory): error is DriveError =>
  error instanceof DriveError && error.category === category;
