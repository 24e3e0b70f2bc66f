import assert from 'node:assert/strict';
import { access, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type LocalFixture, openLocalFixture } from '../../../test/conformance/fixtures/local.ts';
import { bytesOf, call, everyItem, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';
import { DATABASES } from '../../../test/support/databases.ts';
import { listing } from '../../../test/support/listing.ts';
import { systemClock } from '../../lib/clock.ts';
import { keyOf } from '../../storage/blobs/name.ts';
import type { BlobStore } from '../../storage/blobs/store.ts';
import type { DriveEntry } from '../driver.ts';
import { openDrive } from '../open.ts';
import { local } from './drive.ts';
import { createRoot } from './root.ts';

for (const database of DATABASES) {
  describe(`the built-in drive (${database.dialect})`, { skip: database.skip }, () => {
    let fixture: LocalFixture;
    let drive: Subject;

    before(async () => {
      fixture = await openLocalFixture(database);
      drive = new Subject(fixture);
    });
    after(() => fixture.close());

    describe('replacing a file', () => {
      for (const way of ['upload', 'copy', 'move'] as const) {
        it(`by ${way} keeps the entry, with a higher revision and the new bytes only`, async () => {
          const { ref } = await drive.newFolder();
          const { ref: elsewhere } = await drive.newFolder();
          const old = await drive.put(ref, 'a.txt', `old by ${way}`);
          const bytes = `new by ${way}`;
          const source = way === 'upload' ? null : await drive.put(elsewhere, 'a.txt', bytes);
          const replaced = source
            ? await drive.run(way === 'copy' ? 'copy' : 'move', source.ref, ref, { onConflict: 'REPLACE' }, call)
            : await drive.put(ref, 'a.txt', bytes, 'REPLACE');
          assert.equal(replaced.ref, old.ref);
          assert.equal(Number(replaced.revision), Number(old.revision) + 1);
          assert.equal(String(await drive.content(old.ref)), bytes);
          assert.equal(await references(old), 0);
          assert.equal(await references(replaced), way === 'copy' ? 2 : 1);
        });
      }

      it('with the same bytes keeps their one reference', async () => {
        const { ref } = await drive.newFolder();
        await drive.put(ref, 'a.txt', 'unchanged');
        const again = await drive.put(ref, 'a.txt', 'unchanged', 'REPLACE');
        assert.equal(await references(again), 1);
      });

      it('by a copy onto itself changes nothing', async () => {
        const { ref } = await drive.newFolder();
        const file = await drive.put(ref, 'a.txt', 'itself');
        assert.deepEqual(await drive.run('copy', file.ref, ref, { onConflict: 'REPLACE' }, call), file);
        assert.equal(await references(file), 1);
      });
    });

    describe('bytes that several entries share', () => {
      it('are there until the last of them is gone for ever', async () => {
        const { ref } = await drive.newFolder();
        const file = await drive.put(ref, 'a.txt', 'shared bytes');
        const folder = await drive.run('createFolder', ref, 'folder', call);
        await drive.run('copy', file.ref, folder.ref, { onConflict: 'FAIL' }, call);
        const copy = await drive.run('copy', folder.ref, ref, { name: 'copy', onConflict: 'FAIL' }, call);
        assert.equal(await references(file), 3);
        await drive.run('remove', folder.ref, {}, call);
        assert.equal(await references(file), 3, 'the recycle bin keeps them');
        await drive.run('recycleBin.purge', folder.ref, call);
        await drive.run('removePermanently', copy.ref, {}, call);
        assert.equal(await references(file), 1);
        await drive.run('removePermanently', file.ref, {}, call);
        assert.equal(await references(file), 0);
      });

      it('are counted right when copies and deletions run at once', async () => {
        const { ref } = await drive.newFolder();
        const file = await drive.put(ref, 'a.txt', 'busy bytes');
        const options = { onConflict: 'RENAME' } as const;
        const copies = await Promise.all(
          Array.from({ length: 6 }, () => drive.run('copy', file.ref, ref, options, call)),
        );
        assert.equal(new Set(copies.map(({ name }) => name)).size, 6);
        await Promise.all([
          ...copies.map((copy) => drive.run('removePermanently', copy.ref, {}, call)),
          drive.run('copy', file.ref, ref, options, call),
        ]);
        assert.equal(await references(file), 2);
      });
    });

    describe('another user', () => {
      it('sees and changes nothing by a ref', async () => {
        const other = new Subject({ ...fixture, drive: await fixture.openAnother() });
        const folder = await drive.newFolder();
        const file = await drive.put(folder.ref, 'mine.txt');
        const own = await other.newFolder();
        await failure(listing(other.driver)(folder.ref, {}, FIRST_PAGE, call), 'not_found');
        await failure(listing(other.driver)(drive.driver.rootRef, {}, FIRST_PAGE, call), 'not_found');
        await failure(other.driver.stat(file.ref, call), 'not_found');
        await failure(other.driver.read(file.ref, null, call), 'not_found');
        await failure(other.run('pathOf', file.ref, call), 'not_found');
        await failure(other.run('createFolder', folder.ref, 'x', call), 'not_found');
        await failure(other.run('rename', file.ref, 'x', {}, call), 'not_found');
        await failure(other.run('move', file.ref, own.ref, { onConflict: 'FAIL' }, call), 'not_found');
        await failure(other.run('move', own.ref, folder.ref, { onConflict: 'FAIL' }, call), 'not_found');
        await failure(other.run('copy', file.ref, own.ref, { onConflict: 'FAIL' }, call), 'not_found');
        await failure(other.run('remove', file.ref, {}, call), 'not_found');
        await failure(other.run('removePermanently', file.ref, {}, call), 'not_found');
        assert.deepEqual(await other.run('statMany', [file.ref], call), [null]);
        await drive.run('remove', file.ref, {}, call);
        await failure(other.run('recycleBin.restore', file.ref, call), 'not_found');
        await failure(other.run('recycleBin.purge', file.ref, call), 'not_found');
        await other.run('recycleBin.empty', call);
        assert.equal((await drive.run('recycleBin.restore', file.ref, call)).ref, file.ref);
      });

      it('finds none of the names, changes and bytes', async () => {
        const other = new Subject({ ...fixture, drive: await fixture.openAnother() });
        const bytes = bytesOf(100, 'known to one only');
        await drive.put((await drive.newFolder()).ref, 'secret plan.txt', bytes);
        for (const query of ['secret', 'pl'])
          assert.deepEqual((await other.run('searchByName', { query }, FIRST_PAGE, call)).items, []);
        assert.deepEqual((await other.run('changes', FIRST_PAGE, call)).items, []);
        const plan = other.plan(other.driver.rootRef, 'guess.bin', bytes);
        assert.equal(await other.run('instantUpload', plan, call), null);
        assert.ok('session' in (await other.run('upload.begin', plan, call)));
      });

      it('has no instant hit from bytes that are in the recycle bin', async () => {
        const bytes = bytesOf(100, 'in the bin');
        const file = await drive.put((await drive.newFolder()).ref, 'a.bin', bytes);
        await drive.run('remove', file.ref, {}, call);
        assert.equal(await drive.run('instantUpload', drive.plan(drive.driver.rootRef, 'b', bytes), call), null);
      });

      it('gets a copy of one file where the caller says that it may', async () => {
        const other = new Subject({ ...fixture, drive: await fixture.openAnother() });
        const file = await drive.put((await drive.newFolder()).ref, 'given.txt', 'given away');
        const source = { accountId: drive.drive.accountId, ref: file.ref };
        const copy = await other.run('copyFromAccount', source, other.driver.rootRef, { onConflict: 'FAIL' }, call);
        assert.equal(String(await other.content(copy.ref)), 'given away');
        assert.equal(await references(file), 2);
      });
    });

    describe('the journal', () => {
      it('tells each change once, in order, and announces it after the commit', async () => {
        const since = await journal();
        const announced = fixture.announced.length;
        const a = await drive.newFolder();
        const b = await drive.newFolder();
        const file = await drive.put(a.ref, 'a.txt', 'journal');
        await drive.run('rename', file.ref, 'b.txt', {}, call);
        await drive.run('move', file.ref, b.ref, { onConflict: 'FAIL' }, call);
        await drive.put(b.ref, 'b.txt', 'journal 2', 'REPLACE');
        await drive.run('copy', b.ref, a.ref, { onConflict: 'FAIL', name: 'copy' }, call);
        await drive.run('remove', file.ref, {}, call);
        await drive.run('recycleBin.restore', file.ref, call);
        const told = (await journal()).slice(since.length).map(({ kind, path }) => `${kind} ${path}`);
        const bPath = `/${b.name}/b.txt`;
        assert.deepEqual(told, [
          `CREATED /${a.name}`,
          `CREATED /${b.name}`,
          `CREATED ${bPath}`, // An entry that is there is told where it is now.
          `MOVED ${bPath}`,
          `MOVED ${bPath}`,
          `MODIFIED ${bPath}`,
          `CREATED /${a.name}/copy`,
          `DELETED ${bPath}`,
          `CREATED ${bPath}`,
        ]);
        const events = fixture.announced.slice(announced);
        assert.deepEqual(
          events.map(({ kind }) => kind),
          told.map((line) => line.split(' ')[0]),
        );
        assert.deepEqual(events[4]?.folderRefs, [b.ref, a.ref], 'a move is seen in both folders');
        assert.equal(events[2]?.path, `/${a.name}/a.txt`);
      });

      it('tells nothing of what failed or changed nothing', async () => {
        const { ref } = await drive.newFolder();
        const file = await drive.put(ref, 'a.txt');
        const since = await journal();
        await failure(drive.run('createFolder', ref, 'a.txt', call), 'already_exists');
        await drive.run('rename', file.ref, 'a.txt', {}, call);
        await drive.run('move', file.ref, ref, { onConflict: 'FAIL' }, call);
        await drive.put(ref, 'a.txt', 'skipped', 'SKIP');
        assert.equal((await journal()).length, since.length);
      });

      it('is in the order of the commits also when many change the drive at once', async () => {
        const { ref } = await drive.newFolder();
        const seen: string[] = [];
        const reader = (async () => {
          let cursor = (await lastCursor()) ?? null;
          while (seen.length < 20) {
            const page = await drive.run('changes', { cursor, limit: 3 }, call);
            seen.push(...page.items.map(({ entryRef }) => entryRef));
            cursor = page.itemCursors?.at(-1) ?? cursor;
            await new Promise(setImmediate);
          }
        })();
        const made = await Promise.all(
          Array.from({ length: 20 }, (_, index) => drive.run('createFolder', ref, `folder ${index}`, call)),
        );
        await reader;
        assert.deepEqual(seen.toSorted(), made.map((entry) => entry.ref).toSorted());
      });
    });

    describe('many requests at once', () => {
      it('cannot move two folders into each other', async () => {
        const parent = await drive.newFolder();
        for (let round = 0; round < 10; round += 1) {
          const [a, b] = await Promise.all(
            ['a', 'b'].map((name) => drive.run('createFolder', parent.ref, `${name} ${round}`, call)),
          );
          assert.ok(a && b);
          const moves = await Promise.allSettled([
            drive.run('move', a.ref, b.ref, { onConflict: 'FAIL' }, call),
            drive.run('move', b.ref, a.ref, { onConflict: 'FAIL' }, call),
          ]);
          assert.equal(moves.filter(({ status }) => status === 'fulfilled').length, 1);
        }
      });

      it('adopt the same name once, and never fail otherwise', async () => {
        const { ref } = await drive.newFolder();
        const files = await Promise.all(Array.from({ length: 5 }, (_, index) => spooled(`bytes ${index}`)));
        const adopted = await Promise.allSettled(
          files.map(({ bytes, file }) => drive.run('adopt', drive.plan(ref, 'same.txt', bytes), file, call)),
        );
        const [made, ...more] = adopted.filter((result) => result.status === 'fulfilled');
        assert.ok(made && more.length === 0);
        for (const result of adopted)
          if (result.status === 'rejected') await failure(Promise.reject(result.reason), 'already_exists');
        for (const { file } of files) if (await isThere(file.path)) assert.ok(await readFile(file.path));
      });
    });

    describe('a full disk', () => {
      it('is told as such, and leaves nothing visible', async () => {
        const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
        const blobs = new Proxy(fixture.blobs, {
          get(target, key) {
            if (key === 'adopt') return () => Promise.reject(full);
            if (key === 'incomingBytes') return () => Promise.resolve(10);
            const value: unknown = Reflect.get(target, key, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        }) as BlobStore;
        const services = { ...fixture, blobs, clock: systemClock, announce: () => assert.fail('announced') };
        const other = openDrive(local, { id: drive.drive.accountId, settings: {} }, services);
        const before = await drive.names(drive.driver.rootRef);
        const { bytes, file } = await spooled('does not fit');
        const plan = drive.plan(drive.driver.rootRef, 'full.txt', bytes);
        const error = await failure(other.run('adopt', plan, file, call), 'quota_exceeded');
        assert.match(error.message, /disk is full/);
        await failure(other.run('upload.begin', { ...plan, sizeBytes: 11 }, call), 'quota_exceeded');
        assert.deepEqual(await drive.names(drive.driver.rootRef), before);
        await access(file.path);
        assert.equal((await drive.run('adopt', plan, file, call)).name, 'full.txt');
      });
    });

    describe('a job that is tried again after a crash', () => {
      it('finds the file that its first try adopted', async () => {
        const { ref } = await drive.newFolder();
        const { bytes, file } = await spooled('adopted once');
        const plan = drive.plan(ref, 'a.txt', bytes, { transferId: crypto.randomUUID() });
        const first = await drive.run('adopt', plan, file, call);
        assert.equal((await drive.run('adopt', plan, file, call)).ref, first.ref);
        assert.deepEqual(await drive.names(ref), ['a.txt']);
        assert.equal(await references(first), 1);
      });

      it('makes a new file when somebody has deleted the first', async () => {
        const { ref } = await drive.newFolder();
        const bytes = Buffer.from('made twice');
        const plan = drive.plan(ref, 'a.txt', bytes, { transferId: crypto.randomUUID() });
        const first = await drive.run('adopt', plan, (await spooled('made twice')).file, call);
        await drive.run('remove', first.ref, {}, call);
        const second = await drive.run('adopt', plan, (await spooled('made twice')).file, call);
        assert.notEqual(second.ref, first.ref);
      });
    });

    it('notices lost bytes when they are read', async () => {
      const file = await drive.put((await drive.newFolder()).ref, 'a.txt', 'to be lost');
      await rm(join(fixture.folder, 'blobs', keyOf({ sha256: file.hashes.SHA256 ?? '', generation: null })));
      await failure(drive.driver.read(file.ref, null, call), 'corrupted');
    });

    it('refuses folders that are nested too deep', async () => {
      let folder = await drive.newFolder();
      const deepen = async (): Promise<DriveEntry> => drive.run('createFolder', folder.ref, 'd', call);
      for (let depth = 2; depth <= 200; depth += 1) folder = await deepen();
      await failure(deepen(), 'invalid_argument');
      await drive.run('rename', folder.ref, 'still fine', {}, call);
    });

    it('needs every slice of an upload, also when no hash was promised', async () => {
      const { ref } = await drive.newFolder();
      const plan = drive.plan(ref, 'a.bin', bytesOf(5_000_000, 'gap'), { hashes: {} });
      const session = await drive.begin(plan);
      const receipts = await drive.putSlices(plan, session, bytesOf(5_000_000, 'gap'), [1]);
      await failure(drive.run('upload.complete', plan, session, receipts, call), 'corrupted');
      assert.deepEqual(await drive.names(ref), []);
    });

    it('keeps an upload session from naming another file', async () => {
      const { ref } = await drive.newFolder();
      const plan = drive.plan(ref, 'a.txt', Buffer.from('x'));
      const session = await drive.begin(plan);
      for (const id of ['../../../etc/passwd', '', 7, null])
        await failure(
          drive.run('upload.putSlice', plan, { ...session, state: { id } }, 0, Buffer.from('x'), call),
          'invalid_argument',
        );
    });

    it('knows no drive that was never made', async () => {
      const services = { ...fixture, clock: systemClock, announce: () => {} };
      const nobody = openDrive(local, { id: crypto.randomUUID(), settings: {} }, services);
      await failure(listing(nobody.driver)(nobody.driver.rootRef, {}, FIRST_PAGE, call), 'not_found');
      await failure(nobody.run('createFolder', nobody.driver.rootRef, 'x', call), 'not_found');
    });

    it('is made with its account, or not at all', async () => {
      const id = crypto.randomUUID();
      const made = fixture.storage.transaction(async (em) => {
        await createRoot(em, id, new Date());
        throw new Error('the account could not be made');
      });
      await assert.rejects(made, /could not be made/);
      const services = { ...fixture, clock: systemClock, announce: () => {} };
      await failure(openDrive(local, { id, settings: {} }, services).driver.stat(id, call), 'not_found');
    });

    async function references({ hashes: { SHA256 } }: DriveEntry): Promise<number | null> {
      const sql = 'select reference_count as count from blobs where sha256 = ?';
      const rows = await fixture.storage.fork().execute<{ count: number }[]>(sql, [SHA256]);
      return rows[0]?.count ?? null;
    }

    function journal() {
      return everyItem((page) => drive.run('changes', page, call), 100);
    }

    async function lastCursor(): Promise<string | undefined> {
      let cursor: string | undefined;
      for (;;) {
        const page = await drive.run('changes', { cursor: cursor ?? null, limit: 100 }, call);
        cursor = page.itemCursors?.at(-1) ?? cursor;
        if (page.nextCursor === null) return cursor;
      }
    }

    async function spooled(text: string) {
      const bytes = Buffer.from(text);
      return { bytes, file: await fixture.spool(bytes) };
    }

    const isThere = (path: string): Promise<boolean> =>
      access(path).then(
        () => true,
        () => false,
      );
  });
}
