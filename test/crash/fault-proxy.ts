import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { JOB_NAME } from './jobs.ts';
import type { Killer } from './killed-server.ts';

/**
 * How a request goes wrong: refused as one too many, answered by a gateway, cut before it arrived, done with its answer
 * lost, its answer cut in the middle, or late.
 */
export const FAULTS = ['throttled', 'failed', 'dropped', 'lost', 'cut', 'slow'] as const;
export type Fault = (typeof FAULTS)[number];

/** A request that went wrong. */
export interface MetFault {
  /** Empty: of none that is known. */
  readonly job: string;
  /** The server, the method and the path; the how-manieth of this kind and job. */
  readonly request: string;
  readonly times: number;
  readonly fault: Fault;
}

/** What goes wrong, in front of all servers of a run. */
export interface FaultPlan {
  readonly seed: number;
  /** Of the requests, from 0 to 1. */
  rate: number;
  /** How often each fault happened. */
  readonly counts: Map<Fault, number>;
  readonly met: MetFault[];
  /** How often each request came, so that what happens to it does not hang on the order of others. */
  readonly seen: Map<string, number>;
  /** The one job that is under way; null: there are several, and a request belongs to the one that it names. */
  job: string | null;
  /** Kills the server before a request is done, or when it was done and its answer is on the way. */
  killer: Pick<Killer, 'strike' | 'kill'> | null;
}

export const newFaultPlan = (seed: number): FaultPlan => ({
  seed,
  rate: 0,
  counts: new Map(),
  met: [],
  seen: new Map(),
  job: null,
  killer: null,
});

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
    const body = await buffer(incoming);
    const job = plan.job ?? jobIn(incoming.url ?? '', body);
    const kind = `${name} ${kindOf(incoming)}`;
    const strike = plan.killer?.strike(`${job} ${kind}`) ?? null;
    if (strike === 'before') plan.killer?.kill();
    const fault = strike === null ? faultFor(plan, job, kind) : null;
    if (fault === 'dropped' || strike === 'before') return void incoming.socket.destroy();
    if (fault === 'throttled') return void response.writeHead(429, { 'retry-after': '1' }).end();
    if (fault === 'failed') return void response.writeHead(503, { 'content-type': 'text/html' }).end('<h1>503</h1>');
    if (fault === 'slow') await delay(SLOW_MS);
    const { method, url, headers } = incoming;
    const outgoing = request({ host: target.hostname, port: target.port, method, path: url, headers });
    outgoing.end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    const bytes = await buffer(answer);
    if (strike === 'after') plan.killer?.kill();
    if (fault === 'lost' || strike === 'after') return void response.destroy();
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

/** Bytes of a body in which a name is looked for: those of a file come behind it. */
const NAMED_BYTES = 4_096;

/** The job that a request names in its address or in the beginning of its body; empty: none. */
const jobIn = (url: string, body: Buffer): string =>
  JOB_NAME.exec(`${url} ${body.toString('latin1', 0, NAMED_BYTES)}`)?.[0] ?? '';

/** The method and the path, with the names of what is asked but not what changes from run to run: numbers and tokens. */
function kindOf({ method, url }: IncomingMessage): string {
  const { pathname, searchParams } = new URL(url ?? '/', 'http://localhost');
  const path = pathname
    .split('/')
    .map((part) => (/^\d+$/.test(part) || part.length >= 16 ? '*' : part))
    .join('/');
  const asked = [...searchParams].map(([name, value]) => (name === 'method' ? `${name}=${value}` : name)).toSorted();
  return `${method} ${path}${asked.length > 0 ? `?${asked.join('&')}` : ''}`;
}

/** The same for the same seed, job and request, the how-manieth of its kind it is included. */
function faultFor(plan: FaultPlan, job: string, asked: string): Fault | null {
  const key = `${job} ${asked}`;
  const times = (plan.seen.get(key) ?? 0) + 1;
  plan.seen.set(key, times);
  const digest = createHash('sha256').update(`${plan.seed} ${key} ${times}`).digest();
  if (digest.readUInt32LE() / 2 ** 32 >= plan.rate) return null;
  const fault = FAULTS[digest.readUInt32LE(4) % FAULTS.length] as Fault;
  plan.counts.set(fault, (plan.counts.get(fault) ?? 0) + 1);
  plan.met.push({ job, request: asked, times, fault });
  return fault;
}

/** As they came; the length is told, so that a cut is seen. */
function headersOf({ headers }: IncomingMessage, length: number): Record<string, string | string[]> {
  const { 'transfer-encoding': _chunked, connection: _hop, ...kept } = headers;
  return { ...(kept as Record<string, string | string[]>), 'content-length': kept['content-length'] ?? String(length) };
}
