import type { Server } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from '../lib/log.ts';
import type { Connections } from './connections.ts';
import type { LiveStreams } from './live.ts';
import type { WebSockets } from './websocket.ts';

export interface DrainOptions {
  readonly server: Server;
  readonly connections: Connections;
  readonly sockets: WebSockets;
  readonly live: LiveStreams;
  readonly log: Logger;
  /** How long requests are still taken, so that whoever asks `/health/ready` sends them elsewhere, in milliseconds. */
  readonly noticeMs: number;
  /** How long what runs may take to end, in milliseconds; the rest is cut, and its client resumes elsewhere. */
  readonly finishMs: number;
}

/** How often connections are looked at that have fallen idle. */
const SWEEP_MS = 50;

/** Takes nothing new, ends every stream, and lets each request that runs be answered. */
export async function drainServer(options: DrainOptions): Promise<void> {
  const { server, connections, sockets, live, log, noticeMs, finishMs } = options;
  await wait(noticeMs);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  live.drain();
  const sweep = setInterval(() => connections.closeIdle(), SWEEP_MS);
  const deadline = new AbortController();
  const late = wait(finishMs, 'late', { signal: deadline.signal }).catch(() => 'ended');
  const outcome = await Promise.race([closed, late]);
  deadline.abort();
  clearInterval(sweep);
  if (outcome !== 'late') return;
  log.warn({ finishMs }, 'requests were cut off: they took longer than the drain allows');
  sockets.terminate();
  server.closeAllConnections();
}
