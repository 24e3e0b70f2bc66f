import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** A request as a {@link Loopback} got it, read to its end. */
export interface ReceivedRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface Loopback extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  readonly requests: readonly ReceivedRequest[];
}

type Handler = (request: ReceivedRequest, response: ServerResponse, raw: IncomingMessage) => unknown;

/** A real HTTP server on loopback, which answers as the test says and remembers what it was asked. */
export async function startLoopback(handler: Handler, tls?: { key: string; cert: string }): Promise<Loopback> {
  const requests: ReceivedRequest[] = [];
  const listener = async (raw: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(raw).catch(() => null);
    if (body === null) return; // The client went away.
    const request = { method: raw.method ?? '', url: raw.url ?? '', headers: raw.headers, body };
    requests.push(request);
    await handler(request, response, raw);
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    port,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
