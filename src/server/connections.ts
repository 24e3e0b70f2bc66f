import type { Server } from 'node:http';
import type { Socket } from 'node:net';

export interface Connections {
  /** Closes those on which no request is being answered. */
  closeIdle(): void;
}

/**
 * Knows which connections of the server have a request in hand. Node's own `closeIdleConnections` takes one that was
 * opened ahead, as browsers do, and never used for a busy one.
 */
export function trackConnections(server: Server): Connections {
  const requests = new Map<Socket, number>();
  const count = (socket: Socket, change: 1 | -1): void => {
    const before = requests.get(socket);
    if (before !== undefined) requests.set(socket, before + change);
  };
  server.on('connection', (socket) => {
    requests.set(socket, 0);
    socket.once('close', () => requests.delete(socket));
  });
  server.on('request', ({ socket }, response) => {
    count(socket, 1);
    response.once('close', () => count(socket, -1));
  });
  server.on('upgrade', ({ socket }) => requests.delete(socket)); // No longer HTTP.
  return {
    closeIdle: () => {
      for (const [socket, open] of requests) if (open === 0) socket.destroySoon();
    },
  };
}
