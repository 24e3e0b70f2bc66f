import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { bytesSent, type Faults } from '../../shared/faults.ts';
import { type Fault, meets } from './faults.ts';
import type { OAuth } from './oauth.ts';
import type { Oss } from './oss.ts';
import type { Call, Endpoint, Role, Success } from './wire.ts';
import { parameterFault, Refusal, Reply, ROLES } from './wire.ts';
import type { User, World } from './world.ts';

/** A request as it arrived. */
export interface SeenRequest {
  readonly endpoint: string;
  readonly role: Role;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly form: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** 0 until it is answered, and when it never was. */
  status: number;
  /** The number of the answer; 0 for none. */
  code: number | string;
}

const HTML = '<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>';

interface Parts {
  readonly world: World;
  readonly oauth: OAuth;
  readonly oss: Oss;
  readonly faults: Faults<Fault>;
  readonly endpoints: readonly Endpoint[];
}

/** The servers of all hosts of the fake, and what came to them. */
export class Servers {
  readonly requests: SeenRequest[] = [];
  readonly #parts: Parts;
  readonly #servers = new Map<Role, Server>();
  readonly #running = new Map<string, number>();
  readonly #peaks = new Map<string, number>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The most requests of an endpoint that ran at one time. */
  peak(endpoint: string): number {
    return this.#peaks.get(endpoint) ?? 0;
  }

  async listen(): Promise<Readonly<Record<Role, string>>> {
    const urls = { passport: '', qrcode: '', api: '', cdn: '', oss: '' };
    for (const role of ROLES) {
      const server = createServer((request, response) => void this.#serve(role, request, response));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      this.#servers.set(role, server);
      urls[role] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    }
    return urls;
  }

  async close(): Promise<void> {
    for (const server of this.#servers.values()) {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    }
  }

  async #serve(role: Role, request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => request.destroy());
    try {
      const call = await readCall(role, request, response);
      if (call) await this.#answer(call, response);
    } catch (error) {
      // A client that went away is its own affair; the rest is a mistake of the fake and must show.
      if (!response.headersSent) response.writeHead(500).end(`The fake failed: ${error}`);
      else response.destroy();
      if (!isClientGone(error))
        this.#parts.world.violate(`the fake failed: ${error instanceof Error ? error.stack : error}`);
    }
  }

  async #answer(call: Call, response: ServerResponse): Promise<void> {
    const { endpoints, oss, faults } = this.#parts;
    const endpoint = endpoints.find(
      ({ role, path, verbs }) =>
        role === call.role &&
        verbs.includes(call.verb) &&
        (path.endsWith('*') ? call.path.startsWith(path.slice(0, -1)) : path === call.path),
    );
    const name = call.role === 'oss' ? oss.nameOf(call) : (endpoint?.name ?? 'none');
    const seen = this.#note(name, call);
    const fault = faults.strike(meets(name, call));
    this.#count(name, 1);
    response.once('close', () => this.#count(name, -1));
    if (fault?.kind === 'cut' && fault.phase === 'before') return void response.destroy();
    if (fault?.kind === 'hang') return;
    const reply = (fault && this.#faultReply(fault, call)) ?? (await this.#handle(call, endpoint ?? null, fault));
    if (fault?.kind === 'slow') await fault.until;
    if (fault?.kind === 'cut' && fault.phase === 'after') return void response.destroy();
    Object.assign(seen, { status: reply.status, code: reply.code });
    await send(call, response, reply, fault);
  }

  #note(endpoint: string, call: Call): SeenRequest {
    const seen: SeenRequest = {
      endpoint,
      role: call.role,
      method: call.verb,
      path: call.path,
      query: Object.fromEntries(call.query),
      form: Object.fromEntries(call.form),
      headers: { ...call.headers },
      status: 0,
      code: 0,
    };
    this.requests.push(seen);
    return seen;
  }

  #count(name: string, step: 1 | -1): void {
    const running = (this.#running.get(name) ?? 0) + step;
    this.#running.set(name, running);
    this.#peaks.set(name, Math.max(this.peak(name), running));
  }

  #faultReply(fault: Fault, call: Call): Reply | null {
    switch (fault.kind) {
      case 'status':
        return new Reply(fault.status, fault.headers ?? {}, fault.body ?? '');
      case 'html':
        return new Reply(fault.status ?? 200, { 'content-type': 'text/html' }, HTML);
      case 'code':
        return envelope(call.role, new Refusal(fault.code, fault.message ?? ''));
      case 'oss':
        return this.#parts.oss.failure(fault.status, fault.code);
      default:
        return null;
    }
  }

  async #handle(call: Call, endpoint: Endpoint | null, fault: Fault | null): Promise<Reply> {
    const { world, oss } = this.#parts;
    if (call.role === 'oss') return oss.answer(call);
    if (endpoint === null) {
      world.violate(`${call.verb} ${call.role} ${call.path} does not exist`);
      return call.role === 'api'
        ? envelope('api', new Refusal(980006, '接口不存在'))
        : new Reply(404, { 'content-type': 'text/html' }, '<html><body>404 Not Found</body></html>');
    }
    const heard = fault?.kind === 'range-ignored' ? { ...call, headers: { ...call.headers, range: undefined } } : call;
    try {
      const result = await this.#run(heard, endpoint);
      return result instanceof Reply ? result : envelope(call.role, result);
    } catch (error) {
      if (error instanceof Refusal) return envelope(call.role, error);
      throw error;
    }
  }

  #run(call: Call, endpoint: Endpoint) {
    const { world } = this.#parts;
    if (endpoint.auth === 'none') {
      if (call.headers.authorization !== undefined) world.violate(`a token was sent to ${call.role}`);
      this.#checkParameters(call, endpoint);
      return endpoint.answer(call);
    }
    const user = this.#authenticate(call);
    this.#throttle(user);
    this.#checkParameters(call, endpoint);
    if (!call.headers['user-agent']) world.violate('a request without a User-Agent');
    return endpoint.handle(call, user);
  }

  #checkParameters(call: Call, endpoint: Endpoint): void {
    // What lacks there has numbers of its own on the sign-in hosts.
    const fault = parameterFault(call, endpoint);
    if (fault !== null) this.#parts.world.refuse(call.role === 'api' ? 990002 : 40100000, `${endpoint.name}: ${fault}`);
  }

  #authenticate(call: Call): User {
    const [scheme, token = ''] = (call.headers.authorization ?? '').split(' ');
    if (scheme !== 'Bearer') this.#parts.world.violate(`${call.path} was called without a bearer token`);
    return this.#parts.oauth.check(token);
  }

  /** By real time: what a client sends at once. */
  #throttle(user: User): void {
    const { requestsPerSecond } = this.#parts.world.settings;
    const now = performance.now();
    while ((user.requestsAt[0] ?? now) < now - 1000) user.requestsAt.shift();
    user.requestsAt.push(now);
    if (user.requestsAt.length > 2 * requestsPerSecond) throw new Refusal(770004, '已达到当前访问上限');
    if (user.requestsAt.length > requestsPerSecond) throw new Refusal(0, '');
  }
}

/** The two families: numbers for the state on the sign-in hosts, a boolean on the others. */
function envelope(role: Role, result: Success | Refusal): Reply {
  const isApi = role === 'api';
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  if (result instanceof Refusal) {
    const { code, message } = result;
    const fields = isApi
      ? { state: false, message, code, data: [] }
      : { state: 0, code, message, data: [], error: message, errno: code };
    return new Reply(200, headers, JSON.stringify(fields), code);
  }
  const { data, beside = {}, textCode = false } = result;
  const fields = isApi
    ? { ...beside, state: true, message: '', code: textCode ? '0' : 0, data }
    : { state: 1, code: 0, message: '', data, error: '', errno: 0 };
  return new Reply(200, headers, JSON.stringify(fields));
}

/** Null when the client went away meanwhile. */
async function readCall(role: Role, request: IncomingMessage, response: ServerResponse): Promise<Call | null> {
  const target = new URL(request.url ?? '/', 'http://fake');
  const body = await buffer(request).catch(() => null);
  if (body === null) return null;
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  return {
    role,
    verb: request.method ?? '',
    path: decodeURIComponent(target.pathname),
    query: target.searchParams,
    form: await formOf(body, request.headers['content-type'] ?? ''),
    headers: request.headers,
    body,
    gone: gone.signal,
  };
}

async function formOf(body: Buffer, type: string): Promise<URLSearchParams> {
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) return new URLSearchParams(body.toString());
  if (!/^multipart\/form-data\b/i.test(type)) return new URLSearchParams();
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
  return new URLSearchParams([...form].map(([name, value]) => [name, String(value)]));
}

async function send(call: Call, response: ServerResponse, reply: Reply, fault: Fault | null): Promise<void> {
  const isWhole = typeof reply.body === 'string' || Buffer.isBuffer(reply.body);
  const whole = isWhole ? Buffer.from(reply.body as string | Buffer) : null;
  const size = Number(reply.headers['content-length'] ?? whole?.length ?? 0);
  const end = bytesSent(fault, size);
  const length = { 'content-length': String(fault?.kind === 'truncate' ? end : size) };
  response.writeHead(reply.status, { ...reply.headers, ...length });
  if (call.verb === 'HEAD') return void response.end();
  const chunks = whole ? [whole] : (reply.body as AsyncIterable<Buffer>);
  let sent = 0;
  for await (const chunk of chunks) {
    const part = chunk.subarray(0, end - sent);
    if (response.destroyed) return;
    if (!response.write(part)) await drained(response);
    sent += chunk.length;
    if (sent >= end) break;
  }
  if (fault?.kind !== 'cut') return void response.end();
  // The bytes first leave, so that the client sees a part and then the end.
  setImmediate(() => response.socket?.destroySoon());
}

/** Resolves when there is room again, or nobody to write to. */
async function drained(response: ServerResponse): Promise<void> {
  const settled = new AbortController();
  const waits = ['drain', 'close'].map((event) => once(response, event, { signal: settled.signal }));
  await Promise.race(waits).finally(() => settled.abort());
  await Promise.allSettled(waits);
}

const isClientGone = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['ECONNRESET', 'ABORT_ERR', 'ERR_STREAM_PREMATURE_CLOSE'].includes(String(error.code));
