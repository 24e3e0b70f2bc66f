import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Config } from '../config.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { systemTimer, type Timer } from '../lib/timer.ts';
import type { Services } from '../services/services.ts';
import { admitBody } from './body.ts';
import { trackConnections } from './connections.ts';
import { createCors } from './cors.ts';
import { drainServer } from './drain.ts';
import { createFactsReader } from './facts.ts';
import { createGraphiql } from './graphiql/graphiql.ts';
import { createGraphql, GRAPHQL_PATH, type GraphqlOptions, type Yoga } from './graphql.ts';
import { healthRoutes } from './health.ts';
import { createHttpServer, type HttpServerOptions, type Route } from './http.ts';
import { LiveStreams, type LiveStreamsOptions, type Revocation } from './live.ts';
import type { Metrics } from './metrics.ts';
import { serveWebSockets, type WebSocketOptions } from './websocket.ts';

/** Limits that a test sets tighter, to meet them. */
export type ServerTuning = Partial<
  Pick<GraphqlOptions, 'operationMsMax'> &
    Pick<HttpServerOptions, 'bodyMsMax'> &
    Pick<LiveStreamsOptions, 'perAddressMax' | 'recheckMs'> &
    Pick<WebSocketOptions, 'initMsMax' | 'pingMs' | 'subscriptionsMax' | 'bufferedBytesMax'> & {
      /** When open streams are looked at. Default: the system's. */
      readonly timer: Timer;
    }
>;

export interface ServeOptions extends ServerTuning {
  readonly config: Pick<Config, 'corsOrigins' | 'graphiql' | 'introspection' | 'trustProxy'>;
  readonly services: Services;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Where clients reach the server. */
  readonly origin: () => string;
  /** Calls the listener when sessions or keys end, on this server or another. */
  readonly onRevoked: (listener: (revocation: Revocation) => void) => void;
  /** The routes of bytes, beside the API. */
  readonly routes: readonly Route[];
}

export interface Serving {
  /** Not listening yet. */
  readonly server: Server;
  readonly yoga: Yoga;
  /** Takes nothing new and lets what runs end; the times are in milliseconds. */
  drain(times: { readonly noticeMs: number; readonly finishMs: number }): Promise<void>;
  /** Cuts everything. */
  close(): Promise<void>;
}

/** Everything that answers clients: the API on its three transports, GraphiQL, health, and the routes of bytes. */
export function createServing(options: ServeOptions): Serving {
  const { config, services, clock, log, metrics, timer = systemTimer } = options;
  const clientOf = createFactsReader({ identity: services.identity, trustProxy: config.trustProxy });
  const live = new LiveStreams({ ...options, clock, timer });
  options.onRevoked((revocation) => live.revoke(revocation));
  metrics.gauge('panql_live_streams', 'Open WebSockets and event streams.', () => live.size);
  const cors = createCors(config.corsOrigins);
  const { yoga, mask } = createGraphql({ ...options, introspection: config.introspection, live, clientOf });
  const graphiql = config.graphiql ? createGraphiql(GRAPHQL_PATH) : null;

  let draining = false;
  const server = createHttpServer({
    ...options,
    cors,
    routes: [
      ...options.routes,
      ...healthRoutes({ ready: () => services.health.ready(), draining: () => draining, metrics, clientOf }),
      ...(graphiql ? [graphiql.assets] : []),
      indexRoute(graphiql !== null),
      graphqlRoute(yoga, graphiql),
    ],
  });
  const connections = trackConnections(server);
  const sockets = serveWebSockets(server, {
    ...options,
    yoga,
    mask,
    live,
    cors,
    clientOf,
    timer,
    authenticate: (token) => services.identity.authenticate(token),
  });

  return {
    server,
    yoga,
    drain: async (times) => {
      draining = true;
      await drainServer({ server, connections, sockets, live, log, ...times });
    },
    close: async () => {
      draining = true;
      live.drain();
      sockets.terminate();
      server.closeAllConnections();
      server.close();
      await yoga.dispose();
    },
  };
}

function graphqlRoute(yoga: Yoga, graphiql: ReturnType<typeof createGraphiql> | null): Route {
  return {
    path: GRAPHQL_PATH,
    cors: { methods: ['GET', 'POST'], requestHeaders: ['authorization', 'content-type', 'accept', 'cache-control'] },
    handle: async (request, response) => {
      if (comesToLook(request)) {
        if (graphiql) return graphiql.page(request, response);
        if (!request.url?.includes('?')) {
          response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' });
          response.end('GraphiQL is switched off on this server.\n');
          return;
        }
      }
      const admitted = await admitBody(request, response);
      if (admitted === null) return;
      await yoga.handle(admitted, response, { req: request, ending: endingWith(response) });
    },
  };
}

/** A browser, also by a link that carries an operation: GraphiQL shows it before it runs. */
const comesToLook = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' && (headers.accept ?? '').includes('text/html');

/** Aborts when the client goes away before its answer. */
function endingWith(response: ServerResponse): AbortController {
  const ending = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) ending.abort();
  });
  return ending;
}

/** For a browser the way to GraphiQL, for others what there is. */
const indexRoute = (graphiql: boolean): Route => ({
  path: '/',
  handle: ({ headers }, response) => {
    if (graphiql && headers.accept?.includes('text/html')) {
      response.writeHead(302, { Location: GRAPHQL_PATH }).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
    response.end(
      `PanQL: one GraphQL API for every cloud drive.\n\n  ${GRAPHQL_PATH}       the API: HTTP, server-sent events and WebSocket\n  /health/ready  whether it can work just now\n`,
    );
  },
});
