/** How often a fault strikes a fake. */
export interface FaultTimes {
  /** How many requests it meets; 1 by default. */
  readonly times?: number;
  /** How many matching requests pass first. */
  readonly skip?: number;
}

export interface InjectedFault {
  /** How often it struck. */
  readonly hits: number;
  remove(): void;
}

/** What goes wrong with any service that speaks HTTP. */
export type HttpFault =
  /** An HTTP status, with a body or none. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** A page where JSON was due. */
  | { readonly kind: 'html'; readonly status?: number }
  /** The connection ends: unheard, with the work done and no answer, or within the answer (`afterBytes`; half by default). */
  | { readonly kind: 'cut'; readonly phase: 'before' | 'after' | 'within'; readonly afterBytes?: number }
  /** The answer politely ends early; by half where it is not said. */
  | { readonly kind: 'truncate'; readonly bytes?: number }
  /** Never answered. */
  | { readonly kind: 'hang' }
  /** A range is answered with the whole file. */
  | { readonly kind: 'range-ignored' };

/** How many bytes of an answer of `size` leave. */
export function bytesSent(fault: { readonly kind: string } | null, size: number): number {
  const early = fault as HttpFault | null; // A fake's own kinds end nothing early.
  if (early?.kind === 'cut') return Math.min(early.afterBytes ?? Math.floor(size / 2), size);
  if (early?.kind === 'truncate') return Math.min(early.bytes ?? Math.floor(size / 2), size);
  return size;
}

/** The faults of one fake, in the order in which they were injected. */
export class Faults<Fault extends FaultTimes> {
  readonly #armed: { readonly fault: Fault; hits: number; seen: number }[] = [];

  inject(fault: Fault): InjectedFault {
    const armed = { fault, hits: 0, seen: 0 };
    this.#armed.push(armed);
    return {
      get hits() {
        return armed.hits;
      },
      remove: () => {
        const index = this.#armed.indexOf(armed);
        if (index !== -1) this.#armed.splice(index, 1);
      },
    };
  }

  clear(): void {
    this.#armed.length = 0;
  }

  /** The first fault that meets a request; counts it. */
  strike(meets: (fault: Fault) => boolean): Fault | null {
    for (const armed of this.#armed) {
      const { times = 1, skip = 0 } = armed.fault;
      if (!meets(armed.fault)) continue;
      armed.seen += 1;
      if (armed.seen <= skip || armed.hits >= times) continue;
      armed.hits += 1;
      return armed.fault;
    }
    return null;
  }
}
