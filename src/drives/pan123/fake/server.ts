import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { bytesSent, type Faults } from '../../shared/faults.ts';
import type { Auth, Grant } from './auth.ts';
import { type Fault, meets } from './faults.ts';
import type { RateGates } from './rates.ts';
import {
  type Call,
  type Endpoint,
  type Fields,
  Refusal,
  Reply,
  ROLES,
  type Role,
  readJson,
  Values,
  valuesOf,
  writeJson,
} from './wire.ts';
import type { World } from './world.ts';

/** A request as it arrived, and what became of it. */
export interface SeenRequest {
  readonly role: Role;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly json: unknown;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** 0 until it is answered, and when it never was. */
  status: number;
  /** The code of the answer; 0 for a success, and for what has none. */
  code: number;
}

const HTML = '<html><head><title>502 Bad Gateway</title></head><body><center>kong</center></body></html>';
const BODY_BYTES_MAX = 64 * 1024 * 1024;

interface Parts {
  readonly world: World;
  readonly auth: Auth;
  readonly faults: Faults<Fault>;
  readonly gates: RateGates;
  readonly endpoints: readonly Endpoint[];
}

/** The servers of all hosts of the fake, and what came to them. */
export class Servers {
  readonly requests: SeenRequest[] = [];
  /** Requests refused because they came too fast. */
  throttled = 0;
  readonly #parts: Parts;
  readonly #servers: Server[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async listen(): Promise<Readonly<Record<Role, string>>> {
    const urls = { api: '', upload: '', upload2: '', oss: '', cdn: '' };
    for (const role of ROLES) {
      const server = createServer((request, response) => void this.#serve(role, request, response));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      this.#servers.push(server);
      urls[role] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    }
    return urls;
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    }
  }

  async #serve(role: Role, request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => request.destroy());
    try {
      if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) return void response.writeHead(413).end();
      const body = await buffer(request).catch(() => null);
      if (body !== null) await this.#answer(callOf(role, request, body), response);
    } catch (error) {
      // A mistake of the fake must show.
      this.#parts.world.violate(`the fake failed: ${error}`);
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    }
  }

  async #answer(call: Call, response: ServerResponse): Promise<void> {
    const seen: SeenRequest = {
      role: call.role,
      method: call.verb,
      path: call.path,
      query: Object.fromEntries(call.query),
      json: call.json,
      headers: { ...call.headers },
      status: 0,
      code: 0,
    };
    this.requests.push(seen);
    const fault = this.#parts.faults.strike(meets(call));
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'cut' && fault.phase === 'before') return void response.destroy();
    const reply = this.#faultReply(fault, seen) ?? (await this.#reply(withoutRange(call, fault), seen));
    if (fault?.kind === 'cut' && fault.phase === 'after') return void response.destroy();
    seen.status = reply.status;
    send(reply, fault, response);
  }

  #faultReply(fault: Fault | null, seen: SeenRequest): Reply | null {
    if (fault?.kind === 'status') return new Reply(fault.status, fault.headers ?? {}, fault.body ?? '');
    if (fault?.kind === 'html') return new Reply(fault.status ?? 200, { 'content-type': 'text/html' }, HTML);
    if (fault?.kind !== 'code') return null;
    return this.#refusal(new Refusal(fault.code, fault.message ?? '', fault.status), seen);
  }

  async #reply(call: Call, seen: SeenRequest): Promise<Reply> {
    try {
      const endpoint = this.#find(call);
      const result = await this.#run(call, endpoint);
      return result instanceof Reply ? result : envelope(200, 0, 'ok', result);
    } catch (error) {
      if (error instanceof Refusal) return this.#refusal(error, seen);
      throw error;
    }
  }

  #refusal({ code, message, status }: Refusal, seen: SeenRequest): Reply {
    seen.code = code;
    return envelope(status, code, message, null);
  }

  #find(call: Call): Endpoint {
    const { endpoints, world } = this.#parts;
    const fits = endpoints.filter(({ role, path }) => role === call.role && samePath(path, call.path));
    if (fits.length === 0 || world.settings.missing.includes(call.path)) {
      if (fits.length === 0) world.violate(`there is no ${call.path} at ${call.role}`);
      throw new Refusal(404, '404 page not found', 404);
    }
    const endpoint = fits.find(({ verb }) => verb === call.verb);
    if (endpoint) return endpoint;
    world.violate(`${call.path} was called by ${call.verb}`);
    throw new Refusal(400, 'method not allowed', 405);
  }

  #run(call: Call, endpoint: Endpoint): unknown {
    const { world, auth } = this.#parts;
    if (endpoint.auth === 'none') {
      if (endpoint.bytes) {
        for (const name of ['authorization', 'platform']) {
          if (call.headers[name] !== undefined) world.violate(`${name} came to the server of the bytes`);
        }
        return endpoint.answer(call, new Values({}));
      }
      this.#checkPlatform(call);
      if (call.headers.authorization !== undefined) world.violate(`${call.path} needs no token, and got one`);
      const values = this.#values(call, endpoint, endpoint.place ?? placeOf(call));
      this.#throttle(call, null, values.text('clientID') || values.text('client_id'));
      return endpoint.answer(call, values);
    }
    this.#checkPlatform(call);
    const grant = auth.check(call);
    const { user } = grant;
    this.#throttle(call, grant, grant.kind === 'oauth' ? String(user.uid) : user.clientId);
    const values = endpoint.multipart ? new Values({}) : this.#values(call, endpoint, placeOf(call));
    return endpoint.handle({ ...call, user, grant, values });
  }

  #checkPlatform({ headers, path }: Call): void {
    if (headers.platform === 'open_platform') return;
    this.#parts.world.violate(`${path} came without its Platform`);
    throw new Refusal(1, 'please set the platform field in the header');
  }

  #throttle({ path }: Call, grant: Grant | null, key: string): void {
    const { world, gates } = this.#parts;
    if (gates.take(path, grant, key) || world.settings.rates === 'off') return;
    this.throttled += 1;
    throw new Refusal(429, '请求太频繁', world.settings.throttleStatus);
  }

  #values(call: Call, endpoint: Endpoint, place: 'query' | 'body'): Values {
    const { world } = this.#parts;
    const isJson = /^application\/json\b/i.test(call.headers['content-type'] ?? '');
    const needsJson = place === 'body' || endpoint.auth === 'token';
    if (needsJson && !isJson) world.violate(`${call.path} came without application/json`);
    const values = valuesOf(endpoint.params, place, call);
    if (values instanceof Values) return values;
    world.violate(`${call.path}: ${values}`);
    throw new Refusal(400, '参数错误');
  }
}

const placeOf = ({ verb }: Call): 'query' | 'body' => (verb === 'GET' ? 'query' : 'body');

const samePath = (pattern: string, path: string): boolean =>
  pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : pattern === path;

const withoutRange = (call: Call, fault: Fault | null): Call =>
  fault?.kind === 'range-ignored' ? { ...call, headers: { ...call.headers, range: undefined } } : call;

const envelope = (status: number, code: number, message: string, data: unknown): Reply => {
  const fields: Fields = { code, message, data, 'x-traceID': `${randomBytes(12).toString('hex')}_kong-1` };
  return new Reply(status, { 'content-type': 'application/json; charset=utf-8' }, writeJson(fields));
};

function callOf(role: Role, request: IncomingMessage, body: Buffer): Call {
  const target = new URL(request.url ?? '/', 'http://fake');
  return {
    role,
    verb: request.method ?? '',
    path: decodeURI(target.pathname),
    query: target.searchParams,
    json: jsonOf(body),
    headers: request.headers,
    body,
  };
}

function jsonOf(body: Buffer): unknown {
  try {
    return readJson(body.toString());
  } catch {
    return undefined; // Bytes, or nothing.
  }
}

function send({ status, headers, body }: Reply, fault: Fault | null, response: ServerResponse): void {
  const end = bytesSent(fault, body.length);
  const length = fault?.kind === 'truncate' ? end : body.length;
  response.writeHead(status, { ...headers, 'content-length': String(length) });
  if (fault?.kind !== 'cut') return void response.end(body.subarray(0, length));
  response.write(body.subarray(0, end));
  // The bytes first leave, so that the client sees a part and then the end.
  setImmediate(() => response.socket?.destroySoon());
}
