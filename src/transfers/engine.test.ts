import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DATABASES } from '../../test/support/databases.ts';
import {
  MemoryDrive,
  openTransferBench,
  type TransferBench,
  type TransferParts,
} from '../../test/support/transfers.ts';
import { DriveError, type DriveErrorCategory } from '../drives/errors.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { ATTEMPTS_MAX } from './failures.ts';
import { isFinal } from './states.ts';
import { LEASE_MS } from './store.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const fault = (category: DriveErrorCategory): DriveError =>
  new DriveError(category, 'It failed.', { provider: 'LOCAL' });

/** Polls often, so that a test that lets the clock pass need not tell the engine. */
const LIMITS = { pollMs: 5 };

for (const database of DATABASES) {
  describe(`the engine on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    let drive: MemoryDrive;
    const bytes = randomBytes(10_000);

    beforeEach(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
      drive = new MemoryDrive((path) => readFile(path));
    });
    afterEach(() => bench.close());

    const finished = (id: string): Promise<Transfer> => parts.until(id, ({ state }) => isFinal(state));
    const stored = async (name = 'file.bin'): Promise<Buffer | undefined> => drive.files.get(name)?.bytes;

    test('a queued file is taken over by the drive, and the spool is empty afterwards', async () => {
      const engine = parts.engine(drive.adopting());
      engine.start();
      const { id } = await parts.queued(bytes, { expectedHashes: { SHA256: sha256(bytes) } });
      const row = await finished(id);
      await engine.close();
      assert.deepEqual([row.state, row.phase, row.route, row.bytesDone], ['SUCCEEDED', null, 'STREAMED', bytes.length]);
      assert.deepEqual([row.entryRef, row.attempts, row.failure], [id, 1, null]);
      assert.ok(row.finishedAt && row.startedAt && row.leaseOwner === null && row.expiresAt === null);
      assert.deepEqual(await stored(), bytes);
      assert.equal(await parts.spool.size(id), null);
    });

    test('a file of no bytes is a file', async () => {
      parts.engine(drive.adopting()).start();
      const { id } = await parts.queued(Buffer.alloc(0));
      assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.deepEqual(await stored(), Buffer.alloc(0));
    });

    test('bytes that are not those promised make no file, and do not stay', async () => {
      const engine = parts.engine(drive.adopting());
      engine.start();
      const { id } = await parts.queued(bytes, { expectedHashes: { MD5: '0'.repeat(32), SHA256: sha256(bytes) } });
      const row = await finished(id);
      await engine.close();
      assert.deepEqual([row.state, row.failure?.code, row.expiresAt], ['FAILED', 'INTEGRITY', null]);
      assert.match(row.failure?.message ?? '', /MD5/);
      assert.equal(drive.files.size, 0);
      assert.equal(await parts.spool.size(id), null);
    });

    test('a hash from while the bytes came in is not computed again', async () => {
      parts.engine(drive.adopting()).start();
      const { id } = await parts.queued(bytes, { spoolHashes: { SHA256: 'as it was stored' } });
      await finished(id);
      assert.equal(drive.files.get('file.bin')?.entry.hashes.SHA256, 'as it was stored');
    });

    test('a failure that cannot pass ends the transfer at once, its bytes are kept, and a retry can succeed', async () => {
      drive.before = () => {
        throw fault('quota_exceeded');
      };
      parts.engine(drive.adopting()).start();
      const { id } = await parts.queued(bytes);
      const row = await finished(id);
      assert.deepEqual([row.state, row.failure?.code, row.attempts], ['FAILED', 'STORAGE_FULL', 1]);
      assert.ok(row.expiresAt && row.expiresAt > parts.clock.now());
      assert.equal(await parts.spool.size(id), bytes.length);

      drive.before = () => undefined;
      await parts.store.change(id, 'retry', { attempts: 0, failure: null, finishedAt: null });
      assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.deepEqual(await stored(), bytes);
    });

    test('a failure that may pass is tried again, each time later, and not for ever', async () => {
      const waits: number[] = [];
      let failing = ATTEMPTS_MAX;
      drive.before = () => {
        failing -= 1;
        throw fault('unavailable');
      };
      parts.engine(drive.adopting(), LIMITS).start();
      const { id } = await parts.queued(bytes);
      for (let attempt = 1; attempt < ATTEMPTS_MAX; attempt += 1) {
        const row = await parts.until(id, (now) => now.state === 'QUEUED' && now.attempts === attempt);
        assert.equal(row.failure?.code, 'UNAVAILABLE', 'what went wrong is shown while it waits');
        waits.push(row.runAfter.getTime() - parts.clock.now().getTime());
        parts.clock.pass(waits.at(-1) ?? 0);
      }
      const row = await finished(id);
      assert.deepEqual([row.state, row.attempts, failing], ['FAILED', ATTEMPTS_MAX, 0]);
      assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000]);
    });

    test('a transfer waits as long as the provider says', async () => {
      drive.before = () => {
        throw new DriveError('rate_limited', 'Slowly.', { provider: 'LOCAL', retryAfterMs: 90_000 });
      };
      parts.engine(drive.adopting(), LIMITS).start();
      const { id } = await parts.queued(bytes);
      const row = await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      assert.equal(row.runAfter.getTime() - parts.clock.now().getTime(), 90_000);
    });

    test('a bug in a driver does not end the engine, and is told as no more than an outage', async () => {
      drive.before = (_act, { plan }) => {
        if (plan?.name === 'bad') throw new TypeError('secret internals');
      };
      parts.engine(drive.adopting(), LIMITS).start();
      const bad = await parts.queued(bytes, { name: 'bad' });
      const row = await parts.until(bad.id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      assert.equal(row.failure?.code, 'UNAVAILABLE');
      assert.doesNotMatch(row.failure?.message ?? '', /secret/);
      const good = await parts.queued(bytes, { name: 'good' });
      assert.equal((await finished(good.id)).state, 'SUCCEEDED');
    });

    test('the work of a worker that died is done by another, and the file is there once', async () => {
      const { id } = await parts.queued(bytes, { onConflict: 'RENAME' });
      const dead = await parts.store.claim({ owner: 'dead', runningPerUserMax: 1, runningPerAccountMax: 9 });
      await parts.store.update(id, 'RUNNING', dead?.fence ?? -1, {
        phase: 'VERIFYING',
        spoolHashes: { SHA256: sha256(bytes) },
      });
      const driver = drive.adopting();
      const plan = {
        parentRef: 'root',
        name: 'file.bin',
        sizeBytes: bytes.length,
        hashes: {},
        onConflict: 'RENAME',
        transferId: id,
      } as const;
      const call = { signal: new AbortController().signal };
      const hashes = { SHA256: sha256(bytes) };
      await driver.adopt?.(plan, { path: parts.spool.path(id), sizeBytes: bytes.length, hashes }, call);

      parts.engine(driver, LIMITS).start();
      assert.equal((await parts.store.find(id))?.state, 'RUNNING', 'its lease still counts');
      parts.clock.pass(LEASE_MS + 1);
      const row = await finished(id);
      assert.deepEqual([row.state, row.attempts, row.entryRef], ['SUCCEEDED', 2, id]);
      assert.equal(drive.files.size, 1);
    });

    test('a transfer that ends its workers again and again is given up', async () => {
      const { id } = await parts.queued(bytes, { attempts: ATTEMPTS_MAX, attemptsStuck: ATTEMPTS_MAX });
      parts.engine(drive.adopting()).start();
      const row = await finished(id);
      assert.deepEqual([row.state, row.failure?.retryable], ['FAILED', false]);
      assert.equal(drive.files.size, 0);
    });

    test('a shutdown parks what runs, does not count it as an attempt, and the next start goes on', async () => {
      const reached = Promise.withResolvers<void>();
      const driver = drive.slicing(3_000);
      const upload = driver.upload;
      assert.ok(upload);
      const put = upload.putSlice;
      upload.putSlice = async (plan, session, index, slice, call) => {
        if (index < 2) return put(plan, session, index, slice, call);
        reached.resolve();
        return new Promise((_resolve, reject) => {
          call.signal.addEventListener('abort', () => reject(fault('cancelled')));
        });
      };
      const first = parts.engine(driver);
      first.start();
      const { id } = await parts.queued(bytes);
      await reached.promise;
      await first.close();
      const parked = await parts.store.find(id);
      assert.deepEqual([parked?.state, parked?.attempts, parked?.leaseOwner], ['QUEUED', 0, null]);

      upload.putSlice = put;
      parts.engine(driver).start();
      assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.deepEqual(drive.put, [0, 1, 2, 3], 'slices whose receipts were stored are not sent again');
      assert.deepEqual(await stored(), bytes);
    });

    test('pausing stops a running transfer, and resuming goes on from its stored receipts', async () => {
      const driver = drive.slicing(1_000);
      const halfway = Promise.withResolvers<void>();
      const upload = driver.upload;
      assert.ok(upload);
      const put = upload.putSlice;
      upload.putSlice = async (plan, session, index, slice, call) => {
        if (index !== 5) return put(plan, session, index, slice, call);
        halfway.resolve();
        // Holds until it is told to stop: were it to fail by itself, it might do so before the pause.
        return new Promise((_resolve, reject) => {
          const stop = (): void => reject(fault('cancelled'));
          if (call.signal.aborted) stop();
          else call.signal.addEventListener('abort', stop);
        });
      };
      parts.engine(driver).start();
      const { id } = await parts.queued(bytes);
      await halfway.promise;
      assert.equal((await parts.store.change(id, 'pause'))?.state, 'PAUSED');
      await parts.bus.publish('transfer.control', { transferId: id, action: 'pause' });
      upload.putSlice = put;
      await parts.store.change(id, 'resume', { runAfter: parts.clock.now() });
      assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.deepEqual(drive.put, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      assert.deepEqual(await stored(), bytes);
    });

    test('cancelling stops a running transfer, whose worker then writes nothing', async () => {
      const driver = drive.slicing(1_000);
      const cancelled = Promise.withResolvers<void>();
      let id = '';
      drive.before = async (act, { index }) => {
        if (act !== 'putSlice' || index !== 3) return;
        await parts.store.change(id, 'cancel');
        cancelled.resolve();
      };
      const engine = parts.engine(driver);
      ({ id } = await parts.queued(bytes));
      engine.start();
      await cancelled.promise;
      await engine.close();
      const row = await parts.store.find(id);
      assert.deepEqual([row?.state, row?.entryRef, row?.attempts], ['CANCELLED', null, 1]);
      assert.equal((await parts.store.slices.receipts(id)).length, 3);
      assert.equal(drive.files.size, 0);
    });

    test('slices go several at a time, and the file is the same', async () => {
      let under = 0;
      let most = 0;
      const several = Promise.withResolvers<void>();
      drive.before = async (act) => {
        if (act !== 'putSlice') return;
        under += 1;
        most = Math.max(most, under);
        if (under === 4) several.resolve();
        await several.promise; // The first ones are held until as many are under way as may be.
        under -= 1;
      };
      const engine = parts.engine(drive.slicing(700, 99));
      engine.start();
      const { id } = await parts.queued(bytes);
      const row = await finished(id);
      await engine.close();
      assert.deepEqual([row.state, row.route], ['SUCCEEDED', 'SLICED']);
      assert.deepEqual(await stored(), bytes);
      assert.equal(most, 4);
      assert.deepEqual(await parts.store.slices.receipts(id), [], 'receipts go when they are of no more use');
      assert.equal(drive.sessions, 0);
    });

    test('a drive that tells what it has is sent what it lacks, and no more', async () => {
      const driver = drive.slicing(1_000);
      const { upload } = driver;
      assert.ok(upload);
      // The answer to slice 3 is lost, and later slice 1 itself.
      const put = upload.putSlice;
      upload.putSlice = async (plan, session, index, slice, call) => {
        const receipt = await put(plan, session, index, slice, call);
        if (index === 3) throw fault('unavailable');
        return receipt;
      };
      const known: number[][] = [];
      upload.heldSlices = async (_plan, _session, receipts) => {
        known.push(receipts.map(({ index }) => index));
        return [0, 2, 3].map((index) => ({ index, state: 'told' }));
      };
      parts.engine(driver, LIMITS).start();
      const { id } = await parts.queued(bytes);
      await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      upload.putSlice = put;
      const complete = upload.complete;
      let given: unknown[] = [];
      upload.complete = async (plan, session, receipts, call) => {
        given = receipts.map(({ index, state }) => [index, state === 'told']);
        assert.equal((await parts.store.slices.receipts(id)).length, 10);
        assert.equal((await parts.store.find(id))?.bytesSent, bytes.length, 'what was lost there is not counted twice');
        return complete(plan, session, receipts, call);
      };
      parts.clock.pass(60_000);
      assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.deepEqual(known, [[0, 1, 2]], 'it is not asked about an upload that begins');
      assert.deepEqual(drive.put, [0, 1, 2, 3, 1, 4, 5, 6, 7, 8, 9]);
      assert.deepEqual(
        given,
        Array.from({ length: 10 }, (_, index) => [index, [0, 2, 3].includes(index)]),
      );
      assert.deepEqual(await stored(), bytes);
    });

    test('a session that the drive has forgotten is begun anew', async () => {
      const driver = drive.slicing(1_000);
      drive.before = (act, { index }) => {
        if (act === 'putSlice' && index === 4) throw fault('unavailable');
      };
      parts.engine(driver, LIMITS).start();
      const { id } = await parts.queued(bytes);
      await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      drive.forgetSessions();
      drive.before = () => undefined;
      parts.clock.pass(60_000);
      assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.deepEqual(drive.put, [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      assert.deepEqual(await stored(), bytes);
    });

    test('a session that the drive loses while it is sent to is begun anew, once', async () => {
      const driver = drive.slicing(4_000);
      const begin = driver.upload?.begin;
      assert.ok(driver.upload && begin);
      const begun: (boolean | undefined)[] = [];
      driver.upload.begin = (plan, call) => {
        begun.push(plan.anew);
        return begin(plan, call);
      };
      let losses = 1;
      drive.before = (act) => {
        if (act !== 'complete' || losses === 0) return;
        losses -= 1;
        throw fault('not_found');
      };
      parts.engine(driver, LIMITS).start();
      assert.equal((await finished((await parts.queued(bytes)).id)).state, 'SUCCEEDED');
      assert.deepEqual(begun, [undefined, true]);
      assert.deepEqual(drive.put, [0, 1, 2, 0, 1, 2]);
      assert.deepEqual(await stored(), bytes);

      losses = 2;
      const { id } = await parts.queued(bytes);
      assert.deepEqual((await finished(id)).failure?.code, 'NOT_FOUND');
      assert.equal(begun.length, 4);
    });

    test('a drive that made the file but whose answer was lost is not sent it again', async () => {
      const driver = drive.slicing(4_000);
      drive.after = (act) => {
        if (act === 'complete') throw fault('timeout');
      };
      parts.engine(driver, LIMITS).start();
      // The memory drive knows transfers by their id; this one must find the file by its name and bytes.
      const complete = driver.upload?.complete;
      assert.ok(driver.upload && complete);
      driver.upload.complete = (plan, ...rest) => complete({ ...plan, transferId: 'unknown' }, ...rest);
      const { id } = await parts.queued(bytes);
      const waiting = await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      assert.equal(waiting.phase, 'VERIFYING');
      const file = drive.files.get('file.bin');
      assert.ok(file);
      drive.files.set('file.bin', { ...file, entry: { ...file.entry, hashes: { SHA256: sha256(bytes) } } });
      parts.clock.pass(60_000);
      const row = await finished(id);
      assert.deepEqual([row.state, row.entryRef, drive.put], ['SUCCEEDED', 'unknown', [0, 1, 2]]);
    });

    for (const onConflict of ['FAIL', 'REPLACE'] as const) {
      test(`a file that a try before made is found, and what it replaces is put away: ${onConflict}`, async () => {
        const driver = drive.slicing(4_000);
        drive.after = (act) => {
          if (act === 'complete') throw fault('timeout');
        };
        const putAway: (string | null)[] = [];
        assert.ok(driver.upload);
        driver.upload.settleReplace = async ({ ref }) => void putAway.push(ref);
        parts.engine(driver, LIMITS).start();
        const { id } = await parts.queued(bytes, { onConflict });
        await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
        const file = drive.files.get('file.bin') ?? assert.fail();
        drive.files.set('file.bin', { ...file, entry: { ...file.entry, hashes: { SHA256: sha256(bytes) } } });
        parts.clock.pass(60_000);
        assert.equal((await finished(id)).state, 'SUCCEEDED');
        assert.deepEqual(putAway, onConflict === 'REPLACE' ? [file.entry.ref] : []);
      });
    }

    test('a drive that kept other bytes than it was sent does not keep the file', async () => {
      const driver = drive.slicing(4_000);
      const complete = driver.upload?.complete;
      assert.ok(driver.upload && complete);
      driver.upload.complete = async (...args) => ({
        ...(await complete(...args)),
        hashes: { SHA256: sha256(Buffer.from('other')) },
      });
      parts.engine(driver).start();
      const { id } = await parts.queued(bytes);
      const row = await finished(id);
      assert.deepEqual([row.state, row.failure?.code], ['FAILED', 'INTEGRITY']);
      assert.equal(drive.files.size, 0);
    });

    test('a drive that has the bytes already is not sent them', async () => {
      const driver = drive.slicing(1_000);
      const complete = driver.upload?.begin;
      assert.ok(driver.upload && complete);
      const entry = { ref: 'instant', kind: 'FILE', name: 'file.bin', sizeBytes: bytes.length, hashes: {} } as never;
      driver.upload.begin = async () => ({ instant: entry });
      parts.engine(driver).start();
      const row = await finished((await parts.queued(bytes)).id);
      assert.deepEqual([row.route, row.entryRef, drive.put], ['INSTANT', 'instant', []]);
    });

    test('a drive that takes no uploads is told so', async () => {
      const { adopt: _adopt, ...none } = drive.adopting();
      parts.engine(none).start();
      const row = await finished((await parts.queued(bytes)).id);
      assert.deepEqual([row.state, row.failure?.code, row.failure?.ability], ['FAILED', 'UNSUPPORTED', 'UPLOAD']);
    });

    test('bytes that are gone, or cut, fail the transfer and never become a file', async () => {
      parts.engine(drive.adopting()).start();
      const gone = await parts.store.create({
        ...(await parts.queued(bytes, { state: 'WAITING' })),
        id: crypto.randomUUID(),
        state: 'QUEUED',
        uploadTokenHash: null,
      });
      const cut = await parts.queued(bytes.subarray(0, 99), { bytesTotal: 100 });
      for (const { id } of [gone, cut]) {
        const row = await finished(id);
        assert.deepEqual([row.state, row.failure?.code], ['FAILED', 'INTEGRITY']);
      }
      assert.equal(drive.files.size, 0);
    });

    test('two processes share the work, and every file is there once', async () => {
      const other = await bench.another();
      parts.engine(drive.adopting(), LIMITS).start();
      other.engine(drive.adopting(), LIMITS).start();
      const ids = await Promise.all(
        Array.from(
          { length: 20 },
          async (_, index) => (await parts.queued(bytes, { name: `f${index}`, userId: `u${index % 5}` })).id,
        ),
      );
      for (const id of ids) {
        const row = await finished(id);
        assert.deepEqual([row.state, row.attempts], ['SUCCEEDED', 1]);
      }
      assert.equal(drive.files.size, 20);
    });

    test('no more run at once than may', async () => {
      let under = 0;
      let most = 0;
      const full = Promise.withResolvers<void>();
      drive.before = async () => {
        under += 1;
        most = Math.max(most, under);
        if (under === 3) full.resolve();
        await full.promise; // The first ones are held until as many are under way as may be.
        under -= 1;
      };
      parts.engine(drive.adopting(), { runningMax: 3, runningPerUserMax: 9, runningPerAccountMax: 9 }).start();
      const rows = await Promise.all(
        Array.from({ length: 12 }, (_, index) => parts.queued(bytes, { name: `f${index}` })),
      );
      for (const { id } of rows) assert.equal((await finished(id)).state, 'SUCCEEDED');
      assert.equal(most, 3);
    });
  });
}
