import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * How a request goes wrong: refused as one too many, answered by a gateway, cut before it arrived, done with its answer
 * lost, its answer cut in the middle, or late.
 */
export const FAULTS = ['throttled', 'failed', 'dropped', 'lost', 'cut', 'slow'] as const;
export type Fault = (typeof FAULTS)[number];

/** What goes wrong, in front of all servers of a run. */
export interface FaultPlan {
  readonly seed: number;
  /** Of the requests, from 0 to 1. */
  rate: number;
  /** How often each fault happened. */
  readonly counts: Map<Fault, number>;
  /** How often each request came, so that what happens to it does not hang on the order of others. */
  readonly seen: Map<string, number>;
}

export const newFaultPlan = (seed: number): FaultPlan => ({ seed, rate: 0, counts: new Map(), seen: new Map() });

/** How late a late answer is, in milliseconds: less than a client waits for. */
const SLOW_MS = 700;

export interface FaultProxy {
  readonly url: string;
  close(): Promise<void>;
}

/** Stands before a server on loopback, and lets some of its requests go wrong. `name` is of the server, for the seed. */
export async function startFaultProxy(name: string, targetUrl: string, plan: FaultPlan): Promise<FaultProxy> {
  const target = new URL(targetUrl);
  const server = createServer((incoming, response) => {
    handle(incoming, response).catch(() => response.destroy()); // One of the two ends is gone.
  });

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const fault = faultFor(plan, `${name} ${incoming.method} ${incoming.url?.split('?')[0]}`);
    if (fault === 'dropped') return void incoming.socket.destroy();
    const body = await buffer(incoming);
    if (fault === 'throttled') return void response.writeHead(429, { 'retry-after': '1' }).end();
    if (fault === 'failed') return void response.writeHead(503, { 'content-type': 'text/html' }).end('<h1>503</h1>');
    if (fault === 'slow') await delay(SLOW_MS);
    const { method, url, headers } = incoming;
    const outgoing = request({ host: target.hostname, port: target.port, method, path: url, headers });
    outgoing.end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    const bytes = await buffer(answer);
    if (fault === 'lost') return void response.destroy();
    response.writeHead(answer.statusCode ?? 502, headersOf(answer, bytes.length));
    if (fault !== 'cut') return void response.end(bytes);
    response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The same for the same seed and request, the how-manieth of its kind it is included. */
function faultFor(plan: FaultPlan, key: string): Fault | null {
  const times = (plan.seen.get(key) ?? 0) + 1;
  plan.seen.set(key, times);
  const digest = createHash('sha256').update(`${plan.seed} ${key} ${times}`).digest();
  if (digest.readUInt32LE() / 2 ** 32 >= plan.rate) return null;
  const fault = FAULTS[digest.readUInt32LE(4) % FAULTS.length] as Fault;
  plan.counts.set(fault, (plan.counts.get(fault) ?? 0) + 1);
  return fault;
}

/** As they came; the length is told, so that a cut is seen. */
function headersOf({ headers }: IncomingMessage, length: number): Record<string, string | string[]> {
  const { 'transfer-encoding': _chunked, connection: _hop, ...kept } = headers;
  return { ...(kept as Record<string, string | string[]>), 'content-length': kept['content-length'] ?? String(length) };
}
