import type { FaultTimes, HttpFault } from '../../shared/faults.ts';
import type { Call, Role } from './wire.ts';

/** Which requests a fault meets. */
export interface FaultMatch {
  readonly endpoint?: string;
  readonly role?: Role;
  readonly when?: (call: Call) => boolean;
}

/** What goes wrong. */
export type FaultKind =
  | HttpFault
  /** The answer waits for this promise, or so many milliseconds. */
  | { readonly kind: 'slow'; readonly until: Promise<unknown> | number }
  /** The body drips. */
  | { readonly kind: 'throttle'; readonly bytesPerSecond: number }
  /** An error number in the envelope of the endpoint. */
  | { readonly kind: 'errno'; readonly errno: number; readonly message?: string; readonly status?: number }
  /** An OAuth error. */
  | { readonly kind: 'oauth'; readonly error: string; readonly description?: string; readonly status?: number };

export type Fault = FaultKind & FaultTimes & { readonly match?: FaultMatch };

/** Whether a fault meets a request. */
export const meets =
  (endpoint: string, call: Call): ((fault: Fault) => boolean) =>
  ({ match: { endpoint: at, role, when } = {} }) =>
    (at === undefined || at === endpoint) &&
    (role === undefined || role === call.role) &&
    (when === undefined || when(call));
