import type { DriveError } from '../../lib/drive-error.ts';
import type { Timer } from '../../lib/timer.ts';
import { peerError } from '../faults.ts';
import { type OutboundLayer, type Peer, TIMEOUT_MS } from '../request.ts';

/**
 * Ends an attempt that takes too long, as `timeout`. Of a stream only the time until it begins counts; then the caller's
 * own signal and the silence limit end it.
 */
export const timeoutLayer =
  ({ peer, timer }: { readonly peer: Peer; readonly timer: Timer }): OutboundLayer =>
  async (call, next) => {
    const { signal, timeoutMs = TIMEOUT_MS } = call.request;
    const expiry = new AbortController();
    const cancel = timer.after(timeoutMs, () => expiry.abort(timedOut(peer, timeoutMs)));
    try {
      return await next({ ...call, request: { ...call.request, signal: AbortSignal.any([signal, expiry.signal]) } });
    } finally {
      cancel();
    }
  };

const timedOut = (peer: Peer, timeoutMs: number): DriveError =>
  peerError(peer, 'timeout', `${peer.title} did not answer within ${Math.ceil(timeoutMs / 1000)} s. Try again later.`);
