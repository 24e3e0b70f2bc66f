import type { Flights } from '../../lib/flights.ts';
import { cancelledError } from '../faults.ts';
import { type Answer, type OutboundLayer, type OutboundRequest, type Peer, requestUrl } from '../request.ts';

export interface CoalesceOptions {
  readonly peer: Peer;
  readonly baseUrl: string | null;
  /** Calls under way by what they ask, shared by the drivers of one account. */
  readonly flights: () => Flights<Answer>;
}

/** Equal GETs under way share one call: but none that began before something was changed with one that comes after. */
export const coalesceLayer =
  ({ peer, baseUrl, flights }: CoalesceOptions): OutboundLayer =>
  async (call, next) => {
    const { request } = call;
    const key = sharingKey(request, baseUrl);
    if (key !== null) {
      return flights().join(
        key,
        request.signal,
        (signal) => next({ ...call, request: { ...request, signal } }),
        (reason) => cancelledError(peer, reason),
      );
    }
    try {
      return await next(call);
    } finally {
      if (request.method !== 'GET' && request.method !== 'HEAD') flights().detach();
    }
  };

/** Equal for requests that get equal answers; null where an answer cannot be shared. A stream has one reader. */
function sharingKey(request: OutboundRequest, baseUrl: string | null): string | null {
  if (!request.shareable || request.method !== 'GET' || request.as === 'stream') return null;
  const { as, endpoint, auth, headers = {}, priority = 'interactive' } = request;
  const url = requestUrl(request, baseUrl)?.href;
  return url === undefined ? null : JSON.stringify([url, as, endpoint, auth, priority, Object.entries(headers).sort()]);
}
