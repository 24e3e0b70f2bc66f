import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Stands on loopback between a client and a server, and fails on demand. */
export interface TcpProxy {
  /** The address of the server, with the proxy's host and port. */
  readonly url: string;
  /** How many connections were accepted so far. */
  readonly accepted: number;
  /** Resets every connection and refuses new ones, as a server that is down does. */
  cut(): Promise<void>;
  /**
   * Connections, and new ones too, stay open while nothing passes, as behind a firewall that forgot them. Those stay
   * mute after {@link restore}.
   */
  stall(): void;
  /** New connections pass again. */
  restore(): Promise<void>;
  close(): Promise<void>;
}

/** A proxy to the host and port of `targetUrl`. It begins cut when `down` is true. */
export async function startTcpProxy(targetUrl: string, options: { down?: boolean } = {}): Promise<TcpProxy> {
  const target = new URL(targetUrl);
  const defaultPort = target.protocol.startsWith('redis') ? 6379 : 5432;
  const sockets = new Set<Socket>();
  let accepted = 0;
  let stalled = false;

  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => {}); // The other end sees it too.
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((inbound) => {
    accepted += 1;
    keep(inbound);
    if (stalled) return void inbound.pause();
    const outbound = keep(connect(Number(target.port || defaultPort), target.hostname));
    inbound.pipe(outbound).pipe(inbound);
    inbound.on('close', () => outbound.destroy());
    outbound.on('close', () => inbound.destroy());
  });
  const resetAll = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  await listen(server, 0);
  const { port } = server.address() as AddressInfo;
  const url = new URL(targetUrl);
  url.host = `127.0.0.1:${port}`;
  const cut = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    resetAll();
    await closed;
  };
  if (options.down) await cut();

  return {
    url: url.href,
    get accepted() {
      return accepted;
    },
    cut,
    stall: () => {
      stalled = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    restore: async () => {
      stalled = false;
      if (!server.listening) await listen(server, port);
    },
    close: cut,
  };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}
