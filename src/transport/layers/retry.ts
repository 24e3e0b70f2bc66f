import { DriveError } from '../../lib/drive-error.ts';
import { sleep, type Timer } from '../../lib/timer.ts';
import { cancelledError } from '../faults.ts';
import { ATTEMPTS_MAX, type OutboundLayer, type OutboundRequest, type Peer } from '../request.ts';

/** The wait before the second attempt, doubled for each further one, in milliseconds. */
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 8_000;
/**
 * All waits of one request together. A person waits 20 s for a listing, hardly more; a job may well sit out the minute
 * that these providers punish with, but gives its place to others when it is told to wait longer.
 */
const WAITS_MAX_MS = { interactive: 20_000, bulk: 90_000 };

export interface RetryOptions {
  readonly peer: Peer;
  readonly timer: Timer;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/**
 * Tries again what may succeed and cannot do harm: a failure that is retryable, of a request that is idempotent or that
 * the provider did not act on. When no try is left the error is spent: whoever is further out does not try again at once.
 */
export const retryLayer =
  ({ peer, timer, random }: RetryOptions): OutboundLayer =>
  async (call, next) => {
    const { request } = call;
    const { signal, priority = 'interactive', attempts = ATTEMPTS_MAX } = request;
    let waitsLeftMs = WAITS_MAX_MS[priority];
    for (let attempt = 1; ; attempt += 1) {
      if (signal.aborted) throw cancelledError(peer, signal.reason);
      try {
        return await next({ request, attempt });
      } catch (error) {
        if (!(error instanceof DriveError)) throw error;
        const delayMs = delayBefore(attempt + 1, error, random);
        if (attempt >= attempts || delayMs > waitsLeftMs || !mayRepeat(request, error)) throw error.spent();
        waitsLeftMs -= delayMs;
        await sleep(timer, delayMs, signal).catch((reason) => {
          throw cancelledError(peer, reason);
        });
      }
    }
  };

const mayRepeat = (request: OutboundRequest, error: DriveError): boolean =>
  error.retryable && (request.idempotent || error.nothingDone);

/** What the provider asks for, or exponential back-off; with jitter, so that callers who failed together do not return together. */
function delayBefore(attempt: number, { retryAfterMs }: DriveError, random: () => number): number {
  if (retryAfterMs !== null) return retryAfterMs * (1 + random() * 0.1);
  return Math.min(BACKOFF_MS * 2 ** (attempt - 2), BACKOFF_MAX_MS) * (0.75 + random() * 0.5);
}
