import { once } from 'node:events';
import WebSocket from 'ws';
import type { Bench, BenchContext, BenchResult } from './bench.ts';
import { compare, interleave, type Measure, median, residentBytes, type Sample } from './measure.ts';
import { type ControlServer, type OurServer, startControl, startOurs } from './processes.ts';

/** Sockets that are opened at one time. */
const OPENING = 50;
/** Below what the server takes from one address. */
const SOCKETS_PER_ADDRESS = 200;
const BROADCASTS = 20;
/** Else the garbage of opening, for which the young generation grows by tens of MiB, would count as what sockets hold. */
const NODE_OPTIONS = ['--max-semi-space-size=4'];

const MEASURES: readonly Measure[] = [
  { key: 'memory', title: 'memory for each idle subscriber', unit: 'KiB' },
  { key: 'perSecond', title: 'messages delivered', unit: '/s', bar: { atLeast: 0.2 } },
  { key: 'lastMs', title: 'from the broadcast to the last subscriber', unit: 'ms' },
];

/** Subscribers of one event, against bare sockets. */
export const subscriptions: Bench = {
  name: 'subscriptions',
  title: 'Subscriptions',
  about:
    'A thousand WebSockets, each with one subscription to `notice`, idle and then told 20 notices, against as many bare sockets of `ws` that get the same text. PanQL executes the subscription for each of them, under the rights of its viewer.',
  control: 'raw ws',
  run: runSubscriptions,
};

async function runSubscriptions(context: BenchContext): Promise<BenchResult> {
  const count = context.quick ? 100 : 1000;
  const samples = await interleave(
    context.quick ? 1 : 2,
    (round) => measureOurs({ ...context, folder: `${context.folder}/ours-${round}` }, count),
    (round) => measureControl({ ...context, folder: `${context.folder}/control-${round}` }, count),
  );
  return { comparisons: compare(MEASURES, samples), notes: [`${count} subscribers, ${BROADCASTS} broadcasts.`] };
}

async function measureOurs(context: BenchContext, count: number): Promise<Sample> {
  // All sockets come from this machine: they are given addresses as a proxy would tell them.
  const server = await startOurs(context, { TRUST_PROXY: 'true' }, NODE_OPTIONS);
  try {
    const broadcast = (message: string): Promise<unknown> =>
      server.api.mutate('broadcast', { message }, '__typename', context.signal);
    return await measure(server, count, (index) => subscribe(server, index), broadcast);
  } finally {
    await server.stop();
  }
}

async function measureControl(context: BenchContext, count: number): Promise<Sample> {
  const server = await startControl('broadcast', context, NODE_OPTIONS);
  try {
    const broadcast = (message: string): Promise<unknown> =>
      fetch(server.url, { method: 'POST', body: nextMessage(message), signal: context.signal });
    return await measure(server, count, () => connect(server), broadcast);
  } finally {
    await server.stop();
  }
}

/** The text that a subscriber of ours gets. */
const nextMessage = (message: string): string =>
  JSON.stringify({ id: '1', type: 'next', payload: { data: { notice: { message, level: 'INFO' } } } });

async function measure(
  { pid }: OurServer | ControlServer,
  count: number,
  open: (index: number) => Promise<WebSocket>,
  broadcast: (message: string) => Promise<unknown>,
): Promise<Sample> {
  await broadcast('Warms up what a broadcast needs.');
  const before = await residentBytes(pid);
  const sockets: WebSocket[] = [];
  try {
    while (sockets.length < count) {
      const first = sockets.length;
      const opening = Array.from({ length: Math.min(OPENING, count - first) }, (_, index) => open(first + index));
      sockets.push(...(await Promise.all(opening)));
    }
    const memory = ((await residentBytes(pid)) - before) / 1024 / count;

    const times: number[] = [];
    for (let number = 0; number < BROADCASTS; number += 1) {
      const startedMs = performance.now();
      const received = Promise.all(sockets.map((socket) => once(socket, 'message')));
      await Promise.all([broadcast(`Notice number ${number} to everybody who is here.`), received]);
      times.push(performance.now() - startedMs);
    }
    const lastMs = median(times);
    return { memory, lastMs, perSecond: count / (lastMs / 1000) };
  } finally {
    for (const socket of sockets) socket.terminate();
  }
}

async function subscribe({ url, api }: OurServer, index: number): Promise<WebSocket> {
  const address = `10.0.0.${1 + Math.floor(index / SOCKETS_PER_ADDRESS)}`;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    headers: { 'X-Forwarded-For': address },
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${api.token}` } }));
  await once(socket, 'message');
  const query = 'subscription { notice { message level } }';
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } }));
  // A subscription is not acknowledged; a query behind it is answered after it began.
  socket.send(JSON.stringify({ id: '2', type: 'subscribe', payload: { query: '{ __typename }' } }));
  await untilComplete(socket);
  return socket;
}

const untilComplete = (socket: WebSocket): Promise<void> =>
  new Promise((resolve) => {
    socket.on('message', function listen(data) {
      if (!String(data).includes('"complete"')) return;
      socket.off('message', listen);
      resolve();
    });
  });

async function connect({ url }: ControlServer): Promise<WebSocket> {
  const socket = new WebSocket(url.replace('http', 'ws'), { perMessageDeflate: false });
  await once(socket, 'open');
  return socket;
}
