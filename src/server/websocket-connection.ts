import type { IncomingMessage } from 'node:http';
import { CloseCode, type Server as ProtocolServer, type SubscribePayload } from 'graphql-ws';
import type { WebSocket } from 'ws';
import { ShuttingDownError } from '../graph/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Timer } from '../lib/timer.ts';
import type { Viewer } from '../services/viewer.ts';
import type { ClientFacts } from './graphql.ts';
import type { LiveStream } from './live.ts';

export interface ConnectionOptions {
  readonly log: Logger;
  readonly timer: Timer;
  readonly authenticate: (token: string) => Promise<Viewer | null>;
  /** Default {@link PING_MS}. */
  readonly pingMs?: number;
  /** Default {@link BUFFERED_BYTES_MAX}. */
  readonly bufferedBytesMax?: number;
}

/** Who was let in. */
export interface Admission {
  readonly client: ClientFacts;
  readonly stream: LiveStream;
}

/** Between pings; a client that answered none by the next one is gone. What the reference server of the protocol takes. */
export const PING_MS = 12_000;
/** Bytes that may wait for one client. A client that leaves more waiting between two pings is cut off. */
const BUFFERED_BYTES_MAX = 1024 * 1024;
/** Of RFC 6455: the server goes down. Clients of the protocol connect again after it. */
const GOING_AWAY = 1001;

/** One socket: its client, what it runs, and what ends it. */
export class Connection {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  client: ClientFacts;
  readonly #stream: LiveStream;
  readonly #options: ConnectionOptions;
  /** What ends each open operation, by the message that began it. */
  readonly #operations = new Map<SubscribePayload, AbortController>();
  readonly #running = new Set<Promise<unknown>>();

  constructor(socket: WebSocket, request: IncomingMessage, admission: Admission, options: ConnectionOptions) {
    this.socket = socket;
    this.request = request;
    this.client = admission.client;
    this.#stream = admission.stream;
    this.#options = options;
  }

  get draining(): boolean {
    return this.#stream.signal.reason instanceof ShuttingDownError;
  }

  serve(protocol: ProtocolServer<Connection>): void {
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
    const { timer, pingMs = PING_MS, bufferedBytesMax = BUFFERED_BYTES_MAX } = this.#options;
    const { socket } = this;
    let answered = true;
    let backlogged = false;
    socket.on('pong', () => {
      answered = true;
    });
    const look = (): void => {
      const behind = socket.bufferedAmount > bufferedBytesMax;
      if (!answered || (behind && backlogged)) {
        socket.terminate();
        return;
      }
      answered = false;
      backlogged = behind;
      socket.ping();
      cancel = timer.after(pingMs, look);
    };
    let cancel = timer.after(pingMs, look);
    return () => cancel();
  }
}
