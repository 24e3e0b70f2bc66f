import { Readable } from 'node:stream';
import { DriveError } from '../../lib/drive-error.ts';
import { cancelledError, peerError } from '../faults.ts';
import type { Limiter } from '../limiter.ts';
import type { OutboundLayer, OutboundRequest, Peer } from '../request.ts';
import { NoTurnError } from '../waiting-line.ts';

/** Longest wait for a turn. An act that a person waits for ends after 60 s; a job has time, and is parked rather than stuck. */
const TURN_WAIT_MAX_MS = { interactive: 30_000, bulk: 300_000 };
/** The pause after a refusal that names no delay: the windows of these providers are seconds. */
const PAUSE_MS = 1_000;

export interface RateOptions {
  readonly peer: Peer;
  readonly limiter: () => Limiter;
  /** What a refusal pauses. Default: the endpoint. */
  readonly pauses?: (refusal: DriveError) => 'endpoint' | 'account';
}

/** Each attempt waits for its turn; when the provider says that there were too many, everybody waits. */
export const rateLayer =
  ({ peer, limiter, pauses }: RateOptions): OutboundLayer =>
  async (call, next) => {
    const { request } = call;
    const end = await turn(limiter(), request, peer);
    try {
      call.atTurn?.();
      const answer = await next(call);
      if (answer.body instanceof Readable && !answer.body.closed) answer.body.once('close', end);
      else end();
      return answer;
    } catch (error) {
      end();
      if (error instanceof DriveError && error.category === 'rate_limited') {
        limiter().pause(pauses?.(error) === 'account' ? '*' : request.endpoint, error.retryAfterMs ?? PAUSE_MS);
      }
      throw error;
    }
  };

export interface TurnRequest extends Pick<OutboundRequest, 'endpoint' | 'priority' | 'signal'> {
  /** Longest wait, in milliseconds; default by priority, as for a request. */
  readonly waitMaxMs?: number;
}

/** @throws DriveError `rate_limited` when none can be had in time, `cancelled` when the signal aborts. */
export async function turn(
  limiter: Limiter,
  { endpoint, priority = 'interactive', signal, waitMaxMs = TURN_WAIT_MAX_MS[priority] }: TurnRequest,
  peer: Peer,
): Promise<() => void> {
  try {
    return await limiter.acquire(endpoint, { priority, waitMaxMs, signal });
  } catch (error) {
    if (!(error instanceof NoTurnError)) throw cancelledError(peer, error);
    // Spent: the wait is over, and waiting again is not for the retry layer.
    throw peerError(peer, 'rate_limited', `${peer.title} allows no more requests for now. Try again later.`, {
      cause: error,
      retryAfterMs: error.retryAfterMs,
    }).spent();
  }
}
