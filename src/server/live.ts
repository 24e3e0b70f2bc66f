import { ShuttingDownError } from '../graph/errors.ts';
import type { Clock } from '../lib/clock.ts';
import { RateLimitedError, UnauthenticatedError } from '../lib/errors.ts';
import type { Timer } from '../lib/timer.ts';
import type { Viewer } from '../services/viewer.ts';

/** What is announced when sessions or keys end. */
export interface Revocation {
  readonly userId: string;
  readonly grantIds: readonly string[] | 'all';
}

/** Looks at the presented token again; null when it no longer counts. */
export type Reauthenticate = () => Promise<Viewer | null>;

export interface LiveStreamsOptions {
  readonly clock: Clock;
  readonly timer: Timer;
  /** How often a stream's token is looked at again, in milliseconds. Default {@link RECHECK_MS}. */
  readonly recheckMs?: number;
  /** Default {@link STREAMS_PER_ADDRESS_MAX}. */
  readonly perAddressMax?: number;
}

/** A revocation is announced at once; this finds one whose announcement was lost, and the user who was disabled in the database. */
export const RECHECK_MS = 60_000;
/** Open sockets and event streams of one address. A whole office may stand behind one. */
export const STREAMS_PER_ADDRESS_MAX = 256;
/** How long after its token's end a stream is ended: a client that renews in time has its new one up by then. */
export const EXPIRY_SKEW_MS = 1_000;

/** One WebSocket, or one subscription over server-sent events. */
export interface LiveStream {
  /** Aborts with the reason why the server ends the stream: UnauthenticatedError or ShuttingDownError. */
  readonly signal: AbortSignal;
  /** From now on the stream lives no longer than what the viewer presented. */
  bind(viewer: Viewer | null, reauthenticate: Reauthenticate): void;
  /** The stream is over. */
  release(): void;
}

/** All that is open towards clients, and what ends it before they do: expiry, revocation, and the server's own end. */
export class LiveStreams {
  readonly #options: LiveStreamsOptions;
  readonly #perAddressMax: number;
  readonly #streams = new Set<Stream>();
  readonly #byAddress = new Map<string, number>();
  #draining = false;

  constructor(options: LiveStreamsOptions) {
    this.#options = options;
    this.#perAddressMax = options.perAddressMax ?? STREAMS_PER_ADDRESS_MAX;
  }

  get size(): number {
    return this.#streams.size;
  }

  /**
   * @throws RateLimitedError when the address has too many open.
   * @throws ShuttingDownError while the server drains.
   */
  open(clientAddress: string): LiveStream {
    if (this.#draining) throw new ShuttingDownError();
    const count = this.#byAddress.get(clientAddress) ?? 0;
    if (count >= this.#perAddressMax) {
      throw new RateLimitedError('Too many connections are open from this address. Close some first.');
    }
    this.#byAddress.set(clientAddress, count + 1);
    const stream = new Stream(this.#options, () => this.#forget(stream, clientAddress));
    this.#streams.add(stream);
    return stream;
  }

  /** Ends the streams of these grants. */
  revoke({ userId, grantIds }: Revocation): void {
    for (const stream of this.#streams) {
      const { viewer } = stream;
      if (viewer?.userId !== userId) continue;
      if (grantIds === 'all' || grantIds.includes(viewer.grantId)) stream.end(new UnauthenticatedError(SESSION_ENDED));
    }
  }

  /** Ends every stream, and lets none begin. */
  drain(): void {
    this.#draining = true;
    for (const stream of this.#streams) stream.end(new ShuttingDownError());
  }

  #forget(stream: Stream, clientAddress: string): void {
    if (!this.#streams.delete(stream)) return;
    const left = (this.#byAddress.get(clientAddress) ?? 1) - 1;
    if (left > 0) this.#byAddress.set(clientAddress, left);
    else this.#byAddress.delete(clientAddress);
  }
}

const SESSION_EXPIRED = 'Session expired';
const SESSION_ENDED = 'Session ended';

class Stream implements LiveStream {
  viewer: Viewer | null = null;
  readonly #controller = new AbortController();
  readonly #options: LiveStreamsOptions;
  readonly #onRelease: () => void;
  #reauthenticate: Reauthenticate = async () => null;
  #cancelCheck: () => void = () => {};

  constructor(options: LiveStreamsOptions, onRelease: () => void) {
    this.#options = options;
    this.#onRelease = onRelease;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  bind(viewer: Viewer | null, reauthenticate: Reauthenticate): void {
    this.viewer = viewer;
    if (viewer === null) return; // Nobody's session: nothing to expire.
    this.#reauthenticate = reauthenticate;
    // At once: the grant may have ended between its check and this moment, when nobody listened for it.
    void this.#check();
  }

  end(reason: Error): void {
    this.#cancelCheck();
    this.#controller.abort(reason);
  }

  release(): void {
    this.viewer = null;
    this.#cancelCheck();
    this.#onRelease();
  }

  async #check(): Promise<void> {
    try {
      const viewer = await this.#reauthenticate();
      if (this.viewer === null || this.signal.aborted) return;
      if (viewer === null) {
        this.end(new UnauthenticatedError(this.#msLeft() <= 0 ? SESSION_EXPIRED : SESSION_ENDED));
        return;
      }
    } catch {
      // The database does not answer: whether the session still counts is asked again at the next turn.
      if (this.viewer === null) return;
    }
    if (this.#msLeft() + EXPIRY_SKEW_MS <= 0) this.end(new UnauthenticatedError(SESSION_EXPIRED));
    else this.#schedule();
  }

  #schedule(): void {
    const { timer, recheckMs = RECHECK_MS } = this.#options;
    this.#cancelCheck = timer.after(Math.min(recheckMs, this.#msLeft() + EXPIRY_SKEW_MS), () => void this.#check());
  }

  #msLeft(): number {
    const expiresAt = this.viewer?.expiresAt;
    return expiresAt ? expiresAt.getTime() - this.#options.clock.now().getTime() : Number.POSITIVE_INFINITY;
  }
}
