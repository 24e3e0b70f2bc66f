import { UnavailableError } from './errors.ts';

/** PostgreSQL's codes of a connection that ended: the server stops, or starts, or the line broke (class 08). */
const ENDED = /^(57P0[1-5]|08[0-9A-Z]{3})$/;
/** Of the network between. */
const NETWORK_CODES: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT']);
/** What the client of PostgreSQL says without a code. */
const TEXTS = /^Connection terminated|connection error and is not queryable|was closed and is not queryable/;
const DEPTH_MAX = 6;

/**
 * What a caller is told when the database was lost in the middle of what it asked for; null when the error is another.
 * Whether that was done is not known: what has an idempotency key is safe to repeat.
 */
export const outageOf = (error: unknown): UnavailableError | null =>
  isLostConnection(error, 0)
    ? new UnavailableError('The server has lost its database for a moment. Try again.', { cause: error })
    : null;

function isLostConnection(error: unknown, depth: number): boolean {
  if (!(error instanceof Error) || depth > DEPTH_MAX) return false;
  const { code, errors = [], cause, previous } = error as Error & Record<string, unknown> & { errors?: unknown[] };
  if (typeof code === 'string' && (ENDED.test(code) || NETWORK_CODES.has(code))) return true;
  if (TEXTS.test(error.message)) return true;
  return [...errors, cause, previous].some((inner) => isLostConnection(inner, depth + 1));
}
