import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DATABASES } from '../../test/support/databases.ts';
import { openTransferBench, type TransferBench, type TransferParts } from '../../test/support/transfers.ts';
import { LEASE_MS } from './store.ts';

const bytes = Buffer.from('bytes');

for (const database of DATABASES) {
  describe(`the rows of transfers on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    before(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
    });
    after(() => bench.close());

    /** Ends what a test left running, so that the next finds an empty queue. */
    async function drain(): Promise<void> {
      for (;;) {
        const row = await parts.store.claim({ owner: 'drain', runningPerUserMax: 1_000, runningPerAccountMax: 1_000 });
        if (!row) return;
        await parts.store.change(row.id, 'cancel');
      }
    }

    test('many claimers share the queue, and none gets what another has', async () => {
      const ids = new Set<string>();
      for (let made = 0; made < 40; made += 1) ids.add((await parts.queued(bytes, { userId: `user-${made % 7}` })).id);
      const claimed: string[] = [];
      const claimer = async (owner: string): Promise<void> => {
        for (;;) {
          const row = await parts.store.claim({ owner, runningPerUserMax: 100, runningPerAccountMax: 1_000 });
          if (!row) return;
          assert.equal(row.leaseOwner, owner);
          claimed.push(row.id);
        }
      };
      await Promise.all(Array.from({ length: 12 }, (_, index) => claimer(`worker-${index}`)));
      assert.equal(claimed.length, 40);
      assert.deepEqual(new Set(claimed), ids);
      parts.clock.pass(LEASE_MS + 1);
      await drain();
    });

    test('a running transfer is claimed again only when its lease has run out, and then its old worker can write nothing', async () => {
      const { id } = await parts.queued(bytes);
      const first = await parts.store.claim({ owner: 'first', runningPerUserMax: 9, runningPerAccountMax: 9 });
      assert.equal(first?.id, id);
      assert.equal(await parts.store.claim({ owner: 'second', runningPerUserMax: 9, runningPerAccountMax: 9 }), null);

      parts.clock.pass(LEASE_MS + 1);
      const second = await parts.store.claim({ owner: 'second', runningPerUserMax: 9, runningPerAccountMax: 9 });
      assert.deepEqual([second?.id, second?.attempts, second?.leaseOwner], [id, 2, 'second']);

      const stale = { fence: first?.fence ?? 0 };
      assert.equal(await parts.store.update(id, 'RUNNING', stale.fence, { bytesDone: 1 }), false);
      assert.equal(await parts.store.change(id, 'succeed', { entryRef: 'stale' }, stale), null);
      if (first) assert.equal(await parts.store.slices.saveReceipt(first, 0, {}, 1), false);
      if (first) assert.equal(await parts.store.slices.saveSession(first, {}), false);
      assert.deepEqual(await parts.store.slices.receipts(id), []);
      assert.equal((await parts.store.change(id, 'succeed', {}, { fence: second?.fence ?? 0 }))?.state, 'SUCCEEDED');
    });

    test('of several changes at once that exclude each other, one is done', async () => {
      const { row } = await parts.upload();
      const outcomes = await Promise.all([
        ...Array.from({ length: 5 }, () => parts.store.change(row.id, 'cancel')),
        ...Array.from({ length: 5 }, () => parts.store.change(row.id, 'receive')),
      ]);
      const done = outcomes.filter((outcome) => outcome !== null).map(({ state }) => state);
      // Cancelling is also possible after the last byte came.
      assert.ok(['CANCELLED', 'QUEUED,CANCELLED'].includes(done.toSorted().reverse().join()), done.join());
      assert.equal((await parts.store.find(row.id))?.state, 'CANCELLED');
    });

    test('a user who has enough running waits, and the others do not', async () => {
      for (let made = 0; made < 3; made += 1) await parts.queued(bytes, { userId: 'busy' });
      const other = await parts.queued(bytes, { userId: 'other' });
      const claim = () => parts.store.claim({ owner: 'worker', runningPerUserMax: 2, runningPerAccountMax: 9 });
      const claimed = [await claim(), await claim(), await claim()].map((row) => row?.userId);
      assert.deepEqual(claimed, ['busy', 'busy', 'other']);
      assert.equal(await claim(), null);
      await parts.store.change(other.id, 'cancel');
      parts.clock.pass(LEASE_MS + 1);
      await drain();
    });

    test('a transfer that is to run later is not claimed before', async () => {
      const { id } = await parts.queued(bytes, { runAfter: new Date(parts.clock.now().getTime() + 5_000) });
      const claim = () => parts.store.claim({ owner: 'worker', runningPerUserMax: 9, runningPerAccountMax: 9 });
      assert.equal(await claim(), null);
      parts.clock.pass(5_000);
      assert.equal((await claim())?.id, id);
      await parts.store.change(id, 'cancel');
    });

    test('events of a user are numbered without gaps in the order of commit, whatever happens at once', async () => {
      const userId = 'eventful';
      const rows = await Promise.all(Array.from({ length: 10 }, () => parts.upload({ userId })));
      await Promise.all(
        rows.map(async ({ row }) => {
          await parts.store.change(row.id, 'pause');
          await parts.store.change(row.id, 'cancel');
        }),
      );
      const events = await parts.journal.after(userId, 0, 100);
      assert.deepEqual(
        events.map(({ sequence }) => sequence),
        Array.from({ length: 30 }, (_, index) => index + 1),
      );
      for (const { row } of rows) {
        const own = events.filter(({ transferId }) => transferId === row.id);
        assert.deepEqual(
          own.map(({ snapshot }) => snapshot.state),
          ['WAITING', 'PAUSED', 'CANCELLED'],
        );
        assert.deepEqual(
          own.map(({ revision }) => revision),
          [1, 2, 3],
        );
      }
    });

    test('a reader of the events never sees a number before the ones below it', async () => {
      const userId = 'watched';
      const writers = Promise.all(Array.from({ length: 40 }, () => parts.upload({ userId })));
      let isWriting = true;
      writers.then(() => {
        isWriting = false;
      });
      const seen: number[] = [];
      while (isWriting || seen.length < 40) {
        const events = await parts.journal.after(userId, seen.length, 100);
        seen.push(...events.map(({ sequence }) => sequence));
        assert.deepEqual(
          seen,
          Array.from({ length: seen.length }, (_, index) => index + 1),
        );
      }
    });

    test('old events are forgotten, and the journal says so', async () => {
      const { row } = await parts.upload({ userId: 'old' });
      await parts.store.change(row.id, 'pause');
      parts.clock.pass(1_000);
      const cutoff = parts.clock.now();
      await parts.store.change(row.id, 'cancel');
      await parts.journal.sweep(cutoff);
      assert.deepEqual(await parts.journal.bounds('old'), { lastSequence: 3, sweptThrough: 2 });
      assert.deepEqual(
        (await parts.journal.after('old', 0, 10)).map(({ sequence }) => sequence),
        [3],
      );
    });

    test("one user's events are not another's", async () => {
      await parts.upload({ userId: 'one' });
      assert.deepEqual(await parts.journal.after('two', 0, 10), []);
      assert.deepEqual(await parts.journal.bounds('two'), { lastSequence: 0, sweptThrough: 0 });
    });

    test('what a dead process held is free at the next start, without waiting for its leases', async () => {
      const { id } = await parts.queued(bytes);
      await parts.store.claim({ owner: 'dead', runningPerUserMax: 9, runningPerAccountMax: 9 });
      const waiting = await parts.upload();
      await parts.store.uploads.claimReceiving(waiting.row.id, 'dead');
      assert.equal(await parts.store.uploads.claimReceiving(waiting.row.id, 'alive'), null);

      await parts.store.releaseAll();
      assert.equal(
        (await parts.store.claim({ owner: 'alive', runningPerUserMax: 9, runningPerAccountMax: 9 }))?.id,
        id,
      );
      assert.equal((await parts.store.uploads.claimReceiving(waiting.row.id, 'alive'))?.leaseOwner, 'alive');
    });
  });
}
