import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DATABASES } from '../../test/support/databases.ts';
import { openTransferBench, type TransferBench, type TransferParts } from '../../test/support/transfers.ts';
import { newId } from '../lib/ids.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { TransferBatch } from '../storage/entities/transfer-batch.ts';
import { LEASE_MS } from './store.ts';

for (const database of DATABASES) {
  describe(`the choice of what to work on next, on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    let others: readonly TransferParts[];

    beforeEach(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
      others = await Promise.all([bench.another(), bench.another(), bench.another()]);
    });
    afterEach(() => bench.close());

    const newBatch = async (maxConcurrent: number, transfers: number): Promise<{ id: string; rows: Transfer[] }> => {
      const id = newId();
      await parts.storage
        .fork()
        .insert(TransferBatch, { id, userId: 'user-1', maxConcurrent, items: null, createdAt: parts.clock.now() });
      const rows: Transfer[] = [];
      for (let made = 0; made < transfers; made += 1) {
        rows.push(await parts.queued(Buffer.from('x'), { batchId: id, userId: `user-${made}` }));
      }
      return { id, rows };
    };
    const claim = (process: TransferParts): Promise<Transfer | null> =>
      process.store.claim({ owner: process.owner, runningPerUserMax: 100, runningPerAccountMax: 1_000 });
    const claimAll = async (): Promise<Transfer[]> => {
      const claimed = await Promise.all([parts, ...others].flatMap((process) => [claim(process), claim(process)]));
      return claimed.filter((row) => row !== null);
    };

    test('of a batch no more run than it says, however many processes look at once', async () => {
      for (const most of [1, 3]) {
        const { id } = await newBatch(most, 8);
        const claimed = await claimAll();
        assert.equal(claimed.filter(({ batchId }) => batchId === id).length, most);
      }
    });

    test('when one of a batch ends, the next of it begins', async () => {
      const { rows } = await newBatch(1, 3);
      for (const expected of rows) {
        const row = await claim(parts);
        assert.equal(row?.id, expected.id);
        assert.equal(await claim(parts), null);
        await parts.store.change(expected.id, 'succeed', {}, { fence: row.fence });
      }
    });

    test('a full batch holds up neither another one nor what is in none', async () => {
      const first = await newBatch(1, 3);
      const second = await newBatch(1, 3);
      const alone = await parts.queued(Buffer.from('x'), { userId: 'user-9' });
      const claimed = [await claim(parts), await claim(parts), await claim(parts)].map((row) => row?.id);
      assert.deepEqual(claimed, [first.rows[0]?.id, second.rows[0]?.id, alone.id]);
      assert.equal(await claim(parts), null);
    });

    test('one whose worker died counts, and comes before the others of its batch', async () => {
      const { rows } = await newBatch(1, 2);
      await claim(parts);
      parts.clock.pass(LEASE_MS + 1);
      assert.equal((await claim(parts))?.id, rows[0]?.id);
      assert.equal(await claim(parts), null);
    });

    test('a batch is forgotten with the last of its transfers', async () => {
      const { id, rows } = await newBatch(1, 1);
      const row = await claim(parts);
      await parts.store.change(rows[0]?.id ?? '', 'succeed', { finishedAt: parts.clock.now() }, { fence: row?.fence });
      const batches = (): Promise<number> => parts.storage.fork().count(TransferBatch, { id });
      parts.clock.pass(1_000);
      await parts.store.retention.forgetFinished(parts.clock.now());
      assert.equal(await batches(), 0);
    });
  });
}
