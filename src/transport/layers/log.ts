import { DriveError } from '../../lib/drive-error.ts';
import type { Logger } from '../../lib/log.ts';
import type { Timer } from '../../lib/timer.ts';
import { redactUrl } from '../redact.ts';
import { type OutboundLayer, type Peer, requestUrl } from '../request.ts';

export interface RequestMeasurement {
  readonly provider: string;
  readonly endpoint: string;
  /** `ok`, the category of the DriveError, or `bug`. */
  readonly outcome: string;
  readonly attempt: number;
  /** Until the answer was here; of a stream, until it began. */
  readonly durationMs: number;
}

export type RequestMetricsSink = (measurement: RequestMeasurement) => void;

export interface LogOptions {
  readonly peer: Peer;
  readonly accountId: string;
  readonly baseUrl: string | null;
  readonly log: Logger;
  readonly metrics?: RequestMetricsSink;
  readonly timer: Timer;
}

/** A debug line and a measurement for each attempt. Neither holds a header, a body or a secret of the address. */
export const logLayer =
  ({ peer: { provider }, accountId, baseUrl, log, metrics, timer }: LogOptions): OutboundLayer =>
  async (call, next) => {
    const { request, attempt } = call;
    const { endpoint, method } = request;
    const startedMs = timer.nowMs();
    const tell = (outcome: string, facts: object): void => {
      const durationMs = Math.round(timer.nowMs() - startedMs);
      metrics?.({ provider, endpoint, outcome, attempt, durationMs });
      if (!log.isLevelEnabled('debug')) return;
      const url = requestUrl(request, baseUrl);
      const address = url && (request.hidden ? url.origin : redactUrl(url));
      log.debug(
        { provider, accountId, endpoint, method, url: address, attempt, durationMs, outcome, ...facts },
        'outbound request',
      );
    };
    try {
      const answer = await next(call);
      tell('ok', { status: answer.status });
      return answer;
    } catch (error) {
      if (error instanceof DriveError)
        tell(error.category, { providerCode: error.providerCode, retryAfterMs: error.retryAfterMs });
      else tell('bug', {});
      throw error;
    }
  };
