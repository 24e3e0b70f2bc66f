import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { DATABASES } from '../../test/support/databases.ts';
import {
  MemoryDrive,
  openTransferBench,
  type TransferBench,
  type TransferParts,
} from '../../test/support/transfers.ts';
import { ConfigError } from '../lib/errors.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { SPOOL_KEPT_MS, SPOOL_LIVE_MS } from './neighbours.ts';
import type { ReceiveRequest } from './receiver.ts';
import { Spool } from './spool.ts';

const BYTES = randomBytes(3_000);
const elsewhere = { name: 'UploadRefusedError', refusal: 'elsewhere' };
const LIMITS = { runningPerUserMax: 100, runningPerAccountMax: 100 };

const request = (offset: number, body: Uint8Array | Readable): ReceiveRequest => ({
  offset,
  body: body instanceof Readable ? body : Readable.from([Buffer.from(body)]),
  lengthBytes: body instanceof Readable ? null : body.length,
  checksum: null,
  bytesMax: BYTES.length,
});

for (const database of DATABASES.filter(({ dialect }) => dialect === 'postgres')) {
  describe('hosts with a spool each', { skip: database.skip }, () => {
    let bench: TransferBench;
    let here: TransferParts;
    let there: TransferParts;

    before(async () => {
      bench = await openTransferBench(database);
      here = bench.parts;
      there = await bench.elsewhere();
    });
    after(() => bench.close());
    beforeEach(async () => {
      here.clock.pass(2 * SPOOL_KEPT_MS);
      await here.storage.fork().execute('delete from transfers');
      await here.neighbours.show();
      await there.neighbours.show();
    });

    /** The first host dies; the second lives on. */
    async function passWithoutHere(milliseconds: number): Promise<void> {
      here.clock.pass(milliseconds);
      await there.neighbours.show();
    }

    const claim = async ({ store, owner, neighbours }: TransferParts): Promise<Transfer | null> =>
      store.claim({ ...LIMITS, owner, reach: await neighbours.reach() });

    describe('an upload of which bytes have come', () => {
      it('goes on at the host that has them, and at no other while that is alive', async () => {
        const { tokenHash } = await here.upload({ bytesTotal: BYTES.length });
        await here.receiver.append(tokenHash, request(0, BYTES.subarray(0, 1000)));
        await passWithoutHere(SPOOL_LIVE_MS - 1);
        await assert.rejects(there.receiver.status(tokenHash), elsewhere);
        await assert.rejects(there.receiver.append(tokenHash, request(1000, BYTES.subarray(1000))), elsewhere);
        assert.equal((await here.receiver.status(tokenHash)).bytesDone, 1000);
        assert.equal((await here.receiver.append(tokenHash, request(1000, BYTES.subarray(1000)))).state, 'QUEUED');
      });

      it('begins at another from its first byte when that host is gone, and the one that comes back has no say', async () => {
        const { row, tokenHash } = await here.upload({ bytesTotal: BYTES.length });
        await here.receiver.append(tokenHash, request(0, BYTES.subarray(0, 1000)));
        await passWithoutHere(SPOOL_LIVE_MS);
        assert.equal((await there.receiver.status(tokenHash)).bytesDone, 0);
        await assert.rejects(there.receiver.append(tokenHash, request(1000, BYTES.subarray(1000))), {
          refusal: 'offset',
        });
        await there.receiver.append(tokenHash, request(0, BYTES.subarray(0, 500)));
        await here.neighbours.show();
        await assert.rejects(here.receiver.status(tokenHash), elsewhere);
        const last = await there.receiver.append(tokenHash, request(500, BYTES.subarray(500)));
        assert.deepEqual([last.state, last.spoolId], ['QUEUED', there.spool.id]);
        assert.deepEqual(await there.spool.read(row.id, { start: 0, length: BYTES.length }), BYTES);
      });

      it('comes in undisturbed while a request goes astray', async () => {
        const { row, tokenHash } = await here.upload({ bytesTotal: BYTES.length });
        const body = new PassThrough();
        const sending = here.receiver.append(tokenHash, request(0, body));
        body.write(BYTES.subarray(0, 1000));
        while ((await here.spool.size(row.id)) !== 1000) await setImmediate();
        await assert.rejects(there.receiver.status(tokenHash), elsewhere);
        body.end(BYTES.subarray(1000));
        assert.equal((await sending).state, 'QUEUED');
      });
    });

    it('an upload without bytes comes in anywhere', async () => {
      const { tokenHash } = await here.upload({ bytesTotal: BYTES.length });
      assert.equal((await here.receiver.status(tokenHash)).bytesDone, 0);
      const row = await there.receiver.append(tokenHash, request(0, BYTES));
      assert.deepEqual([row.state, row.spoolId], ['QUEUED', there.spool.id]);
    });

    it('bytes that came whole are worked on where they are, also when that host is away for a while', async () => {
      const row = await here.queued(BYTES);
      assert.equal(await claim(there), null);
      await passWithoutHere(SPOOL_KEPT_MS - 1);
      assert.equal(await claim(there), null);
      await here.neighbours.show();
      assert.equal((await claim(here))?.id, row.id);
      await passWithoutHere(SPOOL_LIVE_MS + 1); // Its worker died, and it is started again.
      assert.equal(await claim(there), null);
      assert.equal((await claim(here))?.id, row.id);
    });

    it('bytes that came whole to a host that is gone are told to be gone', async () => {
      const row = await here.queued(BYTES);
      await passWithoutHere(SPOOL_KEPT_MS);
      const drive = new MemoryDrive((path) => readFile(path));
      const engine = there.engine(drive.adopting());
      engine.start();
      const { state, failure } = await there.until(row.id, ({ state }) => state === 'FAILED');
      await engine.close();
      assert.deepEqual([state, failure?.code, failure?.retryable], ['FAILED', 'INTEGRITY', false]);
      assert.match(failure?.message ?? '', /Send them again/);
    });

    it('what can be had again is fetched anew when the host that fetched it is gone', async () => {
      const source = { type: 'file', path: 'film.mkv' } as const;
      const row = await here.queued(BYTES, { kind: 'IMPORT', source });
      await passWithoutHere(SPOOL_KEPT_MS);
      const drive = new MemoryDrive((path) => readFile(path));
      const file = async () => ({ body: Readable.from([BYTES]), offset: 0, version: 'v1', sizeBytes: BYTES.length });
      const engine = there.engine(drive.adopting(), { pollMs: 50 }, { file });
      engine.start();
      await there.until(row.id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      await passWithoutHere(60_000);
      const done = await there.until(row.id, ({ state }) => state === 'SUCCEEDED' || state === 'FAILED');
      await engine.close();
      assert.deepEqual([done.state, done.spoolId], ['SUCCEEDED', there.spool.id], JSON.stringify(done.failure));
      assert.deepEqual(
        [...drive.files.values()].map(({ bytes }) => bytes),
        [BYTES],
      );
    });

    it('what is half fetched is left to its host while that is alive, and what is not begun is anybody’s', async () => {
      const given = { state: 'QUEUED', phase: 'RECEIVING', source: { type: 'url', named: true }, kind: 'URL' } as const;
      const half = await here.upload({ ...given, bytesTotal: 10, bytesDone: 5, spoolId: here.spool.id });
      assert.equal(await claim(there), null);
      await passWithoutHere(SPOOL_LIVE_MS);
      assert.equal((await claim(there))?.id, half.row.id);
      await here.neighbours.show();
      const fresh = await here.upload({ ...given, bytesTotal: 10, bytesDone: 0, spoolId: here.spool.id });
      assert.equal((await claim(there))?.id, fresh.row.id);
    });

    it('processes that share a spool do each other’s work', async () => {
      const beside = await bench.another();
      assert.equal(beside.spool.id, here.spool.id);
      const row = await here.queued(BYTES);
      assert.equal((await claim(beside))?.id, row.id);
    });

    it('a host that comes back removes what another has begun anew', async () => {
      const row = await here.queued(BYTES);
      await passWithoutHere(SPOOL_KEPT_MS);
      await claim(there);
      here.clock.pass(365 * 24 * 3_600_000); // The test's clock is behind that of the files.
      await here.store.update(row.id, 'RUNNING', 1, { expiresAt: new Date(Date.now() + 1e12) });
      await here.sweeper.sweep();
      assert.equal(await here.spool.size(row.id), null);
    });
  });
}

describe('the name of a spool', () => {
  it('is kept, is one for all who open it at once, and is asked for when it is damaged', async () => {
    const folder = `${process.env.TMPDIR ?? '/tmp'}/panql-spool-${randomBytes(8).toString('hex')}`;
    try {
      const spools = await Promise.all(Array.from({ length: 8 }, () => Spool.open(folder)));
      assert.equal(new Set(spools.map(({ id }) => id)).size, 1);
      assert.equal((await Spool.open(folder)).id, spools[0]?.id);
      await writeFile(`${folder}.id`, '');
      await assert.rejects(Spool.open(folder), ConfigError);
    } finally {
      await rm(folder, { recursive: true, force: true });
      await rm(`${folder}.id`, { force: true });
    }
  });
});
