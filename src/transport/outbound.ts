import { randomInt } from 'node:crypto';
import { Agent } from 'undici';
import { type Clock, systemClock } from '../lib/clock.ts';
import { DriveError } from '../lib/drive-error.ts';
import { Flights } from '../lib/flights.ts';
import { compose } from '../lib/layers.ts';
import type { Logger } from '../lib/log.ts';
import { systemTimer, type Timer } from '../lib/timer.ts';
import type { Classify } from './classify.ts';
import { cancelledError, orCancelled } from './faults.ts';
import type { AddressGuard } from './guard.ts';
import { httpExchange } from './http.ts';
import { coalesceLayer } from './layers/coalesce.ts';
import { logLayer, type RequestMetricsSink } from './layers/log.ts';
import { rateLayer, type TurnRequest, turn } from './layers/rate.ts';
import { type Authorize, newRefreshState, type RefreshState, refreshLayer, type TokenStore } from './layers/refresh.ts';
import { retryLayer } from './layers/retry.ts';
import { timeoutLayer } from './layers/timeout.ts';
import { type Limiter, MemoryLimiter, type RateTable } from './limiter.ts';
import type { Answer, AnswerKind, OutboundLayer, OutboundRequest, Peer } from './request.ts';

export interface OutboundOptions {
  readonly log: Logger;
  readonly guard: AddressGuard;
  readonly metrics?: RequestMetricsSink;
  readonly clock?: Clock;
  readonly timer?: Timer;
  /** By what retries and turns wait; default `timer`. A test hurries these without hurrying time limits. */
  readonly waits?: Timer;
  /** For jitter: from 0 to below 1. */
  readonly random?: () => number;
  /** Default: a {@link MemoryLimiter}, which counts for this process only. */
  readonly createLimiter?: (accountId: string, rates: RateTable) => Limiter;
}

export interface TransportOptions extends Peer {
  /**
   * Whose rates, refreshes and shared calls these are: drivers of one account share them, however often they are opened.
   * Before there is an account, a name of the operator's application (`app:BAIDU`).
   */
  readonly accountId: string;
  readonly classify: Classify;
  /** What paths from `/` on are below. */
  readonly baseUrl?: string;
  /** On every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Needed for requests with `auth`. */
  readonly credentials?: { readonly tokens: TokenStore; readonly authorize: Authorize; readonly leadMs?: number };
  /** What counts until {@link Transport.setRates} says otherwise. */
  readonly rates?: RateTable;
  /**
   * Asks the provider which rates count for the account, by the transport it is given: before its first other request,
   * and once a day. What fails leaves the rates as they are, and is tried again later.
   */
  readonly findRates?: (transport: Transport) => Promise<RateTable>;
  /** What a `rate_limited` answer pauses for everybody. Default: its endpoint. */
  readonly pauses?: (refusal: DriveError) => 'endpoint' | 'account';
  /** JSON keys whose numbers stay text, because they are ids. */
  readonly textKeys?: readonly string[];
  /** Origins set by the operator, which may be private: `http://127.0.0.1:8080`. */
  readonly trustedOrigins?: readonly string[];
}

/** How a driver speaks with its provider. */
export interface Transport {
  /** @throws DriveError, and nothing else. */
  send<Kind extends AnswerKind>(request: OutboundRequest<Kind>): Promise<Answer<Kind>>;
  /**
   * A turn of an endpoint class, for what goes on at the provider after its answer. Ended by the function that it gives.
   * @throws DriveError `rate_limited` when none can be had in time, `cancelled` when the signal aborts.
   */
  turn(request: TurnRequest): Promise<() => void>;
  /** Other rates for the account from now on, for all its drivers: its membership turned out to be another. */
  setRates(rates: RateTable): void;
}

/** All outbound HTTP of the process: connections by provider, and what the drivers of one account share. */
export interface Outbound {
  /** Cheap, without any effect: a driver makes one, or one for each kind of server that it speaks with. */
  transport(options: TransportOptions): Transport;
  /** Ends every connection, also those in use. */
  close(): Promise<void>;
}

/** Connections to one origin. Two dozen transfers of three slices each fit; a provider sees no flood. */
const CONNECTIONS_MAX = 64;
/** Accounts whose state is kept although nothing happens; beyond, the idle ones are forgotten. */
const ACCOUNTS_KEPT = 1000;
/** Rates are asked for again after so long, in milliseconds: a membership began or ended; or the question failed. */
const RATES_KEPT_MS = 24 * 3_600_000;
const RATES_FAILED_MS = 60_000;

interface AccountState {
  readonly limiter: Limiter;
  readonly refresh: RefreshState;
  readonly flights: Flights<Answer>;
  readonly rates: { askAtMs: number; underway: Promise<void> | null };
}

export function createOutbound({
  log,
  guard,
  metrics,
  clock = systemClock,
  timer = systemTimer,
  waits = timer,
  random = () => randomInt(2 ** 32) / 2 ** 32,
  createLimiter = (_accountId, rates) => new MemoryLimiter(rates, waits),
}: OutboundOptions): Outbound {
  const agents = new Map<string, Agent>();
  const accounts = new Map<string, AccountState>();

  const agentOf = (provider: string, trustedOrigins: readonly string[]): Agent => {
    const key = [provider, ...trustedOrigins].join(' ');
    const known = agents.get(key);
    if (known) return known;
    const agent = new Agent({ connections: CONNECTIONS_MAX, connect: guard.connector(trustedOrigins) });
    agents.set(key, agent);
    return agent;
  };

  // Looked up for each request, never held: an account that was forgotten while idle must not have two limiters.
  const accountOf = (accountId: string, rates: RateTable): AccountState => {
    const known = accounts.get(accountId);
    if (known) return known;
    if (accounts.size >= ACCOUNTS_KEPT) forgetIdle(accounts);
    const state = {
      limiter: createLimiter(accountId, rates),
      refresh: newRefreshState(),
      flights: new Flights<Answer>(),
      rates: { askAtMs: 0, underway: null },
    };
    accounts.set(accountId, state);
    return state;
  };

  const transport = (options: TransportOptions): Transport => {
    const { provider, title, accountId, classify, credentials, rates = {}, pauses, baseUrl = null } = options;
    const peer = { provider, title };
    const account = (): AccountState => accountOf(accountId, rates);
    const limiter = (): Limiter => account().limiter;

    const layers: readonly OutboundLayer[] = [
      // Outermost: what is shared is the whole call, its retries and waits included.
      coalesceLayer({ peer, baseUrl, flights: () => account().flights }),
      // Around the rest, so that each attempt has a token, a turn and a time of its own.
      retryLayer({ peer, timer: waits, random }),
      // Inside the retries: a refused token is not a failed attempt. Outside the rate: both sendings pay for their turn.
      ...(credentials ? [refreshLayer({ peer, ...credentials, clock, state: () => account().refresh })] : []),
      // Outside the timeout: waiting for a turn is not the provider's slowness.
      rateLayer({ peer, limiter, ...(pauses ? { pauses } : {}) }),
      timeoutLayer({ peer, timer }),
      // Next to the wire: one line for each request that is really sent, with the time that it took.
      logLayer({ peer, accountId, baseUrl, log, timer, ...(metrics ? { metrics } : {}) }),
    ];
    const exchange = httpExchange({
      peer,
      classify,
      baseUrl,
      dispatcher: agentOf(provider, options.trustedOrigins ?? []),
      headers: lowerCased(options.headers ?? {}),
      textKeys: new Set(options.textKeys),
      now: () => clock.now(),
    });
    const funnel = compose(layers, exchange);
    const bare: Transport = {
      send: async <Kind extends AnswerKind>(request: OutboundRequest<Kind>) => {
        if (request.auth && !credentials)
          throw new TypeError(`${request.endpoint} needs a token, but the transport has no credentials`);
        return (await funnel({ request, attempt: 1 })) as Answer<Kind>;
      },
      turn: (request) => turn(limiter(), request, peer),
      setRates: (table) => limiter().setRates(table),
    };
    const { findRates } = options;
    if (!findRates) return bare;
    return {
      ...bare,
      send: async (request) => {
        if (request.signal.aborted) throw cancelledError(peer, request.signal.reason);
        await orCancelled(
          ratesFound(account().rates, () => findRates(bare), bare),
          request.signal,
          peer,
        );
        return bare.send(request);
      },
    };
  };

  /** One question for all who come meanwhile; it goes on when a caller gives up. */
  const ratesFound = (
    state: AccountState['rates'],
    find: () => Promise<RateTable>,
    transport: Transport,
  ): Promise<void> => {
    if (clock.now().getTime() < state.askAtMs) return Promise.resolve();
    const ask = async (): Promise<void> => {
      try {
        transport.setRates(await find());
        state.askAtMs = clock.now().getTime() + RATES_KEPT_MS;
      } catch (error) {
        if (!(error instanceof DriveError)) throw error;
        state.askAtMs = clock.now().getTime() + RATES_FAILED_MS; // The request itself will tell what is wrong.
      }
    };
    state.underway ??= ask().finally(() => {
      state.underway = null;
    });
    return state.underway;
  };

  return {
    transport,
    close: async () => {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

function forgetIdle(accounts: Map<string, AccountState>): void {
  for (const [accountId, { limiter, refresh, flights }] of accounts) {
    if (limiter.idle && refresh.underway === null && flights.size === 0) accounts.delete(accountId);
  }
}

const lowerCased = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
