import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { PING_MS } from '../../src/server/websocket-connection.ts';
import type { TestApp } from '../support/app.ts';
import { ManualTimer } from '../support/manual-timer.ts';
import { type Person, registerUser } from '../support/people.ts';
import { probe, Source, startProbedApp } from '../support/probe-app.ts';
import { type Closed, RawSocket } from '../support/transports.ts';

const INIT = { type: 'connection_init' };
const TICKS = 'subscription { probeTicks }';

describe('graphql-transport-ws', () => {
  let app: TestApp;
  let person: Person;
  before(async () => {
    app = await startProbedApp({
      settings: { CORS_ORIGINS: 'https://app.example' },
      server: { subscriptionsMax: 3 },
    });
    person = await registerUser(app);
  });
  after(() => app.close());
  beforeEach(() => {
    probe.source = new Source();
  });

  describe('closes as its protocol says', () => {
    interface Case {
      readonly protocol?: string;
      readonly send: readonly (object | string)[];
      readonly closed: Closed;
    }
    const cases: Readonly<Record<string, Case>> = {
      'an unsupported subprotocol': {
        protocol: 'graphql-ws',
        send: [],
        closed: { code: 4406, reason: 'Subprotocol not acceptable' },
      },
      'a message that is no JSON': { send: ['x'], closed: { code: 4400, reason: 'Invalid message received' } },
      'a message of no type': { send: [{}], closed: { code: 4400, reason: 'Invalid message received' } },
      'a message of an unknown type': {
        send: [{ type: 'start' }],
        closed: { code: 4400, reason: 'Invalid message received' },
      },
      'subscribe without a query': {
        send: [INIT, { type: 'subscribe', id: '1', payload: {} }],
        closed: { code: 4400, reason: 'Invalid message received' },
      },
      'subscribe before the acknowledgement': {
        send: [{ type: 'subscribe', id: '1', payload: { query: '{ __typename }' } }],
        closed: { code: 4401, reason: 'Unauthorized' },
      },
      'a second connection_init': {
        send: [INIT, INIT],
        closed: { code: 4429, reason: 'Too many initialisation requests' },
      },
      'a token that does not count': {
        send: [{ ...INIT, payload: { authorization: 'Bearer none' } }],
        closed: { code: 4403, reason: 'Forbidden' },
      },
      'a token that is no text': {
        send: [{ ...INIT, payload: { accessToken: { a: 1 } } }],
        closed: { code: 4403, reason: 'Forbidden' },
      },
    };
    for (const [name, { protocol, send, closed }] of Object.entries(cases)) {
      it(`${name}: ${closed.code}`, async () => {
        const socket = await RawSocket.connect(app.url, protocol ? { protocol } : {});
        for (const message of send) socket.send(message);
        assert.deepEqual(await socket.closed, closed);
      });
    }

    it('no connection_init in time: 4408', async (t) => {
      const hasty = await startProbedApp({ server: { initMsMax: 50 } });
      t.after(() => hasty.close());
      const socket = await RawSocket.connect(hasty.url);
      assert.deepEqual(await socket.closed, { code: 4408, reason: 'Connection initialisation timeout' });
    });

    it('an id that is in use: 4409', async () => {
      const socket = await RawSocket.signedIn(app.url, person.token);
      socket.subscribe('same', TICKS);
      socket.subscribe('same', TICKS);
      assert.deepEqual(await socket.closed, { code: 4409, reason: 'Subscriber for same already exists' });
    });

    it('a message beyond 256 KiB: 1009', async () => {
      const socket = await RawSocket.signedIn(app.url);
      socket.subscribe('1', `{ __typename } #${'x'.repeat(256 * 1024)}`);
      assert.equal((await socket.closed).code, 1009);
    });
  });

  it('ping is answered by pong, with the same payload', async () => {
    const socket = await RawSocket.signedIn(app.url);
    socket.send({ type: 'ping', payload: { sent: 'there' } });
    assert.deepEqual(await socket.message(), { type: 'pong', payload: { sent: 'there' } });
    socket.close();
  });

  it('a query ends with complete', async () => {
    const socket = await RawSocket.signedIn(app.url);
    socket.subscribe('1', '{ __typename }');
    assert.deepEqual(await socket.message(), { type: 'next', id: '1', payload: { data: { __typename: 'Query' } } });
    assert.deepEqual(await socket.message(), { type: 'complete', id: '1' });
    socket.close();
  });

  it('a syntax error ends its own operation only, and no complete follows', async () => {
    const socket = await RawSocket.signedIn(app.url, person.token);
    socket.subscribe('ticks', TICKS);
    socket.subscribe('broken', '{');
    const { type, id, payload } = await socket.message();
    assert.deepEqual([type, id], ['error', 'broken']);
    assert.match(JSON.stringify(payload), /GRAPHQL_PARSE_FAILED/);
    probe.source.push(7);
    assert.deepEqual(await socket.message(), { type: 'next', id: 'ticks', payload: { data: { probeTicks: 7 } } });
    socket.close();
  });

  it('an id that ended can be used again', async () => {
    const socket = await RawSocket.signedIn(app.url);
    for (const _ of [1, 2]) {
      socket.subscribe('1', '{ __typename }');
      assert.equal((await socket.message()).type, 'next');
      assert.equal((await socket.message()).type, 'complete');
    }
    socket.close();
  });

  it('complete ends the source at once, though it waits for an event', async () => {
    const socket = await RawSocket.signedIn(app.url, person.token);
    socket.subscribe('1', TICKS);
    probe.source.push(1);
    await socket.message();
    socket.send({ type: 'complete', id: '1' });
    await probe.source.ended;
    assert.equal(probe.signal.aborted, true);
    socket.close();
  });

  it('a client that vanishes ends its sources', async () => {
    const socket = await RawSocket.signedIn(app.url, person.token);
    socket.subscribe('1', 'subscription { probeSilence }');
    await socket.message();
    const { signal } = probe;
    const ended = once(signal, 'abort');
    socket.socket.terminate();
    await ended;
  });

  it('each event has a context of its own', async () => {
    probe.contexts.length = 0;
    const socket = await RawSocket.signedIn(app.url, person.token);
    socket.subscribe('1', TICKS);
    for (const tick of [1, 2]) {
      probe.source.push(tick);
      await socket.message();
    }
    const [first, second] = probe.contexts as { loaders: object; viewer: object }[];
    assert.notEqual(first, second);
    assert.notEqual(first?.loaders, second?.loaders);
    assert.equal(first?.viewer, second?.viewer);
    socket.close();
  });

  it('an event that fails is an error of that event; the next one comes', async () => {
    const socket = await RawSocket.signedIn(app.url, person.token);
    socket.subscribe('1', TICKS);
    probe.source.push(-1);
    probe.source.push(2);
    const failed = (await socket.message()).payload as { errors: { extensions: object }[] };
    assert.deepEqual(failed.errors[0]?.extensions, { code: 'INTERNAL_SERVER_ERROR' });
    assert.deepEqual((await socket.message()).payload, { data: { probeTicks: 2 } });
    socket.close();
  });

  it('more operations than a socket may have open are refused, the others go on', async () => {
    const socket = await RawSocket.signedIn(app.url, person.token);
    for (const id of ['1', '2', '3', '4']) socket.subscribe(id, TICKS);
    const { type, id, payload } = await socket.message();
    assert.deepEqual([type, id], ['error', '4']);
    assert.match(JSON.stringify(payload), /RATE_LIMITED/);
    socket.send({ type: 'complete', id: '1' });
    await probe.source.ended;
    socket.subscribe('5', '{ __typename }');
    while ((await socket.message()).id !== '5'); // The others shared the source that ended.
    socket.close();
  });

  describe('who may connect', () => {
    const refused = async (options: Parameters<typeof RawSocket.connect>[1]): Promise<string> => {
      try {
        (await RawSocket.connect(app.url, options)).close();
        return 'connected';
      } catch (error) {
        return (error as Error).message;
      }
    };

    it('a client that is no browser, a listed origin, and a page of this server', async () => {
      for (const origin of [undefined, 'https://app.example', app.url]) {
        assert.equal(await refused(origin ? { headers: { origin } } : {}), 'connected', String(origin));
      }
    });

    it('no other origin', async () => {
      for (const origin of ['https://evil.example', 'null', 'https://app.example.evil.example', 'file://']) {
        assert.equal(await refused({ headers: { origin } }), 'Unexpected server response: 403', origin);
      }
    });

    it('no other path', async () => {
      assert.equal(await refused({ path: '/other' }), 'Unexpected server response: 404');
    });

    it('no more than the address may have open, and again when one closed', async (t) => {
      const few = await startProbedApp({ server: { perAddressMax: 3 } });
      t.after(() => few.close());
      const sockets = await Promise.all([1, 2, 3].map(() => RawSocket.connect(few.url)));
      await assert.rejects(RawSocket.connect(few.url), { message: 'Unexpected server response: 429' });
      sockets[0]?.close();
      await sockets[0]?.closed;
      let again: RawSocket | null = null;
      while (again === null) again = await RawSocket.connect(few.url).catch(() => null);
      for (const socket of [...sockets, again]) socket.socket.terminate();
    });
  });

  describe('who one is', () => {
    const who = async (socket: RawSocket): Promise<unknown> => {
      socket.subscribe('who', '{ viewer { username } }');
      const { payload } = await socket.message();
      socket.close();
      return (payload as { data: { viewer: { username: string } | null } }).data.viewer?.username ?? null;
    };

    it('nobody, without a token: then what is for everybody works', async () => {
      assert.equal(await who(await RawSocket.signedIn(app.url)), null);
      const socket = await RawSocket.signedIn(app.url);
      const input = { username: person.username, password: person.password };
      socket.subscribe('1', 'mutation ($input: LoginInput!) { login(input: $input) { __typename } }', { input });
      assert.deepEqual((await socket.message()).payload, { data: { login: { __typename: 'LoginPayload' } } });
      socket.close();
    });

    for (const [name, payload] of [
      ['authorization', (token: string) => ({ authorization: `Bearer ${token}` })],
      ['Authorization', (token: string) => ({ Authorization: `bearer ${token}` })],
      ['accessToken', (token: string) => ({ accessToken: token })],
    ] as const) {
      it(`by ${name} in the payload of connection_init`, async () => {
        const socket = await RawSocket.connect(app.url);
        socket.send({ ...INIT, payload: payload(person.token) });
        assert.equal((await socket.message()).type, 'connection_ack');
        assert.equal(await who(socket), person.username);
      });
    }

    it('by the header of the handshake, as clients that are no browser can', async () => {
      const socket = await RawSocket.connect(app.url, { headers: { authorization: `Bearer ${person.token}` } });
      socket.send(INIT);
      assert.equal((await socket.message()).type, 'connection_ack');
      assert.equal(await who(socket), person.username);
    });
  });

  describe('the reference client', () => {
    const clientFor = (token: string | null, more: object = {}) =>
      createClient({
        url: `${app.url.replace('http', 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        retryAttempts: 0,
        connectionParams: token ? { authorization: `Bearer ${token}` } : {},
        ...more,
      });

    it('queries, mutates and subscribes', async () => {
      const client = clientFor(person.token);
      const query = client.iterate({ query: '{ __typename }' });
      assert.deepEqual(await query.next(), { done: false, value: { data: { __typename: 'Query' } } });
      const ticks = client.iterate({ query: TICKS });
      const first = ticks.next();
      probe.source.push(1);
      assert.deepEqual((await first).value, { data: { probeTicks: 1 } });
      await ticks.return?.();
      await probe.source.ended;
      await client.dispose();
    });

    it('keeps its socket by its own pings', async () => {
      let pongs = 0;
      const heard = Promise.withResolvers<void>();
      const client = clientFor(null, {
        lazy: false,
        keepAlive: 20,
        on: {
          pong: (received: boolean) => {
            if (received) pongs += 1;
            if (pongs === 2) heard.resolve();
          },
        },
      });
      await heard.promise;
      await client.dispose();
    });

    it('comes back with a new token after its session was ended', async () => {
      const other = await registerUser(app);
      let token = other.token;
      let connections = 0;
      const closes: number[] = [];
      const client = clientFor(null, {
        retryAttempts: 3,
        retryWait: async () => {},
        connectionParams: () => {
          connections += 1;
          const params = { authorization: `Bearer ${token}` };
          token = person.token;
          return params;
        },
        on: { closed: (event: { code: number }) => closes.push(event.code) },
      });
      const ticks = client.iterate({ query: TICKS });
      const first = ticks.next();
      probe.source.push(1);
      await first;
      const second = ticks.next();
      probe.source = new Source();
      await app.app.events.publish('grant.revoked', { userId: other.userId, grantIds: 'all' });
      probe.source.push(2); // Kept until somebody listens again.
      assert.deepEqual((await second).value, { data: { probeTicks: 2 } });
      assert.equal(connections, 2);
      assert.deepEqual(closes, [4403]);
      await ticks.return?.();
      await client.dispose();
    });
  });
});

describe('the end of a socket', () => {
  it('revocation closes the sockets of that grant, and no others', async (t) => {
    const app = await startProbedApp();
    t.after(() => app.close());
    const [ended, kept] = [await registerUser(app), await registerUser(app)];
    const socket = await RawSocket.signedIn(app.url, ended.token);
    const other = await RawSocket.signedIn(app.url, kept.token);
    await app.graphql('mutation { logout(input: {}) { __typename } }', {}, ended.token);
    assert.deepEqual(await socket.closed, { code: 4403, reason: 'Session ended' });
    other.subscribe('1', '{ __typename }');
    assert.equal((await other.message()).type, 'next');
    other.close();
  });

  it('a revocation that nobody announced is found when the token is looked at again', async (t) => {
    const app = await startProbedApp({ server: { recheckMs: 20 } });
    t.after(() => app.close());
    const person = await registerUser(app);
    const socket = await RawSocket.signedIn(app.url, person.token);
    await app.app.storage.fork().getConnection().execute('update sessions set revoked_at = created_at');
    assert.deepEqual(await socket.closed, { code: 4403, reason: 'Session ended' });
  });

  it('the end of the token is the end of the socket', async (t) => {
    let ahead = 0;
    const app = await startProbedApp({
      clock: { now: () => new Date(Date.now() + ahead) },
      server: { recheckMs: 20 },
    });
    t.after(() => app.close());
    const person = await registerUser(app);
    const socket = await RawSocket.signedIn(app.url, person.token);
    ahead = 16 * 60_000;
    assert.deepEqual(await socket.closed, { code: 4403, reason: 'Session expired' });
  });

  it('a client that answers no ping is cut off', async (t) => {
    const timer = new ManualTimer();
    const app = await startProbedApp({ server: { timer } });
    t.after(() => app.close());
    const client = connect(Number(new URL(app.url).port), '127.0.0.1');
    client.write(
      'GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n',
    );
    await once(client, 'data'); // The handshake is answered.
    const closed = once(client, 'close');
    await timer.advance(PING_MS);
    assert.equal(client.destroyed, false, 'it has until the next one to answer');
    await timer.advance(PING_MS);
    await closed;
  });

  it('a client that answers pings stays', async (t) => {
    const timer = new ManualTimer();
    const app = await startProbedApp({ server: { timer } });
    t.after(() => app.close());
    const raw = await RawSocket.signedIn(app.url);
    for (let pings = 0; pings < 5; pings += 1) {
      const pinged = once(raw.socket, 'ping');
      await timer.advance(PING_MS);
      await pinged;
      raw.send({ type: 'ping' }); // Behind the answer to the ping: when it is answered, that has arrived.
      assert.equal((await raw.message()).type, 'pong');
    }
    assert.equal(raw.socket.readyState, raw.socket.OPEN);
    raw.socket.close();
  });

  it('a client that stops reading is cut off, with all that waits for it', async (t) => {
    const timer = new ManualTimer();
    const app = await startProbedApp({ server: { timer, bufferedBytesMax: 1_000 } });
    t.after(() => app.close());
    const accepted = once(app.app.server, 'connection');
    const raw = await RawSocket.signedIn(app.url);
    const [serverSide] = (await accepted) as [Socket];
    raw.socket.pause();
    for (let id = 0; id < 20; id += 1) raw.subscribe(String(id), '{ probeLarge(bytes: 1000000) }');
    while (serverSide.writableLength < 1_000_000) await setImmediate(); // The kernel's buffers are full.
    await timer.advance(2 * PING_MS);
    if (!serverSide.closed) await once(serverSide, 'close');
    assert.equal(serverSide.destroyed, true);
    raw.socket.resume();
    await raw.closed;
  });
});
