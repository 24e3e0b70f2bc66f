import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { local } from '../../src/drives/local/drive.ts';
import { decodeGlobalId, encodeGlobalId } from '../../src/graph/ids.ts';
import { Transfer } from '../../src/storage/entities/transfer.ts';
import { ATTEMPTS_MAX } from '../../src/transfers/failures.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Loopback, type ReceivedRequest, startLoopback } from '../support/loopback.ts';
import { linkAccount, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { openSse } from '../support/transports.ts';
import {
  bytesOf,
  control,
  namesOf,
  rootOf,
  settled,
  transferOf,
  uploadFromUrl,
  uploadText,
} from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const BYTES_MAX = 3_000_000;

describe('files behind addresses', { timeout: 120_000 }, () => {
  let app: TestApp;
  let person: Person;
  let stranger: Person;
  let server: Loopback;
  /** What the server with the files answers just now. */
  let reply: (request: ReceivedRequest, response: ServerResponse) => unknown;
  const bare = memoryDrive({ id: 'PAN123' });

  before(async () => {
    server = await startLoopback((request, response) => reply(request, response));
    app = await startTestApp({
      drives: [local, bare.definition],
      settings: { OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8', FETCH_BYTES_MAX: String(BYTES_MAX), LOG_LEVEL: 'trace' },
    });
    person = await registerUser(app);
    stranger = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await server[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    reply = (_request, response) => response.writeHead(500).end();
  });

  const give = (bytes: Uint8Array, headers: Record<string, string> = {}): void => {
    reply = (_request, response) => response.writeHead(200, headers).end(bytes);
  };
  const start = async (path: string, input: object = {}, who = person): Promise<Answer> => {
    const begun = await uploadFromUrl(app, who, { url: server.url + path, ...input });
    assert.equal(begun.__typename, 'UploadFromUrlPayload', JSON.stringify(begun));
    return begun.transfer;
  };
  const fetched = async (path: string, input: object = {}): Promise<Answer> =>
    settled(app, person, (await start(path, input)).id);
  /** Resolves when nothing of the transfer is in the spool: that goes just after its end is told. */
  const unspooled = async (id: string): Promise<void> => {
    const { id: rowId } = decodeGlobalId(id) ?? { id: '' };
    while ((await readdir(join(app.dataDir, 'spool'))).some((name) => name.startsWith(rowId))) await setImmediate();
  };
  const asked = (path: string): readonly ReceivedRequest[] => server.requests.filter(({ url }) => url === path);
  /** Gives half of the file and then nothing, until it is told to go on. */
  function holding(bytes: Buffer, headers: Record<string, string> = {}) {
    const [held, gate, gone] = [0, 0, 0].map(() => Promise.withResolvers<void>());
    reply = async (_request, response) => {
      response.on('close', () => gone?.resolve());
      response.writeHead(200, headers);
      response.write(bytes.subarray(0, bytes.length / 2), () => held?.resolve());
      await gate?.promise;
      response.end(bytes.subarray(bytes.length / 2));
    };
    return { held: held?.promise, goOn: () => gate?.resolve(), gone: gone?.promise };
  }
  /** The transfer, once it tells of so many bytes. */
  async function withBytes(id: string, bytes: number): Promise<Answer> {
    const query = `subscription ($id: ID!) { transferUpdated(id: $id) { state phase bytesDone bytesTotal name } }`;
    for await (const { data } of openSse(app.url, { query, variables: { id }, token: person.token })) {
      if (data.transferUpdated.bytesDone >= bytes) return data.transferUpdated;
    }
    return null;
  }

  it('come into a folder, named by their address, with their type', async () => {
    const bytes = randomBytes(200_000);
    give(bytes, { 'content-type': 'image/png; x=y', 'content-length': String(bytes.length) });
    const begun = await start('/a/Some%20picture.png?sig=x');
    assert.deepEqual([begun.kind, begun.name, begun.bytesTotal], ['URL', 'Some picture.png', null]);
    const done = await settled(app, person, begun.id);
    assert.deepEqual([done.state, done.error, done.route], ['SUCCEEDED', null, 'STREAMED'], JSON.stringify(done));
    assert.deepEqual([done.bytesTotal, done.bytesDone], [bytes.length, bytes.length]);
    assert.deepEqual([done.entry.name, done.entry.size], ['Some picture.png', bytes.length]);
    assert.deepEqual(await bytesOf(app, person, '/Some picture.png'), bytes);
    const { data } = await app.graphql(
      `{ node(id: "${done.entry.id}") { ... on File { mimeType category } } }`,
      {},
      person.token,
    );
    assert.deepEqual(data.node, { mimeType: 'image/png', category: 'IMAGE' });
    await unspooled(begun.id);
  });

  it('may be empty', async () => {
    give(Buffer.alloc(0), { 'content-length': '0' });
    assert.equal((await fetched('/nothing.txt')).state, 'SUCCEEDED');
    assert.deepEqual(await bytesOf(app, person, '/nothing.txt'), Buffer.alloc(0));
  });

  it('tell how far they are, also where nobody knows how far it is', async () => {
    const bytes = randomBytes(1_000_000);
    for (const [path, headers, total] of [
      ['/known.bin', { 'content-length': String(bytes.length) }, bytes.length],
      ['/unknown.bin', {}, null],
    ] as const) {
      const file = holding(bytes, headers);
      const { id } = await start(path);
      await file.held;
      const half = await withBytes(id, bytes.length / 2);
      assert.deepEqual([half.state, half.phase, half.bytesTotal], ['RUNNING', 'RECEIVING', total]);
      file.goOn();
      const done = await settled(app, person, id);
      assert.deepEqual([done.state, done.bytesTotal], ['SUCCEEDED', bytes.length]);
      assert.deepEqual(await bytesOf(app, person, path), bytes);
    }
  });

  for (const [given, path, disposition, type, name] of [
    ['mine.txt', '/a', 'attachment; filename=theirs.txt', 'text/plain', 'mine.txt'],
    [null, '/b', "attachment; filename*=UTF-8''%E6%96%87.txt", 'text/plain', '文.txt'],
    [null, '/c', 'attachment; filename="../../../etc/cron.d/evil"', 'text/plain', 'evil'],
    [null, '/d', 'attachment; filename="C:\\\\boot.ini"', 'text/plain', 'boot.ini'],
    [null, '/e', 'attachment; filename=".."', 'text/plain', 'e'],
    [null, '/%2e%2e%2fup.txt', null, 'text/plain', 'up.txt'],
    [null, '/', null, 'application/pdf', 'download.pdf'],
    [null, '/', null, 'x/unknown', 'download'],
  ] as const) {
    it(`${given ?? disposition ?? path} makes the name ${name}`, async () => {
      const headers = { 'content-type': type, ...(disposition === null ? {} : { 'content-disposition': disposition }) };
      give(Buffer.from('x'), headers);
      const done = await fetched(path, given === null ? {} : { name: given });
      assert.deepEqual(
        [done.state, done.name, done.entry?.name],
        ['SUCCEEDED', name, name],
        JSON.stringify(done.error),
      );
    });
  }

  it('meet a name that is taken by the policy that was asked for', async () => {
    await uploadText(app, person, { name: 'taken.txt', content: 'old' });
    give(Buffer.from('new'));
    const refused = await uploadFromUrl(app, person, { url: `${server.url}/x`, name: 'taken.txt' });
    assert.deepEqual([refused.code, refused.existing.name], ['ALREADY_EXISTS', 'taken.txt']);
    assert.equal(asked('/x').length, 0);

    // Its name is known when it begins to come, and not a byte of it is taken.
    const failed = await fetched('/taken.txt');
    assert.deepEqual([failed.bytesTotal, failed.bytesDone], [null, 0]);
    assert.deepEqual(
      [failed.state, failed.error.code, failed.error.existing.name],
      ['FAILED', 'ALREADY_EXISTS', 'taken.txt'],
    );
    assert.equal((await fetched('/taken.txt', { onConflict: 'RENAME' })).entry.name, 'taken (2).txt');
    const skipped = await fetched('/y', { name: 'taken.txt', onConflict: 'SKIP' });
    assert.deepEqual([skipped.state, skipped.route, asked('/y').length], ['SUCCEEDED', null, 0]);
    assert.equal(String(await bytesOf(app, person, '/taken.txt')), 'old');
    assert.equal((await fetched('/taken.txt', { onConflict: 'REPLACE' })).entry.name, 'taken.txt');
    assert.equal(String(await bytesOf(app, person, '/taken.txt')), 'new');
  });

  it('go on where they broke off, as long as they are the same', async () => {
    const bytes = randomBytes(500_000);
    reply = ({ url, headers: { range } }, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
      if (asked(url).length === 1) {
        response.writeHead(200, { etag: '"v1"', 'content-length': String(bytes.length) });
        return response.write(bytes.subarray(0, 300_000), () => response.destroy());
      }
      const length = { 'content-length': String(bytes.length - from) };
      const head = { etag: '"v1"', 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`, ...length };
      return response.writeHead(206, head).end(bytes.subarray(from));
    };
    const done = await fetched('/broken.bin');
    assert.deepEqual([done.state, done.attempts], ['SUCCEEDED', 2], JSON.stringify(done.error));
    assert.deepEqual(await bytesOf(app, person, '/broken.bin'), bytes);
    const [, again] = asked('/broken.bin');
    const from = Number(/^bytes=(\d+)-$/.exec(again?.headers.range ?? '')?.[1]);
    assert.ok(from > 0 && from <= 300_000, `it went on at ${from}`);
    assert.equal(again?.headers['if-range'], '"v1"');
  });

  it('come whole from a server that cuts the line after each 64 KiB, however often', async () => {
    const piece = 64 * 1024;
    const bytes = randomBytes(8 * piece);
    reply = ({ headers: { range } }, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
      const isEnd = from + piece >= bytes.length;
      const length = { 'content-length': String(bytes.length - from) };
      const head = from === 0 ? {} : { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
      response.writeHead(from === 0 ? 200 : 206, { etag: '"v1"', ...head, ...length });
      const sent = bytes.subarray(from, from + piece);
      if (isEnd) response.end(sent);
      else response.write(sent, () => response.destroy());
    };
    const done = await fetched('/pieces.bin');
    assert.deepEqual([done.state, done.error], ['SUCCEEDED', null]);
    assert.ok(done.attempts > ATTEMPTS_MAX, 'it was tried more often than what does not get on');
    assert.deepEqual(await bytesOf(app, person, '/pieces.bin'), bytes);
  });

  it('begin anew when they have become others', async () => {
    const [old, now] = [randomBytes(500_000), randomBytes(400_000)];
    reply = ({ url }, response) => {
      if (asked(url).length > 1) return response.writeHead(200, { etag: '"v2"' }).end(now);
      response.writeHead(200, { etag: '"v1"', 'content-length': String(old.length) });
      return response.write(old.subarray(0, 300_000), () => response.destroy());
    };
    const done = await fetched('/changing.bin');
    assert.deepEqual([done.state, done.bytesTotal], ['SUCCEEDED', now.length], JSON.stringify(done.error));
    assert.deepEqual(await bytesOf(app, person, '/changing.bin'), now);
  });

  it('are refused when they are too large, whether they say so or not', async () => {
    give(Buffer.alloc(10), { 'content-length': String(BYTES_MAX + 1) });
    const told = await fetched('/large.bin');
    assert.deepEqual([told.state, told.error.code, told.bytesDone], ['FAILED', 'TOO_LARGE', 0]);
    reply = (_request, response) => {
      response.writeHead(200);
      response.end(Buffer.alloc(BYTES_MAX + 1));
    };
    const untold = await fetched('/untold.bin');
    assert.deepEqual([untold.state, untold.error.code], ['FAILED', 'TOO_LARGE']);
    await unspooled(told.id);
    await unspooled(untold.id);
    const names = await namesOf(app, person);
    assert.ok(!names.includes('large.bin') && !names.includes('untold.bin'));
  });

  for (const [status, code] of [
    [404, 'NOT_FOUND'],
    [410, 'NOT_FOUND'],
    [401, 'PERMISSION_DENIED'],
    [403, 'PERMISSION_DENIED'],
    [451, 'PROVIDER_FAILED'],
    [400, 'PROVIDER_FAILED'],
  ] as const) {
    it(`that answer ${status} fail with ${code}, and tell nothing of the answer`, async () => {
      reply = (_request, response) => response.writeHead(status, { 'x-a': 'header-canary' }).end('body-canary');
      const failed = await fetched(`/status-${status}`);
      assert.deepEqual([failed.state, failed.error.code, failed.attempts], ['FAILED', code, 1], JSON.stringify(failed));
      assert.doesNotMatch(JSON.stringify(failed), /canary/);
      await unspooled(failed.id);
    });
  }

  it('of a server that is out of order are tried again', async () => {
    reply = ({ url }, response) =>
      asked(url).length <= 2 ? response.writeHead(503).end('body-canary') : response.end('at last');
    const done = await fetched('/later.txt');
    assert.deepEqual([done.state, done.attempts], ['SUCCEEDED', 2]);
  });

  for (const url of [
    'http://10.0.0.1/x',
    'http://[::1]/x',
    'http://169.254.169.254/latest/meta-data/',
    'http://[::ffff:10.0.0.1]/',
    'http://[64:ff9b::a00:1]/',
    'http://[2002:a00:1::]/',
    'http://0x0a.1/',
    'http://012.0.0.1/',
    'http://167772161/',
    'http://user:secret@127.0.0.1/',
    'ftp://127.0.0.1/',
    'file:///etc/passwd',
    'data:text/plain,x',
    'javascript:alert(1)',
    '//127.0.0.1/',
    ' http://127.0.0.1/',
    'http:/127.0.0.1/',
    'http:127.0.0.1/',
    'http:///127.0.0.1/',
    'http:\\\\127.0.0.1\\',
    'not an address',
    '',
    `http://127.0.0.1/${'x'.repeat(9_000)}`,
  ]) {
    it(`${url.slice(0, 60)} is no address to fetch from`, async () => {
      const before = await app.app.storage.fork().count(Transfer);
      const refused = await uploadFromUrl(app, person, { url, name: 'x' });
      assert.equal(refused.code, 'INVALID_INPUT', JSON.stringify(refused));
      assert.deepEqual(refused.issues[0].path, ['input', 'url']);
      assert.doesNotMatch(JSON.stringify(refused), /secret/);
      assert.equal(await app.app.storage.fork().count(Transfer), before);
    });
  }

  it('that redirect to a private address are not followed', async () => {
    reply = (_request, response) => response.writeHead(302, { location: 'http://10.0.0.1/internal?x=canary' }).end();
    const failed = await fetched('/to-private');
    assert.deepEqual([failed.state, failed.error.code], ['FAILED', 'PERMISSION_DENIED']);
    assert.doesNotMatch(JSON.stringify(failed), /canary/);
  });

  it('keep what stands in their address to themselves', async () => {
    give(Buffer.from('x'));
    const { id } = await start('/secret.txt?token=query-canary');
    await settled(app, person, id);
    reply = (_request, response) => response.writeHead(404).end();
    await fetched('/secret-path-canary?token=query-canary#fragment-canary', { name: 'failing.txt' });
    assert.doesNotMatch(app.logLines.join('\n'), /query-canary|path-canary|fragment-canary/);
    for (const table of ['transfers', 'transfer_events', 'idempotency_records', 'audit_records']) {
      const rows = await app.app.storage.fork().execute(`select * from ${table}`);
      assert.doesNotMatch(JSON.stringify(rows), /query-canary|fragment-canary/, table);
    }
    const kept = await app.app.storage.fork().findOneOrFail(Transfer, { id: decodeGlobalId(id)?.id ?? '' });
    assert.equal(kept.sealedSource, null, 'what is done needs no address any more');
    const seen = await app.graphql('query ($id: ID!) { node(id: $id) { id } }', { id }, stranger.token);
    assert.equal(seen.data.node, null);
  });

  it('are not fetched into a drive that takes no uploads, or a folder that is not there', async () => {
    const account = await linkAccount(app, person.userId, { provider: 'PAN123' });
    const parent = { path: { accountId: encodeGlobalId('CloudAccount', account.id), path: '/' } };
    const refused = await uploadFromUrl(app, person, { url: server.url, parent });
    assert.equal(refused.code, 'UNSUPPORTED');
    const nowhere = await uploadFromUrl(app, person, { url: server.url, parent: rootOf(stranger) });
    assert.equal(nowhere.code, 'NOT_FOUND');
    assert.equal((await uploadFromUrl(app, person, { url: server.url, name: '../x' })).code, 'INVALID_INPUT');
  });

  it('that are paused go on later, and cancelled ones leave nothing', async () => {
    const bytes = randomBytes(1_000_000);
    const file = holding(bytes, { 'content-length': String(bytes.length), etag: '"v1"' });
    const { id } = await start('/paused.bin');
    await file.held;
    await withBytes(id, bytes.length / 2);
    assert.equal((await control(app, person, 'pause', id)).transfer.state, 'PAUSED');
    await file.gone;
    reply = ({ headers: { range } }, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
      const head = from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
      response.writeHead(from > 0 ? 206 : 200, { etag: '"v1"', ...head }).end(bytes.subarray(from));
    };
    await control(app, person, 'resume', id);
    assert.equal((await settled(app, person, id)).state, 'SUCCEEDED');
    assert.deepEqual(await bytesOf(app, person, '/paused.bin'), bytes);

    const other = holding(bytes);
    const cancelled = await start('/cancelled.bin');
    await other.held;
    await withBytes(cancelled.id, bytes.length / 2);
    assert.equal((await control(app, person, 'cancel', cancelled.id)).transfer.state, 'CANCELLED');
    await other.gone;
    assert.equal((await transferOf(app, person, cancelled.id)).state, 'CANCELLED');
    await unspooled(cancelled.id);
    assert.ok(!(await namesOf(app, person)).includes('cancelled.bin'));
  });

  it('that failed can be tried again by hand', async () => {
    reply = (_request, response) => response.writeHead(404).end();
    const failed = await fetched('/again.txt');
    assert.equal(failed.state, 'FAILED');
    give(Buffer.from('there now'));
    assert.equal((await control(app, person, 'retry', failed.id)).__typename, 'TransferPayload');
    assert.equal((await settled(app, person, failed.id)).state, 'SUCCEEDED');
    assert.equal(String(await bytesOf(app, person, '/again.txt')), 'there now');
  });

  it('are fetched once for one key, however often that is asked', async () => {
    give(Buffer.from('once'));
    const input = { name: 'once.txt', idempotencyKey: randomUUID() };
    const begun = await Promise.all(Array.from({ length: 20 }, () => start('/once', input)));
    const [id, ...others] = new Set(begun.map((transfer) => transfer.id));
    assert.deepEqual(others, []);
    assert.equal((await settled(app, person, id ?? '')).state, 'SUCCEEDED');
    assert.equal(asked('/once').length, 1);
    assert.deepEqual(
      (await namesOf(app, person)).filter((name) => name.startsWith('once')),
      ['once.txt'],
    );
  });
});
