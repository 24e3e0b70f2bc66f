import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { Upload } from 'tus-js-client';
import { decodeIdOf, encodeGlobalId } from '../../src/graph/ids.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { createApiKey, identify, type Person, registerUser } from '../support/people.ts';
import {
  bytesOf,
  control,
  metadata,
  patch,
  rootOf,
  settled,
  sha256,
  startUpload,
  transferOf,
  tus,
  uploadText,
} from '../support/uploads.ts';

const REQUEST_BYTES_MAX = 512 * 1024;

describe('the upload protocol', { timeout: 120_000 }, () => {
  let server: TestApp;
  let person: Person;
  let now = new Date();
  let made = 0;

  before(async () => {
    server = await startTestApp({
      settings: {
        LOG_LEVEL: 'info',
        UPLOAD_REQUEST_BYTES_MAX: String(REQUEST_BYTES_MAX),
        UPLOAD_CHUNK_BYTES: '262144',
        CORS_ORIGINS: 'https://app.example',
      },
      clock: { now: () => now },
    });
    person = await registerUser(server);
  });
  after(() => server.close());

  /** A new upload of that many bytes. */
  async function upload(size: number): Promise<{ url: string; id: string; name: string }> {
    made += 1;
    const name = `upload-${made}`;
    const { uploadUrl, transfer } = await startUpload(server, person, { name, size });
    return { url: uploadUrl, id: transfer.id, name };
  }

  const offsetOf = async (url: string): Promise<string | null> => (await tus('HEAD', url)).headers.get('upload-offset');

  const create = (headers: Readonly<Record<string, string | undefined>>, body?: Uint8Array): Promise<Response> =>
    tus('POST', `${server.url}/uploads`, { authorization: `Bearer ${person.token}`, ...headers }, body);

  const about = (name: string, more: Readonly<Record<string, string>> = {}): string =>
    metadata({ parentId: rootOf(person).id, filename: name, ...more });

  it('takes nothing more for a user who was disabled', async () => {
    const gone = await registerUser(server);
    const { uploadUrl } = await startUpload(server, gone, { name: 'begun', size: 4 });
    assert.equal((await patch(uploadUrl, 0, Buffer.from('ab'))).status, 204);
    await identify(server, 'disableUser', { userId: encodeGlobalId('User', gone.userId) }, { token: person.token });
    assert.equal((await patch(uploadUrl, 2, Buffer.from('cd'))).status, 404);
    assert.equal((await tus('HEAD', uploadUrl)).status, 404);
  });

  describe('ends with the session or key that began it', () => {
    /** An upload that another grant of a new user has begun, with two of its four bytes. */
    async function begun(grant: (person: Person) => Promise<string>) {
      const someone = await registerUser(server);
      const token = await grant(someone);
      const input = { name: 'begun', size: 4, idempotencyKey: 'begun' };
      const { uploadUrl } = await startUpload(server, { ...someone, token }, input);
      assert.equal((await patch(uploadUrl, 0, Buffer.from('ab'))).status, 204);
      return { someone, token, input, uploadUrl };
    }
    const login = async ({ username, password }: Person): Promise<string> =>
      (await identify(server, 'login', { username, password })).session.accessToken;

    const ends: Readonly<Record<string, (by: { someone: Person; token: string }) => Promise<unknown>>> = {
      'by logout': ({ token }) => identify(server, 'logout', {}, { token }),
      'by logout everywhere': ({ someone }) =>
        identify(server, 'logout', { everywhere: true }, { token: someone.token }),
      'by a new password': ({ someone }) =>
        identify(
          server,
          'changePassword',
          { currentPassword: someone.password, newPassword: 'a better password' },
          { token: someone.token },
        ),
      'when nobody announced it': ({ someone }) =>
        server.app.storage
          .fork()
          .execute('update sessions set revoked_at = created_at where user_id = ?', [someone.userId]),
    };
    for (const [how, end] of Object.entries(ends)) {
      it(how, async () => {
        const upload = await begun(login);
        await end(upload);
        for (const answer of [await patch(upload.uploadUrl, 2, Buffer.from('cd')), await tus('HEAD', upload.uploadUrl)])
          assert.equal(answer.status, 403);
        assert.equal((await tus('DELETE', upload.uploadUrl)).status, 403);
      });
    }

    it('when the key is revoked', async () => {
      let keyId = '';
      const upload = await begun(async ({ token }) => {
        const key = await createApiKey(server, token, ['READ', 'WRITE']);
        keyId = key.id;
        return key.secret;
      });
      await identify(server, 'revokeApiKey', { id: keyId }, { token: upload.someone.token });
      assert.equal((await patch(upload.uploadUrl, 2, Buffer.from('cd'))).status, 403);
    });

    it('in the middle of a request, and what came counts for who signs in again and asks for it', async () => {
      const someone = await registerUser(server);
      const token = await login(someone);
      const input = { name: 'again', size: 100_000, idempotencyKey: 'again' };
      const { uploadUrl, transfer } = await startUpload(server, { ...someone, token }, input);
      const bytes = randomBytes(100_000);
      const sending = await openPatch(uploadUrl, 0, bytes.length);
      sending.write(bytes.subarray(0, 40_000));
      await arrived(transfer.id, 40_000);
      await identify(server, 'logout', {}, { token });
      assert.match(await answerOf(sending), /^HTTP\/1.1 423 /);
      assert.equal((await tus('HEAD', uploadUrl)).status, 403);

      const again = await startUpload(server, someone, input);
      assert.deepEqual([again.uploadUrl, again.transfer.id], [uploadUrl, transfer.id]);
      assert.equal((await tus('HEAD', uploadUrl)).headers.get('upload-offset'), '40000');
      assert.equal((await patch(uploadUrl, 40_000, bytes.subarray(40_000))).status, 204);
      assert.deepEqual((await settled(server, someone, transfer.id)).error, null);
    });

    it('not when the session is refreshed, or another one of its user ends', async () => {
      const upload = await begun(async ({ token }) => token);
      const { someone, uploadUrl } = upload;
      await identify(server, 'logout', {}, { token: await login(someone) });
      const refreshed = await identify(server, 'refreshSession', { refreshToken: someone.refreshToken });
      assert.equal(refreshed.__typename, 'RefreshSessionPayload');
      assert.equal((await patch(uploadUrl, 2, Buffer.from('cd'))).status, 204);
    });
  });

  it('says what it can do to whoever asks', async () => {
    for (const path of ['/uploads', '/uploads/', '/uploads/anything']) {
      const response = await tus('OPTIONS', server.url + path, { 'tus-resumable': undefined });
      assert.equal(response.status, 204);
      assert.equal(response.headers.get('tus-version'), '1.0.0');
      assert.deepEqual(response.headers.get('tus-extension')?.split(','), [
        'creation',
        'creation-with-upload',
        'expiration',
        'checksum',
        'termination',
      ]);
      assert.deepEqual(response.headers.get('tus-checksum-algorithm')?.split(','), ['sha1', 'sha256', 'md5', 'crc32']);
      assert.ok(Number(response.headers.get('tus-max-size')) > 0);
    }
  });

  it('gives leave to pages of allowed origins only, for all that a client sends and reads', async () => {
    const ask = (origin: string) =>
      fetch(`${server.url}/uploads/x`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'PATCH',
          'access-control-request-headers': 'upload-offset',
        },
      });
    const allowed = await ask('https://app.example');
    assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example');
    for (const method of ['POST', 'HEAD', 'PATCH', 'DELETE']) {
      assert.ok(allowed.headers.get('access-control-allow-methods')?.includes(method));
    }
    for (const header of [
      'tus-resumable',
      'upload-offset',
      'upload-length',
      'upload-metadata',
      'upload-checksum',
      'authorization',
      'content-type',
    ]) {
      assert.ok(allowed.headers.get('access-control-allow-headers')?.includes(header), header);
    }
    assert.equal((await ask('https://evil.example')).headers.get('access-control-allow-origin'), null);

    const { url } = await upload(10);
    const head = await tus('HEAD', url, { origin: 'https://app.example' });
    for (const header of ['upload-offset', 'upload-length', 'location', 'upload-expires', 'tus-resumable']) {
      assert.ok(head.headers.get('access-control-expose-headers')?.includes(header), header);
    }
  });

  it('tells the offset, the length and the expiry, to be kept by nobody', async () => {
    const { url } = await upload(1_000);
    await patch(url, 0, randomBytes(300));
    const head = await tus('HEAD', url);
    assert.equal(head.status, 200);
    assert.equal(head.headers.get('upload-offset'), '300');
    assert.equal(head.headers.get('upload-length'), '1000');
    assert.equal(head.headers.get('cache-control'), 'no-store');
    assert.equal(head.headers.get('tus-resumable'), '1.0.0');
    assert.ok(new Date(head.headers.get('upload-expires') ?? '') > now);
  });

  it('refuses another version of the protocol, naming its own', async () => {
    const { url } = await upload(10);
    for (const version of [undefined, '0.2.2', '2.0.0', '1.0']) {
      for (const method of ['HEAD', 'DELETE', 'PATCH']) {
        const response = await tus(method, url, { 'tus-resumable': version });
        assert.equal(response.status, 412);
        assert.equal(response.headers.get('tus-version'), '1.0.0');
      }
    }
    assert.equal(await offsetOf(url), '0');
  });

  it('refuses an offset that is not the next byte, and changes nothing', async () => {
    const { url } = await upload(1_000);
    await patch(url, 0, randomBytes(500));
    for (const offset of [0, 1, 499, 501, 999, 1_000, 1_001, Number.MAX_SAFE_INTEGER]) {
      assert.equal((await patch(url, offset, randomBytes(10))).status, 409, String(offset));
    }
    assert.equal(await offsetOf(url), '500');
  });

  it('refuses an offset that is no number', async () => {
    const { url } = await upload(1_000);
    for (const offset of ['', '-1', 'NaN', '1e2', '0x10', '5.0', '+5', '99999999999999999999', '0,0']) {
      assert.equal((await patch(url, offset, randomBytes(10))).status, 400, offset);
    }
    assert.equal((await tus('PATCH', url, {}, randomBytes(10))).status, 400, 'none at all');
    assert.equal(await offsetOf(url), '0');
  });

  it('refuses another content type', async () => {
    const { url } = await upload(10);
    for (const type of ['application/octet-stream', 'text/plain', 'application/offset+octet-stream; x=y', undefined]) {
      assert.equal((await patch(url, 0, randomBytes(10), { 'content-type': type })).status, 415, type);
    }
    assert.equal(await offsetOf(url), '0');
  });

  it('refuses more bytes than were announced, whether or not the request tells its length', async () => {
    const { url, name } = await upload(100);
    assert.equal((await patch(url, 0, randomBytes(101))).status, 413);
    assert.equal((await patch(url, 0, new Blob([randomBytes(101)]).stream())).status, 413);
    await patch(url, 0, randomBytes(60));
    assert.equal((await patch(url, 60, randomBytes(41))).status, 413);
    assert.equal(await offsetOf(url), '60');
    assert.equal(await bytesOf(server, person, `/${name}`), null);
  });

  it('refuses more bytes than one request may have', async () => {
    const { url } = await upload(10 * REQUEST_BYTES_MAX);
    assert.equal((await patch(url, 0, randomBytes(REQUEST_BYTES_MAX + 1))).status, 413);
    assert.equal((await patch(url, 0, new Blob([randomBytes(REQUEST_BYTES_MAX + 1)]).stream())).status, 413);
    assert.equal(await offsetOf(url), '0');
    assert.equal((await patch(url, 0, randomBytes(REQUEST_BYTES_MAX))).status, 204);
  });

  it('takes a body that does not tell its length', async () => {
    const bytes = randomBytes(50_000);
    const { url, id, name } = await upload(bytes.length);
    const response = await patch(url, 0, new Blob([bytes]).stream());
    assert.deepEqual([response.status, response.headers.get('upload-offset')], [204, '50000']);
    await settled(server, person, id);
    assert.deepEqual(await bytesOf(server, person, `/${name}`), bytes);
  });

  for (const name of ['sha1', 'sha256', 'md5', 'crc32']) {
    it(`checks a ${name} of the bytes of one request, and discards them when it is wrong`, async () => {
      const digestOf = (bytes: Uint8Array): string => {
        if (name !== 'crc32') return createHash(name).update(bytes).digest('base64');
        const digest = Buffer.alloc(4);
        digest.writeUInt32BE(crc32(bytes));
        return digest.toString('base64');
      };
      const bytes = randomBytes(20_000);
      const { url, id } = await upload(bytes.length);
      const half = bytes.subarray(0, 10_000);
      const checksum = (of: Uint8Array) => ({ 'upload-checksum': `${name} ${digestOf(of)}` });
      const wrong = await patch(url, 0, half, checksum(bytes));
      assert.equal(wrong.status, 460);
      assert.equal(await offsetOf(url), '0');
      assert.equal((await patch(url, 0, half, checksum(half))).status, 204);
      assert.equal((await patch(url, 10_000, bytes.subarray(10_000), checksum(bytes.subarray(10_000)))).status, 204);
      assert.equal((await settled(server, person, id)).state, 'SUCCEEDED');
    });
  }

  it('refuses a checksum that is none', async () => {
    const { url } = await upload(10);
    const md5 = createHash('md5').update('').digest('base64');
    for (const checksum of [
      '',
      'md5',
      'md5 ',
      'md5 !!!',
      `sha1 ${md5}`,
      `MD5 ${md5}`,
      `whirlpool ${md5}`,
      `md5 ${md5} x`,
      `constructor ${md5}`,
    ]) {
      assert.equal((await patch(url, 0, randomBytes(10), { 'upload-checksum': checksum })).status, 400, checksum);
    }
    assert.equal(await offsetOf(url), '0');
  });

  it('does not know uploads of other names, whatever they try to name', async () => {
    for (const path of ['x', '..%2f..%2fetc%2fpasswd', 'a'.repeat(43), 'a/b', '%00', 'ä', 'a'.repeat(5_000)]) {
      for (const method of ['HEAD', 'DELETE', 'PATCH']) {
        const response = await tus(method, `${server.url}/uploads/${path}`, { 'upload-offset': '0' });
        assert.equal(response.status, 404, `${method} ${path}`);
      }
    }
    for (const path of [
      '/uploads/..',
      '/uploads/../graphql',
      '/uploads/%2e%2e',
      '/uploads/.',
      '/uploads//',
      '/uploads/..\\..',
    ]) {
      assert.equal(await statusOfHead(path), 404, path);
    }
  });

  /** Asked for as it stands: fetch would resolve the dots. */
  const statusOfHead = (path: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(server.url);
      request({ hostname, port, path, method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } }, ({ statusCode }) =>
        resolve(statusCode),
      )
        .once('error', reject)
        .end();
    });

  it('ends an upload that is deleted, and its bytes', async () => {
    const { url, id, name } = await upload(100);
    await patch(url, 0, randomBytes(60));
    assert.equal((await tus('DELETE', url)).status, 204);
    assert.equal((await tus('HEAD', url)).status, 410);
    assert.equal((await patch(url, 60, randomBytes(40))).status, 410);
    assert.equal((await tus('DELETE', url)).status, 410);
    assert.equal((await transferOf(server, person, id)).state, 'CANCELLED');
    assert.equal(await bytesOf(server, person, `/${name}`), null);
  });

  it('does not delete what is finished', async () => {
    const bytes = randomBytes(10);
    const { url, id, name } = await upload(10);
    await patch(url, 0, bytes);
    await settled(server, person, id);
    assert.equal((await tus('DELETE', url)).status, 403);
    assert.deepEqual(await bytesOf(server, person, `/${name}`), bytes);
    assert.equal(await offsetOf(url), '10', 'a client whose last answer was lost learns that it is done');
    assert.equal((await patch(url, 10, Buffer.alloc(0))).status, 204);
    assert.equal((await patch(url, 0, randomBytes(10))).status, 409);
  });

  it('refuses bytes while the transfer is paused, and takes them when it goes on', async () => {
    const { url, id } = await upload(100);
    await patch(url, 0, randomBytes(50));
    assert.equal((await control(server, person, 'pause', id)).transfer.state, 'PAUSED');
    assert.equal((await patch(url, 50, randomBytes(50))).status, 423);
    assert.equal(await offsetOf(url), '50');
    assert.equal((await control(server, person, 'resume', id)).transfer.state, 'WAITING');
    assert.equal((await patch(url, 50, randomBytes(50))).status, 204);
    assert.equal((await settled(server, person, id)).state, 'SUCCEEDED');
  });

  it('knows an expired upload no more', async () => {
    const { url, id, name } = await upload(100);
    await patch(url, 0, randomBytes(50));
    const back = now;
    now = new Date(now.getTime() + 25 * 3_600_000);
    try {
      assert.equal((await tus('HEAD', url)).status, 410);
      assert.equal((await patch(url, 50, randomBytes(50))).status, 410);
    } finally {
      now = back;
    }
    assert.equal((await transferOf(server, person, id)).name, name);
  });

  it('takes the methods that a proxy does not let pass by another way', async () => {
    const bytes = randomBytes(10);
    const { url } = await upload(20);
    const type = { 'content-type': 'application/offset+octet-stream' };
    const sent = await tus('POST', url, { ...type, 'x-http-method-override': 'PATCH', 'upload-offset': '0' }, bytes);
    assert.deepEqual([sent.status, sent.headers.get('upload-offset')], [204, '10']);
    assert.equal((await tus('POST', url, { 'x-http-method-override': 'delete' })).status, 204);
    assert.equal((await tus('HEAD', url)).status, 410);
    const { url: other } = await upload(20);
    assert.equal(
      (await tus('HEAD', other, { 'x-http-method-override': 'DELETE' })).status,
      200,
      'only POST is overridden',
    );
    assert.equal((await tus('POST', other, {})).status, 405);
    assert.equal((await tus('GET', other)).status, 405);
    assert.equal((await tus('PUT', other, {}, bytes)).status, 405);
  });

  it('lets a second connection take over from one that hangs', async () => {
    const bytes = randomBytes(100_000);
    const { url, id, name } = await upload(bytes.length);
    const hanging = await openPatch(url, 0, bytes.length);
    hanging.write(bytes.subarray(0, 40_000));
    await arrived(id, 40_000);
    const offset = Number(await offsetOf(url));
    assert.equal(offset, 40_000);
    assert.match(await answerOf(hanging), /^HTTP\/1.1 423 /);
    assert.equal((await patch(url, offset, bytes.subarray(offset))).status, 204);
    assert.equal((await settled(server, person, id)).state, 'SUCCEEDED');
    assert.deepEqual(await bytesOf(server, person, `/${name}`), bytes);
  });

  it('keeps what came before a client died', async () => {
    const bytes = randomBytes(100_000);
    const { url, id, name } = await upload(bytes.length);
    const dying = await openPatch(url, 0, bytes.length);
    dying.write(bytes.subarray(0, 60_000));
    await arrived(id, 60_000);
    dying.resetAndDestroy();
    const offset = Number(await offsetOf(url));
    assert.equal(offset, 60_000);
    assert.equal((await patch(url, offset, bytes.subarray(offset))).status, 204);
    assert.equal((await settled(server, person, id)).error, null);
    assert.deepEqual(await bytesOf(server, person, `/${name}`), bytes);
  });

  it('takes one of many requests that send the same place at once, and never a mixture', async () => {
    const bytes = randomBytes(100_000);
    const { url, id, name } = await upload(bytes.length);
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => patch(url, 0, Buffer.from(bytes.subarray(0, 50_000)))),
    );
    const statuses = answers.map(({ status }) => status).toSorted();
    // None, where the one that came first was asked to stop in its middle: then what it brought counts.
    assert.ok(statuses.filter((status) => status === 204).length <= 1, statuses.join());
    assert.ok(
      statuses.every((status) => [204, 409, 423].includes(status)),
      statuses.join(),
    );
    const offset = Number(await offsetOf(url));
    if (statuses.includes(204)) assert.equal(offset, 50_000);
    assert.ok(offset > 0 && offset <= 50_000, `${offset} of the bytes count`);
    assert.equal((await patch(url, offset, bytes.subarray(offset))).status, 204);
    await settled(server, person, id);
    assert.deepEqual(await bytesOf(server, person, `/${name}`), bytes);
  });

  it('holds many idle uploads at once', async () => {
    const many = await Promise.all(Array.from({ length: 100 }, () => upload(1_000)));
    for (const { url } of [many[0], many.at(-1)].filter((one) => one !== undefined))
      assert.equal(await offsetOf(url), '0');
  });

  it('begins an upload for a client that speaks tus only', async () => {
    const bytes = randomBytes(30_000);
    const uploadMetadata = about('plain.bin', { filetype: 'image/png', sha256: sha256(bytes) });
    const created = await create({ 'upload-length': String(bytes.length), 'upload-metadata': uploadMetadata });
    assert.equal(created.status, 201);
    assert.ok(created.headers.get('upload-expires'));
    const url = created.headers.get('location') ?? '';
    const head = await tus('HEAD', url);
    assert.equal(head.headers.get('upload-metadata'), uploadMetadata);
    assert.equal((await patch(url, 0, bytes)).status, 204);
    const stored = await waitForFile('plain.bin');
    assert.deepEqual(stored, bytes);
  });

  it('takes the first bytes with the creation', async () => {
    const bytes = randomBytes(1_000);
    const type = { 'content-type': 'application/offset+octet-stream' };
    const length = { 'upload-length': String(bytes.length) };
    const part = await create({ ...type, ...length, 'upload-metadata': about('part.bin') }, bytes.subarray(0, 400));
    assert.deepEqual([part.status, part.headers.get('upload-offset')], [201, '400']);
    assert.equal((await patch(part.headers.get('location') ?? '', 400, bytes.subarray(400))).status, 204);
    assert.deepEqual(await waitForFile('part.bin'), bytes);
    const whole = await create({ ...type, ...length, 'upload-metadata': about('once.bin') }, bytes);
    assert.deepEqual([whole.status, whole.headers.get('upload-offset')], [201, '1000']);
    assert.deepEqual(await waitForFile('once.bin'), bytes);
  });

  it('serves tus-js-client on its own, with its name in any script', async () => {
    const bytes = randomBytes(700_000);
    const run = (options: object): Promise<void> =>
      new Promise((resolve, reject) => {
        new Upload(bytes, {
          endpoint: `${server.url}/uploads`,
          headers: { Authorization: `Bearer ${person.token}` },
          chunkSize: 200_000,
          onError: reject,
          onSuccess: () => resolve(),
          ...options,
        }).start();
      });
    await run({ metadata: { parentId: rootOf(person).id, filename: '报告 ünï.bin', filetype: 'application/x-test' } });
    assert.deepEqual(await waitForFile('报告 ünï.bin'), bytes);
    const name = 'during.bin';
    await run({ uploadDataDuringCreation: true, metadata: { parentId: rootOf(person).id, filename: name } });
    assert.deepEqual(await waitForFile(name), bytes);
    const empty = await create({ 'upload-length': '0', 'upload-metadata': about('nothing.bin') });
    assert.equal(empty.status, 201);
    assert.deepEqual(await waitForFile('nothing.bin'), Buffer.alloc(0));
  });

  it('begins nothing for nobody, and nothing with a right to read only', async () => {
    const headers = { 'upload-length': '1', 'upload-metadata': about('x') };
    const nobody = await create({ ...headers, authorization: undefined });
    assert.deepEqual([nobody.status, nobody.headers.get('www-authenticate')], [401, 'Bearer']);
    assert.equal((await create({ ...headers, authorization: 'Bearer wrong' })).status, 401);
    const reader = await createApiKey(server, person.token, ['READ']);
    assert.equal((await create({ ...headers, authorization: `Bearer ${reader.secret}` })).status, 403);
    const writer = await createApiKey(server, person.token, ['READ', 'WRITE']);
    assert.equal((await create({ ...headers, authorization: `Bearer ${writer.secret}` })).status, 201);
  });

  it('refuses a length that is no number of bytes, or too many', async () => {
    for (const length of ['-1', 'NaN', '1.5', '1e3', '', 'Infinity', '9'.repeat(20), undefined]) {
      assert.equal((await create({ 'upload-length': length, 'upload-metadata': about('x') })).status, 400, length);
    }
    const huge = await create({ 'upload-length': String(2 ** 53 - 1), 'upload-metadata': about('x') });
    assert.equal(huge.status, 413);
    const full = await create({ 'upload-length': String(2 ** 43), 'upload-metadata': about('x') });
    assert.equal(full.status, 507);
    const later = await create({ 'upload-defer-length': '1', 'upload-metadata': about('x') });
    assert.equal(later.status, 400);
  });

  it('refuses metadata that it cannot read or that names nothing', async () => {
    const other = await registerUser(server);
    await uploadText(server, person, { name: 'taken by a text', content: '' });
    const cases: readonly (readonly [string | undefined, number])[] = [
      [undefined, 400],
      ['', 400],
      ['filename', 400],
      ['filename !!!', 400],
      [`${about('x')},filename ${Buffer.from('y').toString('base64')}`, 400],
      [metadata({ filename: 'x' }), 400],
      [metadata({ parentId: rootOf(person).id }), 400],
      [about('../x'), 400],
      [about(''), 400],
      [about('x', { sha256: 'short' }), 400],
      [about('x', { onConflict: 'DESTROY' }), 400],
      [metadata({ filename: 'x', parentId: 'nonsense' }), 404],
      [metadata({ filename: 'x', parentId: rootOf(other).id }), 404],
      [about('taken by a text'), 409],
      [about('taken by a text', { onConflict: 'RENAME' }), 201],
    ];
    for (const [value, status] of cases) {
      const response = await create({ 'upload-length': '1', 'upload-metadata': value });
      assert.equal(response.status, status, `${value}: ${await response.text()}`);
    }
  });

  /** Resolves when so many bytes of the upload are in its file. */
  async function arrived(id: string, bytes: number): Promise<void> {
    const path = join(server.dataDir, 'spool', `${decodeIdOf(id, 'Transfer')}.part`);
    for (let size = 0; size < bytes; ) {
      await setImmediate();
      size = await stat(path).then(
        (file) => file.size,
        () => 0,
      );
    }
  }

  async function waitForFile(name: string): Promise<Buffer | null> {
    const { data } = await server.graphql(
      '{ viewer { transfers(first: 20) { nodes { id name } } } }',
      {},
      person.token,
    );
    const transfer = data.viewer.transfers.nodes.find((node: { name: string }) => node.name === name);
    await settled(server, person, transfer.id);
    return bytesOf(server, person, `/${name}`);
  }
});

/** A PATCH that announces its bytes and does not send them yet. */
async function openPatch(url: string, offset: number, length: number): Promise<Socket> {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  socket.write(
    `PATCH ${pathname} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: ${offset}\r\n` +
      `Content-Type: application/offset+octet-stream\r\nContent-Length: ${length}\r\n\r\n`,
  );
  return socket;
}

const answerOf = (socket: Socket): Promise<string> =>
  new Promise((resolve) => socket.once('data', (bytes) => resolve(String(bytes))));
