import { on, once } from 'node:events';
import WebSocket from 'ws';

/** One result, as any transport gives it. */
export interface Result {
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  readonly data?: any;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly unknown[];
    readonly extensions?: Readonly<Record<string, unknown>>;
  }[];
}

export interface Ask {
  readonly query: string;
  readonly variables?: object;
  readonly operationName?: string;
  readonly token?: string | null;
}

export type Transport = 'http' | 'sse' | 'websocket';
export const TRANSPORTS: readonly Transport[] = ['http', 'sse', 'websocket'];

/** All results of an operation, over one of the three. Endless operations do not return. */
export function ask(transport: Transport, url: string, operation: Ask): Promise<readonly Result[]> {
  if (transport === 'http') return askHttp(url, operation);
  return transport === 'sse' ? askSse(url, operation) : askWebSocket(url, operation);
}

const post = (url: string, { token, ...body }: Ask, accept: string, signal?: AbortSignal): Promise<Response> =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });

async function askHttp(url: string, operation: Ask): Promise<readonly Result[]> {
  const response = await post(url, operation, 'application/graphql-response+json');
  return [(await response.json()) as Result];
}

async function askSse(url: string, operation: Ask): Promise<readonly Result[]> {
  const results: Result[] = [];
  for await (const result of openSse(url, operation)) results.push(result);
  return results;
}

/** The results of an event stream as they come. Leaving the loop, or the signal, drops the connection. */
export async function* openSse(url: string, operation: Ask, signal?: AbortSignal): AsyncGenerator<Result> {
  const response = await post(url, operation, 'text/event-stream', signal);
  const type = response.headers.get('content-type') ?? '';
  if (!type.startsWith('text/event-stream') || !response.body)
    throw new Error(`no event stream: ${response.status} ${type}`);
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + chunk).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      if (event.startsWith('event: complete')) return;
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data) yield JSON.parse(data) as Result;
    }
  }
  throw new Error('the event stream broke off before its end');
}

async function askWebSocket(url: string, { token, ...payload }: Ask): Promise<readonly Result[]> {
  const socket = await RawSocket.connect(url);
  socket.send({ type: 'connection_init', payload: token ? { accessToken: token } : {} });
  await socket.message();
  socket.send({ type: 'subscribe', id: '1', payload });
  const results: Result[] = [];
  for (;;) {
    const message = await socket.message();
    if (message.type === 'next') results.push(message.payload as Result);
    if (message.type === 'error') results.push({ errors: message.payload as Result['errors'] & object });
    if (message.type === 'error' || message.type === 'complete') break;
  }
  socket.close();
  return results;
}

export interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface ConnectOptions {
  readonly protocol?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
}

/** A bare WebSocket: says exactly what a test wants it to say. */
export class RawSocket {
  readonly socket: WebSocket;
  readonly closed: Promise<Closed>;
  readonly #messages: AsyncIterator<unknown>;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) =>
      socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
    );
    this.#messages = on(socket, 'message', { close: ['close'] });
  }

  /** @throws Error `Unexpected server response: <status>` when the server refuses. */
  static async connect(url: string, options: ConnectOptions = {}): Promise<RawSocket> {
    const address = `${url.replace('http', 'ws')}${options.path ?? '/graphql'}`;
    const socket = new WebSocket(address, options.protocol ?? 'graphql-transport-ws', {
      headers: { ...options.headers },
    });
    const raw = new RawSocket(socket);
    await once(socket, 'open');
    return raw;
  }

  /** Connected and acknowledged. */
  static async signedIn(url: string, token?: string): Promise<RawSocket> {
    const socket = await RawSocket.connect(url);
    socket.send({ type: 'connection_init', ...(token ? { payload: { authorization: `Bearer ${token}` } } : {}) });
    const { type } = await socket.message();
    if (type !== 'connection_ack') throw new Error(`no acknowledgement: ${type}`);
    return socket;
  }

  send(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id: string, query: string, variables?: object): void {
    this.send({ type: 'subscribe', id, payload: { query, ...(variables ? { variables } : {}) } });
  }

  /** The next message. @throws Error when the socket closes first. */
  async message(): Promise<Message> {
    const { done, value } = (await this.#messages.next()) as IteratorResult<[Buffer]>;
    if (done) throw new Error('the socket closed');
    return JSON.parse(String(value[0])) as Message;
  }

  close(): void {
    this.socket.close();
  }
}
