import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorCode } from '../graph/errors.ts';
import type { Clock } from '../lib/clock.ts';
import { findDomainError, type UserErrorCode } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { sendError } from './body.ts';
import { sendPage } from './page.ts';
import { goneSignal } from './send-file.ts';

/** Why bytes are not given. */
export interface Refusal {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAt?: Date | null;
  /** Asks a person for the key of a link. */
  readonly asksKey?: boolean;
}

/** What each failure is in HTTP. */
export const STATUSES: Readonly<Record<UserErrorCode, number>> = {
  INVALID_INPUT: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  CONFLICT: 409,
  PERMISSION_DENIED: 403,
  UNSUPPORTED: 501,
  RATE_LIMITED: 429,
  ALLOWANCE_EXCEEDED: 429,
  STORAGE_FULL: 507,
  TOO_LARGE: 413,
  INTEGRITY: 502,
  REAUTHORIZATION_REQUIRED: 502,
  PROVIDER_FAILED: 502,
  CANCELLED: 503,
  UNAVAILABLE: 503,
};

/**
 * Answers a request for bytes: runs `work`, and turns what a caller can act on into a status and words. A failure after the
 * first byte can only cut the connection.
 */
export async function answerBytes(
  request: IncomingMessage,
  response: ServerResponse,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
  work: (gone: AbortSignal) => Promise<Refusal | null>,
): Promise<void> {
  const gone = goneSignal(response);
  try {
    const refusal = await work(gone);
    if (refusal) refuse(request, response, refusal, clock);
  } catch (error) {
    if (gone.aborted) return; // Whatever ended the work, it was for nobody.
    if (response.headersSent) {
      log.warn({ err: error }, 'a download broke off');
      response.destroy();
      return;
    }
    const expected = findDomainError(error);
    if (!expected) throw error;
    const { code, message, retryAt } = expected;
    refuse(request, response, { status: STATUSES[code], code, message, retryAt }, clock);
  }
}

/** Says no: as a page to who reads pages, as JSON to everybody else. */
export function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal, clock: Clock): void {
  const { status, code, message, retryAt, asksKey = false } = refusal;
  response.setHeader('cache-control', 'no-store');
  if (retryAt) {
    const seconds = Math.ceil((retryAt.getTime() - clock.now().getTime()) / 1000);
    response.setHeader('retry-after', Math.max(1, seconds));
  }
  if (status === 401) response.setHeader('www-authenticate', 'LinkKey');
  if (readsPages(request)) sendPage(response, status, { title: TITLES[status] ?? 'Not now', message, asksKey });
  else sendError(response, status, code, message);
}

const TITLES: Readonly<Record<number, string>> = {
  401: 'Key needed',
  403: 'Not allowed',
  404: 'Not found',
  410: 'Over',
};

const readsPages = ({ headers }: IncomingMessage): boolean => headers.accept?.includes('text/html') ?? false;
