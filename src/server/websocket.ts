import { Buffer } from 'node:buffer';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ExecutionArgs, type GraphQLError, getOperationAST } from 'graphql';
import { CloseCode, type Context, GRAPHQL_TRANSPORT_WS_PROTOCOL, makeServer, type SubscribePayload } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ErrorMask, ShuttingDownError, unknownOperation } from '../graph/errors.ts';
import { RateLimitedError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Viewer } from '../services/viewer.ts';
import type { Cors } from './cors.ts';
import { type ClientFacts, GRAPHQL_PATH, type ServerContext, type Yoga } from './graphql.ts';
import type { LiveStream, LiveStreams } from './live.ts';

export interface WebSocketOptions {
  readonly yoga: Yoga;
  readonly mask: ErrorMask;
  readonly live: LiveStreams;
  readonly cors: Cors;
  readonly log: Logger;
  /** Where pages of ours come from: PUBLIC_URL or the listening address. */
  readonly origin: () => string;
  readonly clientOf: (request: IncomingMessage) => Promise<ClientFacts>;
  readonly authenticate: (token: string) => Promise<Viewer | null>;
  /** Defaults as below; other values for tests. */
  readonly initMsMax?: number;
  readonly pingMs?: number;
  readonly subscriptionsMax?: number;
  readonly bufferedBytesMax?: number;
}

/** How long a client may take from connecting to `connection_init`, in milliseconds. */
const INIT_MS_MAX = 10_000;
/** Between pings; a client that answered none by the next one is gone. What the reference server of the protocol takes. */
const PING_MS = 12_000;
/** Bytes of one message. An operation over WebSocket is a document and its variables, never a file. */
const MESSAGE_BYTES_MAX = 256 * 1024;
/** Operations that one socket may have open. */
const SUBSCRIPTIONS_MAX = 100;
/** Bytes that may wait for one client. A client that leaves more waiting between two pings is cut off. */
const BUFFERED_BYTES_MAX = 1024 * 1024;

export interface WebSockets {
  /** Cuts every socket. In a drain they close by themselves, as their LiveStreams end. */
  terminate(): void;
}

/** `graphql-transport-ws` on the HTTP server, by the pipeline of Yoga. */
export function serveWebSockets(server: Server, options: WebSocketOptions): WebSockets {
  const handshakes = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false, // Its memory for each socket is many times the socket's own.
    // An unsupported one is accepted to be refused by 4406: with none chosen, a browser only says that it failed.
    handleProtocols: (offered) =>
      offered.has(GRAPHQL_TRANSPORT_WS_PROTOCOL) ? GRAPHQL_TRANSPORT_WS_PROTOCOL : ([...offered][0] ?? false),
  });
  const protocol = createProtocol(options);
  const connections = new Set<Connection>();

  server.on('upgrade', async (request: IncomingMessage, duplex: Duplex, head: Buffer) => {
    duplex.on('error', () => duplex.destroy()); // A client may vanish before there is a WebSocket to tell it.
    const admission = await admit(request, options);
    if ('status' in admission) {
      refuse(duplex, admission);
      return;
    }
    duplex.once('close', () => admission.stream.release());
    if (duplex.destroyed) {
      admission.stream.release();
      return;
    }
    handshakes.handleUpgrade(request, duplex, head, (socket) => {
      const connection = new Connection(socket, request, admission, options);
      connections.add(connection);
      socket.once('close', () => connections.delete(connection));
      connection.serve(protocol);
    });
  });

  return {
    terminate: () => {
      for (const { socket } of connections) socket.terminate();
      handshakes.close();
    },
  };
}

interface Admission {
  readonly client: ClientFacts;
  readonly stream: LiveStream;
}

interface Refusal {
  readonly status: string;
  readonly message: string;
}

async function admit(request: IncomingMessage, options: WebSocketOptions): Promise<Admission | Refusal> {
  const { live, log, clientOf } = options;
  if (request.url?.split('?', 1)[0] !== GRAPHQL_PATH) {
    return { status: '404 Not Found', message: `WebSockets are taken at ${GRAPHQL_PATH}.` };
  }
  if (!isOriginAllowed(request, options)) {
    return { status: '403 Forbidden', message: 'This origin is not in CORS_ORIGINS.' };
  }
  try {
    const client = await clientOf(request);
    return { client, stream: live.open(client.clientAddress) };
  } catch (error) {
    if (error instanceof RateLimitedError) return { status: '429 Too Many Requests', message: error.message };
    if (!(error instanceof ShuttingDownError)) log.error({ err: error }, 'a WebSocket could not be admitted');
    return { status: '503 Service Unavailable', message: 'Try again later.' };
  }
}

/** A browser always tells where its page is from; a client that is no browser tells nothing, and has no user to trick. */
function isOriginAllowed({ headers }: IncomingMessage, { cors, origin }: WebSocketOptions): boolean {
  if (headers.origin === undefined) return true;
  if (cors.allows(headers.origin) || headers.origin === origin()) return true;
  return URL.canParse(headers.origin) && new URL(headers.origin).host === headers.host;
}

function refuse(duplex: Duplex, { status, message }: Refusal): void {
  duplex.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
  );
}

/** One socket: its client, what it runs, and what ends it. */
class Connection {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  client: ClientFacts;
  readonly #stream: LiveStream;
  readonly #options: WebSocketOptions;
  /** What ends each open operation, by the message that began it. */
  readonly #operations = new Map<SubscribePayload, AbortController>();
  readonly #running = new Set<Promise<unknown>>();

  constructor(socket: WebSocket, request: IncomingMessage, admission: Admission, options: WebSocketOptions) {
    this.socket = socket;
    this.request = request;
    this.client = admission.client;
    this.#stream = admission.stream;
    this.#options = options;
  }

  get draining(): boolean {
    return this.#stream.signal.reason instanceof ShuttingDownError;
  }

  serve(protocol: ReturnType<typeof createProtocol>): void {
    const { socket } = this;
    const onClosed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => this.#send(text),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (handle) => socket.on('message', (data) => void this.#receive(handle, String(data))),
      },
      this,
    );
    const stopPinging = this.#keepAlive();
    this.#stream.signal.addEventListener('abort', () => void this.#endEarly(), { once: true });
    if (this.#stream.signal.aborted) void this.#endEarly(); // It was, while hands were shaken.
    socket.on('error', (error) => this.#options.log.debug({ err: error }, 'a WebSocket broke'));
    socket.once('close', (code, reason) => {
      stopPinging();
      for (const ending of this.#operations.values()) ending.abort();
      this.#stream.release();
      void onClosed(code, String(reason));
    });
  }

  /** From now on the socket is this viewer's, and lives no longer than the token. */
  bind(viewer: Viewer, token: string): void {
    this.client = { ...this.client, viewer };
    this.#stream.bind(viewer, () => this.#options.authenticate(token));
  }

  /** Aborts when the socket closes before {@link endOperation}. */
  beginOperation(payload: SubscribePayload): AbortController {
    const ending = new AbortController();
    this.#operations.set(payload, ending);
    return ending;
  }

  endOperation(payload: SubscribePayload): void {
    this.#operations.delete(payload);
  }

  /** A drain waits for it. */
  async track<Result>(operation: Promise<Result>): Promise<Result> {
    this.#running.add(operation);
    try {
      return await operation;
    } finally {
      this.#running.delete(operation);
    }
  }

  /** The client may come back later: its next token, or the next process, will do. */
  async #endEarly(): Promise<void> {
    if (!this.draining) {
      this.socket.close(CloseCode.Forbidden, (this.#stream.signal.reason as Error).message);
      return;
    }
    await Promise.allSettled(this.#running);
    // The answers leave in the turns after their operations end.
    setImmediate(() => this.socket.close(GOING_AWAY, 'Going away'));
  }

  #send(text: string): Promise<void> {
    const { socket } = this;
    return new Promise((resolve) => {
      if (socket.readyState !== socket.OPEN) resolve();
      else socket.send(text, () => resolve()); // A send that fails ends in `close`, which ends everything here.
    });
  }

  async #receive(handle: (text: string) => Promise<void>, text: string): Promise<void> {
    try {
      await handle(text);
    } catch (error) {
      this.#options.log.error({ err: error }, 'unexpected error in a WebSocket');
      this.socket.close(CloseCode.InternalServerError, 'Internal server error');
    }
  }

  #keepAlive(): () => void {
    const { pingMs = PING_MS, bufferedBytesMax = BUFFERED_BYTES_MAX } = this.#options;
    const { socket } = this;
    let answered = true;
    let backlogged = false;
    socket.on('pong', () => {
      answered = true;
    });
    const timer = setInterval(() => {
      const behind = socket.bufferedAmount > bufferedBytesMax;
      if (!answered || (behind && backlogged)) {
        socket.terminate();
        return;
      }
      answered = false;
      backlogged = behind;
      socket.ping();
    }, pingMs);
    return () => clearInterval(timer);
  }
}

/** Of RFC 6455: the server goes down. Clients of the protocol connect again after it. */
const GOING_AWAY = 1001;
/** Of its registry: try again later. Clients of the protocol do. */
const TRY_AGAIN_LATER = 1013;

/** What `onSubscribe` finds out, for `execute` and `subscribe` to go on with. */
type SocketArgs = ExecutionArgs & {
  readonly connection: Connection;
  readonly enveloped: Pick<ReturnType<Yoga['getEnveloped']>, 'execute' | 'subscribe'>;
};

/** The protocol of `graphql-ws`. Not its `useServer`: that writes to the console, and cannot wait for what still runs. */
function createProtocol(options: WebSocketOptions) {
  const { mask, initMsMax = INIT_MS_MAX, log } = options;
  return makeServer<Record<string, unknown>, Connection>({
    connectionInitWaitTimeout: initMsMax,
    onConnect: async ({ connectionParams, extra: connection }) => {
      try {
        return await connect(connection, connectionParams, options);
      } catch (error) {
        log.error({ err: error }, 'a WebSocket could not be authenticated');
        connection.socket.close(TRY_AGAIN_LATER, 'Try again later');
        return false;
      }
    },
    onSubscribe: (context, _id, payload) => prepare(context, payload, options),
    execute: (args) => {
      const { connection, enveloped } = args as SocketArgs;
      return connection.track(Promise.resolve(enveloped.execute(args)));
    },
    subscribe: (args) => (args as SocketArgs).enveloped.subscribe(args),
    onComplete: ({ extra: connection }, _id, payload) => connection.endOperation(payload),
    onNext: (_context, _id, _payload, _args, result) =>
      result.errors ? { ...result, errors: result.errors.map((error) => present(mask(error))) } : undefined,
    onError: (_context, _id, _payload, errors) => errors.map((error) => present(mask(error))),
  });
}

/** False, which closes 4403, when a token is given that does not count. Without any, the client is nobody yet. */
async function connect(
  connection: Connection,
  params: Readonly<Record<string, unknown>> | undefined,
  { authenticate }: WebSocketOptions,
): Promise<boolean> {
  const token = tokenOf(params) ?? connection.request.headers.authorization;
  if (token === undefined) return true;
  if (typeof token !== 'string') return false;
  const bare = token.replace(/^Bearer +/i, '');
  const viewer = await authenticate(bare);
  if (viewer === null) return false;
  connection.bind(viewer, bare);
  return true;
}

/** `{ authorization: 'Bearer …' }`, in any case as header names are, or `{ accessToken }`. */
function tokenOf(params: Readonly<Record<string, unknown>> = {}): unknown {
  const name = Object.keys(params).find((key) => /^(authorization|accessToken)$/i.test(key));
  return name === undefined ? undefined : (params[name] ?? undefined);
}

/**
 * Parses, validates and makes the context, as an HTTP request would. Whatever fails is an error of this one operation:
 * thrown out of here it would close the socket, and every other subscription of the client with it.
 */
async function prepare(
  { extra: connection, subscriptions }: Context<Record<string, unknown>, Connection>,
  payload: SubscribePayload,
  { yoga, mask, subscriptionsMax = SUBSCRIPTIONS_MAX }: WebSocketOptions,
): Promise<SocketArgs | readonly GraphQLError[]> {
  const { query, variables, operationName } = payload;
  try {
    if (connection.draining) throw new ShuttingDownError();
    if (Object.keys(subscriptions).length > subscriptionsMax) {
      throw new RateLimitedError(`This socket has ${subscriptionsMax} operations open. Complete some first.`);
    }
    const initial: ServerContext = {
      req: connection.request,
      ending: connection.beginOperation(payload),
      client: connection.client,
    };
    const { schema, parse, validate, contextFactory, execute, subscribe } = yoga.getEnveloped(initial);
    const document = parse(query);
    const errors = validate(schema, document);
    if (errors.length > 0) throw new AggregateError(errors);
    if (!getOperationAST(document, operationName)) throw unknownOperation();
    return {
      schema,
      document,
      operationName,
      variableValues: variables,
      contextValue: await contextFactory(),
      connection,
      enveloped: { execute, subscribe },
    };
  } catch (error) {
    connection.endOperation(payload);
    return error instanceof AggregateError ? error.errors : [mask(error)];
  }
}

/** An error as the client gets it; what it would mean for the status of an HTTP answer stays here. */
function present(error: GraphQLError) {
  const { extensions, ...told } = error.toJSON();
  const { http: _http, ...shown } = extensions ?? {};
  return { ...told, extensions: shown };
}
