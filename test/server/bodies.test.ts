import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { BODY_BYTES_MAX, UPLOAD_FILE_BYTES_MAX } from '../../src/graph/limits.ts';
import type { TestApp } from '../support/app.ts';
import { startProbedApp } from '../support/probe-app.ts';

const HEAD = 'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';

/** A body of exactly `bytes` that is a valid operation. */
function operationOf(bytes: number): string {
  const [start, end] = ['{"query":"query ($text: String!) { probeEcho(text: $text) }","variables":{"text":"', '"}}'];
  return start + 'x'.repeat(bytes - start.length - end.length) + end;
}

describe('request bodies', () => {
  let app: TestApp;
  let port: number;
  before(async () => {
    app = await startProbedApp();
    port = Number(new URL(app.url).port);
  });
  after(() => app.close());

  const post = (body: BodyInit, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
      duplex: 'half',
    } as RequestInit);

  const chunked = (text: string): ReadableStream => new Blob([text]).stream();

  async function assertTooLarge(response: Response): Promise<void> {
    assert.equal(response.status, 413);
    const { errors } = (await response.json()) as { errors: { extensions: { code: string } }[] };
    assert.equal(errors[0]?.extensions.code, 'TOO_LARGE');
  }

  it('the largest is taken, one byte more is not', async () => {
    const taken = await post(operationOf(BODY_BYTES_MAX));
    assert.equal(taken.status, 200);
    await taken.json();
    await assertTooLarge(await post(operationOf(BODY_BYTES_MAX + 1)));
  });

  it('the same in chunks, without a stated length', async () => {
    const taken = await post(chunked(operationOf(BODY_BYTES_MAX)));
    assert.equal(taken.status, 200);
    assert.ok(((await taken.json()) as { data: unknown }).data);
    await assertTooLarge(await post(chunked(operationOf(BODY_BYTES_MAX + 1))));
  });

  it('an endless body in chunks is answered after its limit, and cut', async (t) => {
    const socket = await open(await hastyPort(t, 3_000)); // It is read on, and thrown away, until then.
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const pump = (): void => {
      let more = true;
      while (more && socket.writable) {
        socket.write(`${chunk.length.toString(16)}\r\n`);
        socket.write(chunk);
        more = socket.write('\r\n');
      }
    };
    socket.on('drain', pump);
    pump();
    assert.match(await answerOf(socket), /^HTTP\/1.1 413 /);
    await closed(socket);
  });

  it('a form with a file has room for the file, and not for much more', async () => {
    const form = (bytes: number): FormData => {
      const data = new FormData();
      data.set('operations', JSON.stringify({ query: '{ __typename }', variables: { file: null } }));
      data.set('map', JSON.stringify({ 0: ['variables.file'] }));
      data.set('0', new Blob([Buffer.alloc(bytes)]), 'a.bin');
      return data;
    };
    const send = (data: FormData): Promise<Response> =>
      fetch(`${app.url}/graphql`, { method: 'POST', headers: { authorization: 'Bearer x' }, body: data });
    const taken = await send(form(UPLOAD_FILE_BYTES_MAX));
    assert.equal(taken.status, 200, await taken.text());
    await assertTooLarge(await send(form(UPLOAD_FILE_BYTES_MAX + 512 * 1024)));
  });

  it('a body shorter than its stated length is waited for, not for ever', async (t) => {
    const socket = await open(await hastyPort(t));
    socket.write(`${HEAD}Content-Length: 1000\r\n\r\n{"query":`);
    assert.match(await answerOf(socket), /^HTTP\/1.1 408 [\s\S]*BAD_REQUEST/);
    await closed(socket);
  });

  it('a body longer than its stated length is not read as another request', async () => {
    const socket = await open(port);
    const body = '{"query":"{ __typename }"}';
    socket.write(`${HEAD}Content-Length: ${body.length}\r\n\r\n${body}and more, which is no request\r\n\r\n`);
    assert.match(await answerOf(socket, /HTTP\/1.1 400/), /HTTP\/1.1 400 /);
    await closed(socket);
  });

  it('a body that drips is cut off in time, in chunks too', async (t) => {
    const socket = await open(await hastyPort(t));
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`);
    const drip = setInterval(() => socket.write('1\r\n \r\n'), 50);
    assert.match(await answerOf(socket), /^HTTP\/1.1 408 /);
    clearInterval(drip);
    await closed(socket);
  });

  it('two lengths are none', async () => {
    const socket = await open(port);
    socket.write(`${HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`);
    assert.match(await answerOf(socket), /^HTTP\/1.1 400 /);
  });

  it('the offer of HTTP/2 that curl makes is passed over', async () => {
    const socket = await open(port);
    socket.write(
      'GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n',
    );
    assert.match(await answerOf(socket), /^HTTP\/1.1 200 /);
    socket.destroy();
  });
});

/** Of a server that waits for bodies only a moment: the others here must not be hurried on a busy machine. */
async function hastyPort(t: TestContext, bodyMsMax = 200): Promise<number> {
  const hasty = await startProbedApp({ server: { bodyMsMax } });
  t.after(() => hasty.close());
  return Number(new URL(hasty.url).port);
}

/** However it ends: cut off while it sends, a client sees an error. */
const closed = (socket: Socket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}); // Cut off while it sends.
  await once(socket, 'connect');
  return socket;
}

/** What the server says, until it has said `expected`, or a whole head and a part of a body; or until it closes. */
function answerOf(socket: Socket, expected = /\r\n\r\n./): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
      if (expected.test(text)) resolve(text);
    });
    socket.once('close', () => resolve(text));
  });
}
