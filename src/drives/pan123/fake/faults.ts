import type { FaultTimes, HttpFault } from '../../shared/faults.ts';
import type { Call, Role } from './wire.ts';

/** Which requests a fault meets. */
export interface FaultMatch {
  /** As in `/api/v2/file/list`. */
  readonly path?: string;
  readonly role?: Role;
  readonly when?: (call: Call) => boolean;
}

/** What goes wrong. */
export type FaultKind =
  | HttpFault
  /** A code in the envelope. */
  | { readonly kind: 'code'; readonly code: number; readonly message?: string; readonly status?: number };

export type Fault = FaultKind & FaultTimes & { readonly match?: FaultMatch };

/** Whether a fault meets a request. */
export const meets =
  (call: Call): ((fault: Fault) => boolean) =>
  ({ match: { path, role, when } = {} }) =>
    (path === undefined || path === call.path) &&
    (role === undefined || role === call.role) &&
    (when === undefined || when(call));
