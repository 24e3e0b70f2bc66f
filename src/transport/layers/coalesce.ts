import { cancelledError } from '../faults.ts';
import {
  type Answer,
  type OutboundCall,
  type OutboundLayer,
  type OutboundRequest,
  type Peer,
  requestUrl,
} from '../request.ts';

/** A call under way, and how many wait for it. */
interface Flight {
  readonly answer: Promise<Answer>;
  readonly abandon: AbortController;
  waiting: number;
}

/** Calls under way by what they ask, shared by the drivers of one account. */
export type Flights = Map<string, Flight>;

export interface CoalesceOptions {
  readonly peer: Peer;
  readonly baseUrl: string | null;
  readonly flights: () => Flights;
}

/** Equal GETs under way share one call. Whoever gives up leaves alone; when nobody waits any more, the call ends. */
export const coalesceLayer =
  ({ peer, baseUrl, flights }: CoalesceOptions): OutboundLayer =>
  async (call, next) => {
    const key = sharingKey(call.request, baseUrl);
    if (key === null) return next(call);
    const { signal } = call.request;
    if (signal.aborted) throw cancelledError(peer, signal.reason);

    const underway = flights();
    const flight = underway.get(key) ?? launch(underway, key, call, next);
    flight.waiting += 1;
    const gone = Promise.withResolvers<never>();
    const leave = (): void => gone.reject(cancelledError(peer, signal.reason));
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([flight.answer, gone.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
      flight.waiting -= 1;
      if (flight.waiting === 0) {
        // Gone before the abort, so that nobody joins a call that is about to fail.
        if (underway.get(key) === flight) underway.delete(key);
        flight.abandon.abort(signal.reason);
      }
    }
  };

function launch(
  underway: Flights,
  key: string,
  call: OutboundCall,
  next: (call: OutboundCall) => Promise<Answer>,
): Flight {
  const abandon = new AbortController();
  const answer = next({ ...call, request: { ...call.request, signal: abandon.signal } });
  const flight: Flight = { answer, abandon, waiting: 0 };
  underway.set(key, flight);
  const land = (): void => {
    if (underway.get(key) === flight) underway.delete(key);
  };
  answer.then(land, land);
  return flight;
}

/** Equal for requests that get equal answers; null where an answer cannot be shared. A stream has one reader. */
function sharingKey(request: OutboundRequest, baseUrl: string | null): string | null {
  if (!request.shareable || request.method !== 'GET' || request.as === 'stream') return null;
  const { as, endpoint, auth, headers = {}, priority = 'interactive' } = request;
  const url = requestUrl(request, baseUrl)?.href;
  return url === undefined ? null : JSON.stringify([url, as, endpoint, auth, priority, Object.entries(headers).sort()]);
}
