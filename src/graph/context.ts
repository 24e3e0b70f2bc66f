import { UnauthenticatedError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Services } from '../services/services.ts';
import type { Viewer } from '../services/viewer.ts';
import type { Loaders } from './loaders.ts';

/** What every resolver gets. One for each operation; of a subscription, one for each event. */
export interface GraphContext {
  /** Null: nobody is signed in. */
  readonly viewer: Viewer | null;
  readonly services: Services;
  readonly loaders: Loaders;
  /** Ends when the client goes away or the server drains. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly requestId: string;
  /** The caller's address, for throttling guesses and for the list of sessions. */
  readonly clientAddress: string;
  readonly userAgent: string | null;
}

/** Who asks, in a field that only somebody signed in can reach. */
export function viewerOf({ viewer }: GraphContext): Viewer {
  if (viewer === null) throw new UnauthenticatedError('Sign in first.');
  return viewer;
}
