import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { DATABASES } from '../../test/support/databases.ts';
import { openTransferBench, type TransferBench, type TransferParts } from '../../test/support/transfers.ts';
import type { HashAlgorithm } from '../drives/driver.ts';
import type { UploadRefusal } from '../lib/upload-refusal.ts';
import type { ReceiveRequest } from './receiver.ts';

const MAX = 64 * 1024 * 1024;
const HOUR_MS = 3_600_000;

function request(offset: number, body: Uint8Array | Readable, more: Partial<ReceiveRequest> = {}): ReceiveRequest {
  const whole = body instanceof Readable ? null : body;
  return {
    offset,
    body: body instanceof Readable ? body : Readable.from([Buffer.from(body)]),
    lengthBytes: whole?.length ?? null,
    checksum: null,
    bytesMax: MAX,
    ...more,
  };
}

/** Writes to a body that stays open; resolves when the bytes are in the spool. */
async function send({ spool }: TransferParts, transferId: string, body: PassThrough, bytes: Uint8Array): Promise<void> {
  body.write(bytes);
  while ((await spool.size(transferId)) !== bytes.length) await new Promise((resolve) => setImmediate(resolve));
}

const refused = (refusal: UploadRefusal) => ({ name: 'UploadRefusedError', refusal });
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

for (const database of DATABASES) {
  describe(`receiving uploads on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    before(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
    });
    after(() => bench.close());

    test('bytes in several requests become one file, its hash computed on the way', async () => {
      const bytes = randomBytes(3_000_000);
      const { row, tokenHash } = await parts.upload({ bytesTotal: bytes.length, hashAlgorithms: ['SHA256', 'CRC32'] });
      const first = await parts.receiver.append(tokenHash, request(0, bytes.subarray(0, 1_000_000)));
      assert.deepEqual([first.state, first.bytesDone], ['WAITING', 1_000_000]);
      await parts.receiver.append(tokenHash, request(1_000_000, bytes.subarray(1_000_000, 1_000_001)));
      const last = await parts.receiver.append(tokenHash, request(1_000_001, bytes.subarray(1_000_001)));
      assert.deepEqual([last.state, last.phase, last.bytesDone], ['QUEUED', 'HASHING', bytes.length]);
      assert.deepEqual(last.spoolHashes, { SHA256: sha256(bytes), CRC32: crc32(bytes).toString(16).padStart(8, '0') });
      assert.deepEqual(await readFile(parts.spool.path(row.id)), bytes);
      assert.equal((await parts.receiver.status(tokenHash)).bytesDone, bytes.length);
    });

    test('what came before the client was cut off is kept, and the hash goes on', async () => {
      const bytes = randomBytes(500_000);
      const { row, tokenHash } = await parts.upload({ bytesTotal: bytes.length });
      const body = new PassThrough();
      const cut = parts.receiver.append(tokenHash, request(0, body, { lengthBytes: bytes.length }));
      await send(parts, row.id, body, bytes.subarray(0, 200_000));
      body.destroy(new Error('the connection was reset'));
      const { bytesDone } = await cut;
      assert.ok(bytesDone > 0 && bytesDone <= 200_000);
      const done = await parts.receiver.append(tokenHash, request(bytesDone, bytes.subarray(bytesDone)));
      assert.equal(done.spoolHashes?.SHA256, sha256(bytes));
    });

    test('a second connection takes the upload over, and what the first one brought counts', async () => {
      const bytes = randomBytes(400_000);
      const { row, tokenHash } = await parts.upload({ bytesTotal: bytes.length });
      const body = new PassThrough();
      const first = parts.receiver.append(tokenHash, request(0, body));
      const outcome = assert.rejects(first, refused('locked'));
      await send(parts, row.id, body, bytes.subarray(0, 100_000));
      const { bytesDone } = await parts.receiver.status(tokenHash);
      await outcome;
      assert.equal(bytesDone, 100_000);
      const done = await parts.receiver.append(tokenHash, request(bytesDone, bytes.subarray(bytesDone)));
      assert.deepEqual([done.state, done.spoolHashes?.SHA256], ['QUEUED', sha256(bytes)]);
    });

    test('of requests at the same place one wins, and the file has no mixture', async () => {
      const bytes = randomBytes(100_000);
      const { row, tokenHash } = await parts.upload({ bytesTotal: 200_000 });
      const results = await Promise.allSettled(
        Array.from({ length: 8 }, () => parts.receiver.append(tokenHash, request(0, bytes))),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.equal((await parts.receiver.status(tokenHash)).bytesDone, bytes.length);
      assert.deepEqual(await readFile(parts.spool.path(row.id)), bytes);
    });

    test('another process asks the connection of this one to stop, and goes on', async () => {
      const other = await bench.another();
      const bytes = randomBytes(300_000);
      const { row, tokenHash } = await parts.upload({ bytesTotal: bytes.length });
      const body = new PassThrough();
      const outcome = assert.rejects(parts.receiver.append(tokenHash, request(0, body)), refused('locked'));
      await send(parts, row.id, body, bytes.subarray(0, 100_000));
      const { bytesDone } = await other.receiver.status(tokenHash);
      await outcome;
      assert.equal(bytesDone, 100_000);
      const done = await other.receiver.append(tokenHash, request(bytesDone, bytes.subarray(bytesDone)));
      assert.equal(done.state, 'QUEUED');
      assert.equal(done.spoolHashes, null, 'who did not see the first bytes cannot have the hash of all');
    });

    test('a connection whose lease ran out and was taken cannot record anything', async () => {
      const { row, tokenHash } = await parts.upload({ bytesTotal: 1000 });
      const body = new PassThrough();
      const stale = parts.receiver.append(tokenHash, request(0, body));
      const outcome = assert.rejects(stale, refused('locked'));
      await send(parts, row.id, body, randomBytes(400));
      parts.clock.pass(60_000);
      const taken = await parts.store.uploads.claimReceiving(row.id, 'another process');
      assert.notEqual(taken, null);
      body.end();
      await outcome;
      assert.equal((await parts.store.find(row.id))?.bytesDone, 0);
      await parts.store.update(row.id, 'WAITING', taken?.fence ?? -1, { leaseOwner: null, leaseUntil: null });
    });

    for (const algorithm of ['SHA1', 'SHA256', 'MD5'] as const satisfies HashAlgorithm[]) {
      test(`a body with the right ${algorithm} counts, and one with a wrong one leaves nothing`, async () => {
        const bytes = randomBytes(50_000);
        const { row, tokenHash } = await parts.upload({ bytesTotal: bytes.length });
        const value = createHash(algorithm).update(bytes.subarray(0, 20_000)).digest('hex');
        const right = { checksum: { algorithm, value } };
        await assert.rejects(
          parts.receiver.append(tokenHash, request(0, bytes.subarray(10, 20_010), right)),
          refused('checksum'),
        );
        assert.equal((await parts.receiver.status(tokenHash)).bytesDone, 0);
        await parts.receiver.append(tokenHash, request(0, bytes.subarray(0, 20_000), right));
        const done = await parts.receiver.append(tokenHash, request(20_000, bytes.subarray(20_000)));
        assert.equal(done.spoolHashes?.SHA256, sha256(bytes), 'the refused bytes are not in the hash');
        assert.deepEqual(await readFile(parts.spool.path(row.id)), bytes, 'nor in the file');
      });
    }

    test('a body with a checksum that breaks off does not count', async () => {
      const { row, tokenHash } = await parts.upload({ bytesTotal: 1000 });
      const body = new PassThrough();
      const checksum = { algorithm: 'SHA256', value: sha256(randomBytes(9)) } as const;
      const cut = parts.receiver.append(tokenHash, request(0, body, { checksum }));
      await send(parts, row.id, body, randomBytes(400));
      body.destroy();
      assert.equal((await cut).bytesDone, 0);
    });

    test('an offset that is not the next byte is refused, before or past it', async () => {
      const { tokenHash } = await parts.upload({ bytesTotal: 1000 });
      await parts.receiver.append(tokenHash, request(0, randomBytes(500)));
      for (const offset of [0, 499, 501, 1000, 5000]) {
        await assert.rejects(parts.receiver.append(tokenHash, request(offset, randomBytes(1))), refused('offset'));
      }
      assert.equal((await parts.receiver.status(tokenHash)).bytesDone, 500);
    });

    test('more bytes than announced are refused whether or not the request tells its length', async () => {
      const { tokenHash } = await parts.upload({ bytesTotal: 1000 });
      await assert.rejects(parts.receiver.append(tokenHash, request(0, randomBytes(1001))), refused('tooLarge'));
      await assert.rejects(
        parts.receiver.append(tokenHash, request(0, randomBytes(1001), { lengthBytes: null })),
        refused('tooLarge'),
      );
      await assert.rejects(
        parts.receiver.append(tokenHash, request(0, randomBytes(600), { bytesMax: 500 })),
        refused('tooLarge'),
      );
      assert.equal((await parts.receiver.status(tokenHash)).bytesDone, 0);
      assert.equal((await parts.receiver.append(tokenHash, request(0, randomBytes(1000)))).state, 'QUEUED');
    });

    test('bytes that were written but never recorded are not believed', async () => {
      const bytes = randomBytes(1000);
      const { row, tokenHash } = await parts.upload({ bytesTotal: bytes.length });
      await parts.receiver.append(tokenHash, request(0, bytes.subarray(0, 400)));
      await writeFile(parts.spool.path(row.id), randomBytes(300), { flag: 'a' });
      assert.equal((await parts.receiver.status(tokenHash)).bytesDone, 400);
      const done = await parts.receiver.append(tokenHash, request(400, bytes.subarray(400)));
      assert.equal(done.spoolHashes?.SHA256, sha256(bytes));
      assert.equal((await stat(parts.spool.path(row.id))).size, bytes.length);
    });

    test('a file that is shorter than recorded tells where it really ends', async () => {
      const bytes = randomBytes(1000);
      const { row, tokenHash } = await parts.upload({ bytesTotal: bytes.length });
      await parts.receiver.append(tokenHash, request(0, bytes.subarray(0, 800)));
      await truncate(parts.spool.path(row.id), 300);
      assert.equal((await parts.receiver.status(tokenHash)).bytesDone, 300);
      const done = await parts.receiver.append(tokenHash, request(300, bytes.subarray(300)));
      assert.deepEqual([done.state, done.spoolHashes], ['QUEUED', null]);
      assert.deepEqual(await readFile(parts.spool.path(row.id)), bytes);
    });

    test('a process that did not see the beginning leaves the hash to be computed from the file', async () => {
      const other = await bench.another(true);
      const bytes = randomBytes(1000);
      const { tokenHash } = await parts.upload({ bytesTotal: bytes.length });
      await parts.receiver.append(tokenHash, request(0, bytes.subarray(0, 500)));
      const done = await other.receiver.append(tokenHash, request(500, bytes.subarray(500)));
      assert.deepEqual([done.state, done.spoolHashes], ['QUEUED', null]);
    });

    test('an unknown upload, one that ended, and one that expired are told apart', async () => {
      await assert.rejects(parts.receiver.status('no such hash'), refused('unknown'));
      const cancelled = await parts.upload({ bytesTotal: 10 });
      await parts.store.change(cancelled.row.id, 'cancel');
      await assert.rejects(parts.receiver.status(cancelled.tokenHash), refused('gone'));
      await assert.rejects(parts.receiver.append(cancelled.tokenHash, request(0, randomBytes(10))), refused('gone'));

      const expired = await parts.upload({ bytesTotal: 10 });
      parts.clock.pass(25 * HOUR_MS);
      await assert.rejects(parts.receiver.append(expired.tokenHash, request(0, randomBytes(10))), refused('gone'));
    });

    test('an upload that goes on does not expire', async () => {
      const { tokenHash } = await parts.upload({
        bytesTotal: 10,
        expiresAt: new Date(parts.clock.now().getTime() + HOUR_MS),
      });
      await parts.receiver.append(tokenHash, request(0, randomBytes(5)));
      parts.clock.pass(2 * HOUR_MS);
      assert.equal((await parts.receiver.append(tokenHash, request(5, randomBytes(5)))).state, 'QUEUED');
    });

    test('a paused upload takes no bytes, tells its offset, and goes on when it is resumed', async () => {
      const bytes = randomBytes(10);
      const { row, tokenHash } = await parts.upload({ bytesTotal: 10 });
      await parts.receiver.append(tokenHash, request(0, bytes.subarray(0, 4)));
      await parts.store.change(row.id, 'pause');
      await assert.rejects(parts.receiver.append(tokenHash, request(4, bytes.subarray(4))), refused('paused'));
      assert.equal((await parts.receiver.status(tokenHash)).bytesDone, 4);
      await parts.store.change(row.id, 'awaitBytes', { expiresAt: new Date(parts.clock.now().getTime() + HOUR_MS) });
      assert.equal((await parts.receiver.append(tokenHash, request(4, bytes.subarray(4)))).state, 'QUEUED');
    });

    test('pausing while bytes come in stops the connection, and what was recorded stays', async () => {
      const { row, tokenHash } = await parts.upload({ bytesTotal: 1000 });
      const body = new PassThrough();
      const outcome = assert.rejects(parts.receiver.append(tokenHash, request(0, body)), refused('locked'));
      await send(parts, row.id, body, randomBytes(400));
      await parts.receiver.release(row.id);
      await outcome;
      assert.equal((await parts.store.change(row.id, 'pause'))?.bytesDone, 400);
    });

    test('after the last byte, only the question whether it arrived is answered', async () => {
      const { tokenHash } = await parts.upload({ bytesTotal: 10 });
      await parts.receiver.append(tokenHash, request(0, randomBytes(10)));
      assert.equal((await parts.receiver.append(tokenHash, request(10, Buffer.alloc(0)))).bytesDone, 10);
      await assert.rejects(parts.receiver.append(tokenHash, request(10, randomBytes(1))), refused('finished'));
      await assert.rejects(parts.receiver.append(tokenHash, request(0, randomBytes(10))), refused('finished'));
    });

    test('the last offset and the queueing are one step: who dies between leaves an upload that can be finished', async (t) => {
      const bytes = randomBytes(1000);
      const { tokenHash } = await parts.upload({ bytesTotal: bytes.length });
      const change = t.mock.method(parts.store, 'change', () => Promise.reject(new Error('the process died')));
      await assert.rejects(parts.receiver.append(tokenHash, request(0, bytes)), /died/);
      change.mock.restore();
      const { bytesDone } = await parts.receiver.status(tokenHash);
      assert.ok(bytesDone < bytes.length);
      const done = await parts.receiver.append(tokenHash, request(bytesDone, bytes.subarray(bytesDone)));
      assert.deepEqual([done.state, done.spoolHashes?.SHA256], ['QUEUED', sha256(bytes)]);
    });

    test('closing stops what is under way, in order', async () => {
      const other = await bench.another();
      const { row, tokenHash } = await parts.upload({ bytesTotal: 1000 });
      const body = new PassThrough();
      const outcome = assert.rejects(other.receiver.append(tokenHash, request(0, body)), refused('locked'));
      await send(parts, row.id, body, randomBytes(123));
      await other.receiver.close();
      await outcome;
      const left = await parts.store.find(row.id);
      assert.deepEqual([left?.bytesDone, left?.leaseOwner], [123, null]);
    });
  });
}
