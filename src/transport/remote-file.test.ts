import assert from 'node:assert/strict';
import type { LookupAddress, lookup } from 'node:dns';
import type { ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { type ReceivedRequest, startLoopback } from '../../test/support/loopback.ts';
import { testOutbound } from '../../test/support/outbound.ts';
import { SELF_SIGNED } from '../../test/support/self-signed.ts';
import type { DriveError } from '../lib/drive-error.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { createRemoteFiles, REMOTE_REDIRECTS_MAX, type RemotePlace } from './remote-file.ts';

const BYTES = Buffer.from('0123456789');
const FROM: RemotePlace = { offset: 4, validator: '"v1"', totalBytes: 10 };

type Reply = (request: ReceivedRequest, response: ServerResponse) => unknown;

/** One fetch from a server that answers so. */
async function fetched(
  reply: Reply,
  {
    path = '/',
    from = null,
    headers = {},
    guardOptions = {},
  }: { path?: string; from?: RemotePlace | null; headers?: Record<string, string>; guardOptions?: GuardOptions } = {},
) {
  const server = await startLoopback(reply);
  const http = testOutbound({ guardOptions });
  try {
    const files = createRemoteFiles(http.outbound);
    const request = { url: server.url + path, from, headers, signal: new AbortController().signal };
    const { body, ...facts } = await files.open(request);
    return { ...facts, bytes: await buffer(body), requests: server.requests, lines: http.lines };
  } finally {
    await http.outbound.close();
    await server[Symbol.asyncDispose]();
  }
}

const giving =
  (headers: Record<string, string>, bytes: Uint8Array = BYTES): Reply =>
  (_request, response) =>
    response.writeHead(200, headers).end(bytes);

test('a file comes with its length, its validator and its type', async () => {
  const file = await fetched(
    giving({ etag: '"v1"', 'content-length': '10', 'content-type': 'text/plain; charset=utf-8' }),
  );
  assert.deepEqual(file.bytes, BYTES);
  assert.deepEqual([file.start, file.totalBytes, file.validator], [0, 10, '"v1"']);
  assert.equal(file.mimeType, 'text/plain; charset=utf-8');
  assert.equal(file.requests[0]?.headers.range, undefined);
  assert.equal(file.requests[0]?.headers['accept-encoding'], 'identity');
});

test('an unknown length is told as such', async () => {
  const file = await fetched((_request, response) => {
    response.write('01234');
    response.end('56789');
  });
  assert.deepEqual([file.bytes, file.totalBytes, file.validator], [BYTES, null, null]);
});

for (const [headers, validator] of [
  [{ etag: '"a"', 'last-modified': 'Fri, 20 Nov 2026 08:00:00 GMT' }, '"a"'],
  [{ etag: 'W/"a"', 'last-modified': 'Fri, 20 Nov 2026 08:00:00 GMT' }, 'Fri, 20 Nov 2026 08:00:00 GMT'],
  [{ etag: 'W/"a"' }, null],
  [{ 'last-modified': 'Fri, 20 Nov 2026 08:00:00 GMT' }, 'Fri, 20 Nov 2026 08:00:00 GMT'],
] as const) {
  test(`${JSON.stringify(headers)} is gone on with by ${validator}`, async () => {
    assert.equal((await fetched(giving(headers))).validator, validator);
  });
}

test('it goes on behind what is here, if the file is still the same', async () => {
  const file = await fetched(
    (_request, response) =>
      response.writeHead(206, { etag: '"v1"', 'content-range': 'bytes 4-9/10' }).end(BYTES.subarray(4)),
    { from: FROM },
  );
  assert.deepEqual([file.requests[0]?.headers.range, file.requests[0]?.headers['if-range']], ['bytes=4-', '"v1"']);
  assert.deepEqual([file.start, file.totalBytes, file.bytes.toString()], [4, 10, '456789']);
  assert.equal(file.validator, '"v1"');
});

test('a file that has changed, or a server that knows no ranges, gives the whole file', async () => {
  const file = await fetched(giving({ etag: '"v2"', 'content-length': '10' }), { from: FROM });
  assert.deepEqual([file.start, file.bytes, file.validator, file.requests.length], [0, BYTES, '"v2"', 1]);
});

for (const [what, status, headers] of [
  ['the rest of another file', 206, { etag: '"v2"', 'content-range': 'bytes 4-9/10' }],
  ['the rest of a file of another length', 206, { etag: '"v1"', 'content-range': 'bytes 4-9/11' }],
  ['other bytes', 206, { etag: '"v1"', 'content-range': 'bytes 5-9/10' }],
  ['less than the rest', 206, { etag: '"v1"', 'content-range': 'bytes 4-8/10' }],
  ['a rest of unknown length', 206, { etag: '"v1"', 'content-range': 'bytes 4-9/*' }],
  ['a rest that says nothing of its place', 206, { etag: '"v1"' }],
  ['nothing, because the file is shorter now', 416, { 'content-range': 'bytes */3' }],
  ['nothing, because the file is another now', 412, {}],
] as const) {
  test(`${what} is thrown away: it is asked for the whole file`, async () => {
    const file = await fetched(
      ({ headers: { range } }, response) =>
        range === undefined
          ? response.writeHead(200, { etag: '"v3"' }).end(BYTES)
          : response.writeHead(status, headers).end('xxxxxx'),
      { from: FROM },
    );
    assert.deepEqual([file.start, file.bytes, file.validator, file.requests.length], [0, BYTES, '"v3"', 2]);
  });
}

for (const [what, reply] of [
  ['a part that nobody asked for', (response) => response.writeHead(206, { 'content-range': 'bytes 0-4/10' }).end()],
  ['no content', (response) => response.writeHead(204).end()],
  ['a redirect to nowhere', (response) => response.writeHead(304).end()],
] as const satisfies readonly [string, (response: ServerResponse) => unknown][]) {
  test(`${what} is no file`, async () => {
    await assert.rejects(
      fetched((_request, response) => reply(response)),
      { category: /unexpected|permission_denied/ },
    );
  });
}

for (const [status, category] of [
  [401, 'unauthenticated'],
  [403, 'permission_denied'],
  [404, 'not_found'],
  [410, 'not_found'],
  [429, 'rate_limited'],
  [500, 'unavailable'],
  [503, 'unavailable'],
] as const) {
  test(`HTTP ${status} is ${category}, and tells nothing of the body`, async () => {
    await assert.rejects(
      fetched((_request, response) => response.writeHead(status).end('body-canary')),
      (error: DriveError) => {
        assert.equal(error.category, category);
        assert.doesNotMatch(JSON.stringify([error.message, error.hint, String(error.cause)]), /canary/);
        return true;
      },
    );
  });
}

test('a body that ends before all that was promised has come is an error', async () => {
  await assert.rejects(
    fetched((_request, response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('012', () => response.destroy());
    }),
    { category: 'unavailable', retryable: true },
  );
});

test('a chunked body that is cut is an error, not the end of the file', async () => {
  await assert.rejects(
    fetched((_request, response) => response.write('012', () => response.destroy())),
    { category: 'unavailable', retryable: true },
  );
});

for (const [disposition, path, name] of [
  ['attachment; filename="plain.txt"', '/x', 'plain.txt'],
  ['attachment; filename=bare.txt', '/x', 'bare.txt'],
  [`attachment; filename="no.txt"; filename*=UTF-8''%e5%90%8d%20%C3%A9.txt`, '/x', '名 é.txt'],
  ["attachment; filename*=ISO-8859-1''caf%e9.txt", '/x', 'café.txt'],
  ['inline; FILENAME="quoted \\"name\\".txt"', '/x', 'quoted "name".txt'],
  [Buffer.from('attachment; filename="名.txt"').toString('latin1'), '/x', '名.txt'],
  ['attachment; filename="../../etc/passwd"', '/x', '../../etc/passwd'],
  ['attachment', '/a/of%20path.bin', 'of path.bin'],
  ['attachment; filename=""', '/a/b.txt', 'b.txt'],
  ['nonsense;;;=', '/a/%E5%90%8D.txt', '名.txt'],
  [null, '/a/b.txt?name=c.txt', 'b.txt'],
  [null, '/a/folder/', 'folder'],
  [null, '/%ff.txt', '%ff.txt'],
  [null, '/a%2Fb', 'a/b'],
  [null, '/', undefined],
] as const) {
  test(`${disposition} at ${path} suggests ${name}`, async () => {
    const file = await fetched(giving(disposition === null ? {} : { 'content-disposition': disposition }), { path });
    assert.equal(file.names[0], name);
  });
}

test('the address that gave the file names it before the one that was asked', async () => {
  const file = await fetched(
    (request, response) =>
      request.url === '/short'
        ? response.writeHead(302, { location: '/files/long.zip' }).end()
        : response.writeHead(200).end(BYTES),
    { path: '/short' },
  );
  assert.deepEqual(file.names, ['long.zip', 'short']);
});

for (const [encoding, pack] of [
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
] as const) {
  test(`a body that is packed by ${encoding} without being asked for is unpacked`, async () => {
    const packed = pack(BYTES);
    const headers = { 'content-encoding': encoding, 'content-length': String(packed.length), etag: '"v1"' };
    const file = await fetched(giving(headers, packed));
    assert.deepEqual([file.bytes, file.totalBytes, file.validator], [BYTES, null, null]);
  });
}

test('an archive stays packed, though its server calls that an encoding', async () => {
  const packed = gzipSync(BYTES);
  const file = await fetched(giving({ 'content-encoding': 'gzip' }, packed), { path: '/a.tar.gz' });
  assert.deepEqual(file.bytes, packed);
});

test('damaged packing is an error', async () => {
  const packed = gzipSync(Buffer.alloc(1000, 7));
  packed[packed.length - 6] = (packed[packed.length - 6] ?? 0) ^ 0xff;
  await assert.rejects(fetched(giving({ 'content-encoding': 'gzip' }, packed)), { category: 'corrupted' });
  await assert.rejects(fetched(giving({ 'content-encoding': 'gzip' }, gzipSync(BYTES).subarray(0, 15))), {
    category: 'corrupted',
  });
});

test(`${REMOTE_REDIRECTS_MAX} redirects are followed, and not one more`, async () => {
  const hops: Reply = ({ url }, response) => {
    const left = Number(url.slice(1));
    if (left === 0) return response.end(BYTES);
    return response.writeHead([301, 302, 303, 307, 308][left % 5] ?? 302, { location: `/${left - 1}` }).end();
  };
  assert.deepEqual((await fetched(hops, { path: `/${REMOTE_REDIRECTS_MAX}` })).bytes, BYTES);
  await assert.rejects(fetched(hops, { path: `/${REMOTE_REDIRECTS_MAX + 1}` }), {
    category: 'unexpected',
    message: /redirects/,
  });
});

for (const target of [
  'http://10.0.0.1/',
  'http://169.254.169.254/latest/meta-data/',
  'http://[::1]/',
  'http://[::ffff:10.0.0.1]/',
  'http://[64:ff9b::a00:1]/',
  'http://0x0a000001/',
  'http://2852039166/',
  'http://user:secret@127.0.0.1/',
  'file:///etc/passwd',
  'ftp://127.0.0.1/',
  '//192.168.0.1/',
  'http://metadata.test/',
]) {
  test(`a redirect to ${target} is not followed`, async () => {
    const fake = (_name: string, _options: object, done: (error: null, found: LookupAddress[]) => void): void =>
      done(null, [{ address: '169.254.169.254', family: 4 }]);
    await assert.rejects(
      fetched((_request, response) => response.writeHead(302, { location: target }).end(), {
        guardOptions: { lookup: fake as typeof lookup },
      }),
      (error: DriveError) => {
        assert.equal(error.category, 'permission_denied');
        assert.doesNotMatch(error.message + error.hint, /secret/);
        return true;
      },
    );
  });
}

test('headers for the address do not go along to another origin, the range does', async () => {
  await using other = await startLoopback((_request, response) =>
    response.writeHead(206, { 'content-range': 'bytes 4-9/10', etag: '"v1"' }).end(BYTES.subarray(4)),
  );
  const secret = { 'x-link-key': 'key-canary', authorization: 'canary', cookie: 'canary' };
  const file = await fetched(
    ({ url }, response) =>
      response.writeHead(307, { location: url === '/' ? '/same' : `${other.url}/there?sig=1` }).end(),
    { headers: secret, from: FROM },
  );
  assert.equal(file.start, 4);
  assert.equal(file.requests[1]?.headers['x-link-key'], 'key-canary');
  const headers = other.requests[0]?.headers;
  assert.deepEqual([headers?.range, headers?.['if-range']], ['bytes=4-', '"v1"']);
  assert.doesNotMatch(JSON.stringify(headers), /canary/);
  assert.equal(headers?.referer, undefined);
});

test('what came by https is not sent on to http', async () => {
  await using plain = await startLoopback((_request, response) => response.end(BYTES));
  await using tls = await startLoopback(
    (_request, response) => response.writeHead(302, { location: plain.url }).end(),
    SELF_SIGNED,
  );
  await using http = testOutbound({ guardOptions: { extraCa: [SELF_SIGNED.cert] } });
  const files = createRemoteFiles(http.outbound);
  const request = { url: tls.url, from: null, headers: { 'x-link-key': 'k' }, signal: new AbortController().signal };
  await assert.rejects(files.open(request), { category: 'permission_denied' });
  assert.equal(plain.requests.length, 0);
});

test('a certificate that nobody trusts is refused', async () => {
  await using tls = await startLoopback((_request, response) => response.end(BYTES), SELF_SIGNED);
  await using http = testOutbound();
  const files = createRemoteFiles(http.outbound);
  const request = { url: tls.url, from: null, signal: new AbortController().signal };
  await assert.rejects(files.open(request), { category: 'unavailable', retryable: false });
});

test('of the address nothing but its origin stands in the log', async () => {
  const { lines } = await fetched(
    ({ url }, response) =>
      url.startsWith('/path-canary')
        ? response.writeHead(302, { location: '/next-canary?sig=query-canary' }).end()
        : response.writeHead(404).end('body-canary'),
    { path: '/path-canary?type=query-canary#fragment-canary', headers: { 'x-link-key': 'key-canary' } },
  ).catch(() => ({ lines: ['the error is looked at elsewhere'] }));
  assert.doesNotMatch(lines.join('\n'), /canary/);
  const succeeded = await fetched(giving({}), { path: '/path-canary?type=query-canary' });
  assert.match(succeeded.lines.join('\n'), /"url":"http:\/\/127\.0\.0\.1:\d+"/);
  assert.doesNotMatch(succeeded.lines.join('\n'), /canary/);
});

for (const host of ['localhost', 'localhost.', 'LOCALHOST', 'a.localhost', 'b.a.localhost.', '127.0.0.1.', '0x7f.1.']) {
  test(`${host} is this machine, in every spelling`, () => {
    assert.match(createGuard().urlFault(`http://${host}/`) ?? '', /private or special/);
    const loopback = createGuard({ allowCidrs: ['127.0.0.0/8'] });
    assert.equal(loopback.urlFault(`http://${host}:8080/`), null, 'where the operator allows it');
  });
}
