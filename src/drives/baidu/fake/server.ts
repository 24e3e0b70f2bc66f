import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { bytesSent, type Faults } from '../../shared/faults.ts';
import { type Fault, meets } from './faults.ts';
import type { OAuth } from './oauth.ts';
import type { Call, Endpoint, Envelope, Fields, Role } from './wire.ts';
import { OAuthRefusal, parameterFault, Refusal, Reply, ROLES } from './wire.ts';
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
  /** The error number or OAuth error of the answer; 0 for none. */
  errno: number | string;
}

/** The gateway's errors carried such a number, which broke clients that decode whole numbers. */
const FLOAT_REQUEST_ID = rawJson('1.8198936114954e+17');
const HTML = '<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>';
/** The service's labels cannot be trusted. */
const CONTENT_TYPES = ['application/json', 'application/json; charset=UTF-8', 'text/html; charset=UTF-8', 'text/plain'];

/** The largest slice and the multipart around it. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;

interface Parts {
  readonly world: World;
  readonly oauth: OAuth;
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
  readonly #closing = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The most requests of an endpoint that ran at one time. */
  peak(endpoint: string): number {
    return this.#peaks.get(endpoint) ?? 0;
  }

  async listen(): Promise<Readonly<Record<Role, string>>> {
    const urls = { openapi: '', pan: '', pcs: '', cdn: '' };
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
    this.#closing.abort();
    for (const server of this.#servers.values()) {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    }
  }

  async #serve(role: Role, request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => request.destroy());
    try {
      if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) return void response.writeHead(413).end();
      const call = await readCall(role, request);
      if (call === null) return;
      await this.#answer(call, response);
    } catch (error) {
      // A client that went away is its own affair; the rest is a mistake of the fake and must show.
      if (!request.destroyed && !response.headersSent) response.writeHead(500).end(`The fake failed: ${error}`);
      else response.destroy();
      if (!isClientGone(error)) this.#parts.world.violate(`the fake failed: ${error}`);
    }
  }

  async #answer(call: Call, response: ServerResponse): Promise<void> {
    const endpoint = findEndpoint(this.#parts.endpoints, call);
    const name = endpoint === null ? 'none' : typeof endpoint.name === 'string' ? endpoint.name : endpoint.name(call);
    const seen = this.#note(name, call);
    const fault = this.#parts.faults.strike(meets(name, call));
    this.#count(name, 1);
    response.once('close', () => this.#count(name, -1));
    if (fault?.kind === 'cut' && fault.phase === 'before') return void response.destroy();
    if (fault?.kind === 'hang') return;
    const faulty = fault && this.#faultReply(fault, endpoint, seen);
    const reply = faulty ?? (await this.#handle(call, endpoint, { seen, fault }));
    if (fault?.kind === 'slow') await this.#hold(fault.until);
    if (fault?.kind === 'cut' && fault.phase === 'after') return void response.destroy();
    seen.status = reply.status;
    await send(call, response, { reply, fault, signal: this.#closing.signal });
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
      errno: 0,
    };
    this.requests.push(seen);
    return seen;
  }

  #count(name: string, step: 1 | -1): void {
    const running = (this.#running.get(name) ?? 0) + step;
    this.#running.set(name, running);
    this.#peaks.set(name, Math.max(this.peak(name), running));
  }

  async #hold(until: Promise<unknown> | number): Promise<void> {
    if (typeof until === 'number') await delay(until, undefined, { signal: this.#closing.signal });
    else await until;
  }

  #faultReply(fault: Fault, endpoint: Endpoint | null, seen: SeenRequest): Reply | null {
    if (fault.kind === 'status') return new Reply(fault.status, fault.headers ?? {}, fault.body ?? '');
    if (fault.kind === 'html') return new Reply(fault.status ?? 200, { 'content-type': 'text/html' }, HTML);
    if (fault.kind === 'oauth') {
      return this.#oauthReply(new OAuthRefusal(fault.error, fault.description ?? '', fault.status), seen);
    }
    if (fault.kind !== 'errno') return null;
    const status = fault.status ?? 200;
    return this.#refusalReply(new Refusal(fault.errno, fault.message ?? '', { status }), endpoint, seen);
  }

  async #handle(
    call: Call,
    endpoint: Endpoint | null,
    { seen, fault }: { readonly seen: SeenRequest; readonly fault: Fault | null },
  ): Promise<Reply> {
    const { world } = this.#parts;
    try {
      if (endpoint === null) return this.#unknown(call);
      if (!endpoint.verbs.includes(call.verb)) world.refuse(2, `${seen.endpoint} was called by ${call.verb}`);
      const heard =
        fault?.kind === 'range-ignored' ? { ...call, headers: { ...call.headers, range: undefined } } : call;
      const result = await this.#run(heard, endpoint);
      return result instanceof Reply ? result : this.#success(result, endpoint);
    } catch (error) {
      if (error instanceof OAuthRefusal) return this.#oauthReply(error, seen);
      if (error instanceof Refusal) return this.#refusalReply(error, endpoint, seen);
      throw error;
    }
  }

  #run(call: Call, endpoint: Endpoint) {
    if (endpoint.auth === 'none') {
      this.#checkParameters(call, endpoint);
      return endpoint.answer(call);
    }
    const user = this.#authenticate(call);
    this.#checkParameters(call, endpoint);
    return endpoint.handle(call, user);
  }

  #checkParameters(call: Call, endpoint: Endpoint): void {
    const { world } = this.#parts;
    const fault = parameterFault(call, endpoint);
    if (fault === null) return;
    const unknownOnly = fault.endsWith('is not a parameter of this call');
    if (unknownOnly && world.settings.unknownParameters === 'ignored') return;
    world.refuse(endpoint.envelope === 'error_code' ? 31023 : 2, fault);
  }

  /** The token counts in the query only, whatever the method. */
  #authenticate(call: Call): User {
    const { world, oauth } = this.#parts;
    if (call.headers.authorization !== undefined) world.violate('an Authorization header was sent');
    const token = call.query.get('access_token');
    if (token === null) world.violate(`${call.path} was called without access_token in the query`);
    const found = oauth.check(token ?? '');
    if (typeof found === 'object') return found;
    if (call.role === 'pcs') {
      throw found === 'expired'
        ? new Refusal(111, 'Access token expired', { status: 401 })
        : new Refusal(110, 'Access token invalid or no longer valid', { status: 401 });
    }
    const { expiredTokenErrno, revokedTokenErrno, gatewayStatus } = world.settings;
    const errno = { unknown: -6, expired: expiredTokenErrno, revoked: revokedTokenErrno, scope: 31045 }[found];
    const message = { unknown: '', expired: 'access token expired', revoked: 'access token invalid', scope: '' }[found];
    throw new Refusal(errno, message, { status: errno >= 20_000 && errno < 20_100 ? gatewayStatus : 200 });
  }

  #unknown(call: Call): Reply {
    const { world } = this.#parts;
    world.violate(`${call.verb} ${call.role} ${call.path} (method=${call.query.get('method')}) does not exist`);
    const refused = (status: number, error_code: number, error_msg: string) =>
      this.#json(status, { error_code, error_msg, request_id: world.id(world.requestId()) });
    // Slices belong to the upload hosts; the old interfaces are closed to new applications.
    if (/^\/rest\/2\.0\/(pcs|xpan\/offline)\b/.test(call.path)) {
      return refused(403, 4, 'No permission to do this operation');
    }
    if (call.path.startsWith('/rest/2.0/')) return refused(400, 3, 'Unsupported open api');
    return new Reply(404, { 'content-type': 'text/html' }, '<html><body>404 Not Found</body></html>');
  }

  #success(fields: Fields, endpoint: Endpoint): Reply {
    const { envelope } = endpoint;
    if (envelope === 'oauth') return this.#json(200, { ...fields, ...this.#extras() });
    const number = envelope === 'errno' || envelope === 'show_msg' ? { errno: 0 } : {};
    const id = envelope === 'plain' ? {} : { request_id: this.#requestId(endpoint) };
    return this.#json(200, { ...number, ...fields, ...id, ...this.#extras() });
  }

  #refusalReply(refusal: Refusal, endpoint: Endpoint | null, seen: SeenRequest): Reply {
    seen.errno = refusal.code;
    const isNumber = endpoint?.requestId !== 'text';
    const fromGateway = refusal.code > 20_010 && refusal.code < 20_024;
    const id = fromGateway && isNumber ? FLOAT_REQUEST_ID : this.#requestId(endpoint);
    // The gateway answers before the endpoint does, with its own keys.
    const { numberKey, textKey } = ENVELOPES[fromGateway ? 'errno' : (endpoint?.envelope ?? 'errno')];
    // Most error answers of the file calls hold nothing but the number.
    const wordless = endpoint?.path === '/rest/2.0/xpan/file' && !fromGateway && refusal.code < 0;
    const text = wordless ? {} : { [textKey]: refusal.message };
    return this.#json(refusal.status, { [numberKey]: refusal.code, ...text, ...refusal.extra, request_id: id });
  }

  #oauthReply(refusal: OAuthRefusal, seen: SeenRequest): Reply {
    seen.errno = refusal.error;
    return this.#json(refusal.status, { error: refusal.error, error_description: refusal.message });
  }

  #requestId(endpoint: Endpoint | null): unknown {
    const id = this.#parts.world.requestId();
    return endpoint?.requestId === 'text' ? id : this.#parts.world.id(id);
  }

  #extras(): Fields {
    const { world } = this.#parts;
    if (!world.settings.extraKeys || world.random() < 0.5) return {};
    return { newno: '', an_unknown_key: { deep: [null, 1.5, 'text'] } };
  }

  #json(status: number, fields: Fields): Reply {
    const type = CONTENT_TYPES[Math.floor(this.#parts.world.random() * CONTENT_TYPES.length)] ?? 'text/plain';
    return new Reply(status, { 'content-type': type }, JSON.stringify(fields).replaceAll('&', '\\u0026'));
  }
}

const ENVELOPES: Readonly<Record<Envelope, { readonly numberKey: string; readonly textKey: string }>> = {
  errno: { numberKey: 'errno', textKey: 'errmsg' },
  plain: { numberKey: 'errno', textKey: 'errmsg' },
  oauth: { numberKey: 'error_code', textKey: 'error_msg' },
  show_msg: { numberKey: 'errno', textKey: 'show_msg' },
  error_code: { numberKey: 'error_code', textKey: 'error_msg' },
  error_no: { numberKey: 'error_no', textKey: 'error_msg' },
};

function rawJson(text: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
}

function findEndpoint(endpoints: readonly Endpoint[], call: Call): Endpoint | null {
  const fits = endpoints.filter((endpoint) => {
    const { path } = endpoint;
    const samePath = path.endsWith('*') ? call.path.startsWith(path.slice(0, -1)) : call.path === path;
    return endpoint.role === call.role && samePath && (endpoint.method ?? null) === methodOf(call, endpoint);
  });
  return fits.find((endpoint) => endpoint.verbs.includes(call.verb)) ?? fits[0] ?? null;
}

const methodOf = (call: Call, endpoint: Endpoint): string | null =>
  endpoint.method === undefined ? null : call.query.get('method');

/** Null when the client went away meanwhile. */
async function readCall(role: Role, request: IncomingMessage): Promise<Call | null> {
  const target = new URL(request.url ?? '/', 'http://fake');
  const body = await buffer(request).catch(() => null);
  if (body === null) return null;
  const type = request.headers['content-type'] ?? '';
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(type);
  return {
    role,
    verb: request.method ?? '',
    path: decodeURI(target.pathname),
    query: target.searchParams,
    form: new URLSearchParams(isForm ? body.toString() : ''),
    headers: request.headers,
    body,
  };
}

async function send(
  call: Call,
  response: ServerResponse,
  answer: { readonly reply: Reply; readonly fault: Fault | null; readonly signal: AbortSignal },
): Promise<void> {
  const { reply, fault } = answer;
  const isWhole = typeof reply.body === 'string' || Buffer.isBuffer(reply.body);
  const whole = isWhole ? Buffer.from(reply.body as string | Buffer) : null;
  const size = Number(reply.headers['content-length'] ?? whole?.length ?? 0);
  const length = { 'content-length': String(size) };
  const end = bytesSent(fault, size);
  const headers =
    fault?.kind === 'truncate' ? { ...reply.headers, 'content-length': String(end) } : { ...length, ...reply.headers };
  response.writeHead(reply.status, headers);
  if (call.verb === 'HEAD') return void response.end();
  const chunks = whole ? [whole] : (reply.body as AsyncIterable<Buffer>);
  let sent = 0;
  for await (const chunk of chunks) {
    for (const part of portions(chunk.subarray(0, end - sent), fault)) {
      if (response.destroyed) return;
      if (!response.write(part)) await drained(response);
      if (fault?.kind === 'throttle') await delay((1000 * part.length) / fault.bytesPerSecond, undefined, answer);
    }
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

function* portions(bytes: Buffer, fault: Fault | null): Generator<Buffer> {
  const step =
    fault?.kind === 'throttle' ? Math.max(1, Math.floor(fault.bytesPerSecond / 20)) : Math.max(1, bytes.length);
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}

const isClientGone = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['ECONNRESET', 'ABORT_ERR', 'ERR_STREAM_PREMATURE_CLOSE'].includes(String(error.code));
