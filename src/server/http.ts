import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '../lib/log.ts';
import { outageOf } from '../lib/outage.ts';
import { sendError } from './body.ts';
import type { Cors, CorsRules } from './cors.ts';
import type { Metrics } from './metrics.ts';

/** Answers the requests of one path, or of all paths below it. */
export interface Route {
  /** `/graphql`, or with a slash at the end, `/uploads/`, everything below. */
  readonly path: string;
  /** What pages of other origins may do here; none where it is left out. */
  readonly cors?: CorsRules;
  /** Bodies here may take long, as files do: they end only when nothing more comes. */
  readonly longBodies?: boolean;
  handle(request: IncomingMessage, response: ServerResponse): unknown;
}

export interface HttpServerOptions {
  readonly routes: readonly Route[];
  readonly cors: Cors;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Until when a body must be there, in milliseconds. Default {@link BODY_MS_MAX}. */
  readonly bodyMsMax?: number;
}

/** A request's head, and the body of an operation, must be there by then. Slow enough for a phone in a train. */
const HEAD_MS_MAX = 30_000;
export const BODY_MS_MAX = 30_000;
/** A long body may pause so long: a phone that changes its network goes on within a minute. */
const LONG_BODY_IDLE_MS = 90_000;
/** Longer than the proxies in front keep a connection (60 s is usual): the one that closes first loses no request. */
const KEEP_ALIVE_MS = 65_000;

/** What a URL can be made of; anything else in a Host header is somebody's experiment. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

/** The one listener: finds the route by path, longest first. */
export function createHttpServer(options: HttpServerOptions): Server {
  const byLength = options.routes.toSorted((left, right) => right.path.length - left.path.length);
  const server = createServer({
    headersTimeout: HEAD_MS_MAX,
    requestTimeout: 0, // It would end a long upload; bodies are limited below, route by route.
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Anything else, as the offer of HTTP/2 that curl makes, may be passed over.
    shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
  });
  server.on('request', (request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const route = byLength.find((candidate) => matches(candidate.path, path));
    setSafetyHeaders(response);
    measure(request, response, route, options.metrics);
    if (request.headers.host !== undefined && !HOST.test(request.headers.host)) {
      sendError(response, 400, 'BAD_REQUEST', 'The Host header names no host.');
      return;
    }
    if (!route) {
      response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' });
      response.end('Nothing is here. The API is at /graphql.\n');
      return;
    }
    if (route.cors && options.cors.apply(request, response, route.cors)) return;
    if (route.longBodies) limitIdling(request, response);
    else limitBody(request, response, options.bodyMsMax ?? BODY_MS_MAX);
    void answer(route, request, response, options.log);
  });
  return server;
}

const matches = (pattern: string, path: string): boolean =>
  pattern.endsWith('/') && pattern !== '/' ? path.startsWith(pattern) : path === pattern;

async function answer(route: Route, request: IncomingMessage, response: ServerResponse, log: Logger): Promise<void> {
  try {
    await route.handle(request, response);
  } catch (error) {
    if (request.destroyed && !request.complete) return; // The client went away while it sent.
    const outage = outageOf(error);
    if (outage) log.warn({ err: error, route: route.path }, 'the database was lost in a route');
    else log.error({ err: error, route: route.path }, 'unexpected error in a route');
    if (response.headersSent) response.destroy();
    else if (outage) sendError(response, 503, outage.code, outage.message);
    else sendError(response, 500, 'INTERNAL_SERVER_ERROR', 'Unexpected error. It has been logged.');
  }
}

/** Answers are data: nothing in them is to be run, framed or guessed. A route that serves a page says otherwise. */
function setSafetyHeaders(response: ServerResponse): void {
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Referrer-Policy', 'no-referrer');
  response.setHeader('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'");
}

function measure(request: IncomingMessage, response: ServerResponse, route: Route | undefined, metrics: Metrics): void {
  const startedMs = performance.now();
  const { method = '' } = request;
  response.once('close', () => {
    // A client that went away before the answer: 499, as nginx counts it.
    const status = response.writableFinished ? response.statusCode : 499;
    metrics.httpAnswered({ route: route?.path ?? 'none', method, status, durationMs: performance.now() - startedMs });
  });
}

function limitBody(request: IncomingMessage, response: ServerResponse, bodyMsMax: number): void {
  if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) return;
  const timer = setTimeout(() => {
    if (!response.headersSent) {
      response.setHeader('Connection', 'close');
      sendError(response, 408, 'BAD_REQUEST', 'The body took too long to arrive.');
    }
    if (response.writableFinished) request.destroy();
    else response.once('finish', () => request.destroy());
  }, bodyMsMax);
  timer.unref(); // A socket that closes behind its answer ends no request: the timer alone would hold the process.
  const stop = (): void => clearTimeout(timer);
  request.once('end', stop);
  request.once('close', stop);
}

/** Per connection, so it is taken back when the request is over. */
function limitIdling(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  const cut = (): void => void request.destroy();
  socket.setTimeout(LONG_BODY_IDLE_MS, cut);
  const stop = (): void => {
    socket.off('timeout', cut);
    socket.setTimeout(0);
  };
  request.once('end', stop);
  response.once('close', stop);
}
