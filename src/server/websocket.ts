import { Buffer } from 'node:buffer';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import { ShuttingDownError } from '../graph/errors.ts';
import { RateLimitedError } from '../lib/errors.ts';
import type { Cors } from './cors.ts';
import { type ClientFacts, GRAPHQL_PATH } from './graphql.ts';
import type { LiveStreams } from './live.ts';
import { type Admission, Connection, type ConnectionOptions } from './websocket-connection.ts';
import { createProtocol, type ProtocolOptions } from './websocket-protocol.ts';

export interface WebSocketOptions extends ProtocolOptions, ConnectionOptions {
  readonly live: LiveStreams;
  readonly cors: Cors;
  /** Where pages of ours come from: PUBLIC_URL or the listening address. */
  readonly origin: () => string;
  readonly clientOf: (request: IncomingMessage) => Promise<ClientFacts>;
}

/** Bytes of one message. An operation over WebSocket is a document and its variables, never a file. */
const MESSAGE_BYTES_MAX = 256 * 1024;

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
