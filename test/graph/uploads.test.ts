import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Upload } from 'tus-js-client';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { type Person, registerUser } from '../support/people.ts';
import {
  bytesOf,
  FILE,
  namesOf,
  patch,
  rootOf,
  settled,
  sha256,
  startUpload,
  transferOf,
  tus,
  uploadText,
} from '../support/uploads.ts';

const MIB = 1024 * 1024;

for (const database of DATABASES) {
  describe(`uploads on ${database.dialect}`, { skip: database.skip, timeout: 120_000 }, () => {
    let opened: TestStorage;
    let server: TestApp;
    let person: Person;

    before(async () => {
      opened = await database.open();
      await opened.storage.close(); // The server opens it itself.
      server = await startTestApp({ settings: { DATABASE_URL: opened.url, LOG_LEVEL: 'info' } });
      person = await registerUser(server);
    });
    after(async () => {
      await server.close();
      await opened.close();
    });

    const spooled = (): Promise<string[]> => readdir(join(server.dataDir, 'spool'));

    it('sends a file in chunks, which appears when it is whole', async () => {
      const bytes = randomBytes(300_000);
      const started = await startUpload(server, person, { name: 'whole.bin', size: bytes.length });
      assert.equal(started.__typename, 'StartUploadPayload');
      assert.match(started.uploadUrl, /^http:\/\/127\.0\.0\.1:\d+\/uploads\/[\w-]{43}$/);
      assert.equal(started.chunkSize, 16 * MIB);
      assert.ok(new Date(started.expiresAt) > new Date());
      assert.deepEqual([started.transfer.state, started.transfer.phase], ['WAITING', 'RECEIVING']);
      assert.deepEqual([started.transfer.kind, started.transfer.bytesTotal], ['UPLOAD', bytes.length]);

      const first = await patch(started.uploadUrl, 0, bytes.subarray(0, 100_000));
      assert.deepEqual([first.status, first.headers.get('upload-offset')], [204, '100000']);
      assert.ok(!(await namesOf(server, person)).includes('whole.bin'), 'half a file is no file');
      assert.equal((await transferOf(server, person, started.transfer.id)).bytesDone, 100_000);
      assert.equal((await patch(started.uploadUrl, 100_000, bytes.subarray(100_000))).status, 204);

      const done = await settled(server, person, started.transfer.id);
      assert.deepEqual([done.state, done.error, done.bytesDone], ['SUCCEEDED', null, bytes.length]);
      assert.deepEqual([done.entry.name, done.entry.size], ['whole.bin', bytes.length]);
      assert.deepEqual(await bytesOf(server, person, '/whole.bin'), bytes);
    });

    it('serves tus-js-client, which goes on after it was stopped', async () => {
      const bytes = randomBytes(50 * MIB);
      const { uploadUrl, transfer, chunkSize } = await startUpload(server, person, {
        name: 'fifty.bin',
        size: bytes.length,
        hashes: [{ algorithm: 'SHA256', value: sha256(bytes) }],
      });
      const send = (stopAt: number | null): Promise<'stopped' | 'done'> =>
        new Promise((resolve, reject) => {
          const upload = new Upload(bytes, {
            uploadUrl,
            chunkSize,
            retryDelays: [0, 100, 500],
            onError: reject,
            onSuccess: () => resolve('done'),
            onProgress: (sent) => {
              if (stopAt !== null && sent > stopAt) upload.abort().then(() => resolve('stopped'), reject);
            },
          });
          upload.start();
        });
      assert.equal(await send(20 * MIB), 'stopped');
      const head = await tus('HEAD', uploadUrl);
      const offset = Number(head.headers.get('upload-offset'));
      assert.ok(offset >= 16 * MIB && offset < bytes.length, `it goes on at ${offset}`);
      assert.equal(await send(null), 'done');
      assert.equal((await settled(server, person, transfer.id)).state, 'SUCCEEDED');
      const stored = await bytesOf(server, person, '/fifty.bin');
      assert.equal(stored && sha256(stored), sha256(bytes));
    });

    it('finishes a file of no bytes without any being sent', async () => {
      const { transfer, uploadUrl } = await startUpload(server, person, { name: 'empty', size: 0 });
      assert.equal((await settled(server, person, transfer.id)).state, 'SUCCEEDED');
      assert.deepEqual(await bytesOf(server, person, '/empty'), Buffer.alloc(0));
      const head = await tus('HEAD', uploadUrl);
      assert.deepEqual([head.headers.get('upload-offset'), head.headers.get('upload-length')], ['0', '0']);
    });

    it('needs no bytes for what this user has, and all of them for what only another one has', async () => {
      const bytes = randomBytes(5_000);
      const other = await registerUser(server);
      const input = { size: bytes.length, hashes: [{ algorithm: 'SHA256', value: sha256(bytes) }] };
      const first = await startUpload(server, person, { ...input, name: 'first' });
      assert.notEqual(first.uploadUrl, null);
      await patch(first.uploadUrl, 0, bytes);
      assert.equal((await settled(server, person, first.transfer.id)).route, 'STREAMED');

      const second = await startUpload(server, person, { ...input, name: 'second' });
      assert.deepEqual([second.uploadUrl, second.chunkSize, second.expiresAt], [null, null, null]);
      const { state, route, entry } = second.transfer;
      assert.deepEqual([state, route, entry.name, entry.size], ['SUCCEEDED', 'INSTANT', 'second', bytes.length]);
      assert.deepEqual(await bytesOf(server, person, '/second'), bytes);

      const foreign = await startUpload(server, other, { ...input, name: 'first' });
      assert.equal(foreign.transfer.state, 'WAITING');
      assert.notEqual(foreign.uploadUrl, null);
      const short = await startUpload(server, person, { ...input, size: bytes.length - 1, name: 'third' });
      assert.notEqual(short.uploadUrl, null, 'another size is another file');
    });

    for (const algorithm of ['MD5', 'SHA1', 'SHA256', 'CRC32'] as const) {
      it(`makes no file of bytes without the promised ${algorithm}`, async () => {
        const bytes = randomBytes(1_000);
        const value = '0'.repeat({ MD5: 32, SHA1: 40, SHA256: 64, CRC32: 8 }[algorithm]);
        const name = `wrong.${algorithm}`;
        const { uploadUrl, transfer } = await startUpload(server, person, {
          name,
          size: bytes.length,
          hashes: [{ algorithm, value }],
        });
        assert.equal((await patch(uploadUrl, 0, bytes)).status, 204);
        const failed = await settled(server, person, transfer.id);
        assert.equal(failed.state, 'FAILED');
        assert.deepEqual([failed.error.__typename, failed.error.code], ['IntegrityError', 'INTEGRITY']);
        assert.equal(failed.entry, null);
        assert.ok(!(await namesOf(server, person)).includes(name));
        assert.equal((await tus('HEAD', uploadUrl)).status, 410);
      });
    }

    it('compares every promised hash with the bytes', async () => {
      const bytes = randomBytes(1_000);
      const hash = (name: string) => createHash(name).update(bytes).digest('hex');
      const hashes = ['MD5', 'SHA1', 'SHA256'].map((algorithm) => ({ algorithm, value: hash(algorithm) }));
      const { uploadUrl, transfer } = await startUpload(server, person, { name: 'all', size: bytes.length, hashes });
      await patch(uploadUrl, 0, bytes);
      assert.equal((await settled(server, person, transfer.id)).state, 'SUCCEEDED');
    });

    it('follows the conflict policy, before the bytes and after them', async () => {
      await uploadText(server, person, { name: 'taken', content: 'old' });
      const fail = await startUpload(server, person, { name: 'taken', size: 3 });
      assert.deepEqual(
        [fail.__typename, fail.code, fail.existing.name],
        ['AlreadyExistsError', 'ALREADY_EXISTS', 'taken'],
      );

      const skip = await startUpload(server, person, { name: 'taken', size: 3, onConflict: 'SKIP' });
      assert.deepEqual([skip.transfer.state, skip.uploadUrl, skip.transfer.entry.name], ['SUCCEEDED', null, 'taken']);
      assert.deepEqual(await bytesOf(server, person, '/taken'), Buffer.from('old'));

      const rename = await uploadText(server, person, { name: 'taken', content: 'two', onConflict: 'RENAME' });
      assert.deepEqual([rename.transfer.name, rename.transfer.entry.name], ['taken', 'taken (2)']);

      const before = await bytesOf(server, person, '/taken');
      const replace = await startUpload(server, person, { name: 'taken', size: 3, onConflict: 'REPLACE' });
      await patch(replace.uploadUrl, 0, Buffer.from('ne'));
      assert.deepEqual(await bytesOf(server, person, '/taken'), before, 'half a file replaces nothing');
      await patch(replace.uploadUrl, 2, Buffer.from('w'));
      assert.equal((await settled(server, person, replace.transfer.id)).state, 'SUCCEEDED');
      assert.deepEqual(await bytesOf(server, person, '/taken'), Buffer.from('new'));
    });

    it('asks again when the bytes are here: a name that was taken meanwhile stays', async () => {
      const late = await startUpload(server, person, { name: 'race', size: 4 });
      const skipped = await startUpload(server, person, { name: 'race', size: 4, onConflict: 'SKIP' });
      await uploadText(server, person, { name: 'race', content: 'first' });
      await patch(late.uploadUrl, 0, Buffer.from('late'));
      await patch(skipped.uploadUrl, 0, Buffer.from('late'));
      const failed = await settled(server, person, late.transfer.id);
      assert.deepEqual(
        [failed.state, failed.error.__typename, failed.error.existing.name],
        ['FAILED', 'AlreadyExistsError', 'race'],
      );
      const kept = await settled(server, person, skipped.transfer.id);
      assert.deepEqual([kept.state, kept.entry.name], ['SUCCEEDED', 'race']);
      assert.deepEqual(await bytesOf(server, person, '/race'), Buffer.from('first'));
    });

    it('refuses what cannot be uploaded before any byte', async () => {
      const file = await uploadText(server, person, { name: 'a file', content: '' });
      const cases: readonly (readonly [object, string, (readonly string[])?])[] = [
        [{ name: '', size: 1 }, 'InvalidInputError', ['input', 'name']],
        [{ name: '..', size: 1 }, 'InvalidInputError', ['input', 'name']],
        [{ name: 'a/b', size: 1 }, 'InvalidInputError', ['input', 'name']],
        [{ name: 'n\u0000', size: 1 }, 'InvalidInputError', ['input', 'name']],
        [{ name: 'x'.repeat(256), size: 1 }, 'InvalidInputError', ['input', 'name']],
        [{ size: 1, parent: { id: file.transfer.entry.id } }, 'InvalidInputError', ['input', 'parent']],
        [{ size: 1, parent: { id: encodeEntryId('FOLDER', person.accountRowId, 'none') } }, 'NotFoundError'],
        [{ size: 1, parent: { id: 'nonsense' } }, 'NotFoundError'],
        [{ size: 1, parent: { path: { accountId: person.accountId, path: '/none' } } }, 'NotFoundError'],
        [{ size: 2 ** 53 - 1 }, 'TooLargeError'],
        [{ size: 2 ** 43 }, 'StorageFullError'],
        [
          { size: 1, hashes: [{ algorithm: 'MD5', value: 'zz' }] },
          'InvalidInputError',
          ['input', 'hashes', '0', 'value'],
        ],
        [
          { size: 1, hashes: [{ algorithm: 'MD5', value: 'A'.repeat(32) }] },
          'InvalidInputError',
          ['input', 'hashes', '0', 'value'],
        ],
        [
          { size: 1, hashes: [0, 1].map((digit) => ({ algorithm: 'CRC32', value: String(digit).repeat(8) })) },
          'InvalidInputError',
          ['input', 'hashes', '1', 'value'],
        ],
      ];
      for (const [input, typename, path] of cases) {
        const refused = await startUpload(server, person, input);
        assert.equal(refused.__typename, typename, JSON.stringify([input, refused]));
        if (path) assert.deepEqual(refused.issues[0].path, path);
      }
    });

    it('tells all faults of the input at once', async () => {
      const hashes = [{ algorithm: 'MD5', value: '' }];
      const { issues } = await startUpload(server, person, { name: '', size: 1, hashes });
      assert.deepEqual(
        issues.map(({ path }: { path: string[] }) => path.join('.')),
        ['input.hashes.0.value', 'input.name'],
      );
    });

    it("refuses another user's folder, as one that does not exist", async () => {
      const other = await registerUser(server);
      const refused = await startUpload(server, other, { parent: rootOf(person), size: 1 });
      assert.equal(refused.__typename, 'NotFoundError');
    });

    it('needs a grant that may write', async () => {
      const { errors } = await server.graphql(
        'mutation { startUpload(input: { parent: { id: "x" }, name: "x", size: 1 }) { __typename } }',
      );
      assert.equal(errors?.[0]?.extensions?.code, 'UNAUTHENTICATED');
    });

    it('repeats the answer for a repeated key, with one effect', async () => {
      const input = { name: 'once.bin', size: 10, idempotencyKey: 'key-1' };
      const answers = await Promise.all(Array.from({ length: 10 }, () => startUpload(server, person, input)));
      for (const answer of answers) assert.deepEqual(answer, answers[0]);
      assert.equal((await startUpload(server, person, { ...input, size: 11 })).__typename, 'ConflictError');

      const text = { name: 'once.txt', content: 'once', idempotencyKey: 'key-2', onConflict: 'RENAME' };
      const texts = await Promise.all(Array.from({ length: 10 }, () => uploadText(server, person, text)));
      assert.equal(new Set(texts.map(({ transfer }) => transfer.id)).size, 1);
      assert.deepEqual(
        (await namesOf(server, person)).filter((name) => name.startsWith('once')),
        ['once.txt'],
      );
    });

    it('makes a file of a text, whatever is in it', async () => {
      const content = '第一行\n“second”\t🎉 \u0001';
      const { transfer } = await uploadText(server, person, { name: 'text.txt', content });
      assert.deepEqual([transfer.kind, transfer.state, transfer.entry.name], ['TEXT', 'SUCCEEDED', 'text.txt']);
      assert.equal(String(await bytesOf(server, person, '/text.txt')), content);
      const empty = await uploadText(server, person, { name: 'nothing.txt', content: '' });
      assert.deepEqual([empty.transfer.state, empty.transfer.entry.size], ['SUCCEEDED', 0]);
    });

    it('takes texts of up to 8 MiB', async () => {
      const content = 'é'.repeat(4 * MIB);
      const { transfer } = await uploadText(server, person, { name: 'long.txt', content });
      assert.deepEqual([transfer.state, transfer.entry.size], ['SUCCEEDED', 8 * MIB]);
      assert.equal(
        (await uploadText(server, person, { name: 'longer.txt', content: `${content}.` })).__typename,
        'TooLargeError',
      );
    });

    async function uploadFile(bytes: Uint8Array, input: object, token = person.token) {
      const form = new FormData();
      const operations = { query: FILE, variables: { input: { parent: rootOf(person), file: null, ...input } } };
      form.set('operations', JSON.stringify(operations));
      form.set('map', JSON.stringify({ file: ['variables.input.file'] }));
      form.set('file', new File([new Uint8Array(bytes)], 'given name.png', { type: 'image/png' }));
      const response = await fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: form,
      });
      // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
      return { status: response.status, ...((await response.json()) as any) };
    }

    it('takes a small file by GraphQL multipart', async () => {
      const bytes = randomBytes(100_000);
      const hashes = [{ algorithm: 'SHA256', value: sha256(bytes) }];
      const { data, errors } = await uploadFile(bytes, { hashes });
      assert.equal(errors, undefined, JSON.stringify(errors));
      const { transfer } = data.result;
      assert.deepEqual([transfer.kind, transfer.state, transfer.entry.name], ['UPLOAD', 'SUCCEEDED', 'given name.png']);
      assert.deepEqual(await bytesOf(server, person, '/given name.png'), bytes);

      const named = await uploadFile(bytes, { name: 'own name.png' });
      assert.equal(named.data.result.transfer.entry.name, 'own name.png');
      const wrong = await uploadFile(bytes, { name: 'wrong', hashes: [{ algorithm: 'MD5', value: '0'.repeat(32) }] });
      assert.equal(wrong.data.result.transfer.error.code, 'INTEGRITY');
    });

    it('takes 8 MiB that way and no more', async () => {
      const most = await uploadFile(Buffer.alloc(8 * MIB, 1), { name: 'most' });
      assert.equal(most.data.result.transfer.state, 'SUCCEEDED');
      const more = await uploadFile(Buffer.alloc(8 * MIB + 1), { name: 'more' });
      assert.equal(more.data.result.__typename, 'TooLargeError');
    });

    it('refuses something else in the place of a file', async () => {
      const { errors } = await server.graphql(FILE, { input: { parent: rootOf(person), file: 'text' } }, person.token);
      assert.equal(errors?.[0]?.extensions?.code, 'BAD_USER_INPUT');
    });

    it('leaves nothing in the spool of what has ended', async () => {
      const open = new Set<string>();
      const { data } = await server.graphql(
        '{ viewer { transfers(first: 100, states: [WAITING, QUEUED, RUNNING, PAUSED, FAILED]) { nodes { id error { code } } } } }',
        {},
        person.token,
      );
      for (const { id } of data.viewer.transfers.nodes)
        open.add(Buffer.from(id, 'base64url').toString().split(':')[1] ?? '');
      for (const name of await spooled()) assert.ok(open.has(name.replace('.part', '')), `${name} is forgotten`);
    });
  });
}
