import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DATABASES } from '../../test/support/databases.ts';
import {
  MemoryDrive,
  openTransferBench,
  type TransferBench,
  type TransferParts,
} from '../../test/support/transfers.ts';
import { NotFoundError } from '../lib/errors.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { ATTEMPTS_MAX } from './failures.ts';
import type { AcquiredSource, OpenedSource, OpenSource, SourceRequest } from './sources.ts';
import { isFinal, STRETCHED_MAX_MS } from './states.ts';

type FileSource = Extract<AcquiredSource, { type: 'file' }>;
type Request = SourceRequest<FileSource>;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

for (const database of DATABASES) {
  describe(`acquiring bytes on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    let drive: MemoryDrive;
    let requests: Request[];
    const bytes = randomBytes(100_000);

    beforeEach(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
      drive = new MemoryDrive((path) => readFile(path));
      requests = [];
    });
    afterEach(() => bench.close());

    /** Starts a worker whose files are given as told; attempts follow each other without a wait. */
    const start = (open: (request: Request) => Partial<OpenedSource>, limits = {}): void => {
      const file: OpenSource<FileSource> = async (request) => {
        requests.push(request);
        return { body: Readable.from([]), offset: 0, version: 'v1', sizeBytes: bytes.length, ...open(request) };
      };
      parts.engine(drive.adopting(), { pollMs: 5, ...limits }, { file }).start();
    };
    const create = (more: Partial<Transfer> = {}): Promise<Transfer> =>
      parts.store.create({
        ...{ userId: 'user-1', kind: 'IMPORT', state: 'QUEUED', phase: 'RECEIVING' },
        ...{ accountId: 'account-1', parentRef: 'root', name: 'file.bin', bytesTotal: null },
        ...{ source: { type: 'file', path: '/files/a' }, hashAlgorithms: ['SHA256'], ...more },
      });
    const finished = (id: string): Promise<Transfer> => parts.until(id, ({ state }) => isFinal(state));
    /** The next attempt is due; gives the row that waits for it. */
    const again = async (id: string, attempts: number): Promise<Transfer> => {
      const row = await parts.until(id, (now) => now.state === 'QUEUED' && now.attempts === attempts);
      parts.clock.pass(row.runAfter.getTime() - parts.clock.now().getTime());
      return row;
    };
    /** Gives some bytes, then breaks. */
    const broken = (start: number, end: number): Readable => {
      let given = false;
      return new Readable({
        highWaterMark: 1, // The break comes when the bytes are read.
        read() {
          if (given) this.destroy(new Error('the line was cut'));
          else this.push(bytes.subarray(start, end));
          given = true;
        },
      });
    };
    const from = (offset: number): Readable => Readable.from([bytes.subarray(offset)]);

    test('the bytes of a source come into the drive, and nothing stays in the spool', async () => {
      start(() => ({ body: from(0) }));
      const { id } = await create();
      const row = await finished(id);
      assert.deepEqual([row.state, row.bytesTotal, row.sourceVersion], ['SUCCEEDED', bytes.length, 'v1']);
      assert.deepEqual(drive.files.get('file.bin')?.bytes, bytes);
      assert.equal(drive.files.get('file.bin')?.entry.hashes.SHA256, sha256(bytes));
      assert.equal(await parts.spool.size(id), null);
    });

    test('a source that does not tell its size is whole when it ends', async () => {
      start(() => ({ body: from(0), sizeBytes: null }), { untoldBytesMax: bytes.length });
      const { id } = await create();
      assert.deepEqual([(await finished(id)).state, drive.files.size], ['SUCCEEDED', 1]);
    });

    test('more bytes than the limit are refused for good', async () => {
      start(() => ({ body: from(0), sizeBytes: null }), { untoldBytesMax: bytes.length - 1 });
      const { id } = await create();
      const row = await finished(id);
      assert.deepEqual([row.state, row.failure?.code, row.attempts], ['FAILED', 'TOO_LARGE', 1]);
      assert.equal(drive.files.size, 0);
    });

    test('a source that breaks off goes on where it broke, and its bytes are hashed as a whole', async () => {
      start(({ offset }) => ({ offset, body: offset === 0 ? broken(0, 60_000) : from(offset) }));
      const { id } = await create();
      const waiting = await again(id, 1);
      assert.deepEqual([waiting.phase, waiting.bytesDone, waiting.failure?.code], ['RECEIVING', 60_000, 'UNAVAILABLE']);
      assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.deepEqual(
        requests.map(({ offset, version }) => [offset, version]),
        [
          [0, null],
          [60_000, 'v1'],
        ],
      );
      assert.equal(drive.files.get('file.bin')?.entry.hashes.SHA256, sha256(bytes));
    });

    test('a source that breaks off again and again goes on as long as it gets on', async () => {
      const step = 10_000;
      start(({ offset }) => ({ offset, body: broken(offset, offset + step) }));
      const { id } = await create();
      const waits: number[] = [];
      for (let attempt = 1; attempt < bytes.length / step; attempt += 1) {
        const { runAfter } = await parts.until(id, (now) => now.state === 'QUEUED' && now.attempts === attempt);
        waits.push(runAfter.getTime() - parts.clock.now().getTime());
        parts.clock.pass(waits.at(-1) ?? 0);
      }
      const row = await finished(id);
      assert.deepEqual([row.state, row.attempts], ['SUCCEEDED', bytes.length / step]);
      assert.ok(row.attempts > ATTEMPTS_MAX);
      assert.deepEqual(new Set(waits), new Set([1_000]), 'it waits no longer than after the first time');
      assert.deepEqual(drive.files.get('file.bin')?.bytes, bytes);
    });

    for (const [what, open, attempts] of [
      ['gets on no more', ({ offset }) => ({ offset, body: broken(0, 0) }), ATTEMPTS_MAX],
      ['begins anew each time', () => ({ body: broken(0, 60_000), version: null }), ATTEMPTS_MAX],
      // The first one got on; no other did.
      ['is another each time', () => ({ body: broken(0, 60_000), version: randomUUID() }), ATTEMPTS_MAX + 1],
    ] as const satisfies readonly [string, (request: Request) => Partial<OpenedSource>, number][]) {
      test(`a source that breaks off again and again, and ${what}, is given up`, async () => {
        start(open);
        const { id } = await create();
        for (let attempt = 1; attempt < attempts; attempt += 1) await again(id, attempt);
        const row = await finished(id);
        assert.deepEqual([row.state, row.failure?.code, row.attempts], ['FAILED', 'UNAVAILABLE', attempts]);
      });
    }

    test('a source that gets on by crumbs is given up after a week', async () => {
      start(({ offset }) => ({ offset, body: broken(offset, offset + 1) }));
      const { id } = await create();
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) await again(id, attempt);
      parts.clock.pass(STRETCHED_MAX_MS);
      const row = await finished(id);
      assert.equal(row.state, 'FAILED');
      assert.ok(row.attempts <= ATTEMPTS_MAX + 2, String(row.attempts));
    });

    test('a source that is another by now begins anew', async () => {
      const other = randomBytes(50_000);
      start(({ version }) =>
        version === null
          ? { body: broken(0, 60_000) }
          : { body: Readable.from([other]), version: 'v2', sizeBytes: other.length },
      );
      const { id } = await create();
      await again(id, 1);
      const row = await finished(id);
      assert.deepEqual([row.state, row.sourceVersion, row.bytesTotal], ['SUCCEEDED', 'v2', other.length]);
      assert.deepEqual(drive.files.get('file.bin')?.bytes, other);
    });

    test('a source that ends early, or has more than it told of, makes no file', async () => {
      start(({ source, offset }) =>
        source.path === 'short'
          ? { offset, body: Readable.from([bytes.subarray(offset, 10)]) }
          : { body: Readable.from([bytes, Buffer.from('!')]) },
      );
      const short = await create({ source: { type: 'file', path: 'short' } });
      assert.equal((await again(short.id, 1)).failure?.code, 'UNAVAILABLE');
      const long = await create({ source: { type: 'file', path: 'long' } });
      assert.equal((await again(long.id, 1)).failure?.code, 'INTEGRITY', 'it may just have changed');
      const row = await finished(long.id);
      assert.deepEqual([row.state, row.failure?.code, row.attempts], ['FAILED', 'INTEGRITY', 2]);
      assert.equal(drive.files.size, 0);
    });

    test('a source that gives nothing any more is asked again later', async () => {
      const stalling: OpenSource<FileSource> = async () => {
        return { body: new PassThrough(), offset: 0, version: 'v1', sizeBytes: bytes.length };
      };
      const impatient = parts.engine(drive.adopting(), { pollMs: 5, stallMs: 20 }, { file: stalling });
      impatient.start();
      const { id } = await create();
      const stalled = await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      assert.match(stalled.failure?.message ?? '', /no more bytes/);
      // Whoever goes on has the usual patience: on a busy machine also good bytes may take 20 ms.
      await impatient.close();
      start(({ offset }) => ({ offset, body: from(offset) }));
      await again(id, 1);
      assert.equal((await finished(id)).state, 'SUCCEEDED');
    });

    test('pausing stops the source, and resuming goes on behind what was recorded', async () => {
      const body = new PassThrough();
      const isRead = new Promise((resolve) => body.once('resume', resolve));
      const isClosed = new Promise((resolve) => body.once('close', resolve));
      start(({ offset }) => (requests.length > 1 ? { offset, body: from(offset) } : { body }));
      const { id } = await create();
      await isRead;
      await parts.store.change(id, 'pause');
      await parts.bus.publish('transfer.control', { transferId: id, action: 'pause' });
      await isClosed;
      await parts.store.change(id, 'resume', { runAfter: parts.clock.now() });
      assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.deepEqual(drive.files.get('file.bin')?.bytes, bytes);
    });

    test('a source that is gone fails at once, as does one that this server does not take', async () => {
      start(() => {
        throw new NotFoundError('There is no such file.');
      });
      const gone = await finished((await create()).id);
      assert.deepEqual([gone.state, gone.failure?.code, gone.attempts], ['FAILED', 'NOT_FOUND', 1]);
      const url = await finished((await create({ source: { type: 'url', named: true } })).id);
      assert.deepEqual([url.state, url.failure?.code], ['FAILED', 'UNSUPPORTED']);
    });
  });
}
