import type { Clock } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import type { Secret } from '../../lib/secret.ts';
import { orCancelled } from '../faults.ts';
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
  /** When the last refresh succeeded, in milliseconds since 1970. */
  renewedAtMs: number;
  /** The last refresh that failed; `untilMs` is in milliseconds since 1970. */
  failure: { readonly stale: AccessToken; readonly error: DriveError; readonly untilMs: number } | null;
  /** The last token that the provider refused, or that another one replaced: it is not sent again. */
  gone: AccessToken | null;
}

export const newRefreshState = (): RefreshState => ({ underway: null, renewedAtMs: 0, failure: null, gone: null });

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

/**
 * A refresh that failed is not tried again for so long, or for as long as it asks; one that was refused, never with the
 * same token: 115 kills a refresh token for good that is tried again and again.
 */
const FAILURE_PAUSE_MS = 30_000;

/**
 * Sends requests with the account's token. One that is about to expire is replaced first; one that the provider refuses
 * is replaced once, by one refresh for all callers, and the request is sent once more. Never a loop: refresh tokens work
 * once. A token that was refused is not sent again, also not by those who wait for their turn with it, nor while it
 * cannot be replaced: providers count such requests against the account.
 */
export const refreshLayer =
  (options: RefreshOptions): OutboundLayer =>
  async (call, next) => {
    const { request } = call;
    if (!request.auth) return next(call);
    const waitFor = (token: Promise<AccessToken>) => orCancelled(token, request.signal, options.peer);
    const send = (token: AccessToken) => {
      const wasGone = isGone(options.state(), token);
      const atTurn = (): void => {
        if (!wasGone && isGone(options.state(), token)) throw new OvertakenError();
      };
      return next({ ...call, request: options.authorize(request, token.value.reveal()), atTurn });
    };

    let token = await waitFor(freshToken(options));
    for (let wasRefused = false; ; ) {
      try {
        return await send(token);
      } catch (error) {
        const isOvertaken = error instanceof OvertakenError;
        const isRefused = error instanceof DriveError && error.category === 'unauthenticated';
        if (!isOvertaken && (!isRefused || wasRefused)) throw error;
        wasRefused ||= isRefused;
        if (isRefused) options.state().gone = token;
        const renewed = await waitFor(renew(options, token));
        if (isRefused && sameToken(renewed, token)) throw error;
        token = renewed;
      }
    }
  };

/** The token went while the request waited for its turn: nothing was sent. */
class OvertakenError extends Error {}

const isGone = ({ gone }: RefreshState, token: AccessToken): boolean => gone !== null && sameToken(gone, token);

/** The present token, or a new one shortly before it expires. */
async function freshToken(options: RefreshOptions): Promise<AccessToken> {
  const { tokens, clock, leadMs = REFRESH_LEAD_MS } = options;
  const token = await spent(tokens.current());
  if (isGone(options.state(), token)) return renew(options, token);
  if (token.expiresAt === null) return token;
  const nowMs = clock.now().getTime();
  const leftMs = token.expiresAt.getTime() - nowMs;
  // A token that lives shorter than the lead would else be replaced for every request.
  const justRenewed = leftMs > 0 && nowMs - options.state().renewedAtMs < leadMs;
  if (leftMs > leadMs || justRenewed) return token;
  try {
    return await renew(options, token);
  } catch (error) {
    if (leftMs <= 0 || !(error instanceof DriveError)) throw error;
    return token; // It still counts for a while.
  }
}

/** A token that is not `stale`, by one refresh for all who ask meanwhile. Goes on when a caller gives up: its result is stored. */
function renew(options: RefreshOptions, stale: AccessToken): Promise<AccessToken> {
  const state = options.state();
  state.underway ??= replace(options, state, stale).finally(() => {
    state.underway = null;
  });
  return state.underway;
}

async function replace(
  { tokens, clock }: RefreshOptions,
  state: RefreshState,
  stale: AccessToken,
): Promise<AccessToken> {
  const current = await spent(tokens.current());
  if (!sameToken(current, stale)) return current;
  const { failure } = state;
  if (failure && sameToken(failure.stale, stale) && clock.now().getTime() < failure.untilMs) throw failure.error;
  try {
    const renewed = await spent(tokens.refresh(stale));
    state.renewedAtMs = clock.now().getTime();
    state.gone = stale;
    return renewed;
  } catch (error) {
    if (error instanceof DriveError) state.failure = { stale, error, untilMs: clock.now().getTime() + pauseMs(error) };
    throw error;
  }
}

const pauseMs = ({ category, retryAfterMs }: DriveError): number =>
  category === 'unauthenticated' ? Number.POSITIVE_INFINITY : Math.max(retryAfterMs ?? 0, FAILURE_PAUSE_MS);

const sameToken = (one: AccessToken, other: AccessToken): boolean => one.value.reveal() === other.value.reveal();

/** The store has its own retries; the layer around this one is not to repeat them. */
const spent = (token: Promise<AccessToken>): Promise<AccessToken> =>
  token.catch((error) => {
    throw error instanceof DriveError ? error.spent() : error;
  });
