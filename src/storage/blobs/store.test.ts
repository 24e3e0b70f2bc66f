import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, mkdtemp, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DATABASES, type TestStorage } from '../../../test/support/databases.ts';
import type { Storage } from '../orm.ts';
import { BlobDamagedError } from './errors.ts';
import { keyOf } from './name.ts';
import type { WholeFile } from './room.ts';
import { BlobStore } from './store.ts';

const HOUR_MS = 3_600_000;
const LIMITS = { unreferencedMs: HOUR_MS, strayMs: 24 * HOUR_MS };
const never = new AbortController().signal;
const stored = ({ sha256, sizeBytes }: WholeFile) => ({ sha256, sizeBytes, generation: null });

for (const database of DATABASES) {
  describe(`blobs (${database.dialect})`, { skip: database.skip }, () => {
    let test: TestStorage;
    let storage: Storage;
    let folder: string;
    let now: Date;
    let blobs: BlobStore;

    before(async () => {
      test = await database.open();
      storage = test.storage;
    });
    after(() => test.close());
    beforeEach(async (context) => {
      folder = await mkdtemp(join(tmpdir(), 'panql-blobs-'));
      now = new Date();
      blobs = new BlobStore(join(folder, 'blobs'), storage, { now: () => now });
      await storage.fork().execute('delete from blobs');
      (context as { after(work: () => Promise<void>): void }).after(() => rm(folder, { recursive: true, force: true }));
    });

    it('keeps bytes under their hash, and takes the spooled file away', async () => {
      const file = await spool('some bytes');
      await adopt(file);
      await assert.rejects(access(file.path));
      await access(join(folder, 'blobs', file.sha256.slice(0, 2), file.sha256.slice(2, 4), file.sha256));
      assert.equal(await content(file), 'some bytes');
      assert.equal(await references(file), 1);
    });

    it('keeps equal bytes once, and counts who refers to them', async () => {
      const first = await spool('the same');
      const second = await spool('the same');
      await adopt(first);
      await adopt(second);
      assert.equal(await references(first), 2);
      assert.deepEqual(await storedFiles(), [first.sha256]);
      await assert.rejects(access(second.path));
    });

    it('counts right when the same bytes come many times at once', async () => {
      const files = await Promise.all(Array.from({ length: 8 }, () => spool('all at once')));
      await Promise.all(files.map(adopt));
      const [file] = files;
      assert.ok(file);
      assert.equal(await references(file), 8);
      assert.equal(await content(file), 'all at once');
    });

    it('keeps the hashes that it learns later', async () => {
      const file = await spool('hashed');
      await adopt(file);
      const md5 = createHash('md5').update('hashed').digest('hex');
      await adopt({ ...(await spool('hashed')), md5 });
      await adopt(await spool('hashed'));
      const [row] = await storage.fork().execute<{ md5: string }[]>('select md5 from blobs');
      assert.equal(row?.md5, md5);
    });

    it('gives the bytes of a range, and an empty blob as nothing', async () => {
      const file = await spool('0123456789');
      await adopt(file);
      const stream = await blobs.read(stored(file), { start: 3, end: 5 }, never);
      assert.equal(Buffer.concat(await stream.toArray()).toString(), '345');
      const empty = await spool('');
      await adopt(empty);
      assert.deepEqual(await (await blobs.read(stored(empty), { start: 0, end: -1 }, never)).toArray(), []);
    });

    it('refuses a spooled file of another length than it says', async () => {
      const file = await spool('ten bytes!');
      await assert.rejects(adopt({ ...file, sizeBytes: 11 }), BlobDamagedError);
      await assert.rejects(adopt({ ...file, path: join(folder, 'nowhere') }), BlobDamagedError);
    });

    it('notices bytes that were lost or cut on the disk', async () => {
      const file = await spool('precious');
      await adopt(file);
      await truncate(pathOf(file), 3);
      await assert.rejects(content(file), BlobDamagedError);
      await rm(pathOf(file));
      await assert.rejects(content(file), BlobDamagedError);
    });

    it('mends a damaged blob when its bytes come again', async () => {
      const file = await spool('precious');
      await adopt(file);
      await truncate(pathOf(file), 3);
      await adopt(await spool('precious'));
      assert.equal(await content(file), 'precious');
    });

    it('leaves a reader its bytes while they are removed', async () => {
      const file = await spool('x'.repeat(1_000_000));
      await adopt(file);
      const stream = await blobs.read(stored(file), { start: 0, end: file.sizeBytes - 1 }, never);
      await storage.transaction((em) => blobs.count(em, new Map([[file.sha256, -1]])));
      now = new Date(now.getTime() + 2 * HOUR_MS);
      assert.equal(await blobs.sweep(LIMITS), 1);
      assert.equal(Buffer.concat(await stream.toArray()).length, file.sizeBytes);
    });

    describe('a crash', () => {
      it('before the commit leaves no row, and the next try finds the bytes in place', async () => {
        const file = await spool('crashed');
        await assert.rejects(dieBeforeCommit(file), /killed/);
        assert.equal(await references(file), null);
        await assert.rejects(access(file.path));
        await adopt(file);
        assert.equal(await references(file), 1);
        assert.equal(await content(file), 'crashed');
      });

      it('leaves a file without a row, which the sweep removes when it is old', async () => {
        const file = await spool('stray');
        await assert.rejects(dieBeforeCommit(file), /killed/);
        assert.equal(await blobs.sweep(LIMITS), 0);
        now = new Date(now.getTime() + 2 * LIMITS.strayMs);
        assert.equal(await blobs.sweep(LIMITS), 1);
        assert.deepEqual(await storedFiles(), []);
        assert.equal(await references(file), null);
      });
    });

    describe('the sweep', () => {
      it('removes what nothing refers to, after a time of grace', async () => {
        const kept = await spool('kept');
        const gone = await spool('gone');
        for (const file of [kept, gone]) await adopt(file);
        await storage.transaction((em) => blobs.count(em, new Map([[gone.sha256, -1]])));
        assert.equal(await blobs.sweep(LIMITS), 0);
        now = new Date(now.getTime() + 2 * HOUR_MS);
        assert.equal(await blobs.sweep(LIMITS), 1);
        assert.deepEqual(await storedFiles(), [kept.sha256]);
        assert.equal(await references(gone), null);
        assert.equal(await references(kept), 1);
      });

      it('spares bytes that came back in time', async () => {
        const file = await spool('back');
        await adopt(file);
        await storage.transaction((em) => blobs.count(em, new Map([[file.sha256, -1]])));
        await adopt(await spool('back'));
        now = new Date(now.getTime() + 2 * HOUR_MS);
        assert.equal(await blobs.sweep(LIMITS), 0);
        assert.equal(await content(file), 'back');
      });

      it('that runs while the bytes come back never leaves a row without its file', async () => {
        for (let round = 0; round < 20; round += 1) {
          const file = await spool(`round ${round}`);
          await adopt(file);
          await storage.transaction((em) => blobs.count(em, new Map([[file.sha256, -1]])));
          now = new Date(now.getTime() + 2 * HOUR_MS);
          const again = await spool(`round ${round}`);
          const readopted = blobs.keep(again, never, async (settled) => {
            await Promise.all([blobs.sweep(LIMITS), storage.transaction((em) => blobs.adopt(em, settled))]);
          });
          await Promise.all([readopted, blobs.sweep(LIMITS)]);
          assert.equal(await references(file), 1);
          assert.equal(await content(file), `round ${round}`);
        }
      });

      it('that removes strays waits for whoever is just taking one', async () => {
        const file = await spool('taken in time');
        await mkdir(dirname(pathOf(file)), { recursive: true });
        await writeFile(pathOf(file), 'taken in time');
        now = new Date(now.getTime() + 2 * LIMITS.strayMs);
        const swept = Promise.withResolvers<unknown>();
        await blobs.keep(file, never, (settled) =>
          storage.transaction(async (em) => {
            await blobs.adopt(em, settled);
            swept.resolve(blobs.sweep(LIMITS)); // Begun while the row is not committed; it must wait for it.
          }),
        );
        await swept.promise;
        assert.equal(await references(file), 1);
        assert.equal(await content(file), 'taken in time');
      });

      it('removes unfinished incoming files by their age', async () => {
        const fresh = await blobs.incomingPath('fresh.part');
        const old = await blobs.incomingPath('old.part');
        for (const path of [fresh, old]) await writeFile(path, 'x');
        await utimes(old, 0, 0);
        assert.equal(await blobs.sweep(LIMITS), 1);
        await access(fresh);
        await assert.rejects(access(old));
      });

      it('leaves files alone that are not the store’s', async () => {
        const alien = join(folder, 'blobs', 'readme.txt');
        await blobs.incomingPath('x');
        await writeFile(alien, 'x');
        await utimes(alien, 0, 0);
        assert.equal(await blobs.sweep(LIMITS), 0);
        await access(alien);
      });
    });

    it('tells the free space, also before there is a folder', async () => {
      assert.ok(((await blobs.freeBytes()) ?? 0) > 0);
      assert.equal((await stat(join(folder, 'blobs'))).mode & 0o777, 0o700);
    });

    async function spool(text: string): Promise<WholeFile> {
      const path = join(folder, randomUUID());
      await writeFile(path, text);
      return { path, sizeBytes: Buffer.byteLength(text), sha256: createHash('sha256').update(text).digest('hex') };
    }

    const adopt = (file: WholeFile): Promise<void> =>
      blobs.keep(file, never, (settled) => storage.transaction((em) => blobs.adopt(em, settled)));

    const dieBeforeCommit = (file: WholeFile): Promise<void> =>
      blobs.keep(file, never, (settled) =>
        storage.transaction(async (em) => {
          await blobs.adopt(em, settled);
          throw new Error('killed');
        }),
      );

    const pathOf = ({ sha256 }: WholeFile): string => join(folder, 'blobs', keyOf({ sha256, generation: null }));

    async function content(file: WholeFile): Promise<string> {
      const stream = await blobs.read(stored(file), { start: 0, end: file.sizeBytes - 1 }, never);
      return Buffer.concat(await stream.toArray()).toString();
    }

    async function references({ sha256 }: WholeFile): Promise<number | null> {
      const rows = await storage
        .fork()
        .execute<{ count: number }[]>('select reference_count as count from blobs where sha256 = ?', [sha256]);
      return rows[0]?.count ?? null;
    }

    async function storedFiles(): Promise<string[]> {
      const names = await readdir(join(folder, 'blobs'), { recursive: true });
      return names.map((name) => name.split('/').at(-1) ?? '').filter((name) => name.length === 64);
    }
  });
}
