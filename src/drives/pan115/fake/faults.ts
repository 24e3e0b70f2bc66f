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
  /** The answer waits for this promise. */
  | { readonly kind: 'slow'; readonly until: Promise<unknown> }
  /** A number in the envelope of the host; 0 with no message is how too many requests look. */
  | { readonly kind: 'code'; readonly code: number; readonly message?: string }
  /** An error of the storage. */
  | { readonly kind: 'oss'; readonly status: number; readonly code: string };

export type Fault = FaultKind & FaultTimes & { readonly match?: FaultMatch };

/** Whether a fault meets a request. */
export const meets =
  (endpoint: string, call: Call): ((fault: Fault) => boolean) =>
  ({ match: { endpoint: at, role, when } = {} }) =>
    (at === undefined || at === endpoint) &&
    (role === undefined || role === call.role) &&
    (when === undefined || when(call));
