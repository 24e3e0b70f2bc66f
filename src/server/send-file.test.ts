import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import type { Download } from '../services/download.ts';
import { goneSignal, sendFile } from './send-file.ts';

const BYTES = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));
const MODIFIED_AT = new Date('2026-11-20T08:30:00.500Z');

const FILE: Download = {
  name: 'report.bin',
  sizeBytes: BYTES.length,
  partStartMax: null,
  measured: null,
  mimeType: 'application/x-test',
  version: 'v1',
  modifiedAt: MODIFIED_AT,
  attachment: true,
  read: async (span) => Readable.from([BYTES.subarray(span?.start ?? 0, (span?.end ?? BYTES.length - 1) + 1)]),
};

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

describe('sending a file', () => {
  let server: Server;
  let file: Download;
  /** How the last answer ended: resolved to null, or with what it rejected. */
  let outcome: PromiseWithResolvers<unknown>;

  before(async () => {
    server = createServer((request, response) => {
      const { resolve } = outcome;
      sendFile(request, response, file, goneSignal(response)).then(
        () => resolve(null),
        (error) => {
          if (!response.headersSent) response.writeHead(500).end();
          resolve(error);
        },
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  const port = (): number => (server.address() as AddressInfo).port;

  async function ask(
    headers: Record<string, string> = {},
    changes: Partial<Download> = {},
    method = 'GET',
  ): Promise<Answer> {
    file = { ...FILE, ...changes };
    outcome = Promise.withResolvers();
    const request = httpRequest({ port: port(), host: '127.0.0.1', method, headers });
    request.end();
    const [response] = await once(request, 'response');
    const body = await buffer(response);
    return { status: response.statusCode, headers: response.headers, body };
  }

  const RANGES: readonly (readonly [string, number, number])[] = [
    ['bytes=0-0', 0, 0],
    ['bytes=0-999', 0, 999],
    ['bytes=10-19', 10, 19],
    ['bytes=999-', 999, 999],
    ['bytes=500-', 500, 999],
    ['bytes=0-', 0, 999],
    ['bytes=-1', 999, 999],
    ['bytes=-250', 750, 999],
    ['bytes=-5000', 0, 999],
    ['bytes=990-5000', 990, 999],
  ];
  for (const [range, start, end] of RANGES) {
    it(`${range} is answered with bytes ${start} to ${end}`, async () => {
      const { status, headers, body } = await ask({ range });
      assert.equal(status, 206);
      assert.deepEqual(body, BYTES.subarray(start, end + 1));
      assert.equal(headers['content-range'], `bytes ${start}-${end}/1000`);
      assert.equal(headers['content-length'], String(end - start + 1));
      assert.equal(headers.etag, '"v1"');
    });
  }

  for (const range of ['bytes=1-2,5-6', 'bytes=6-2', 'lines=1-2', 'bytes=x', 'bytes=-']) {
    it(`${range} is answered with the whole`, async () => {
      const { status, headers, body } = await ask({ range });
      assert.deepEqual([status, headers['content-range']], [200, undefined]);
      assert.deepEqual(body, BYTES);
    });
  }

  it('a range behind the end is 416 and tells the size', async () => {
    for (const range of ['bytes=1000-', 'bytes=1000-2000', 'bytes=-0']) {
      const { status, headers, body } = await ask({ range });
      assert.deepEqual([status, headers['content-range'], body.length], [416, 'bytes */1000', 0]);
      assert.equal(headers['content-type'], undefined);
    }
  });

  it('the whole has its length, type, validators and name', async () => {
    const { status, headers, body } = await ask();
    assert.equal(status, 200);
    assert.deepEqual(body, BYTES);
    assert.equal(headers['content-length'], '1000');
    assert.equal(headers['content-type'], 'application/x-test');
    assert.equal(headers['content-disposition'], 'attachment; filename=report.bin');
    assert.equal(headers['accept-ranges'], 'bytes');
    assert.equal(headers['last-modified'], 'Fri, 20 Nov 2026 08:30:00 GMT');
    assert.equal(headers['cache-control'], 'private, no-cache, no-transform');
    assert.equal(headers['referrer-policy'], 'no-referrer');
  });

  it('HEAD has the head of the whole, whatever range is asked, and reads nothing', async () => {
    const read = async (): Promise<Readable> => assert.fail('read');
    const whole = await ask();
    for (const range of ['bytes=1-2', 'bytes=5000-']) {
      const { status, headers, body } = await ask({ range }, { read }, 'HEAD');
      assert.deepEqual([status, body.length], [200, 0]);
      assert.deepEqual({ ...headers, date: '' }, { ...whole.headers, date: '' });
    }
  });

  it('conditions are 304 or 412 without a body', async () => {
    const cases: readonly (readonly [Record<string, string>, number])[] = [
      [{ 'if-none-match': '"v1"' }, 304],
      [{ 'if-none-match': '"v0"' }, 200],
      [{ 'if-modified-since': 'Fri, 20 Nov 2026 08:30:00 GMT' }, 304],
      [{ 'if-match': '"v0"' }, 412],
      [{ 'if-match': '"v1"' }, 200],
      [{ 'if-unmodified-since': 'Fri, 20 Nov 2026 08:29:59 GMT' }, 412],
      [{ 'if-none-match': '"v1"', range: 'bytes=5000-' }, 304],
    ];
    for (const method of ['GET', 'HEAD']) {
      for (const [headers, expected] of cases) {
        const { status, body, headers: answered } = await ask(headers, {}, method);
        assert.equal(status, expected, JSON.stringify(headers));
        assert.equal(body.length, expected === 200 && method === 'GET' ? 1000 : 0);
        assert.equal(answered.etag, '"v1"');
      }
    }
  });

  it('If-Range resumes the same file and begins another one again', async () => {
    const range = 'bytes=990-';
    const cases: readonly (readonly [string, number])[] = [
      ['"v1"', 206],
      ['"v0"', 200],
      ['W/"v1"', 200],
      ['Fri, 20 Nov 2026 08:30:00 GMT', 206],
      ['Fri, 20 Nov 2026 08:31:00 GMT', 200],
    ];
    for (const [ifRange, expected] of cases) {
      const { status, body } = await ask({ range, 'if-range': ifRange });
      assert.deepEqual([status, body.length], [expected, expected === 206 ? 10 : 1000], ifRange);
    }
  });

  it('an empty file is sent whole, and has no byte to ask for', async () => {
    const empty: Partial<Download> = { sizeBytes: 0, read: async () => Readable.from([]) };
    const whole = await ask({}, empty);
    assert.deepEqual([whole.status, whole.headers['content-length'], whole.body.length], [200, '0', 0]);
    assert.equal((await ask({ range: 'bytes=0-' }, empty)).status, 416);
    assert.equal((await ask({ range: 'bytes=-1' }, empty)).status, 200);
  });

  it('a file of untold size is sent whole, without ranges', async () => {
    const { status, headers, body } = await ask({ range: 'bytes=1-2' }, { sizeBytes: null });
    assert.deepEqual([status, headers['accept-ranges'], headers['content-length']], [200, 'none', undefined]);
    assert.deepEqual(body, BYTES);
  });

  it('a file of untold size is measured where a part is asked for, or its head', async () => {
    let asked = 0;
    const measurable = (partStartMax: number | null = null): Partial<Download> => ({
      sizeBytes: null,
      measured: async () => {
        asked += 1;
        return { ...FILE, partStartMax };
      },
    });
    const part = await ask({ range: 'bytes=10-19' }, measurable());
    assert.deepEqual([part.status, part.headers['content-range']], [206, 'bytes 10-19/1000']);
    assert.deepEqual(part.body, BYTES.subarray(10, 20));
    const last = await ask({ range: 'bytes=-5' }, measurable());
    assert.deepEqual([last.status, last.body], [206, BYTES.subarray(995)]);
    assert.equal((await ask({ range: 'bytes=1000-' }, measurable())).status, 416);
    const head = await ask({}, measurable(), 'HEAD');
    assert.deepEqual([head.headers['content-length'], head.headers['accept-ranges']], ['1000', 'bytes']);
    assert.equal(asked, 4);
    const whole = await ask({}, measurable());
    assert.deepEqual([whole.status, whole.body], [200, BYTES]);
    assert.deepEqual([whole.headers['accept-ranges'], asked], [undefined, 4], 'the whole needs no size');
  });

  it('a part that lies too far behind what would have to be read first is answered with the whole', async () => {
    const measured = async () => ({ ...FILE, partStartMax: 500 });
    const near = await ask({ range: 'bytes=500-509' }, { sizeBytes: null, measured });
    assert.deepEqual([near.status, near.body], [206, BYTES.subarray(500, 510)]);
    const far = await ask({ range: 'bytes=501-509' }, { sizeBytes: null, measured });
    assert.deepEqual([far.status, far.headers['content-range'], far.body], [200, undefined, BYTES]);
  });

  it('a file that cannot be measured is sent whole', async () => {
    const measured = async () => ({ ...FILE, sizeBytes: null });
    const { status, headers, body } = await ask({ range: 'bytes=1-2' }, { sizeBytes: null, measured });
    assert.deepEqual([status, headers['accept-ranges'], body], [200, 'none', BYTES]);
  });

  it('a file without validators has none', async () => {
    const { headers } = await ask({}, { version: null, modifiedAt: null });
    assert.deepEqual([headers.etag, headers['last-modified']], [undefined, undefined]);
  });

  it('a name of any script arrives whole, and cannot break the header', async () => {
    const names = ['报告 ½.pdf', 'a"b\\c;d.txt', '😀.txt', "o'neill (1).txt", '100%25.txt', 'x.html; filename=y.exe'];
    for (const name of names) {
      const { headers } = await ask({}, { name });
      const { parse } = await import('content-disposition');
      assert.equal(parse(headers['content-disposition'] ?? '').parameters.filename, name);
    }
  });

  it('a type that is none is not passed on', async () => {
    for (const mimeType of ['text/html\r\nset-cookie: a=b', 'html', 'a/b; charset=x', '', 'ü/ü', null]) {
      assert.equal((await ask({}, { mimeType })).headers['content-type'], 'application/octet-stream');
    }
    assert.equal((await ask({}, { mimeType: 'text/plain' })).headers['content-type'], 'text/plain; charset=utf-8');
  });

  it('bytes that end too early, fail, or are too many cut the connection', async () => {
    const faults: readonly (readonly [string, () => Readable, RegExp])[] = [
      ['short', () => Readable.from([BYTES.subarray(0, 400)]), /400 of the promised 1000/],
      ['empty', () => Readable.from([]), /0 of the promised 1000/],
      ['long', () => Readable.from([BYTES, Buffer.from('more')]), /More than the promised 1000/],
      [
        'failing',
        () =>
          Readable.from(
            (async function* () {
              yield BYTES.subarray(0, 400);
              throw new Error('the provider hung up');
            })(),
          ),
        /hung up/,
      ],
      [
        'closing without end',
        () =>
          new Readable({
            read() {
              this.push(BYTES.subarray(0, 400));
              this.destroy();
            },
          }),
        /Premature close/,
      ],
    ];
    for (const [what, source, expected] of faults) {
      for (const range of ['bytes=0-', '']) {
        await assert.rejects(ask({ range }, { read: async () => source() }), /aborted|hang up|ECONNRESET/, what);
        assert.match(String(await outcome.promise), expected, what);
      }
    }
  });

  it('a file that cannot be opened rejects before anything is sent', async () => {
    const { status } = await ask({}, { read: async () => Promise.reject(new Error('no such bytes')) });
    assert.equal(status, 500);
    assert.match(String(await outcome.promise), /no such bytes/);
  });

  it('a client that leaves ends the reading, while it waits and while bytes flow', async () => {
    const cases = ['before the first byte', 'amid the bytes'] as const;
    for (const when of cases) {
      const reading = Promise.withResolvers<Readable>();
      const signals = Promise.withResolvers<AbortSignal>();
      const endless = new Readable({
        read() {
          this.push(Buffer.alloc(64 * 1024));
        },
      });
      file = {
        ...FILE,
        sizeBytes: 2 ** 40,
        read: (_span, signal) => {
          signals.resolve(signal);
          return reading.promise;
        },
      };
      outcome = Promise.withResolvers();
      const socket = connect(port(), '127.0.0.1');
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
      const signal = await signals.promise;
      if (when === 'amid the bytes') {
        reading.resolve(endless);
        await once(socket, 'data');
      }
      const aborted = once(signal, 'abort');
      socket.destroy();
      await aborted;
      reading.resolve(endless);
      assert.equal(await outcome.promise, null, when);
      if (!endless.closed) await once(endless, 'close');
      assert.ok(endless.destroyed, when);
    }
  });

  it('a client that reads slowly is not read ahead of', async () => {
    let readBytes = 0;
    const source = new Readable({
      highWaterMark: 64 * 1024,
      read() {
        readBytes += 64 * 1024;
        this.push(Buffer.alloc(64 * 1024));
      },
    });
    file = { ...FILE, sizeBytes: 2 ** 40, read: async () => source };
    outcome = Promise.withResolvers();
    const socket = connect(port(), '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(socket, 'data');
    socket.pause();
    // The kernel's buffers fill first; then a second look finds no more read.
    let before = -1;
    while (readBytes !== before) {
      before = readBytes;
      for (let turns = 0; turns < 1000; turns += 1) await new Promise(setImmediate);
    }
    assert.ok(readBytes < 64 * 1024 * 1024, `${readBytes} bytes were read`);
    socket.destroy();
    assert.equal(await outcome.promise, null);
  });

  it('an answer leaves the connection for the next one', async () => {
    file = FILE;
    const socket = connect(port(), '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk;
    });
    const heads = [
      ['bytes=0-1', 206],
      ['bytes=5000-', 416],
      ['bytes=2-3', 206],
    ] as const;
    for (const [range, status] of heads) {
      outcome = Promise.withResolvers();
      socket.write(`GET / HTTP/1.1\r\nhost: x\r\nrange: ${range}\r\n\r\n`);
      await outcome.promise;
      while (!text.includes('\r\n\r\n')) await once(socket, 'data');
      assert.match(text, new RegExp(`^HTTP/1.1 ${status} `));
      text = '';
    }
    socket.destroy();
  });

  /** Types with which a browser does more than draw, and the safe answer to each. */
  const ACTIVE_TYPES = [
    'text/html',
    'application/xhtml+xml',
    'image/svg+xml',
    'text/xml',
    'application/xml',
    'application/xslt+xml',
    'application/rss+xml',
    'application/mathml+xml',
    'text/javascript',
    'application/javascript',
    'application/wasm',
    'application/pdf',
    'application/x-shockwave-flash',
    'application/java-archive',
    'application/hta',
    'application/manifest+json',
    'application/epub+zip',
    'text/css',
    'text/vtt',
    'text/cache-manifest',
    'multipart/related',
    'message/rfc822',
    'application/vnd.ms-htmlhelp',
    'application/octet-stream',
  ];
  for (const mimeType of ACTIVE_TYPES) {
    it(`${mimeType} is sandboxed and not sniffed, shown or saved`, async () => {
      for (const attachment of [true, false]) {
        const requests: Record<string, string>[] = [
          {},
          { range: 'bytes=0-9' },
          { range: 'bytes=5000-' },
          { 'if-none-match': '"v1"' },
        ];
        for (const extra of requests) {
          const { status, headers } = await ask(extra, { mimeType, attachment });
          const policy = String(headers['content-security-policy']);
          assert.match(policy, /^sandbox; default-src 'none'/);
          assert.doesNotMatch(policy, /allow-|script|unsafe-eval|frame-src|connect-src|object-src/);
          assert.equal(headers['x-content-type-options'], 'nosniff');
          if (status !== 200 && status !== 206) continue;
          const disposition = attachment ? /^attachment; filename=/ : /^inline; filename=/;
          assert.match(headers['content-disposition'] ?? '', disposition);
          assert.equal(headers['content-type']?.split(';')[0], mimeType);
        }
      }
    });
  }
});
