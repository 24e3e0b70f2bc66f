import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands on loopback before several servers: a new connection goes to the first of them that takes it. */
export interface TcpBalancer {
  readonly url: string;
  /** In the order in which they are tried: addresses of servers. */
  readonly servers: string[];
  /** Bytes that went to each server. */
  readonly sent: Map<string, number>;
  /** Called with each piece that goes to a server. */
  onSent: (server: string) => void;
  close(): Promise<void>;
}

export async function startTcpBalancer(): Promise<TcpBalancer> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => {}); // The other end sees it too.
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const reach = async (url: string): Promise<Socket | null> => {
    const { hostname, port } = new URL(url);
    const socket = keep(connect(Number(port), hostname));
    const isThere = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
    return isThere ? socket : null;
  };
  const server = createServer({ pauseOnConnect: true }, (inbound) => void serve(keep(inbound)));
  async function serve(inbound: Socket): Promise<void> {
    for (const url of balancer.servers) {
      const outbound = await reach(url);
      if (!outbound) continue;
      inbound.on('data', (bytes) => {
        balancer.sent.set(url, (balancer.sent.get(url) ?? 0) + bytes.length);
        balancer.onSent(url);
      });
      inbound.pipe(outbound).pipe(inbound);
      inbound.on('close', () => outbound.destroy());
      outbound.on('close', () => inbound.destroy());
      return;
    }
    inbound.destroy();
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const balancer: TcpBalancer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    servers: [],
    sent: new Map(),
    onSent: () => {},
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
  return balancer;
}
