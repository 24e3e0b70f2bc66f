import type { Topic, Topics } from './topics.ts';

export interface SubscribeOptions<Name extends Topic> {
  /** Only events that pass; runs before the event takes a place in the buffer. */
  readonly filter?: (event: Topics[Name]) => boolean;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
  /**
   * Events of one key replace each other while unread, the newest staying: progress of one transfer, say.
   * Null: never replaced.
   */
  readonly coalesceBy?: (event: Topics[Name]) => string | null;
  /** Unread events kept; the oldest is dropped beyond. Default {@link BUFFER_EVENTS_MAX}. */
  readonly bufferMax?: number;
}

/** Unread events that one subscription keeps. A client that reads slower loses the oldest, never the process. */
export const BUFFER_EVENTS_MAX = 256;

/**
 * Announcements between the parts of one process, and between processes where a shared transport is set. Delivery is at
 * most once: whoever must miss nothing reads the database after subscribing.
 */
export interface EventBus {
  /** Resolves when the event is handed to the transport; never rejects: an announcement that fails is logged. */
  publish<Name extends Topic>(topic: Name, event: Topics[Name]): Promise<void>;
  /** Listens from this call on (not from the first `next()`); each subscription has its own bounded buffer. */
  subscribe<Name extends Topic>(topic: Name, options?: SubscribeOptions<Name>): AsyncIterableIterator<Topics[Name]>;
  /** Calls `listener` for each event; for the program's own reactions. Gives the function that stops it. */
  on<Name extends Topic>(topic: Name, listener: (event: Topics[Name]) => void): () => void;
  /** Ends every subscription and closes the transport. */
  close(): Promise<void>;
}
