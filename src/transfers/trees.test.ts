import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { byteDrive } from '../../test/support/byte-drive.ts';
import { DATABASES } from '../../test/support/databases.ts';
import { openTransferBench, type TransferBench, type TransferParts } from '../../test/support/transfers.ts';
import { addMs } from '../lib/clock.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { UNTRIED } from './failures.ts';
import { entryRow } from './folders.ts';
import { isFinal, STATE_DEADLINES_MS } from './states.ts';
import { LEASE_MS } from './store.ts';

const LIMITS = { pollMs: 5 };
const CALL = { signal: new AbortController().signal };

for (const database of DATABASES) {
  describe(`trees between drives on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    let from: ReturnType<typeof byteDrive>;
    let to: ReturnType<typeof byteDrive>;

    beforeEach(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
      from = byteDrive({ pageMax: 100 });
      to = byteDrive({ id: 'BAIDU' });
    });
    afterEach(() => bench.close());

    const open = (accountId: string) => (accountId.startsWith('from') ? from : to).driverOf(accountId);
    const begin = async (ref: string, kind: 'COPY' | 'MOVE' = 'COPY', ends = ['from', 'to']): Promise<Transfer> => {
      const [source = '', accountId = ''] = ends;
      const entry = await open(source).stat(ref, CALL);
      return parts.store.create({
        ...entryRow(open(accountId), { accountId: source, ref, sameProvider: false }, entry),
        ...{ userId: 'user-1', kind, accountId, parentRef: 'root' },
        ...(entry.kind === 'FOLDER' ? { itemsTotal: 0, itemsSucceeded: 0, itemsFailed: 0, itemsCancelled: 0 } : {}),
      });
    };
    const finished = (id: string): Promise<Transfer> => parts.until(id, ({ state }) => isFinal(state));
    const fill = (folders: number, filesEach: number): string => {
      for (let folder = 0; folder < folders; folder += 1) {
        for (let file = 0; file < filesEach; file += 1)
          from.account('from').put(`top/f${folder}/${file}`, `${folder}/${file}`);
      }
      return [...from.account('from').nodes.values()].find(({ entry }) => entry.name === 'top')?.entry.ref ?? '';
    };
    const copiesOf = (tree: Record<string, string>): string[] =>
      Object.entries(tree).map(([path, text]) => path + text);

    // The requests are the same whatever the database: the smaller tree shows that it works there.
    const files = database.dialect === 'sqlite' ? 500 : 50;
    test(`a tree of ${files} files costs as many requests as it must, and no more`, async () => {
      const ref = fill(10, files / 10);
      from.calls.length = 0;
      parts.engine(open, LIMITS).start();
      const { id } = await begin(ref);
      const row = await finished(id);
      assert.deepEqual([row.state, row.itemsTotal, row.itemsSucceeded], ['SUCCEEDED', files + 10, files + 10]);
      assert.deepEqual(copiesOf(to.account('to').tree()), copiesOf(from.account('from').tree()));
      const count = (calls: readonly string[]) =>
        Object.fromEntries(
          Map.groupBy(calls, (act) => act)
            .entries()
            .map(([act, all]) => [act, all.length]),
        );
      // One look at the folder that is asked for, a page of each of 11 folders, and each file read once.
      assert.deepEqual(count(from.calls), { stat: 1, list: 11, read: files });
      // Each folder made once, and for each file the least that a sliced upload is.
      const uploads = { 'upload.begin': files, 'upload.putSlice': files, 'upload.complete': files };
      assert.deepEqual(count(to.calls), { createFolder: 11, ...uploads });
    });

    for (const act of [
      'createFolder',
      'list',
      'read',
      'upload.begin',
      'upload.putSlice',
      'upload.complete',
      'remove',
    ]) {
      test(`a process that dies in ${act} leaves a move that another ends, and nothing is lost or doubled`, async () => {
        const ref = fill(2, 3);
        const before = copiesOf(from.account('from').tree());
        const { id } = await begin(ref, 'MOVE');
        const reached = Promise.withResolvers<void>();
        const hung = Promise.withResolvers<void>();
        let calls = 0;
        const hang = (at: string): Promise<void> | undefined => {
          if (at !== act) return undefined;
          calls += 1;
          if (calls !== 2) return undefined;
          reached.resolve();
          return hung.promise;
        };
        const side = ['list', 'read', 'remove'].includes(act) ? from : to;
        side.behaviour.before = hang;
        // A worker whose bus nobody else hears, and which is never heard of again once it hangs.
        const dead = await bench.another(true);
        const engine = dead.engine(open, { ...LIMITS, runningMax: 1 });
        engine.start();
        await reached.promise;
        side.behaviour.before = () => undefined;
        parts.engine(open, LIMITS).start();
        parts.clock.pass(LEASE_MS + 1);
        const row = await finished(id);
        assert.deepEqual([row.state, row.failure], ['SUCCEEDED', null]);
        assert.deepEqual(copiesOf(to.account('to').tree()), before);
        assert.deepEqual(from.account('from').tree(), {});
        assert.deepEqual(await parts.spool.parts(), []);
        hung.reject(new Error('it comes back to life, and is too late'));
        await engine.close();
        assert.deepEqual(copiesOf(to.account('to').tree()), before);
      });
    }

    const itemOf = async (treeId: string, name: string): Promise<Transfer> => {
      const found = (await parts.store.trees.items(treeId, null, null, 1_000)).find((row) => row.name === name);
      assert.ok(found, name);
      return found;
    };

    test('items cancelled while others end are counted once each, and the last of them ends the tree', async () => {
      const ref = fill(2, 20);
      const { id } = await begin(ref, 'MOVE');
      const cancelled = new Set<string>();
      const cancelling: Promise<void>[] = [];
      to.behaviour.after = async (act) => {
        if (act !== 'upload.complete') return;
        for (const row of await parts.store.trees.items(id, ['QUEUED', 'RUNNING'], null, 3)) {
          if (row.listing != null || row.phase === 'VERIFYING') continue;
          const cancel = parts.store.change(row.id, 'cancel', {}, { phase: { $ne: 'VERIFYING' } });
          cancelling.push(cancel.then((done) => void (done && cancelled.add(done.itemPath ?? ''))));
        }
      };
      parts.engine(open, LIMITS).start();
      const row = await finished(id);
      await Promise.all(cancelling);
      assert.ok(cancelled.size > 0);
      assert.deepEqual([row.state, row.itemsCancelled, row.itemsFailed], ['SUCCEEDED', cancelled.size, 0]);
      assert.equal(row.itemsSucceeded, 42 - cancelled.size);
      assert.equal(row.bytesDone, row.bytesTotal);
      const left = Object.keys(from.account('from').tree()).filter((path) => !path.endsWith('/'));
      assert.deepEqual(new Set(left), new Set([...cancelled].map((path) => `/top/${path}`)), 'none was lost');
    });

    test('an item is cancelled whose worker died, and the tree ends without it', async () => {
      const ref = fill(1, 2);
      const { id } = await begin(ref, 'MOVE');
      const reached = Promise.withResolvers<void>();
      const hung = Promise.withResolvers<void>();
      to.behaviour.before = (act, _account, name) => {
        if (act !== 'upload.putSlice' || name !== '1') return undefined;
        reached.resolve();
        return hung.promise;
      };
      const dead = await bench.another(true);
      const engine = dead.engine(open, { ...LIMITS, runningMax: 1 });
      engine.start();
      await reached.promise;
      const { id: item } = await itemOf(id, '1');
      assert.equal((await parts.store.change(item, 'cancel'))?.state, 'CANCELLED');
      parts.engine(open, LIMITS).start();
      parts.clock.pass(LEASE_MS + 1);
      const row = await finished(id);
      assert.deepEqual([row.state, row.itemsSucceeded, row.itemsCancelled], ['SUCCEEDED', 2, 1]);
      hung.resolve(); // What its worker does from now on is in vain.
      await engine.close();
      assert.equal((await parts.store.find(item))?.state, 'CANCELLED');
      assert.equal((await parts.store.find(id))?.itemsSucceeded, 2);
      assert.deepEqual(Object.keys(from.account('from').tree()), ['/top/', '/top/f0/', '/top/f0/1']);
    });

    test('a tree waits for a paused item as long as that may wait, and then tells of it', async () => {
      const { id } = await begin(fill(1, 2));
      await parts.store.change(id, 'pause'); // Nothing is begun before the item is there to be paused.
      const engine = parts.engine(open, { ...LIMITS, runningMax: 1 });
      const reached = Promise.withResolvers<void>();
      const hung = Promise.withResolvers<void>();
      to.behaviour.before = (act, _account, name) => {
        if (act !== 'upload.begin' || name !== '0') return undefined;
        reached.resolve();
        return hung.promise;
      };
      engine.start();
      await parts.store.change(id, 'resume', { expiresAt: addMs(parts.clock.now(), STATE_DEADLINES_MS.QUEUED) });
      await reached.promise;
      const { id: item } = await itemOf(id, '1');
      const expiresAt = addMs(parts.clock.now(), STATE_DEADLINES_MS.PAUSED);
      assert.equal((await parts.store.change(item, 'pause', { expiresAt }))?.state, 'PAUSED');
      hung.resolve();
      const moved = await parts.until(id, ({ itemsSucceeded }) => itemsSucceeded === 2);
      assert.deepEqual(moved.expiresAt, addMs(parts.clock.now(), STATE_DEADLINES_MS.RUNNING), 'what moves has time');
      for (let day = 1; day <= 6; day += 1) {
        parts.clock.pass(STATE_DEADLINES_MS.RUNNING + 1);
        await parts.sweeper.sweep();
        assert.equal((await parts.store.find(id))?.state, 'RUNNING', `on day ${day}`);
      }
      parts.clock.pass(STATE_DEADLINES_MS.RUNNING);
      await parts.sweeper.sweep();
      const row = await finished(id);
      assert.deepEqual([row.state, row.itemsSucceeded, row.itemsFailed], ['FAILED', 2, 1]);
      assert.equal((await parts.store.find(item))?.state, 'FAILED');
    });

    test('a paused tree has its week whatever becomes of its items, and is given up then', async () => {
      const { id } = await begin(fill(1, 2));
      const reached = Promise.withResolvers<void>();
      const hung = Promise.withResolvers<void>();
      to.behaviour.before = (act) => {
        if (act !== 'upload.begin') return undefined;
        reached.resolve();
        return hung.promise;
      };
      parts.engine(open, LIMITS).start();
      await reached.promise;
      const expiresAt = addMs(parts.clock.now(), STATE_DEADLINES_MS.PAUSED);
      // Paused by itself first, so that it has a deadline that the tree must not wait for again and again.
      await parts.store.change((await itemOf(id, '0')).id, 'pause', { expiresAt });
      await parts.store.change(id, 'pause', { expiresAt });
      await parts.store.change((await itemOf(id, '1')).id, 'cancel', {});
      const row = await parts.store.find(id);
      assert.deepEqual([row?.state, row?.itemsCancelled, row?.expiresAt], ['PAUSED', 1, expiresAt]);
      parts.clock.pass(STATE_DEADLINES_MS.PAUSED + 1);
      await parts.sweeper.sweep();
      assert.equal((await parts.store.find(id))?.state, 'FAILED');
      hung.resolve();
    });

    test('a tree that is paused and resumed while its items end comes to its end', async () => {
      const { id } = await begin(fill(2, 15));
      parts.engine(open, LIMITS).start();
      for (let round = 0; round < 30; round += 1) {
        // As many rounds as items: each pause meets others that are just ending.
        await parts.until(id, ({ state, itemsSucceeded }) => (itemsSucceeded ?? 0) >= round || isFinal(state));
        if (!(await parts.store.change(id, 'pause'))) break;
        await parts.bus.publish('transfer.control', { transferId: id, action: 'pause' });
        await parts.store.change(id, 'resume', { runAfter: parts.clock.now(), ...UNTRIED });
      }
      const row = await finished(id);
      assert.deepEqual([row.state, row.itemsSucceeded, row.failure], ['SUCCEEDED', 32, null]);
      assert.deepEqual(copiesOf(to.account('to').tree()), copiesOf(from.account('from').tree()));
    });

    test('an item that was at work when its tree was paused has no deadline of its own meanwhile', async () => {
      const { id } = await begin(fill(1, 1));
      const reached = Promise.withResolvers<void>();
      const hung = Promise.withResolvers<void>();
      to.behaviour.before = (act) => {
        if (act !== 'upload.begin') return undefined;
        reached.resolve();
        return hung.promise;
      };
      parts.engine(open, LIMITS).start();
      await reached.promise;
      await parts.store.change(id, 'pause', { expiresAt: addMs(parts.clock.now(), STATE_DEADLINES_MS.PAUSED) });
      parts.clock.pass(STATE_DEADLINES_MS.RUNNING + 1);
      await parts.sweeper.sweep();
      assert.equal((await itemOf(id, '0')).state, 'PAUSED');
      hung.resolve();
    });

    test('a drive that hangs keeps no other from its work', async () => {
      const held = new Set<string>();
      const full = Promise.withResolvers<void>();
      const hung = Promise.withResolvers<void>();
      to.behaviour.before = (act, accountId, name) => {
        if (accountId !== 'to-slow' || act !== 'upload.begin') return undefined;
        held.add(name);
        if (held.size === 2) full.resolve();
        return hung.promise;
      };
      parts.engine(open, LIMITS).start();
      for (let file = 0; file < 6; file += 1) {
        await begin(from.account('from-slow').put(`slow${file}`, 'x'), 'COPY', ['from-slow', 'to-slow']);
      }
      await full.promise;
      for (let file = 0; file < 6; file += 1) {
        const { id } = await begin(from.account('from-quick').put(`quick${file}`, 'x'), 'COPY', [
          'from-quick',
          'to-quick',
        ]);
        assert.equal((await finished(id)).state, 'SUCCEEDED');
      }
      assert.ok(held.size <= 3, `${held.size} of its slots hang`);
      hung.resolve();
    });

    test('what somebody waits for comes before the items of a folder', async () => {
      const ref = fill(1, 30);
      const order: string[] = [];
      let late = '';
      to.behaviour.after = async (act) => {
        if (act !== 'upload.complete') return;
        if (late === '') {
          late = 'begun';
          late = (await begin(from.account('from').put('single', 'x'))).id;
        }
      };
      to.behaviour.before = async (act, _account, name) => {
        if (act === 'upload.begin') order.push(name);
      };
      const { id } = await begin(ref);
      parts.engine(open, { ...LIMITS, runningMax: 1 }).start();
      await finished(id);
      assert.equal(order.indexOf('single'), 1, 'right behind the item that was under way');
    });
  });
}
