import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DATABASES } from '../../test/support/databases.ts';
import { openTransferBench, type TransferBench, type TransferParts } from '../../test/support/transfers.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { RECHECK_MS, type TransferNotice, type TransferView } from './watch.ts';

const DAY_MS = 24 * 3_600_000;

for (const database of DATABASES) {
  describe(`watching transfers on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    let leaving: AbortController;
    beforeEach(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
      leaving = new AbortController();
    });
    afterEach(async () => {
      leaving.abort();
      await bench.close();
    });

    const events = (after: number | null, from = parts) => from.watch.transfers('user-1', after, leaving.signal);
    const told = ({ sequence, transfer }: TransferNotice) => `${sequence} ${transfer.name} ${transfer.state}`;

    async function take<Item>(stream: AsyncGenerator<Item, void>, count: number): Promise<Item[]> {
      const items: Item[] = [];
      while (items.length < count) {
        const { done, value } = await stream.next();
        if (done) break;
        items.push(value);
      }
      return items;
    }

    /** Announces progress as a worker does. */
    const progress = ({ id, userId, revision }: Transfer, bytesDone: number, bytesPerSecond = 1) =>
      parts.bus.publish('transfer.changed', {
        userId,
        transferId: id,
        revision,
        progress: { phase: 'SENDING', bytesDone, bytesPerSecond },
      });

    test('without a cursor the unfinished ones come first, then what happens', async () => {
      const open = await parts.upload({ name: 'open' });
      const ended = await parts.upload({ name: 'ended' });
      await parts.store.change(ended.row.id, 'cancel');
      const stream = events(null);
      assert.deepEqual((await take(stream, 1)).map(told), ['3 open WAITING']);
      await parts.store.change(open.row.id, 'pause');
      await parts.upload({ name: 'new' });
      assert.deepEqual((await take(stream, 2)).map(told), ['4 open PAUSED', '5 new WAITING']);
    });

    test('behind a cursor every change comes, each as it was, then what happens', async () => {
      const { row } = await parts.upload({ name: 'file' });
      await parts.store.change(row.id, 'pause');
      await parts.store.change(row.id, 'awaitBytes');
      await parts.store.change(row.id, 'cancel', { finishedAt: parts.clock.now() });
      const replayed = await take(events(1), 3);
      assert.deepEqual(replayed.map(told), ['2 file PAUSED', '3 file WAITING', '4 file CANCELLED']);
      assert.deepEqual(
        replayed.map(({ transfer }) => transfer.finishedAt?.getTime()),
        [undefined, undefined, parts.clock.now().getTime()],
      );
      const stream = events(4);
      const next = stream.next();
      await parts.upload({ name: 'later' });
      assert.equal(told((await next).value as TransferNotice), '5 later WAITING');
    });

    test('nothing is lost between what is replayed and what is live, nor told twice', async () => {
      const stream = events(0);
      const making = Promise.all(Array.from({ length: 30 }, (_, index) => parts.upload({ name: `f${index}` })));
      const seen = (await take(stream, 30)).map(({ sequence }) => sequence);
      await making;
      assert.deepEqual(
        seen,
        Array.from({ length: 30 }, (_, index) => index + 1),
      );
    });

    test('a subscriber who reads slowly misses no state, and gets the end', async () => {
      const stream = events(0);
      const { row } = await parts.upload({ name: 'file' });
      assert.equal(told((await stream.next()).value as TransferNotice), '1 file WAITING');
      for (let round = 0; round < 20; round += 1) {
        await parts.store.change(row.id, 'pause');
        await parts.store.change(row.id, 'awaitBytes');
        for (let step = 0; step < 50; step += 1) await progress({ ...row, revision: 2 + 2 * round }, step);
      }
      await parts.store.change(row.id, 'cancel');
      const rest: string[] = [];
      for await (const notice of stream) {
        rest.push(notice.transfer.state);
        if (notice.transfer.state === 'CANCELLED') break;
      }
      assert.equal(rest.length, 41);
    });

    test('progress comes with the last stored cursor, and of what is unread only the newest', async () => {
      const { row } = await parts.upload({ name: 'file' });
      const stream = events(null);
      await stream.next();
      const next = stream.next();
      await progress(row, 1);
      const first = (await next).value as TransferNotice;
      assert.deepEqual([first.sequence, first.transfer.bytesDone, first.transfer.phase], [1, 1, 'SENDING']);
      for (let bytes = 2; bytes <= 50; bytes += 1) await progress(row, bytes, bytes);
      const newest = (await stream.next()).value as TransferNotice;
      assert.deepEqual([newest.transfer.bytesDone, newest.transfer.bytesPerSecond], [50, 50]);
    });

    test('progress of a state that is over is not told', async () => {
      const { row } = await parts.upload({ name: 'file' });
      const stream = events(null);
      await stream.next();
      await parts.store.change(row.id, 'pause');
      await progress(row, 99);
      await parts.upload({ name: 'next' });
      assert.deepEqual((await take(stream, 2)).map(told), ['2 file PAUSED', '3 next WAITING']);
    });

    test('progress is told also to who begins behind the last event', async () => {
      const { row } = await parts.upload({ name: 'file' });
      const stream = events(1);
      const next = stream.next();
      await new Promise((resolve) => setImmediate(resolve));
      await progress(row, 5);
      assert.equal(((await next).value as TransferNotice).transfer.bytesDone, 5);
    });

    test('a cursor whose following events are forgotten, and one of another server, begin with the present state', async () => {
      const open = await parts.upload({ name: 'open' });
      await parts.store.change(open.row.id, 'pause');
      parts.clock.pass(8 * DAY_MS);
      await parts.journal.sweep(parts.clock.now());
      await parts.upload({ name: 'new', expiresAt: null });
      assert.deepEqual((await take(events(1), 2)).map(told), ['2 open PAUSED', '2 new WAITING']);
      assert.deepEqual((await take(events(99), 2)).map(told), ['3 open PAUSED', '3 new WAITING']);
      assert.deepEqual((await take(events(2), 1)).map(told), ['3 new WAITING'], 'a cursor at the edge is kept');
    });

    test("another user's transfers are not told of", async () => {
      const stream = events(0);
      await parts.upload({ userId: 'user-2', name: 'foreign' });
      await parts.upload({ name: 'own' });
      assert.deepEqual((await take(stream, 1)).map(told), ['1 own WAITING']);
    });

    test('a process that the announcement did not reach looks by itself, and leaving ends the stream', async (t) => {
      const apart = await bench.another(true);
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const stream = events(0, apart);
      await parts.upload({ name: 'first' });
      assert.equal(told((await stream.next()).value as TransferNotice), '1 first WAITING');
      const next = stream.next();
      await parts.upload({ name: 'second' });
      while (!(await isSettled(next))) t.mock.timers.tick(RECHECK_MS);
      assert.equal(told((await next).value as TransferNotice), '2 second WAITING');
      const last = stream.next();
      leaving.abort();
      assert.equal((await last).done, true);
    });

    test('one transfer is told as it is, as it changes, and to its end', async () => {
      const { row } = await parts.upload({ name: 'file' });
      const stream = parts.watch.transfer(row.id, leaving.signal);
      const state = async () => ((await stream.next()).value as TransferView | undefined)?.state;
      assert.equal(await state(), 'WAITING');
      await parts.store.change(row.id, 'pause');
      assert.equal(await state(), 'PAUSED');
      await parts.store.change(row.id, 'cancel');
      assert.equal(await state(), 'CANCELLED');
      assert.equal((await stream.next()).done, true);

      const over = parts.watch.transfer(row.id, leaving.signal);
      assert.deepEqual(
        (await take(over, 9)).map((transfer) => transfer.state),
        ['CANCELLED'],
      );
    });

    test('whoever stops listening leaves nothing behind', async () => {
      const listeners: number[] = [];
      const on = parts.bus.on.bind(parts.bus);
      let listening = 0;
      parts.bus.on = (topic, listener) => {
        const off = on(topic, listener);
        listening += 1;
        return () => {
          listening -= 1;
          off();
        };
      };
      const { row } = await parts.upload();
      for (let round = 0; round < 3; round += 1) {
        const one = parts.watch.transfer(row.id, leaving.signal);
        const all = events(null);
        await one.next();
        await all.next();
        listeners.push(listening);
        await one.return();
        await all.return();
      }
      assert.deepEqual([listeners, listening], [[2, 2, 2], 0]);
    });
  });
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return (await Promise.race([promise, Promise.resolve(pending)])) !== pending;
}
