import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type LocalFixture, openLocalFixture } from '../../../test/conformance/fixtures/local.ts';
import { call, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';
import { DATABASES } from '../../../test/support/databases.ts';
import { newId } from '../../lib/ids.ts';
import { SWEEP_LIMITS } from '../../storage/blobs/store.ts';
import { LocalEntry } from '../../storage/entities/local-drive.ts';
import type { Storage } from '../../storage/orm.ts';
import type { DriveEntry } from '../driver.ts';
import { type Drive, openDrive } from '../open.ts';
import type { EntryChanged } from './context.ts';
import { local } from './drive.ts';
import { reap } from './hidden.ts';
import { sweepLocalDrives } from './sweep.ts';

/** More than are copied or deleted in one transaction. */
const SEVERAL = 1_100;

for (const database of DATABASES) {
  describe(`trees of the built-in drive (${database.dialect})`, { skip: database.skip }, () => {
    let fixture: LocalFixture;
    let drive: Subject;
    /** The same drive in a process that can be stopped between two transactions. */
    let stoppable: Drive;
    let beforeTransaction: () => Promise<void> = async () => {};
    let now = new Date();
    const clock = { now: () => now };

    before(async () => {
      fixture = await openLocalFixture(database);
      const { storage, blobs } = fixture;
      const open = (storage: Storage): Drive =>
        openDrive(
          local,
          { id: fixture.drive.accountId, settings: {} },
          { storage, blobs, clock, announce: (_event: EntryChanged) => {} },
        );
      drive = new Subject({ ...fixture, drive: open(storage) });
      stoppable = open({
        ...storage,
        transaction: (work) => beforeTransaction().then(() => storage.transaction(work)),
      });
    });
    after(() => fixture.close());

    describe('a copy of a folder', () => {
      it('is not seen before it is whole', async () => {
        const { source, target } = await sourceAndTarget();
        for (const step of [2, 3, 4, 5]) {
          const stop = stopBefore(step);
          const copying = stoppable.run('copy', source.ref, target.ref, { onConflict: 'RENAME' }, call);
          await stop.reached;
          assert.equal((await drive.names(target.ref)).length, step - 2);
          const search = { query: 'file 1099', folderRef: target.ref };
          assert.equal((await drive.run('searchByName', search, FIRST_PAGE, call)).items.length, step - 2);
          stop.goOn();
          assert.equal(await drive.run('count', (await copying).ref, {}, call), SEVERAL);
        }
      });

      it('leaves nothing when the caller goes away', async () => {
        const { source, target } = await sourceAndTarget();
        const gone = new AbortController();
        const stop = stopBefore(3);
        const copying = stoppable.run('copy', source.ref, target.ref, { onConflict: 'FAIL' }, { signal: gone.signal });
        await stop.reached;
        gone.abort();
        stop.goOn();
        await failure(copying, 'cancelled');
        await noneIsHidden();
        assert.deepEqual(await drive.names(target.ref), []);
      });

      it('that died with its process is swept once it has rested', async () => {
        const { target } = await sourceAndTarget(0);
        const topId = await abandonedCopy(target.ref);
        assert.equal((await sweep()).entries, 0, 'it might still go on');
        later(11 * 60_000);
        assert.equal((await sweep()).entries, 3);
        assert.deepEqual(await drive.names(target.ref), []);
        await failure(drive.driver.stat(topId, call), 'not_found');
      });

      it('fails when the folder that it should go to is deleted meanwhile', async () => {
        const { source, target } = await sourceAndTarget();
        const stop = stopBefore(3);
        const copying = stoppable.run('copy', source.ref, target.ref, { onConflict: 'FAIL' }, call);
        await stop.reached;
        await drive.run('removePermanently', target.ref, {}, call);
        stop.goOn();
        await failure(copying, 'not_found');
        await noneIsHidden();
      });

      it('fails when the sweep took it for dead', async () => {
        const { source, target } = await sourceAndTarget();
        const stop = stopBefore(3);
        const copying = stoppable.run('copy', source.ref, target.ref, { onConflict: 'FAIL' }, call);
        await stop.reached;
        later(11 * 60_000);
        await sweep();
        stop.goOn();
        await failure(copying, 'unavailable');
        await noneIsHidden();
        assert.deepEqual(await drive.names(target.ref), []);
      });

      it('takes the name that is free at the end', async () => {
        const { source, target } = await sourceAndTarget();
        const stop = stopBefore(3);
        const copying = stoppable.run('copy', source.ref, target.ref, { onConflict: 'RENAME' }, call);
        await stop.reached;
        await drive.run('createFolder', target.ref, source.name, call);
        stop.goOn();
        assert.equal((await copying).name, `${source.name} (2)`);
      });

      it('gives way to what took its name, when asked to skip', async () => {
        const { source, target } = await sourceAndTarget();
        const stop = stopBefore(3);
        const copying = stoppable.run('copy', source.ref, target.ref, { onConflict: 'SKIP' }, call);
        await stop.reached;
        const first = await drive.run('createFolder', target.ref, source.name, call);
        stop.goOn();
        assert.equal((await copying).ref, first.ref);
        await sweep();
        await noneIsHidden();
      });
    });

    describe('a deletion for ever', () => {
      it('goes on in the sweep when it was cut off', async () => {
        const { source } = await sourceAndTarget();
        await drive.run('remove', source.ref, {}, call);
        const gone = new AbortController();
        const stop = stopBefore(3);
        const purging = stoppable.run('recycleBin.purge', source.ref, { signal: gone.signal });
        await stop.reached;
        gone.abort();
        stop.goOn();
        await failure(purging, 'cancelled');
        await failure(drive.run('recycleBin.restore', source.ref, call), 'not_found');
        await sweep();
        await noneIsHidden();
      });

      it('counts each reference once when two processes do it at once', async () => {
        const { ref } = await drive.newFolder();
        const file = await drive.put(ref, 'a.txt', 'reaped twice');
        const folder = await drive.run('createFolder', ref, 'folder', call);
        for (let copy = 0; copy < 20; copy += 1)
          await drive.run('copy', file.ref, folder.ref, { onConflict: 'RENAME' }, call);
        await drive.run('remove', folder.ref, {}, call);
        await fixture.storage
          .fork()
          .execute('update local_entries set trashed_at = null, reap_after = ? where id = ?', [now, folder.ref], 'run');
        const services = { storage: fixture.storage, blobs: fixture.blobs, clock };
        const reaped = await Promise.all(Array.from({ length: 4 }, () => reap(services, null)));
        assert.equal(
          reaped.reduce((sum, count) => sum + count),
          21,
        );
        assert.equal(await references(file), 1);
      });

      it('spares what was deleted before from within, which can still be given back', async () => {
        const { ref } = await drive.newFolder();
        const folder = await drive.run('createFolder', ref, 'folder', call);
        const early = await drive.put(folder.ref, 'early.txt', 'deleted first');
        await drive.run('remove', early.ref, {}, call);
        await drive.run('remove', folder.ref, {}, call);
        await drive.run('recycleBin.purge', folder.ref, call);
        const back = await drive.run('recycleBin.restore', early.ref, call);
        assert.equal(back.parentRef, drive.driver.rootRef);
        assert.equal(String(await drive.content(back.ref)), 'deleted first');
      });
    });

    describe('the recycle bin', () => {
      it('gives a folder back without what was deleted from it before', async () => {
        const { ref } = await drive.newFolder();
        const folder = await drive.run('createFolder', ref, 'folder', call);
        const early = await drive.put(folder.ref, 'early.txt');
        await drive.put(folder.ref, 'late.txt');
        await drive.run('remove', early.ref, {}, call);
        await drive.run('remove', folder.ref, {}, call);
        const back = await drive.run('recycleBin.restore', folder.ref, call);
        assert.deepEqual(await drive.names(back.ref), ['late.txt']);
        assert.equal((await drive.run('recycleBin.restore', early.ref, call)).parentRef, folder.ref);
      });

      it('gives back what two ask for at once only once', async () => {
        const { ref } = await drive.newFolder();
        const file = await drive.put(ref, 'a.txt');
        await drive.run('remove', file.ref, {}, call);
        const asked = await Promise.allSettled([1, 2, 3].map(() => drive.run('recycleBin.restore', file.ref, call)));
        assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 1);
        assert.deepEqual(await drive.names(ref), ['a.txt']);
      });

      it('shows the latest first', async () => {
        const { ref } = await drive.newFolder();
        for (const name of ['first', 'second', 'third']) {
          const file = await drive.put(ref, name);
          later(1000);
          await drive.run('remove', file.ref, {}, call);
        }
        const { items } = await drive.run('recycleBin.list', { cursor: null, limit: 3 }, call);
        assert.deepEqual(
          items.map(({ name }) => name),
          ['third', 'second', 'first'],
        );
        assert.deepEqual(items[0]?.deletedAt, now);
      });

      it('still counts as used, and no more once it is emptied', async () => {
        const { ref } = await drive.newFolder();
        const before = await drive.run('usage', call);
        const file = await drive.put(ref, 'video.mp4', 'x'.repeat(1000));
        await drive.run('remove', file.ref, {}, call);
        const binned = await drive.run('usage', call);
        assert.equal(binned.usedBytes, before.usedBytes + 1000);
        assert.deepEqual(binned.byCategory, before.byCategory);
        await drive.run('recycleBin.empty', call);
        assert.ok((await drive.run('usage', call)).usedBytes <= before.usedBytes);
      });
    });

    describe('search', () => {
      it('survives a vacuum of the database', async () => {
        const { ref } = await drive.newFolder();
        await drive.put(ref, 'short lived.txt').then((file) => drive.run('removePermanently', file.ref, {}, call));
        await drive.put(ref, 'long lived.txt');
        await fixture.storage.fork().execute('vacuum', [], 'run');
        const found = await drive.run('searchByName', { query: 'lived', folderRef: ref }, FIRST_PAGE, call);
        assert.deepEqual(
          found.items.map(({ name }) => name),
          ['long lived.txt'],
        );
      });

      it('keeps no name of what is deleted for ever', async () => {
        const file = await drive.put((await drive.newFolder()).ref, 'unforgettable.txt');
        await drive.run('removePermanently', file.ref, {}, call);
        const table = database.dialect === 'sqlite' ? 'local_entries_fts_ids' : 'local_entries_fts';
        const rows = await fixture.storage
          .fork()
          .execute<unknown[]>(`select entry_id from ${table} where entry_id = ?`, [file.ref]);
        assert.deepEqual(rows, []);
      });
    });

    async function sourceAndTarget(count = SEVERAL) {
      const parent = await drive.newFolder();
      const source = await drive.run('createFolder', parent.ref, 'source', call);
      const target = await drive.run('createFolder', parent.ref, 'target', call);
      if (count > 0) await fixture.storage.fork().insertMany(LocalEntry, rowsIn(source.ref, count, null));
      return { source, target };
    }

    /** What a copy leaves when its process is killed. */
    async function abandonedCopy(parentId: string): Promise<string> {
      const topId = newId();
      const [top] = rowsIn(parentId, 1, topId);
      assert.ok(top);
      const reapAfter = new Date(now.getTime() + 10 * 60_000);
      const rows = [
        { ...top, id: topId, kind: 'FOLDER' as const, category: null, reapAfter },
        ...rowsIn(topId, 2, topId),
      ];
      for (const row of rows) await fixture.storage.fork().insert(LocalEntry, row);
      return topId;
    }

    function rowsIn(parentId: string, count: number, hiddenBy: string | null) {
      return Array.from({ length: count }, (_, index) => ({
        id: newId(),
        accountId: drive.drive.accountId,
        parentId,
        kind: 'FILE' as const,
        name: `File ${index}`,
        nameKey: `file ${index}`,
        category: 'OTHER' as const,
        createdAt: now,
        modifiedAt: now,
        hiddenBy,
      }));
    }

    /** Stops the drive before its nth transaction from now. */
    function stopBefore(nth: number) {
      const reached = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      let count = 0;
      beforeTransaction = async () => {
        count += 1;
        if (count !== nth) return;
        reached.resolve();
        await goOn.promise;
      };
      return { reached: reached.promise, goOn: goOn.resolve };
    }

    /** Waits until nothing is being made or deleted in steps, also by a request that was given up. */
    async function noneIsHidden(): Promise<void> {
      const sql = 'select id from local_entries where reap_after is not null limit 1';
      while ((await fixture.storage.fork().execute<unknown[]>(sql)).length > 0) await setImmediate();
    }

    async function references({ hashes: { SHA256 } }: DriveEntry): Promise<number | undefined> {
      const sql = 'select reference_count as count from blobs where sha256 = ?';
      return (await fixture.storage.fork().execute<{ count: number }[]>(sql, [SHA256]))[0]?.count;
    }

    function sweep() {
      return sweepLocalDrives({ storage: fixture.storage, blobs: fixture.blobs, clock }, SWEEP_LIMITS);
    }

    function later(milliseconds: number): void {
      now = new Date(now.getTime() + milliseconds);
    }
  });
}
