import { PermissionDeniedError, UnauthenticatedError } from '../lib/errors.ts';
import type { Client } from '../services/identity/sessions.ts';
import type { Services } from '../services/services.ts';
import type { Viewer } from '../services/viewer.ts';
import { createLoaders, type Loaders } from './loaders.ts';

/** What every resolver gets. One for each operation; of a subscription, one for each event. */
export interface GraphContext {
  /** Null: nobody is signed in. */
  readonly viewer: Viewer | null;
  /** Whether a token was presented that does not count: then `viewer` is null, and it is worth saying why. */
  readonly tokenRejected?: boolean;
  readonly services: Services;
  readonly loaders: Loaders;
  /** Ends when the client goes away, or the operation takes too long; of a subscription, whenever that ends. */
  readonly signal: AbortSignal;
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

/** Who is at the other end. */
export const clientOf = ({ clientAddress, userAgent }: GraphContext): Client => ({ address: clientAddress, userAgent });

/**
 * The viewer, where it is that user in a session: an API key has no business with what signs its owner in.
 * @throws PermissionDeniedError
 */
export function ownSessionOf(context: GraphContext, userId: string): Viewer {
  const viewer = viewerOf(context);
  if (viewer.userId === userId && viewer.grant === 'session') return viewer;
  throw new PermissionDeniedError('Only the user can see this, in a session.');
}

/**
 * The rest of a mutation's answer is given to `viewer`: whoever has just signed in sees their own in the same operation.
 * What the operation does next stays under the rights that it began with.
 */
export function actAs(context: GraphContext, viewer: Viewer | null): void {
  const loaders = createLoaders(context.services, viewer, context.signal);
  Object.assign(context, { viewer, tokenRejected: false, loaders });
}
