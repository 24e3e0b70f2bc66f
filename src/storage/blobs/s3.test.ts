import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { S3_KEYS, type S3Fault, type S3Server, startS3Server } from '../../../test/support/s3-server.ts';
import { ConfigError } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { Secret } from '../../lib/secret.ts';
import { BlobDamagedError, BlobStoreError, type BlobStoreFault } from './errors.ts';
import { type BlobName, keyOf } from './name.ts';
import type { WholeFile } from './room.ts';
import { openS3, S3Objects, type S3Options } from './s3.ts';
import { parseS3Address, type S3Address } from './s3-address.ts';

const MIB = 1024 * 1024;
const never = new AbortController().signal;
const credentials = { accessKeyId: S3_KEYS.accessKeyId, secretAccessKey: new Secret<string>(S3_KEYS.secretAccessKey) };

describe('blobs in an S3 store', { timeout: 120_000 }, () => {
  let server: S3Server;
  let folder: string;
  let objects: S3Objects;
  const logLines: string[] = [];

  const optionsOf = (more: Partial<S3Options> = {}): S3Options => ({
    address: addressOf(server.storeUrl),
    credentials,
    log: createLog({ level: 'trace', stream: { write: (line) => void logLines.push(line) } }),
    partBytes: 5 * MIB,
    ...more,
  });

  beforeEach(async () => {
    server = await startS3Server();
    folder = await mkdtemp(join(tmpdir(), 'panql-s3-'));
    objects = new S3Objects(optionsOf());
    logLines.length = 0;
  });
  afterEach(async () => {
    objects.close();
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  describe('writing', () => {
    for (const [title, size, parts] of [
      ['no bytes', 0, 0],
      ['one byte', 1, 0],
      ['a part exactly', 5 * MIB, 0],
      ['a byte more than a part', 5 * MIB + 1, 2],
      ['many parts', 22 * MIB, 5],
    ] as const) {
      it(`keeps ${title}`, async () => {
        const { file, name, bytes } = await spool(size);
        await objects.put(name, file, never);
        assert.deepEqual(stored(name), bytes);
        assert.equal(await objects.sizeOf(name, never), size);
        assert.equal(count('UploadPart'), parts);
        assert.equal(server.uploads.size, 0);
      });
    }

    it('puts every key behind the prefix', async () => {
      const address = addressOf(`${server.storeUrl}&prefix=drives/one`);
      const prefixed = new S3Objects(optionsOf({ address }));
      const { file, name } = await spool(3);
      await prefixed.put(name, file, never);
      assert.deepEqual([...server.objects.keys()], [`drives/one/${keyOf(name)}`]);
      assert.deepEqual(await listed(prefixed), [name]);
      assert.equal(await objects.sizeOf(name, never), null);
      prefixed.close();
    });

    it('sends bytes again that arrive damaged', async () => {
      const damaged = new Set(['PutObject', 'UploadPart']);
      server.intercept = ({ operation }) => (damaged.delete(operation) ? 'damaged' : null);
      for (const size of [100, 6 * MIB]) {
        const { file, name, bytes } = await spool(size);
        await objects.put(name, file, never);
        assert.deepEqual(stored(name), bytes);
      }
      assert.equal(damaged.size, 0);
    });

    it('sends a body once more when the store compared its MD5, and gives up in the end', async () => {
      const faults: S3Fault[] = [{ status: 400, code: 'BadDigest' }];
      server.intercept = ({ operation }) => (operation === 'PutObject' ? faults.pop() : null);
      const { file, name, bytes } = await spool(100);
      await objects.put(name, file, never);
      assert.deepEqual(stored(name), bytes);
      server.intercept = () => ({ status: 400, code: 'BadDigest' });
      await fails(objects.put(name, file, never), 'unavailable');
    });

    it('refuses a file that is missing, has another length or other bytes than it says, and leaves nothing', async () => {
      for (const size of [100, 6 * MIB]) {
        const { file, name } = await spool(size);
        const other = { ...file, sha256: 'a'.repeat(64) };
        await assert.rejects(objects.put(name, other, never), BlobDamagedError);
        await assert.rejects(objects.put(name, { ...file, sizeBytes: size + 1 }, never), BlobDamagedError);
        await truncate(file.path, size - 1);
        await assert.rejects(objects.put(name, file, never), BlobDamagedError);
        await rm(file.path);
        await assert.rejects(objects.put(name, file, never), BlobDamagedError);
      }
      assert.deepEqual([server.objects.size, server.uploads.size], [0, 0]);
    });

    it('waits where it is told to slow down, and tries again what breaks', async () => {
      const faults: S3Fault[] = [
        { status: 503, code: 'SlowDown' },
        { status: 500, code: 'InternalError' },
        'cut',
        'lost',
      ];
      server.intercept = ({ operation }) =>
        operation === 'UploadPart' || operation === 'CompleteMultipartUpload' ? faults.pop() : null;
      const { file, name, bytes } = await spool(11 * MIB);
      await objects.put(name, file, never);
      assert.equal(faults.length, 0);
      assert.deepEqual(stored(name), bytes);
    });

    it('is done when the answer to the last step was lost', async () => {
      let lost = false;
      server.intercept = ({ operation }) => {
        if (operation !== 'CompleteMultipartUpload' || lost) return null;
        lost = true;
        return 'lost';
      };
      const { file, name, bytes } = await spool(6 * MIB);
      await objects.put(name, file, never);
      assert.deepEqual(stored(name), bytes);
      assert.equal(count('CompleteMultipartUpload'), 2);
    });

    for (const [status, code, fault] of [
      [503, 'SlowDown', 'busy'],
      [503, 'ServiceUnavailable', 'busy'],
      [500, 'InternalError', 'unavailable'],
      [403, 'AccessDenied', 'denied'],
      [404, 'NoSuchBucket', 'denied'],
      [400, 'EntityTooLarge', 'tooLarge'],
      [507, 'InsufficientStorage', 'full'],
    ] as const) {
      it(`fails as ${fault} by ${code}, and frees the parts that it sent`, async () => {
        const impatient = new S3Objects(optionsOf({ tries: 2 }));
        const { file, name } = await spool(11 * MIB);
        let sent = 0;
        server.intercept = ({ operation }) => {
          if (operation !== 'UploadPart') return null;
          sent += 1;
          return sent === 1 ? null : { status, code };
        };
        await fails(impatient.put(name, file, never), fault);
        assert.deepEqual([server.objects.size, server.uploads.size], [0, 0]);
        assert.equal(count('AbortMultipartUpload'), 1);
        impatient.close();
      });
    }

    it('ends with its caller, also while it waits for another try', async () => {
      const { file, name } = await spool(6 * MIB);
      const controller = new AbortController();
      server.intercept = ({ operation }) => {
        if (operation !== 'UploadPart') return null;
        setImmediate(() => controller.abort(new Error('shut down')));
        return { status: 503, code: 'SlowDown' };
      };
      await assert.rejects(objects.put(name, file, controller.signal), /shut down/);
      assert.equal(server.uploads.size, 0);
    });

    it('is busy with so many parts in memory, and every file comes whole', async () => {
      const files = await Promise.all(Array.from({ length: 5 }, () => spool(11 * MIB)));
      let now = 0;
      let most = 0;
      server.intercept = async ({ operation }) => {
        if (operation !== 'UploadPart') return null;
        now += 1;
        most = Math.max(most, now);
        await new Promise((resolve) => setTimeout(resolve, 20));
        now -= 1;
        return null;
      };
      await Promise.all(files.map(({ name, file }) => objects.put(name, file, never)));
      for (const { name, bytes } of files) assert.deepEqual(stored(name), bytes);
      assert.ok(most > 1 && most <= 8, `${most} parts at once`);
    });
  });

  describe('reading', () => {
    it('gives ranges, and all of it', async () => {
      const { name, bytes } = await put(3 * MIB);
      for (const [start, end] of [
        [0, bytes.length - 1],
        [0, 0],
        [1_000_000, 2_000_000],
        [bytes.length - 1, bytes.length - 1],
      ] as const) {
        assert.deepEqual(await content(name, bytes.length, start, end), bytes.subarray(start, end + 1));
      }
    });

    it('goes on where the connection breaks', async () => {
      const { name, bytes } = await put(3 * MIB);
      const faults: S3Fault[] = [{ bytes: 1_000_000 }, { bytes: 10 }, { bytes: 0 }, 'cut'];
      server.intercept = ({ operation }) => (operation === 'GetObject' ? faults.pop() : null);
      assert.deepEqual(await content(name, bytes.length), bytes);
      assert.equal(faults.length, 0);
    });

    it('gives up when the connection always breaks', async () => {
      const { name, bytes } = await put(100);
      server.intercept = () => ({ bytes: 0 });
      await fails(content(name, bytes.length), 'unavailable');
    });

    it('is asked for no more than is read', async () => {
      const { name, bytes } = await put(64 * MIB);
      const stream = await objects.read(
        { ...name, sizeBytes: bytes.length },
        { start: 0, end: bytes.length - 1 },
        never,
      );
      const iterator = stream[Symbol.asyncIterator]();
      await iterator.next();
      await new Promise((resolve) => setTimeout(resolve, 200)); // Time to read ahead without end.
      assert.ok(stream.readableLength < MIB, `${stream.readableLength} bytes read ahead`);
      await iterator.return?.();
      assert.ok(stream.destroyed);
    });

    it('ends with its caller', async () => {
      const { name, bytes } = await put(16 * MIB);
      const controller = new AbortController();
      const range = { start: 0, end: bytes.length - 1 };
      const stream = await objects.read({ ...name, sizeBytes: bytes.length }, range, controller.signal);
      await stream[Symbol.asyncIterator]().next();
      controller.abort();
      await assert.rejects(buffer(stream), { name: 'AbortError' });
      const early = objects.read({ ...name, sizeBytes: bytes.length }, range, AbortSignal.abort(new Error('gone')));
      await assert.rejects(early, /gone/);
    });

    it('notices objects that are missing, shorter or longer than recorded', async () => {
      const { name } = await put(100);
      for (const size of [50, 101, 200]) await assert.rejects(content(name, size), BlobDamagedError);
      await assert.rejects(content(name, 200, 150, 199), BlobDamagedError);
      server.objects.clear();
      await assert.rejects(content(name, 100), BlobDamagedError);
    });
  });

  describe('tidying up', () => {
    it('removes objects, also those that are gone', async () => {
      const { name } = await put(10);
      await objects.remove(name);
      await objects.remove(name);
      assert.equal(server.objects.size, 0);
      assert.equal(await objects.sizeOf(name, never), null);
    });

    it('lists what is old, over all pages, and nothing that is not a blob', async () => {
      const plain = { sha256: 'b'.repeat(64), generation: null };
      const names = [plain, ...Array.from({ length: 2_100 }, () => newName())];
      const modifiedAt = new Date(Date.now() - 10_000);
      for (const name of names) server.objects.set(keyOf(name), { bytes: Buffer.from('x'), etag: '"x"', modifiedAt });
      for (const key of ['readme.txt', 'incoming/x.part', `aa/bb/${'c'.repeat(64)}`]) {
        server.objects.set(key, { bytes: Buffer.from('x'), etag: '"x"', modifiedAt });
      }
      await put(10);
      const byKey = (left: BlobName, right: BlobName): number => (keyOf(left) < keyOf(right) ? -1 : 1);
      assert.deepEqual((await listed(objects, 5_000)).toSorted(byKey), names.toSorted(byKey));
    });

    it('ends uploads that a crash left, and none that goes on', async () => {
      const [old, fresh] = [newName(), newName()];
      const parts = new Map();
      server.uploads.set('old', { key: keyOf(old), initiatedAt: new Date(0), parts });
      server.uploads.set('fresh', { key: keyOf(fresh), initiatedAt: new Date(), parts });
      server.uploads.set('alien', { key: 'a film.mkv', initiatedAt: new Date(0), parts });
      await objects.abortUploads(new Date(Date.now() - 60_000));
      assert.deepEqual([...server.uploads.keys()], ['fresh', 'alien']);
    });
  });

  describe('opening', () => {
    for (const [title, change, words] of [
      ['a bucket that is not there', { bucket: 'another' }, /bucket another .*NoSuchBucket.*Make it/],
      ['another region', { region: 'eu-central-1' }, /AuthorizationHeaderMalformed.*Mend region/],
      ['a port where nothing listens', { endpoint: 'http://127.0.0.1:1' }, /ECONNREFUSED.*Start the store/],
      ['a host that is none', { endpoint: 'http://store.invalid' }, /Mend BLOB_STORE_URL/],
      ['https where http is spoken', { endpoint: 'https' }, /Mend the endpoint/],
    ] as const) {
      it(`says what to do about ${title}`, async () => {
        const good = addressOf(server.storeUrl);
        const address = { ...good, ...change };
        if (address.endpoint === 'https') address.endpoint = server.url.replace('http:', 'https:');
        await assert.rejects(openS3(optionsOf({ address, tries: 1 })), (error) => {
          assert.ok(error instanceof ConfigError);
          assert.match(error.message, words);
          return true;
        });
      });
    }

    for (const [title, wrong, words] of [
      ['an access key that is unknown', { accessKeyId: 'AKIDUNKNOWN' }, /InvalidAccessKeyId.*BLOB_STORE_ACCESS_KEY_ID/],
      ['a wrong secret', { secretAccessKey: new Secret('wrong-canary') }, /SignatureDoesNotMatch.*BLOB_STORE_SECRET/],
    ] as const) {
      it(`says what to do about ${title}`, async () => {
        await assert.rejects(openS3(optionsOf({ credentials: { ...credentials, ...wrong } })), words);
      });
    }

    it('takes a store that answers', async () => {
      const opened = await openS3(optionsOf());
      await opened.check(never);
      server.intercept = () => ({ status: 403, code: 'AccessDenied' });
      await fails(opened.check(never), 'denied');
      server.intercept = () => new Promise(() => {});
      await fails(opened.check(AbortSignal.timeout(50)), 'unavailable');
      opened.close();
    });
  });

  it('tells no key and nothing that was signed, in its errors and in the log', async () => {
    const wrong = new S3Objects(
      optionsOf({ credentials: { ...credentials, secretAccessKey: new Secret('wrong-canary') }, tries: 1 }),
    );
    const { file, name } = await spool(6 * MIB);
    const errors: unknown[] = [];
    for (const act of [
      () => wrong.put(name, file, never),
      () => wrong.read({ ...name, sizeBytes: 10 }, { start: 0, end: 9 }, never),
      () => wrong.check(never),
      () => wrong.remove(name),
    ]) {
      await act().then(
        () => assert.fail('it must be refused'),
        (error) => errors.push(error),
      );
    }
    optionsOf().log.error({ err: errors }, 'errors');
    for (const err of errors) optionsOf().log.error({ err }, 'error');
    const told = [...logLines, ...errors.map((error) => JSON.stringify(error) + String((error as Error).stack))].join();
    for (const secret of ['wrong-canary', S3_KEYS.secretAccessKey, S3_KEYS.accessKeyId, 'AWS4-HMAC', 'Signature=']) {
      assert.ok(!told.includes(secret), secret);
    }
    wrong.close();
  });

  interface Spooled {
    readonly file: WholeFile;
    readonly name: BlobName;
    readonly bytes: Buffer;
  }

  async function spool(size: number): Promise<Spooled> {
    const bytes = randomBytes(size);
    const path = join(folder, randomBytes(8).toString('hex'));
    await writeFile(path, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return { file: { path, sizeBytes: size, sha256 }, name: newName(sha256), bytes };
  }

  async function put(size: number): Promise<Spooled> {
    const spooled = await spool(size);
    await objects.put(spooled.name, spooled.file, never);
    return spooled;
  }

  async function content(name: BlobName, sizeBytes: number, start = 0, end = sizeBytes - 1): Promise<Buffer> {
    return buffer(await objects.read({ ...name, sizeBytes }, { start, end }, never));
  }

  const stored = (name: BlobName): Buffer | undefined => server.objects.get(keyOf(name))?.bytes;
  const count = (operation: string): number => server.calls.filter((call) => call.operation === operation).length;
});

const newName = (sha256 = randomBytes(32).toString('hex')): BlobName => ({
  sha256,
  generation: randomBytes(8).toString('hex'),
});

async function listed(objects: S3Objects, ageMs = 0): Promise<BlobName[]> {
  const names: BlobName[] = [];
  for await (const batch of objects.names(new Date(Date.now() - ageMs + 1))) names.push(...batch);
  return names;
}

function addressOf(url: string): { -readonly [Key in keyof S3Address]: S3Address[Key] } {
  const address = parseS3Address(url);
  assert.ok(!('fault' in address), JSON.stringify(address));
  return address;
}

async function fails(promise: Promise<unknown>, fault: BlobStoreFault): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof BlobStoreError, String(error));
    assert.equal(error.fault, fault, error.message);
    return true;
  });
}
