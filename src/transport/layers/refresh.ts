import type { Clock } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import type { Secret } from '../../lib/secret.ts';
import { cancelledError } from '../faults.ts';
import type { OutboundLayer, OutboundRequest, Peer } from '../request.ts';

export interface AccessToken {
  readonly value: Secret;
  /** Null: not told. */
  readonly expiresAt: Date | null;
}

/** Where an account's token is kept. Both throw a DriveError, `unauthenticated` when a person must link the account again. */
export interface TokenStore {
  current(): Promise<AccessToken>;
  /**
   * Gets a new token and stores it before giving it. Under the account's lock between processes it reads the store
   * again first: when the token there is not `stale`, that one is given and nothing is refreshed.
   */
  refresh(stale: AccessToken): Promise<AccessToken>;
}

/** Puts the token where the provider wants it: a header, a query parameter. */
export type Authorize = (request: OutboundRequest, token: string) => OutboundRequest;

/** What the drivers of one account share, so that one refresh serves them all. */
export interface RefreshState {
  underway: Promise<AccessToken> | null;
  /** No early refresh before then, in milliseconds since 1970. */
  earlyAfterMs: number;
}

export const newRefreshState = (): RefreshState => ({ underway: null, earlyAfterMs: 0 });

export interface RefreshOptions {
  readonly peer: Peer;
  readonly tokens: TokenStore;
  readonly authorize: Authorize;
  readonly state: () => RefreshState;
  readonly clock: Clock;
  /** A token is refreshed when it has less than this left, in milliseconds. Default {@link REFRESH_LEAD_MS}. */
  readonly leadMs?: number;
}

/** Between the 60 s and 1 h that clients of the three clouds use; far below the shortest lifetime seen (2 h). */
export const REFRESH_LEAD_MS = 5 * 60_000;

/** After an early refresh failed: 115 refuses a second one within 60 s, and a dead refresh token must not be tried again and again. */
const EARLY_PAUSE_MS = 60_000;

/**
 * Sends requests with the account's token. One that is about to expire is replaced first; one that the provider refuses
 * is replaced once, by one refresh for all callers, and the request is sent once more. Never a loop: refresh tokens work once.
 */
export const refreshLayer =
  (options: RefreshOptions): OutboundLayer =>
  async (call, next) => {
    const { request } = call;
    if (!request.auth) return next(call);
    const waitFor = (token: Promise<AccessToken>) => orCancelled(token, request.signal, options.peer);
    const send = (token: AccessToken) => next({ ...call, request: options.authorize(request, token.value.reveal()) });

    const token = await waitFor(freshToken(options));
    try {
      return await send(token);
    } catch (error) {
      if (!(error instanceof DriveError && error.category === 'unauthenticated')) throw error;
      const renewed = await waitFor(renew(options, token));
      if (sameToken(renewed, token)) throw error;
      return send(renewed);
    }
  };

/** The present token, or a new one shortly before it expires. */
async function freshToken(options: RefreshOptions): Promise<AccessToken> {
  const { tokens, state, clock, leadMs = REFRESH_LEAD_MS } = options;
  const token = await spent(tokens.current());
  const nowMs = clock.now().getTime();
  const leftMs = token.expiresAt === null ? Number.POSITIVE_INFINITY : token.expiresAt.getTime() - nowMs;
  const expired = leftMs <= 0;
  if (leftMs > leadMs || (!expired && nowMs < state().earlyAfterMs)) return token;
  try {
    return await renew(options, token);
  } catch (error) {
    if (expired || !(error instanceof DriveError)) throw error;
    state().earlyAfterMs = nowMs + EARLY_PAUSE_MS;
    return token; // It still counts for a while.
  }
}

/** A token that is not `stale`, by one refresh for all who ask meanwhile. Goes on when a caller gives up: its result is stored. */
function renew({ tokens, state }: RefreshOptions, stale: AccessToken): Promise<AccessToken> {
  const account = state();
  account.underway ??= replace(tokens, stale).finally(() => {
    account.underway = null;
  });
  return account.underway;
}

async function replace(tokens: TokenStore, stale: AccessToken): Promise<AccessToken> {
  const current = await spent(tokens.current());
  return sameToken(current, stale) ? spent(tokens.refresh(stale)) : current;
}

const sameToken = (one: AccessToken, other: AccessToken): boolean => one.value.reveal() === other.value.reveal();

/** The store has its own retries; the layer around this one is not to repeat them. */
const spent = (token: Promise<AccessToken>): Promise<AccessToken> =>
  token.catch((error) => {
    throw error instanceof DriveError ? error.spent() : error;
  });

/** The promise's result, or `cancelled` as soon as the signal aborts. */
async function orCancelled<Value>(promise: Promise<Value>, signal: AbortSignal, peer: Peer): Promise<Value> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(cancelledError(peer, signal.reason));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
