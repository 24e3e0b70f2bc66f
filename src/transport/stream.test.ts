import assert from 'node:assert/strict';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { type Loopback, startLoopback } from '../../test/support/loopback.ts';
import { requestFor, testOutbound } from '../../test/support/outbound.ts';
import { DriveError } from '../lib/drive-error.ts';
import { perSecond } from './limiter.ts';
import type { OutboundRequest } from './request.ts';

const FILE = Buffer.from('0123456789');

const categoryOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => assert.fail('it should have failed'),
    (reason) => reason,
  );
  return error instanceof DriveError ? error.category : `not a DriveError: ${error}`;
};

const streamFrom = (server: Loopback, path: string, given: Partial<OutboundRequest<'stream'>> = {}) =>
  requestFor<'stream'>(server.url + path, { as: 'stream', attempts: 1, ...given });

/** Serves FILE as a good provider does. */
const startFileServer = () =>
  startLoopback(({ headers }, response) => {
    const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
    const start = Number(first);
    const end = Math.min(last === '' ? FILE.length - 1 : Number(last), FILE.length - 1);
    if (headers.range === undefined) return response.end(FILE);
    if (start >= FILE.length) return response.writeHead(416).end();
    response
      .writeHead(206, { 'content-range': `bytes ${start}-${end}/${FILE.length}` })
      .end(FILE.subarray(start, end + 1));
  });

for (const [range, bytes, header] of [
  [null, '0123456789', undefined],
  [{ start: 0, end: null }, '0123456789', undefined],
  [{ start: 0, end: 0 }, '0', 'bytes=0-0'],
  [{ start: 3, end: 5 }, '345', 'bytes=3-5'],
  [{ start: 9, end: null }, '9', 'bytes=9-'],
  [{ start: 7, end: 99 }, '789', 'bytes=7-99'],
] as const) {
  test(`the range ${JSON.stringify(range)} gives ${bytes}`, async () => {
    await using server = await startFileServer();
    await using http = testOutbound();
    const { body } = await http.transport().send(streamFrom(server, '/', { range }));
    assert.equal(String(await buffer(body)), bytes);
    assert.equal(server.requests[0]?.headers.range, header);
  });
}

test('a range past the end is refused as invalid', async () => {
  await using server = await startFileServer();
  await using http = testOutbound();
  const sending = http.transport().send(streamFrom(server, '/', { range: { start: 10, end: null } }));
  assert.equal(await categoryOf(sending), 'invalid_argument');
});

for (const [words, status, contentRange] of [
  ['the range is ignored', 200, null],
  ['the range begins elsewhere', 206, 'bytes 4-5/10'],
  ['the range ends too early', 206, 'bytes 3-4/10'],
  ['the range ends too late', 206, 'bytes 3-6/10'],
  ['the range is not told', 206, null],
  ['the range is not understood', 206, 'bytes */10'],
  ['the length announced is another', 206, 'bytes 3-5/10'],
] as const) {
  test(`an answer is corrupted when ${words}`, async () => {
    await using server = await startLoopback((_request, response) =>
      response
        .writeHead(status, {
          'content-length': FILE.length,
          ...(contentRange ? { 'content-range': contentRange } : {}),
        })
        .end(FILE),
    );
    await using http = testOutbound();
    const sending = http.transport().send(streamFrom(server, '/', { range: { start: 3, end: 5 } }));
    assert.equal(await categoryOf(sending), 'corrupted');
  });
}

test('the whole file is as good as a range that is the whole file', async () => {
  await using server = await startLoopback((_request, response) =>
    response.writeHead(200, { 'content-length': 10 }).end(FILE),
  );
  await using http = testOutbound();
  const { body } = await http.transport().send(streamFrom(server, '/', { range: { start: 0, end: 9 } }));
  assert.equal(String(await buffer(body)), String(FILE));
  const sending = http.transport().send(streamFrom(server, '/', { range: { start: 0, end: 8 } }));
  assert.equal(await categoryOf(sending), 'corrupted');
});

test('a file of another length than known is corrupted, with or without a length announced', async () => {
  await using server = await startLoopback(({ url }, response) => {
    if (url === '/chunked') response.write(FILE.subarray(0, 5), () => response.end(FILE.subarray(5)));
    else response.end(FILE);
  });
  await using http = testOutbound();
  const send = (path: string, expectedBytes: number) =>
    http.transport().send(streamFrom(server, path, { expectedBytes }));
  for (const expectedBytes of [9, 11]) {
    assert.equal(await categoryOf(send('/', expectedBytes)), 'corrupted');
    const { body } = await send('/chunked', expectedBytes);
    assert.equal(await categoryOf(buffer(body)), 'corrupted');
  }
  assert.equal(String(await buffer((await send('/chunked', 10)).body)), String(FILE));
});

test('a body that breaks off never ends normally, however its end was to be known', async () => {
  await using server = await startLoopback(({ url }, response, raw) => {
    if (url === '/length') response.writeHead(200, { 'content-length': 20 });
    if (url === '/close') response.writeHead(200, { connection: 'close' });
    response.write(FILE);
    setImmediate(() => raw.socket.destroy());
  });
  await using http = testOutbound();
  for (const path of ['/length', '/chunked', '/close']) {
    const { body } = await http.transport().send(streamFrom(server, path));
    assert.deepEqual([path, await categoryOf(buffer(body))], [path, 'unavailable']);
  }
});

test('a body without any mark of its end is held against the length known', async () => {
  await using server = await startLoopback((_request, _response, raw) => {
    raw.socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n01234');
  });
  await using http = testOutbound();
  const { body } = await http.transport().send(streamFrom(server, '/', { expectedBytes: 10 }));
  assert.equal(await categoryOf(buffer(body)), 'corrupted');
});

test('a provider that falls silent within a body is a timeout', async () => {
  await using server = await startLoopback((_request, response) => response.writeHead(200).write('0'));
  await using http = testOutbound();
  const { body } = await http.transport().send(streamFrom(server, '/', { silenceMs: 200 }));
  assert.equal(await categoryOf(buffer(body)), 'timeout');
});

test('cancelling ends a stream under way, and closes its connection', async () => {
  const closed = Promise.withResolvers<void>();
  await using server = await startLoopback((_request, response, raw) => {
    raw.socket.once('close', () => closed.resolve());
    response.writeHead(200).write('0');
  });
  await using http = testOutbound();
  const controller = new AbortController();
  const { body } = await http.transport().send(streamFrom(server, '/', { signal: controller.signal }));
  await once(body, 'readable');
  const reading = categoryOf(buffer(body));
  controller.abort();
  assert.equal(await reading, 'cancelled');
  await closed.promise;
});

test('the time limit of an attempt ends when the stream begins', async () => {
  const go = Promise.withResolvers<void>();
  await using server = await startLoopback(async (_request, response) => {
    response.write('01234');
    await go.promise;
    response.end('56789');
  });
  await using http = testOutbound();
  const { body } = await http.transport().send(streamFrom(server, '/', { timeoutMs: 10_001 }));
  go.resolve();
  assert.equal(String(await buffer(body)), '0123456789');
});

test('a stream keeps its place among the concurrent requests until it is read or destroyed', async () => {
  await using server = await startFileServer();
  await using http = testOutbound();
  const rates = { download: { concurrent: 1, windows: [perSecond(1000)] } };
  const transport = http.transport({ rates });
  const open = () => transport.send(streamFrom(server, '/', { endpoint: 'download' }));
  const first = await open();
  const second = open();
  assert.equal(server.requests.length, 1);
  await buffer(first.body);
  (await second).body.destroy();
  const third = await open();
  assert.equal(String(await buffer(third.body)), String(FILE));
  assert.equal(server.requests.length, 3);
});
