import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Loopback, startLoopback } from '../../test/support/loopback.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { requestFor, testOutbound } from '../../test/support/outbound.ts';
import { DriveError } from '../lib/drive-error.ts';
import { Secret } from '../lib/secret.ts';
import { systemTimer } from '../lib/timer.ts';
import type { Authorize, TokenStore } from './layers/refresh.ts';
import { type Limiter, MemoryLimiter } from './limiter.ts';
import type { TransportOptions } from './outbound.ts';
import { NoTurnError } from './waiting-line.ts';

/** A store with the token `expired`, which a refresh replaces by `fresh`. */
function storeWithExpired() {
  let value = 'expired';
  let refreshes = 0;
  const tokens: TokenStore = {
    current: async () => ({ value: new Secret(value), expiresAt: null }),
    refresh: async () => {
      refreshes += 1;
      await setImmediate();
      value = 'fresh';
      return { value: new Secret(value), expiresAt: null };
    },
  };
  return { tokens, refreshes: () => refreshes };
}

const asQuery: Authorize = (request, token) => ({ ...request, query: { ...request.query, access_token: token } });

/** Waits until the server has been asked so many times. */
async function arrived(server: Loopback, count: number): Promise<void> {
  while (server.requests.length < count) await setImmediate();
}

test('50 callers over two drivers of an account meet an expired token: one refresh, 50 answers', async () => {
  await using server = await startLoopback(({ url }, response) =>
    response.end(url.includes('fresh') ? '{"errno":0}' : '{"errno":-6}'),
  );
  await using http = testOutbound();
  const { tokens, refreshes } = storeWithExpired();
  const options: Partial<TransportOptions> = {
    credentials: { tokens, authorize: asQuery },
    classify: ({ json }) =>
      (json as { errno: number }).errno === 0
        ? null
        : new DriveError('unauthenticated', 'Expired.', { provider: 'TEST', providerCode: '-6' }),
  };
  const transports = [http.transport(options), http.transport(options)] as const;
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      transports[index % 2 === 0 ? 0 : 1].send(
        requestFor(server.url, { auth: true, idempotent: false, method: 'POST' }),
      ),
    ),
  );
  assert.ok(answers.every(({ body }) => (body as { errno: number }).errno === 0));
  assert.equal(refreshes(), 1);
  assert.equal(server.requests.filter(({ url }) => url.includes('fresh')).length, 50);
});

test('a request that needs a token is a bug where there are no credentials', async () => {
  await using http = testOutbound();
  await assert.rejects(http.transport().send(requestFor('http://127.0.0.1:1', { auth: true })), TypeError);
});

test('a failing provider is asked again, and the caller sees only the answer', async () => {
  let tries = 0;
  await using server = await startLoopback((_request, response) => {
    tries += 1;
    response.writeHead([503, 502][tries - 1] ?? 200).end(tries < 4 ? '<html>' : '{"ok":true}');
  });
  await using http = testOutbound();
  assert.deepEqual((await http.transport().send(requestFor(server.url))).body, { ok: true });
  assert.deepEqual(
    http.measurements.map(({ outcome, attempt }) => [outcome, attempt]),
    [
      ['unavailable', 1],
      ['unavailable', 2],
      ['unavailable', 3],
      ['ok', 4],
    ],
  );
});

test('when the provider says how long to wait, all callers of the endpoint are told so, and others go on', async () => {
  await using server = await startLoopback(({ url }, response) =>
    url === '/busy' ? response.writeHead(429, { 'retry-after': '60' }).end() : response.end('1'),
  );
  await using http = testOutbound({ timer: systemTimer });
  const [one, two] = [http.transport(), http.transport()];
  await assert.rejects(one.send(requestFor(`${server.url}/busy`)), { category: 'rate_limited', retryAfterMs: 60_000 });
  await assert.rejects(two.send(requestFor(server.url)), (error: DriveError) => {
    assert.deepEqual([error.category, error.retryable, error.persistent], ['rate_limited', false, true]);
    assert.ok((error.retryAfterMs ?? 0) > 50_000);
    return true;
  });
  assert.equal(server.requests.length, 1);
  assert.equal((await two.send(requestFor(server.url, { endpoint: 'other' }))).body, 1);
  assert.equal((await http.transport({ accountId: 'b' }).send(requestFor(server.url))).body, 1);
});

test('a drive may say that a refusal concerns the whole account', async () => {
  await using server = await startLoopback(({ url }, response) =>
    url === '/busy' ? response.writeHead(429, { 'retry-after': '60' }).end() : response.end('1'),
  );
  await using http = testOutbound({ timer: systemTimer });
  const transport = http.transport({ pauses: () => 'account' });
  await assert.rejects(transport.send(requestFor(`${server.url}/busy`)), { category: 'rate_limited' });
  await assert.rejects(transport.send(requestFor(server.url, { endpoint: 'other' })), { category: 'rate_limited' });
  assert.equal(server.requests.length, 1);
});

test('the drivers of an account share its rates, and better ones count for all of them', async () => {
  await using server = await startLoopback((_request, response) => response.end('1'));
  await using http = testOutbound({ timer: systemTimer });
  const rates = { test: { windows: [{ max: 2, windowMs: 3_600_000 }] } };
  const [one, two] = [http.transport({ rates }), http.transport({ rates })];
  const sending = [one, two, one, two].map((transport) => transport.send(requestFor(server.url, { priority: 'bulk' })));
  const late = Promise.allSettled(sending);
  const results = await late;
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'rejected'],
  );
  two.setRates({ test: { windows: [{ max: 100, windowMs: 1000 }] } });
  await one.send(requestFor(server.url));
  await http.transport({ rates }).send(requestFor(server.url));
  assert.equal(server.requests.length, 4);
});

test('a limiter of another kind can take the place of the one in memory', async () => {
  await using server = await startLoopback((_request, response) => response.end('1'));
  const made: string[] = [];
  const createLimiter = (accountId: string): Limiter => {
    made.push(accountId);
    const limiter = new MemoryLimiter({}, systemTimer);
    return Object.assign(limiter, { acquire: () => Promise.reject(new NoTurnError('The shared store says no.', 5)) });
  };
  await using http = testOutbound({ createLimiter });
  await assert.rejects(http.transport().send(requestFor(server.url)), { category: 'rate_limited', retryAfterMs: 5 });
  assert.deepEqual(made, ['a']);
});

test('of very many accounts only those are forgotten that nothing happens with', async () => {
  const made: string[] = [];
  const createLimiter = (accountId: string): Limiter => {
    made.push(accountId);
    return new MemoryLimiter({}, systemTimer);
  };
  const go = Promise.withResolvers<void>();
  await using server = await startLoopback(async (_request, response) => {
    await go.promise;
    response.end('1');
  });
  await using http = testOutbound({ createLimiter });
  const busy = http.transport({ accountId: 'busy' }).send(requestFor(server.url));
  await arrived(server, 1);
  for (let index = 0; index < 1000; index += 1) http.transport({ accountId: `idle ${index}` }).setRates({});
  for (const accountId of ['busy', 'idle 0']) http.transport({ accountId }).setRates({});
  go.resolve();
  await busy;
  assert.equal(made.filter((accountId) => accountId === 'busy').length, 1);
  assert.equal(made.filter((accountId) => accountId === 'idle 0').length, 2);
});

test('equal requests under way share one call, different ones do not', async () => {
  const go = Promise.withResolvers<void>();
  await using server = await startLoopback(async (_request, response) => {
    await go.promise;
    response.end('{"a":1}');
  });
  await using http = testOutbound();
  const [one, two, other] = [http.transport(), http.transport(), http.transport({ accountId: 'b' })];
  const shareable = true;
  const all = Promise.all([
    one.send(requestFor(server.url, { shareable, query: { dir: '/' } })),
    two.send(requestFor(server.url, { shareable, query: { dir: '/' } })),
    one.send(requestFor(server.url, { shareable, query: { dir: '/b' } })),
    one.send(requestFor(server.url, { query: { dir: '/' } })),
    one.send(requestFor(server.url, { shareable, as: 'text', query: { dir: '/' } })),
    one.send(requestFor(server.url, { shareable, headers: { 'user-agent': 'x' }, query: { dir: '/' } })),
    one.send(requestFor(server.url, { shareable, method: 'POST', query: { dir: '/' } })),
    other.send(requestFor(server.url, { shareable, query: { dir: '/' } })),
  ]);
  await arrived(server, 7);
  go.resolve();
  const [first, second] = await all;
  assert.equal(first, second);
  assert.equal(server.requests.length, 7);
  await one.send(requestFor(server.url, { shareable, query: { dir: '/' } }));
  assert.equal(server.requests.length, 8);
});

test('who gives up a shared call leaves it to the others, whoever began it', async () => {
  const go = Promise.withResolvers<void>();
  await using server = await startLoopback(async (_request, response) => {
    await go.promise;
    response.end('1');
  });
  await using http = testOutbound();
  const leader = new AbortController();
  const follower = new AbortController();
  const send = (signal: AbortSignal) => http.transport().send(requestFor(server.url, { shareable: true, signal }));
  const sending = [send(leader.signal), send(follower.signal), send(new AbortController().signal)] as const;
  await arrived(server, 1);
  leader.abort();
  follower.abort();
  await assert.rejects(sending[0], { category: 'cancelled' });
  await assert.rejects(sending[1], { category: 'cancelled' });
  go.resolve();
  assert.equal((await sending[2]).body, 1);
  assert.equal(server.requests.length, 1);
});

test('a shared call that nobody waits for any more ends, and the next caller begins a new one', async () => {
  const closed = Promise.withResolvers<void>();
  await using server = await startLoopback((_request, response, raw) => {
    if (server.requests.length > 1) return response.end('2');
    raw.socket.once('close', () => closed.resolve());
  });
  await using http = testOutbound();
  const controller = new AbortController();
  const send = (signal: AbortSignal) => http.transport().send(requestFor(server.url, { shareable: true, signal }));
  const sending = [send(controller.signal), send(controller.signal)];
  await arrived(server, 1);
  controller.abort();
  for (const each of sending) await assert.rejects(each, { category: 'cancelled' });
  assert.equal((await send(new AbortController().signal)).body, 2);
  await closed.promise;
});

test('a shared failure is told to all, and the next caller tries anew', async () => {
  await using server = await startLoopback((_request, response) => response.writeHead(404).end());
  await using http = testOutbound();
  const send = () => http.transport().send(requestFor(server.url, { shareable: true }));
  const results = await Promise.allSettled([send(), send()]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  await assert.rejects(send(), { category: 'not_found' });
  assert.equal(server.requests.length, 2);
});

test('nothing secret is in a log line, a measurement or an error, whatever happens to the request', async () => {
  const canary = 'CANARY-5f2c9a';
  await using server = await startLoopback(({ url }, response, raw) => {
    const [, path = ''] = /^\/(\w+)/.exec(url) ?? [];
    if (path === 'cut') return raw.socket.destroy();
    if (path === 'moved') return response.writeHead(302, { location: `http://127.0.0.1:1/?sign=${canary}` }).end();
    response.writeHead(path === 'broken' ? 500 : 200, { 'set-cookie': canary }).end(`{"token":"${canary}"}`);
  });
  await using http = testOutbound();
  const errors: string[] = [];
  const parameters = [
    'access_token',
    'refresh_token',
    'client_secret',
    'adToken',
    'sign',
    'code',
    'password',
    'pwd',
    'key',
    'uploadid',
    'X',
    't',
  ];
  const tokens: TokenStore = {
    current: async () => ({ value: new Secret(canary), expiresAt: null }),
    refresh: () => assert.fail('there is no refusal'),
  };
  const transport = http.transport({
    headers: { 'X-Secret': canary },
    credentials: {
      tokens,
      authorize: (request, token) => ({ ...asQuery(request, token), headers: { authorization: token } }),
    },
  });
  const other = 'http://no-such-name.invalid';
  const redirects = { hosts: ['127.0.0.1'] };
  for (const url of [`${server.url}/fine`, `${server.url}/broken`, `${server.url}/cut`, `${server.url}/moved`, other]) {
    await transport
      .send(
        requestFor(
          `${url}/${canary.repeat(3)}?${new URLSearchParams(parameters.map((name) => [name, canary]))}#${canary}`,
          {
            auth: true,
            attempts: 2,
            query: { method: 'list', ...Object.fromEntries(parameters.map((name) => [`${name}2`, canary])) },
            method: url.endsWith('moved') ? 'GET' : 'POST',
            ...(url.endsWith('moved') ? { redirects } : { body: { form: { password: canary } } }),
          },
        ),
      )
      .catch((error: DriveError) => {
        // The address within a system error is the other side's; the whole chain of causes is looked at.
        for (let each: unknown = error; each instanceof Error; each = each.cause)
          errors.push(JSON.stringify({ ...each, message: each.message, stack: each.stack }));
      });
  }
  assert.equal(http.lines.length, 9);
  assert.ok(errors.length >= 8);
  const everything = [...http.lines, ...errors, JSON.stringify(http.measurements)].join('\n');
  assert.equal(
    everything.includes(canary),
    false,
    everything.slice(Math.max(0, everything.indexOf(canary) - 200)).slice(0, 400),
  );

  const line = JSON.parse(http.lines[0] ?? '');
  assert.partialDeepStrictEqual(line, {
    msg: 'outbound request',
    provider: 'TEST',
    accountId: 'a',
    endpoint: 'test',
    method: 'POST',
    attempt: 1,
    outcome: 'ok',
    status: 200,
  });
  assert.equal(typeof line.durationMs, 'number');
  assert.match(line.url, /^http:\/\/127\.0\.0\.1:\d+\/fine\/\[redacted\]\?access_token=\[redacted\]&.*method=list/);
});

test('closing ends the requests under way as cancelled, and nothing is sent afterwards', async () => {
  await using server = await startLoopback(() => {});
  await using http = testOutbound();
  const sending = http.transport().send(requestFor(server.url));
  await arrived(server, 1);
  await Promise.all([assert.rejects(sending, { category: 'cancelled' }), http.outbound.close()]);
  await assert.rejects(http.transport().send(requestFor(server.url)), { category: 'cancelled' });
  assert.equal(server.requests.length, 1);
});

test('finds the rates of an account before its first request, once for all callers, and goes on without them', async () => {
  const clock = new ManualClock();
  await using http = testOutbound({ clock });
  let broken = false;
  await using cloud = await startLoopback(({ url }, response) =>
    response.writeHead(url === '/me' && broken ? 500 : 200).end('{}'),
  );
  let found = 0;
  const open = (accountId: string) =>
    http.transport({
      accountId,
      baseUrl: cloud.url,
      findRates: async (transport) => {
        found += 1;
        await transport.send(requestFor('/me', { endpoint: 'me', attempts: 1 }));
        return {};
      },
    });
  const ask = (accountId: string) => open(accountId).send(requestFor('/files'));

  await Promise.all([ask('a'), ask('a'), ask('a')]);
  await ask('a');
  const asked = cloud.requests.map(({ url }) => url);
  assert.deepEqual([found, asked], [1, ['/me', '/files', '/files', '/files', '/files']]);
  clock.advance(25 * 3_600_000);
  await ask('a');
  assert.equal(found, 2, 'a membership may have begun since');
  broken = true;
  await ask('b');
  await ask('b');
  assert.equal(found, 3, 'the requests go on at the careful rates');
  clock.advance(61_000);
  await ask('b');
  assert.equal(found, 4, 'and it is asked again later');
});
