import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import pg from 'pg';
import { captureLog, type LogCapture } from '../../test/support/log.ts';
import { createTestDatabase, redisUrl, skipReason, type TestDatabase } from '../../test/support/services.ts';
import { startTcpProxy, type TcpProxy } from '../../test/support/tcp-proxy.ts';
import type { Logger } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import type { EventBus } from './bus.ts';
import { link, take, testEventBus } from './contract.ts';
import { Hub, type Transport } from './hub.ts';
import type { LinkLimits } from './link.ts';
import { openEventBus } from './open.ts';
import { createPostgresTransport } from './postgres.ts';
import { createRedisTransport } from './redis.ts';

const CHANNEL = `panql:events:test:${randomUUID()}`;

/** Short, so that a mute connection is found within the test; a real answer on loopback takes far less. */
const SHORT: LinkLimits = { answerMs: 500, heartbeatMs: 100 };

interface SharedTransport {
  readonly name: string;
  readonly skip: string | false;
  /** The names that its connections have in the log. */
  readonly links: readonly string[];
  url(): Promise<string>;
  create(url: string, log: Logger, limits?: LinkLimits): Transport;
  /** Sends a message as a stranger on the channel. */
  inject(message: string): Promise<void>;
}

let database: TestDatabase | null = null;
const skipPostgres = await skipReason('PostgreSQL');
const skipRedis = await skipReason('Redis');

before(async () => {
  if (!skipPostgres) database = await createTestDatabase();
});
after(() => database?.drop());

const REDIS: SharedTransport = {
  name: 'Redis',
  skip: skipRedis,
  links: ['Redis publisher', 'Redis subscriber'],
  url: async () => (await redisUrl()) ?? assert.fail('no Redis'),
  create: (url, log, limits) => createRedisTransport({ url: new Secret(url), log, channel: CHANNEL, limits }),
  inject: async (message) => {
    const client = new Redis(await REDIS.url());
    await client.publish(CHANNEL, message);
    await client.quit();
  },
};

const POSTGRES: SharedTransport = {
  name: 'PostgreSQL',
  skip: skipPostgres,
  links: ['PostgreSQL'],
  url: async () => database?.url ?? assert.fail('no PostgreSQL'),
  create: (url, log, limits) => createPostgresTransport({ url: new Secret(url), log, limits }),
  inject: async (message) => {
    const client = new pg.Client(await POSTGRES.url());
    await client.connect();
    await client.query('select pg_notify($1, $2)', ['panql_events', message]);
    await client.end();
  },
};

const errorsOf = (capture: LogCapture) => () => capture.lines.filter(({ level }) => level >= 50).map(({ msg }) => msg);

testEventBus('memory', {
  skip: false,
  open: async () => {
    const capture = captureLog();
    return { bus: await Hub.open(capture.log), errors: errorsOf(capture) };
  },
});

for (const shared of [REDIS, POSTGRES]) {
  testEventBus(shared.name, {
    skip: shared.skip,
    open: async () => {
      const capture = captureLog();
      const bus = await Hub.open(capture.log, shared.create(await shared.url(), capture.log));
      return { bus, errors: errorsOf(capture) };
    },
  });
  testSharedTransport(shared);
}

interface Pair {
  readonly near: EventBus;
  /** Its connections go through the proxy. */
  readonly far: EventBus;
  readonly proxy: TcpProxy;
  readonly farLog: LogCapture;
}

function testSharedTransport(shared: SharedTransport): void {
  const pairTest = (
    title: string,
    work: (pair: Pair) => Promise<void>,
    options: { down?: boolean; limits?: LinkLimits } = {},
  ): void => {
    it(title, { timeout: 20_000 }, async () => {
      const url = await shared.url();
      const proxy = await startTcpProxy(url, options);
      const farLog = captureLog();
      const near = await Hub.open(captureLog().log, shared.create(url, captureLog().log));
      const far = await Hub.open(farLog.log, shared.create(proxy.url, farLog.log, options.limits));
      try {
        await work({ near, far, proxy, farLog });
      } finally {
        await Promise.all([near.close(), far.close()]);
        await proxy.close();
      }
    });
  };
  const allBack = (capture: LogCapture): Promise<unknown> =>
    Promise.all(
      shared.links.map((name) =>
        capture.line((line) => line.link === name && /^the event link is back/.test(line.msg)),
      ),
    );
  const allLost = (capture: LogCapture): Promise<unknown> =>
    Promise.all(
      shared.links.map((name) =>
        capture.line((line) => line.link === name && /^the event link is lost/.test(line.msg)),
      ),
    );

  describe(`two event buses over ${shared.name}`, { skip: shared.skip }, () => {
    pairTest('exchange events, each delivered once', async ({ near, far }) => {
      const [atNear, atFar] = [near.subscribe('deviceLink.changed'), far.subscribe('deviceLink.changed')];
      await near.publish('deviceLink.changed', link('a'));
      assert.deepEqual(await take(atFar, 1), [link('a')]);
      await far.publish('deviceLink.changed', link('b'));
      // An echo of `a` would have come before `b`, and one of `b` at the far side before `c`.
      assert.deepEqual(await take(atNear, 2), [link('a'), link('b')]);
      await near.publish('deviceLink.changed', link('c'));
      assert.deepEqual(await take(atFar, 2), [link('b'), link('c')]);
    });

    pairTest('keep the order of a burst that nobody awaits', async ({ near, far }) => {
      const ids = Array.from({ length: 2_000 }, (_, n) => `${n}`);
      const events = far.subscribe('deviceLink.changed', { bufferMax: ids.length });
      const published = ids.map((id) => near.publish('deviceLink.changed', link(id)));
      assert.deepEqual(await take(events, ids.length), ids.map(link));
      await Promise.all(published);
    });

    pairTest('deliver equal events each', async ({ near, far }) => {
      const events = far.subscribe('deviceLink.changed');
      await Promise.all([1, 2, 3].map(() => near.publish('deviceLink.changed', link('same'))));
      assert.deepEqual(await take(events, 3), [link('same'), link('same'), link('same')]);
    });

    pairTest('carry any text unchanged', async ({ near, far }) => {
      const message = 'quote \' " \\ $1 \n\t\u0000 \u2028 网盘 👩‍👩‍👧 \ud800';
      const event = { at: '2026-01-01T00:00:00Z', message, level: 'INFO' } as const;
      const events = far.subscribe('notice');
      await near.publish('notice', event);
      assert.deepEqual(await take(events, 1), [event]);
    });

    pairTest('publish before close() what was not awaited', async ({ near, far }) => {
      const events = near.subscribe('deviceLink.changed');
      void far.publish('deviceLink.changed', link('last'));
      await far.close();
      assert.deepEqual(await take(events, 1), [link('last')]);
    });

    pairTest('leave out what strangers send on the channel', async ({ near, far, farLog }) => {
      const events = far.subscribe('deviceLink.changed');
      for (const message of ['hello', randomUUID(), `${randomUUID()}null`, `${randomUUID()}{"topic":"nobody.knows"}`]) {
        await shared.inject(message);
      }
      await near.publish('deviceLink.changed', link('a'));
      assert.deepEqual(await take(events, 1), [link('a')]);
      const warned = farLog.lines.filter(
        ({ msg }) => msg === 'a message on the event channel is not ours, and is left out',
      );
      assert.equal(warned.length, 3);
    });

    pairTest('lose the connection and find each other again, twice', async ({ near, far, proxy, farLog }) => {
      const [atNear, atFar] = [near.subscribe('deviceLink.changed'), far.subscribe('deviceLink.changed')];
      for (const round of ['first', 'second']) {
        farLog.clear();
        await proxy.cut();
        await allLost(farLog);
        await near.publish('deviceLink.changed', link('missed by the far side'));
        for (let n = 0; n < 5; n += 1) await far.publish('deviceLink.changed', link(`missed by the near side ${n}`));
        const kept = await take(atFar, 5);
        assert.deepEqual(kept[4], link('missed by the near side 4'));

        await proxy.restore();
        await allBack(farLog);
        await near.publish('deviceLink.changed', link(`from near, ${round}`));
        assert.deepEqual(await take(atFar, 1), [link(`from near, ${round}`)]);
        await far.publish('deviceLink.changed', link(`from far, ${round}`));
        assert.deepEqual(await take(atNear, 3), [
          link('missed by the far side'),
          link(`from near, ${round}`),
          link(`from far, ${round}`),
        ]);
        assert.deepEqual(await take(atFar, 1), [link(`from far, ${round}`)]);
        const warnings = farLog.lines.filter(({ level }) => level === 40);
        assert.equal(warnings.length, shared.links.length + 1, 'one for each connection, and one for the events');
        assert.ok(farLog.lines.some(({ keptBack }) => keptBack === 5));
      }
    });

    pairTest(
      'replace a connection that went mute',
      async ({ near, far, proxy, farLog }) => {
        const events = far.subscribe('deviceLink.changed');
        farLog.clear();
        proxy.stall();
        await far.publish('deviceLink.changed', link('local'));
        assert.deepEqual(await take(events, 1), [link('local')]);
        await allLost(farLog);
        await proxy.restore();
        await allBack(farLog);
        await near.publish('deviceLink.changed', link('a'));
        assert.deepEqual(await take(events, 1), [link('a')]);
      },
      { limits: SHORT },
    );

    pairTest(
      'close while the connection is mute',
      async ({ far, proxy }) => {
        proxy.stall();
        void far.publish('deviceLink.changed', link('a'));
        await far.close();
      },
      { limits: SHORT },
    );

    pairTest('open on a server that accepts and says nothing', async ({ proxy }) => {
      proxy.stall();
      const { log } = captureLog();
      const third = await Hub.open(log, shared.create(proxy.url, log, SHORT));
      const events = third.subscribe('deviceLink.changed');
      await third.publish('deviceLink.changed', link('local'));
      assert.deepEqual(await take(events, 1), [link('local')]);
      await third.close();
    });

    pairTest('close while the server is down, and try no more', async ({ far, proxy, farLog }) => {
      await proxy.cut();
      await allLost(farLog);
      await far.close();
      const { accepted } = proxy;
      await proxy.restore();
      // A third bus that does get through shows that the proxy is up again.
      const third = await Hub.open(captureLog().log, shared.create(proxy.url, captureLog().log));
      await third.close();
      assert.equal(proxy.accepted, accepted + shared.links.length);
    });

    pairTest(
      'open without a server, and meet when it comes',
      async ({ near, far, proxy, farLog }) => {
        const events = far.subscribe('deviceLink.changed');
        await far.publish('deviceLink.changed', link('local'));
        assert.deepEqual(await take(events, 1), [link('local')]);
        await proxy.restore();
        await allBack(farLog);
        await near.publish('deviceLink.changed', link('a'));
        assert.deepEqual(await take(events, 1), [link('a')]);
      },
      { down: true },
    );
  });
}

describe('an event too large for NOTIFY', { skip: skipPostgres }, () => {
  it('stays in its process and is an error in the log; one byte less goes through', { timeout: 20_000 }, async () => {
    const capture = captureLog();
    const [near, far] = await Promise.all(
      [capture, captureLog()].map(async ({ log }) => Hub.open(log, POSTGRES.create(await POSTGRES.url(), log))),
    );
    assert.ok(near && far);
    const [atNear, atFar] = [near.subscribe('deviceLink.changed'), far.subscribe('deviceLink.changed')];
    const frameBytes = randomUUID().length + JSON.stringify({ topic: 'deviceLink.changed', event: link('') }).length;
    const tooLong = 'x'.repeat(8_000 - frameBytes);
    await near.publish('deviceLink.changed', link(tooLong));
    await near.publish('deviceLink.changed', link(tooLong.slice(1)));
    assert.deepEqual(await take(atNear, 2), [link(tooLong), link(tooLong.slice(1))]);
    assert.deepEqual(await take(atFar, 1), [link(tooLong.slice(1))]);
    const errors = capture.lines.filter(({ level }) => level === 50);
    assert.deepEqual(
      errors.map(({ topic, bytes, bytesMax }) => ({ topic, bytes, bytesMax })),
      [{ topic: 'deviceLink.changed', bytes: 8_000, bytesMax: 7_999 }],
    );
    await Promise.all([near.close(), far.close()]);
  });
});

it('a refused password never reaches the log', { timeout: 20_000 }, async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.write('-WRONGPASS invalid username-password pair or user is disabled.\r\n'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const capture = captureLog('trace');
  const bus = await Hub.open(
    capture.log,
    REDIS.create(`redis://panql:hunter2hunter2@127.0.0.1:${port}`, capture.log, SHORT),
  );
  await bus.publish('deviceLink.changed', link('a'));
  await capture.line(({ reason }) => /WRONGPASS/.test(String(reason)));
  await bus.close();
  server.close();
  assert.ok(!JSON.stringify(capture.lines).includes('hunter2'));
});

describe('openEventBus', () => {
  const exchanges = async (first: EventBus, second: EventBus): Promise<void> => {
    const id = randomUUID();
    const events = second.subscribe('deviceLink.changed', { filter: ({ deviceLinkId }) => deviceLinkId === id });
    await first.publish('deviceLink.changed', link(id));
    assert.deepEqual(await take(events, 1), [link(id)]);
    await Promise.all([first.close(), second.close()]);
  };
  const sqlite = new Secret('sqlite::memory:');

  it('stays within the process on SQLite', async () => {
    const bus = await openEventBus({ redisUrl: null, databaseUrl: sqlite, log: captureLog().log });
    await exchanges(bus, bus);
  });

  it('uses the PostgreSQL database', { skip: skipPostgres, timeout: 20_000 }, async () => {
    const open = async () =>
      openEventBus({ redisUrl: null, databaseUrl: new Secret(await POSTGRES.url()), log: captureLog().log });
    await exchanges(await open(), await open());
  });

  it('prefers Redis, and leaves the database alone then', { skip: skipRedis, timeout: 20_000 }, async () => {
    const capture = captureLog();
    const redis = new Secret(await REDIS.url());
    const databaseUrl = new Secret('postgres://nobody@127.0.0.1:1/nothing');
    const open = () => openEventBus({ redisUrl: redis, databaseUrl, log: capture.log });
    await exchanges(await open(), await open());
    assert.deepEqual(capture.lines, []);
  });
});
