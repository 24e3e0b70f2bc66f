import { Redis } from 'ioredis';
import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { Transport } from './hub.ts';
import { LINK_LIMITS, type LinkLimits, LinkState } from './link.ts';

export interface RedisTransportOptions {
  /** `redis://` or `rediss://`. */
  readonly url: Secret;
  readonly log: Logger;
  /** Default: `panql:events:<database number>`. */
  readonly channel?: string;
  readonly limits?: LinkLimits;
}

/** Redis pub/sub on one channel, by two connections: one that has subscribed may not publish. */
export function createRedisTransport({ url, log, channel, limits = LINK_LIMITS }: RedisTransportOptions): Transport {
  let publisher: Connection | null = null;
  let subscriber: Connection | null = null;
  // The channels of Redis belong to no database; the number keeps two installations on one server apart.
  const nameFor = (client: Redis): string => channel ?? `panql:events:${client.options.db ?? 0}`;

  return {
    messageBytesMax: null,
    open: async (receive) => {
      publisher = connect(url, new LinkState('Redis publisher', log), limits, {
        maxRetriesPerRequest: 0, // A message that a cut interrupts fails at once: it would come late, out of order.
        greet: (client) => client.ping(),
      });
      subscriber = connect(url, new LinkState('Redis subscriber', log), limits, {
        maxRetriesPerRequest: null,
        greet: (client) => client.subscribe(nameFor(client)),
      });
      subscriber.client.on('message', (_channel, message) => receive(message));
      await Promise.all([publisher.state.settled, subscriber.state.settled]);
    },
    send: async (message) => {
      if (!publisher) throw new Error('the transport is not open');
      await publisher.client.publish(nameFor(publisher.client), message);
    },
    close: async () => {
      for (const connection of [publisher, subscriber]) connection?.close();
    },
  };
}

interface Connection {
  readonly client: Redis;
  readonly state: LinkState;
  close(): void;
}

interface ConnectOptions {
  readonly maxRetriesPerRequest: number | null;
  /** The first command on each new connection; the link stands when it is answered. */
  readonly greet: (client: Redis) => Promise<unknown>;
}

function connect(url: Secret, state: LinkState, limits: LinkLimits, options: ConnectOptions): Connection {
  const client = new Redis(url.reveal(), {
    maxRetriesPerRequest: options.maxRetriesPerRequest,
    connectTimeout: limits.answerMs,
    commandTimeout: limits.answerMs,
    enableOfflineQueue: false,
    autoResubscribe: false, // ioredis does not catch its own: the greeting subscribes again.
    // Nothing but the greeting is sent at the start: PUBLISH and SUBSCRIBE work while Redis still loads its data.
    enableReadyCheck: false,
    disableClientInfo: true,
    retryStrategy: () => state.nextRetryMs(),
  });
  const fail = (error: unknown): void => state.down(error);
  client.on('error', fail);
  client.on('close', () => fail(new Error('the connection was closed')));
  // A connection that does not answer is given up, and the client makes the next one by itself.
  const ask = async (command: (client: Redis) => Promise<unknown>): Promise<void> => {
    const { stream } = client;
    try {
      await command(client);
      state.up();
    } catch (error) {
      if (client.stream !== stream) return; // It was asked of a connection that is gone already.
      fail(error);
      stream.destroy();
    }
  };
  client.on('ready', () => ask(options.greet));
  const heartbeat = setInterval(() => {
    if (client.status === 'ready') void ask(() => client.ping());
  }, limits.heartbeatMs);
  return {
    client,
    state,
    close: () => {
      state.close();
      clearInterval(heartbeat);
      client.disconnect();
    },
  };
}
