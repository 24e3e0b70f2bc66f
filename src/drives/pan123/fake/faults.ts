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
  /** An HTTP status, with a body or none. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** A code in the envelope. */
  | { readonly kind: 'code'; readonly code: number; readonly message?: string; readonly status?: number }
  /** A page where JSON was due. */
  | { readonly kind: 'html'; readonly status?: number }
  /** The connection ends: unheard, with the work done and no answer, or within the answer. */
  | { readonly kind: 'cut'; readonly phase: 'before' | 'after' | 'within' }
  /** The answer politely ends early. */
  | { readonly kind: 'truncate'; readonly bytes: number }
  /** Never answered. */
  | { readonly kind: 'hang' }
  /** A range is answered with the whole file. */
  | { readonly kind: 'range-ignored' };

export type Fault = FaultKind & {
  readonly match?: FaultMatch;
  /** How many requests it meets; 1 by default. */
  readonly times?: number;
  /** How many matching requests pass first. */
  readonly skip?: number;
};

/** The faults of one fake, in the order in which they were injected. */
export class Faults {
  readonly #armed: { readonly fault: Fault; hits: number; seen: number }[] = [];

  inject(fault: Fault): { readonly hits: number } {
    const armed = { fault, hits: 0, seen: 0 };
    this.#armed.push(armed);
    return armed;
  }

  clear(): void {
    this.#armed.length = 0;
  }

  /** The fault that meets this request; counts it. */
  strike(call: Call): Fault | null {
    for (const armed of this.#armed) {
      const { match = {}, times = 1, skip = 0 } = armed.fault;
      if (match.path !== undefined && match.path !== call.path) continue;
      if (match.role !== undefined && match.role !== call.role) continue;
      if (match.when && !match.when(call)) continue;
      armed.seen += 1;
      if (armed.seen <= skip || armed.hits >= times) continue;
      armed.hits += 1;
      return armed.fault;
    }
    return null;
  }
}
