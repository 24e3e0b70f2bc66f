import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import ipaddr from 'ipaddr.js';
import type { ClientFacts } from './graphql.ts';
import type { Route } from './http.ts';
import type { Metrics } from './metrics.ts';

export interface HealthOptions {
  /** Whether the server can do its work just now. */
  readonly ready: () => Promise<boolean>;
  /** Whether it is on its way down. */
  readonly draining: () => boolean;
  readonly metrics: Metrics;
  readonly clientOf: (request: IncomingMessage) => Promise<ClientFacts>;
}

/** `live`: the process runs; restart it when not. `ready`: send requests here; not while its database is away, or it drains. */
export function healthRoutes({ ready, draining, metrics, clientOf }: HealthOptions): Route[] {
  return [
    { path: '/health/live', handle: (_request, response) => sendStatus(response, 200, 'live') },
    {
      path: '/health/ready',
      handle: async (_request, response) => {
        if (draining()) sendStatus(response, 503, 'draining');
        else if (await inTime(ready())) sendStatus(response, 200, 'ready');
        else sendStatus(response, 503, 'unavailable');
      },
    },
    {
      path: '/metrics',
      handle: async (request, response) => {
        if (!mayReadMetrics(await clientOf(request))) {
          response.writeHead(403, { 'Content-Type': 'text/plain; charset=utf-8' });
          response.end('Metrics are for this network, or for an API key with the ADMIN scope.\n');
          return;
        }
        response.writeHead(200, { 'Content-Type': metrics.contentType, 'Cache-Control': 'no-store' });
        response.end(await metrics.text());
      },
    },
  ];
}

/** A database that hangs is one that does not answer: whoever asks waits a few seconds only. */
const ANSWER_MS = 2_000;

async function inTime(ready: Promise<boolean>): Promise<boolean> {
  const timer = new AbortController();
  const late = wait(ANSWER_MS, false, { signal: timer.signal }).catch(() => false);
  try {
    return await Promise.race([ready, late]);
  } finally {
    timer.abort();
  }
}

function sendStatus(response: ServerResponse, code: number, status: string): void {
  response.writeHead(code, { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify({ status }));
}

/** Where a Prometheus server stands: beside this one. How much is done here is nobody else's business. */
const NEAR_RANGES: ReadonlySet<string> = new Set(['loopback', 'private', 'uniqueLocal', 'linkLocal']);

function mayReadMetrics({ viewer, clientAddress }: ClientFacts): boolean {
  if (viewer?.role === 'ADMIN' && viewer.scopes.has('ADMIN')) return true;
  return ipaddr.isValid(clientAddress) && NEAR_RANGES.has(ipaddr.process(clientAddress).range());
}
