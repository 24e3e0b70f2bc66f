import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { startLoopback } from '../../test/support/loopback.ts';
import { requestFor, testOutbound } from '../../test/support/outbound.ts';
import { DriveError, type DriveErrorCategory } from '../lib/drive-error.ts';
import { jsonInteger } from '../lib/json.ts';
import { systemTimer } from '../lib/timer.ts';
import type { OutboundRequest } from './request.ts';

/** The DriveError that the promise ends with. */
async function failure(promise: Promise<unknown>): Promise<DriveError> {
  const error = await promise.then(
    () => assert.fail('it should have failed'),
    (reason) => reason,
  );
  assert.ok(error instanceof DriveError, `not a DriveError: ${error}`);
  assert.equal(error.provider, 'TEST');
  return error;
}

/** Without a second try. */
const single = (url: string, given: Partial<OutboundRequest<'json'>> = {}) =>
  requestFor(url, { attempts: 1, ...given });

test('a JSON answer is read whatever type it is labelled with, and large ids keep their digits', async () => {
  await using server = await startLoopback((_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end('\ufeff{"id":12345678901234567890,"n":7,"own":5}'),
  );
  await using http = testOutbound();
  const { status, body } = await http.transport({ textKeys: ['own'] }).send(requestFor(server.url));
  assert.equal(status, 200);
  assert.deepEqual(body, { id: '12345678901234567890', n: 7, own: '5' });
  assert.equal(server.requests[0]?.headers['accept-encoding'], 'identity');
});

test('the query is encoded once, and a signed query is left as it is', async () => {
  await using server = await startLoopback((_request, response) => response.end('{}'));
  await using http = testOutbound();
  const transport = http.transport({ baseUrl: `${server.url}/base/` });
  await transport.send(
    requestFor('/a/b', { query: { path: '/文 件&+%41.txt', none: null, gone: undefined, zero: 0, no: false } }),
  );
  await transport.send(requestFor('/c?sign=a%2Bb%20c*~&flag#part', { query: { access_token: 'x' } }));
  assert.deepEqual(
    server.requests.map(({ url }) => url),
    [
      '/base/a/b?path=%2F%E6%96%87+%E4%BB%B6%26%2B%2541.txt&zero=0&no=false',
      '/base/c?sign=a%2Bb%20c*~&flag&access_token=x',
    ],
  );
});

for (const url of ['https:///name', 'ftp://127.0.0.1/', 'nonsense', '', 'http://a b/']) {
  test(`an address that is not a web address (${url}) is refused without a request`, async () => {
    await using http = testOutbound();
    const error = await failure(http.transport().send(requestFor(url)));
    assert.equal(error.category, 'unexpected');
    assert.deepEqual(http.measurements.length, 1);
  });
}

test('each kind of body arrives as given, with its length', async () => {
  await using server = await startLoopback((_request, response) => response.end('{}'));
  await using http = testOutbound();
  const send = (body: NonNullable<OutboundRequest['body']>) =>
    http.transport().send(requestFor(server.url, { method: 'POST', body }));
  await send({ form: { list: '["/a b"]', empty: null, n: 1 } });
  await send({ json: { ids: [jsonInteger('12345678901234567890')] } });
  await send({ bytes: new Uint8Array([1, 2, 3]) });
  await send({
    open: () => Readable.from([Buffer.from('ab'), Buffer.from('c')]),
    length: 3,
    contentType: 'text/plain',
  });
  await send({ bytes: new Uint8Array() });
  assert.deepEqual(
    server.requests.map(({ headers, body }) => [
      headers['content-type'],
      headers['content-length'],
      body.toString('latin1'),
    ]),
    [
      ['application/x-www-form-urlencoded', '27', 'list=%5B%22%2Fa+b%22%5D&n=1'],
      ['application/json', '30', '{"ids":[12345678901234567890]}'],
      ['application/octet-stream', '3', '\x01\x02\x03'],
      ['text/plain', '3', 'abc'],
      ['application/octet-stream', '0', ''],
    ],
  );
  assert.ok(server.requests.every(({ headers }) => headers['transfer-encoding'] === undefined));
});

for (const [words, chunks] of [
  ['too short', ['ab']],
  ['too long', ['abcd']],
] as const) {
  test(`a source that is ${words} is told as corrupted and not sent as a whole request`, async () => {
    await using server = await startLoopback((_request, response) => response.end('{}'));
    await using http = testOutbound();
    const body = { open: () => Readable.from(chunks.map((chunk) => Buffer.from(chunk))), length: 3 };
    const error = await failure(http.transport().send(requestFor(server.url, { method: 'PUT', body })));
    assert.equal(error.category, 'corrupted');
    assert.equal(server.requests.length, 0);
  });
}

test('a source that fails with a DriveError gives that very error', async () => {
  await using server = await startLoopback((_request, response) => response.end('{}'));
  await using http = testOutbound();
  const origin = new DriveError('quota_exceeded', 'The other drive is full.', { provider: 'TEST' });
  const open = () =>
    new Readable({
      read() {
        this.destroy(origin);
      },
    });
  const error = await failure(
    http.transport().send(requestFor(server.url, { method: 'PUT', body: { open, length: 3 } })),
  );
  assert.equal(error, origin);
});

for (const [status, category, retryable] of [
  [302, 'unexpected', false],
  [400, 'unexpected', false],
  [401, 'unauthenticated', false],
  [403, 'permission_denied', false],
  [404, 'not_found', false],
  [409, 'conflict', false],
  [413, 'too_large', false],
  [416, 'invalid_argument', false],
  [429, 'rate_limited', true],
  [500, 'unavailable', true],
  [503, 'unavailable', true],
  [507, 'quota_exceeded', false],
] as const) {
  for (const as of ['json', 'text', 'stream', 'empty'] as const) {
    test(`status ${status} is ${category} when ${as} was asked for`, async () => {
      await using server = await startLoopback((_request, response) =>
        response.writeHead(status).end('<html>no</html>'),
      );
      await using http = testOutbound();
      const error = await failure(http.transport().send(requestFor(server.url, { as, attempts: 1 })));
      assert.equal(error.category, category);
      assert.equal(error.persistent, retryable);
      assert.equal(error.providerCode, `HTTP ${status}`);
      assert.equal(server.requests.length, 1);
    });
  }
}

test("the provider's own table goes before the status, and sees status, headers, text and JSON", async () => {
  await using server = await startLoopback(({ url }, response) =>
    response.writeHead(url === '/ok' ? 404 : 200, { 'x-id': '7' }).end('{"errno":-9}'),
  );
  await using http = testOutbound();
  const seen: unknown[] = [];
  const transport = http.transport({
    classify: ({ status, headers, text, json }, { endpoint }) => {
      seen.push([status, headers.get('x-id'), text, json, endpoint]);
      return status === 200
        ? new DriveError('not_found', 'Not there.', { provider: 'TEST', providerCode: '-9' })
        : null;
    },
  });
  const error = await failure(transport.send(requestFor(server.url)));
  assert.deepEqual([error.category, error.providerCode], ['not_found', '-9']);
  assert.deepEqual((await transport.send(requestFor(`${server.url}/ok`, { accept: [404] }))).body, { errno: -9 });
  assert.deepEqual(
    seen,
    [200, 404].map((status) => [status, '7', '{"errno":-9}', { errno: -9 }, 'test']),
  );
});

for (const text of ['<html>busy</html>', '', '{"errno":0', '['.repeat(100_000)]) {
  test(`an answer that is not JSON (${text.slice(0, 12)}) is unavailable, and never an empty result`, async () => {
    await using server = await startLoopback((_request, response) => response.end(text));
    await using http = testOutbound();
    const error = await failure(http.transport().send(single(server.url)));
    assert.equal(error.category, 'unavailable');
    assert.equal((await http.transport().send(requestFor(server.url, { as: 'text' }))).body, text);
    assert.equal((await http.transport().send(requestFor(server.url, { as: 'empty' }))).body, null);
  });
}

test('a plain body labelled gzip is read as it is, and a gzip body as what it holds', async () => {
  await using server = await startLoopback(({ url }, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(url === '/plain' ? '{"a":1}' : gzipSync('{"a":1}')),
  );
  await using http = testOutbound();
  for (const path of ['/plain', '/gzip']) {
    assert.deepEqual((await http.transport().send(requestFor(server.url + path))).body, { a: 1 });
  }
});

test('an answer longer than its limit is refused, packed or not', async () => {
  await using server = await startLoopback(({ url }, response) => {
    if (url === '/gzip') response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(100_000)));
    else response.end(Buffer.alloc(100_000, 0x20));
  });
  await using http = testOutbound();
  for (const path of ['/', '/gzip']) {
    const error = await failure(http.transport().send(requestFor(server.url + path, { maxBodyBytes: 10_000 })));
    assert.equal(error.category, 'unexpected');
    assert.match(error.message, /longer than 10000 bytes/);
  }
  const limit = { maxBodyBytes: 100_000, as: 'text' as const };
  assert.equal((await http.transport().send(requestFor(server.url, limit))).body.length, 100_000);
});

test('of an error page without end only the beginning is read', async () => {
  await using server = await startLoopback((_request, response) => {
    response.writeHead(500);
    const more = (): void => {
      while (response.write(Buffer.alloc(65_536, 0x20)));
    };
    response.on('drain', more);
    more();
  });
  await using http = testOutbound();
  assert.equal((await failure(http.transport().send(single(server.url)))).category, 'unavailable');
});

test('a connection that breaks before or within the answer is unavailable', async () => {
  await using server = await startLoopback(({ url }, response, raw) => {
    if (url === '/head') return raw.socket.destroy();
    if (url === '/length') response.writeHead(200, { 'content-length': 100 });
    response.write('{"a":');
    setImmediate(() => raw.socket.destroy());
  });
  await using http = testOutbound();
  for (const path of ['/head', '/length', '/chunked']) {
    const error = await failure(http.transport().send(single(server.url + path)));
    assert.deepEqual([path, error.category, error.nothingDone], [path, 'unavailable', false]);
  }
});

test('a connection that cannot be made is unavailable, and nothing was done', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await using http = testOutbound();
  for (const url of [`http://127.0.0.1:${port}/`, 'http://no-such-name.invalid/']) {
    const error = await failure(http.transport().send(single(url, { idempotent: false })));
    assert.deepEqual([error.category, error.nothingDone, error.persistent], ['unavailable', true, true]);
  }
  assert.ok(http.measurements.length >= 2);
});

test('what does not speak HTTP is unavailable', async (t) => {
  const server = createServer((socket) => socket.end('SSH-2.0-nothing\r\n')).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await using http = testOutbound();
  assert.equal((await failure(http.transport().send(single(`http://127.0.0.1:${port}/`)))).category, 'unavailable');
});

test('an answer whose headers or whose body come too late is a timeout', async () => {
  await using server = await startLoopback(({ url }, response) => {
    if (url === '/body') response.writeHead(200).write('{');
  });
  await using http = testOutbound({ timer: systemTimer });
  for (const path of ['/headers', '/body']) {
    const error = await failure(http.transport().send(single(server.url + path, { timeoutMs: 100 })));
    assert.deepEqual([path, error.category], [path, 'timeout'] satisfies [string, DriveErrorCategory]);
  }
});

test('a cancelled request ends at once as cancelled, and its connection is closed', async () => {
  const closed = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  await using server = await startLoopback((_request, _response, raw) => {
    raw.socket.once('close', () => closed.resolve());
    arrived.resolve();
  });
  await using http = testOutbound();
  const controller = new AbortController();
  const sending = failure(http.transport().send(requestFor(server.url, { signal: controller.signal })));
  await arrived.promise;
  controller.abort();
  assert.equal((await sending).category, 'cancelled');
  await closed.promise;
  assert.equal(
    (await failure(http.transport().send(requestFor(server.url, { signal: controller.signal })))).category,
    'cancelled',
  );
  assert.equal(server.requests.length, 1);
});

test('a stream gives the bytes, and frees its connection for the next', async () => {
  const bytes = Buffer.alloc(300_000, 'x');
  await using server = await startLoopback((_request, response) => response.end(bytes));
  await using http = testOutbound();
  const { body } = await http.transport().send(requestFor(server.url, { as: 'stream', expectedBytes: bytes.length }));
  assert.deepEqual(await buffer(body), bytes);
});
