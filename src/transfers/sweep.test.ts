import assert from 'node:assert/strict';
import { utimes } from 'node:fs/promises';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DATABASES } from '../../test/support/databases.ts';
import { openTransferBench, type TransferBench, type TransferParts } from '../../test/support/transfers.ts';
import { newId } from '../lib/ids.ts';
import { Account } from '../storage/entities/account.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const bytes = Buffer.from('bytes');

for (const database of DATABASES) {
  describe(`the sweep of transfers on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    beforeEach(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
    });
    afterEach(() => bench.close());

    const spooled = async (id: string): Promise<boolean> => (await parts.spool.size(id)) !== null;

    test('an upload that got no bytes in time ends, and its bytes with it', async () => {
      const { row } = await parts.upload({ bytesTotal: 10 });
      await parts.spool.put(row.id, [bytes]);
      const fresh = await parts.upload({
        bytesTotal: 10,
        expiresAt: new Date(parts.clock.now().getTime() + 9 * DAY_MS),
      });
      await parts.spool.put(fresh.row.id, [bytes]);
      parts.clock.pass(DAY_MS);
      await parts.sweeper.sweep();
      const ended = await parts.store.find(row.id);
      assert.deepEqual([ended?.state, ended?.failure?.code, ended?.expiresAt], ['FAILED', 'CANCELLED', null]);
      assert.match(ended?.failure?.message ?? '', /expired/);
      assert.equal(await spooled(row.id), false);
      assert.equal((await parts.store.find(fresh.row.id))?.state, 'WAITING');
      assert.equal(await spooled(fresh.row.id), true);
    });

    test('every state that is not final ends at its deadline, and its subscribers are told', async () => {
      const expiresAt = new Date(parts.clock.now().getTime() + HOUR_MS);
      const made = await Promise.all([
        parts.upload({ expiresAt }),
        parts.upload({ expiresAt, state: 'PAUSED' }),
        parts.upload({ expiresAt, state: 'QUEUED' }),
        parts.upload({ expiresAt, state: 'RUNNING', leaseUntil: expiresAt }),
      ]);
      parts.clock.pass(HOUR_MS);
      await parts.sweeper.sweep();
      for (const { row } of made) assert.equal((await parts.store.find(row.id))?.state, 'FAILED');
      assert.equal((await parts.journal.after('user-1', 4, 10)).length, 4);
    });

    test('what waits for an account to be authorized again has a week for it, and then ends saying so', async () => {
      const now = parts.clock.now();
      const account = { id: newId(), ownerId: 'user-1', provider: 'BAIDU', label: 'Mine', settings: {} };
      await parts.storage
        .fork()
        .insert(Account, { ...account, status: 'NEEDS_REAUTHORIZATION', createdAt: now, updatedAt: now });
      const expiresAt = new Date(now.getTime() + DAY_MS);
      const { id } = await parts.queued(bytes, { accountId: account.id, expiresAt });
      const other = await parts.queued(bytes, { expiresAt });
      assert.equal((await claim())?.id, other.id, 'it is passed over');
      parts.clock.pass(DAY_MS);
      await parts.sweeper.sweep();
      const waiting = await parts.store.find(id);
      assert.deepEqual([waiting?.state, waiting?.failure?.code], ['QUEUED', 'REAUTHORIZATION_REQUIRED']);
      assert.equal(waiting?.expiresAt?.getTime(), now.getTime() + 7 * DAY_MS);
      await parts.storage.fork().nativeUpdate(Account, { id: account.id }, { status: 'ACTIVE' });
      const claimed = await claim();
      assert.deepEqual([claimed?.id, claimed?.attempts], [id, 1], 'the wait is no try');

      await parts.store.change(id, 'requeue', { runAfter: parts.clock.now(), expiresAt: waiting?.expiresAt ?? null });
      await parts.storage.fork().nativeUpdate(Account, { id: account.id }, { status: 'NEEDS_REAUTHORIZATION' });
      parts.clock.pass(6 * DAY_MS);
      await parts.sweeper.sweep();
      assert.equal((await parts.store.find(id))?.state, 'FAILED');
    });

    const claim = () => parts.store.claim({ owner: 'test', runningPerUserMax: 9, runningPerAccountMax: 9 });

    test('the bytes of a failed transfer go when nobody retried it in time', async () => {
      const { id } = await parts.queued(bytes);
      await parts.store.change(id, 'fail', { expiresAt: new Date(parts.clock.now().getTime() + DAY_MS) });
      await parts.sweeper.sweep();
      assert.equal(await spooled(id), true);
      parts.clock.pass(DAY_MS);
      await parts.sweeper.sweep();
      assert.equal(await spooled(id), false);
      assert.deepEqual((await parts.store.find(id))?.expiresAt, null);
    });

    test('a file that no transfer needs goes when it is old; one that is needed, or young, stays', async () => {
      const old = new Date(parts.clock.now().getTime() - 2 * HOUR_MS);
      const stray = newId();
      const young = newId();
      await parts.spool.put(stray, [bytes]);
      await parts.spool.put(young, [bytes]);
      const needed = await parts.queued(bytes);
      const done = await parts.queued(bytes);
      await parts.store.change(done.id, 'cancel');
      for (const id of [stray, needed.id, done.id]) await utimes(parts.spool.path(id), old, old);
      await utimes(parts.spool.path(young), parts.clock.now(), parts.clock.now());
      await parts.sweeper.sweep();
      assert.deepEqual(await Promise.all([stray, young, needed.id, done.id].map(spooled)), [false, true, true, false]);
    });

    test('events are forgotten after a week, and transfers a month after their end, with all that is theirs', async () => {
      const { row } = await parts.upload();
      await parts.store.change(row.id, 'cancel', { finishedAt: parts.clock.now(), expiresAt: null });
      const open = await parts.upload({ expiresAt: null });
      parts.clock.pass(8 * DAY_MS);
      await parts.sweeper.sweep();
      assert.deepEqual(await parts.journal.after('user-1', 0, 10), []);
      assert.notEqual(await parts.store.find(row.id), null);
      parts.clock.pass(23 * DAY_MS);
      await parts.sweeper.sweep();
      assert.equal(await parts.store.find(row.id), null);
      assert.notEqual(await parts.store.find(open.row.id), null);
      assert.deepEqual(await parts.journal.bounds('user-1'), { lastSequence: 3, sweptThrough: 3 });
    });

    test('two processes that sweep at once do everything once', async () => {
      const other = await bench.another();
      const { row } = await parts.upload();
      parts.clock.pass(2 * DAY_MS);
      await Promise.all([parts.sweeper.sweep(), other.sweeper.sweep(), parts.sweeper.sweep()]);
      assert.equal((await parts.store.find(row.id))?.revision, 2);
    });
  });
}
