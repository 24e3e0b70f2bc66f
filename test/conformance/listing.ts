import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DriveEntry, Driver, EntrySort } from '../../src/drives/driver.ts';
import { call, everyItem, FIRST_PAGE, failure, type Subject } from './subject.ts';

/** Folders are told whole, page by page. */
export function listingSuite(drive: Subject): void {
  const list: NonNullable<Driver['list']> = (...args) => drive.run('list', ...args);

  describe('listing', { skip: drive.lacks('LIST') }, () => {
    it('shows an empty folder as one empty page', async () => {
      const folder = await drive.newFolder();
      const page = await list(folder.ref, {}, FIRST_PAGE, call);
      assert.deepEqual(page.items, []);
      assert.equal(page.nextCursor, null);
    });

    for (const [size, limit] of [
      [7, 1],
      [7, 6],
      [7, 7],
      [7, 8],
      [8, 4],
    ] as const) {
      it(`shows each of ${size} entries once in pages of ${limit}`, async () => {
        const { folder, names } = await folderOf(size);
        const entries = await everyItem((page) => list(folder.ref, {}, page, call), limit);
        assert.deepEqual(entries.map(({ name }) => name).toSorted(), names.toSorted());
      });
    }

    it('goes on after any entry that has a cursor', async () => {
      const { folder } = await folderOf(5);
      const whole = await list(folder.ref, {}, FIRST_PAGE, call);
      for (let index = 0; index < (whole.itemCursors?.length ?? 0); index += 1) {
        const cursor = whole.itemCursors?.at(index) ?? null;
        const rest = await list(folder.ref, {}, { cursor, limit: 100 }, call);
        assert.deepEqual(refsOf(rest.items), refsOf(whole.items.slice(index + 1)));
      }
    });

    it('goes on when the entry at the cursor is gone', { skip: drive.lacks('DELETE') }, async () => {
      const { folder } = await folderOf(4);
      const first = await list(folder.ref, {}, { cursor: null, limit: 2 }, call);
      const last = first.items.at(-1);
      assert.ok(last);
      await drive.run('remove', last.ref, {}, call);
      const rest = await list(folder.ref, {}, { cursor: first.nextCursor, limit: 100 }, call);
      const seen = new Set([...first.items, ...rest.items].map(({ name }) => name));
      assert.equal(seen.size, 4, 'nothing is left out');
    });

    it('refuses a cursor that it has not given', async () => {
      const { ref } = await drive.newFolder();
      for (const cursor of ['', 'x', '%00', '../..', 'W10', '"', '\0', 'eyJhIjoxfQ', '99999999999999999999'])
        await failure(list(ref, {}, { cursor, limit: 10 }, call), 'invalid_argument');
    });

    it('refuses a page of nothing', async () => {
      for (const limit of [0, -1, 1.5, Number.NaN])
        await failure(list(drive.driver.rootRef, {}, { cursor: null, limit }, call), 'invalid_argument');
    });

    for (const by of drive.driver.capabilities.sorts) {
      for (const direction of ['ASC', 'DESC'] as const) {
        it(`sorts by ${by} ${direction}, also across pages`, async () => {
          const { folder } = await mixedFolder();
          const orderBy = { by, direction };
          const entries = await everyItem((page) => list(folder.ref, { orderBy }, page, call), 2);
          assert.equal(entries.length, 6);
          const kinds = drive.is('folders_first') ? (['FOLDER', 'FILE'] as const) : [null];
          const parts = kinds.map((kind) => entries.filter((entry) => kind === null || entry.kind === kind));
          assert.deepEqual(refsOf(entries), refsOf(parts.flat()));
          for (const part of parts) {
            const values = part.map((entry) => sortValue(entry, by));
            const sorted = values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
            assert.deepEqual(values, direction === 'ASC' ? sorted : sorted.reverse());
          }
        });
      }
    }

    it('shows only one kind when asked', async () => {
      const { folder, files, folders } = await mixedFolder();
      for (const [kind, expected] of [
        ['FILE', files],
        ['FOLDER', folders],
      ] as const) {
        const entries = await everyItem((page) => list(folder.ref, { kind }, page, call), 2);
        assert.deepEqual(entries.map(({ name }) => name).toSorted(), expected.toSorted());
      }
    });

    it('says what is missing, and what is no folder', async () => {
      const folder = await drive.newFolder();
      const file = await drive.put(folder.ref, 'file.txt');
      await failure(list(file.ref, {}, FIRST_PAGE, call), 'wrong_kind');
      for (const ref of missingRefs(file)) await failure(list(ref, {}, FIRST_PAGE, call), 'not_found');
    });

    it('counts what a folder holds', { skip: drive.driver.count ? false : 'this drive does not count' }, async () => {
      const { folder, files } = await mixedFolder();
      assert.equal(await drive.run('count', folder.ref, {}, call), 6);
      assert.equal(await drive.run('count', folder.ref, { kind: 'FILE' }, call), files.length);
    });
  });

  describe('looking up', () => {
    it('tells the same of an entry as its listing does', { skip: drive.lacks('LIST') }, async () => {
      const { folder } = await mixedFolder();
      const { items } = await list(folder.ref, {}, FIRST_PAGE, call);
      for (const entry of items) {
        const looked = await drive.driver.stat(entry.ref, call);
        // Whose child it is may cost a drive another question; when it is told, it is the same.
        assert.deepEqual({ ...looked, parentRef: looked.parentRef ?? entry.parentRef }, entry);
      }
    });

    it('tells the root', async () => {
      const root = await drive.driver.stat(drive.driver.rootRef, call);
      assert.equal(root.kind, 'FOLDER');
      assert.equal(root.parentRef, null);
      assert.equal(root.path ?? '/', '/');
    });

    it('says what is missing', async () => {
      const file = await drive.put((await drive.newFolder()).ref, 'file.txt');
      for (const ref of missingRefs(file)) await failure(drive.driver.stat(ref, call), 'not_found');
    });

    it('looks up many in the order asked', { skip: has('statMany') }, async () => {
      const folder = await drive.newFolder();
      const file = await drive.put(folder.ref, 'file.txt');
      const [missing = ''] = missingRefs(file);
      const found = await drive.run('statMany', [file.ref, missing, folder.ref, file.ref], call);
      assert.deepEqual(
        found.map((entry) => entry?.ref ?? null),
        [file.ref, null, folder.ref, file.ref],
      );
      assert.deepEqual(await drive.run('statMany', [], call), []);
    });

    it('finds an entry by its path, and the path of an entry', { skip: has('resolve') }, async () => {
      const folder = await drive.newFolder();
      const deep = await drive.run('createFolder', folder.ref, '深 folder', call);
      const file = await drive.put(deep.ref, 'file.txt');
      const segments = [folder.name, deep.name, file.name];
      assert.equal((await drive.run('resolve', segments, call)).ref, file.ref);
      assert.equal((await drive.run('resolve', [], call)).ref, drive.driver.rootRef);
      const path = drive.driver.pathOf ? await drive.run('pathOf', file.ref, call) : file.path;
      assert.equal(path, `/${segments.join('/')}`);
      await failure(drive.run('resolve', [...segments, 'below a file'], call), 'not_found');
      await failure(drive.run('resolve', ['no such folder', 'x'], call), 'not_found');
    });

    it('never leaves the root by a path', { skip: has('resolve') }, async () => {
      for (const segments of [['..'], ['.', '..', '..'], ['..', 'etc', 'passwd'], ['../..'], ['/'], ['..\\..']]) {
        const found = await drive.run('resolve', segments, call).catch((error) => error.category);
        assert.ok(found === 'not_found' || found === 'invalid_argument', `${segments}: ${JSON.stringify(found)}`);
      }
    });
  });

  describe('listing below', () => {
    it('shows all below a folder at any depth', { skip: drive.lacks('LIST_RECURSIVE') }, async () => {
      const { top, all } = await treeOf();
      const entries = await everyItem((page) => drive.run('listRecursive', top.ref, page, call), 2);
      assert.deepEqual(refsOf(entries).toSorted(), refsOf(all).toSorted());
    });

    it('shows the files of one category', { skip: drive.lacks('LIST_BY_CATEGORY') }, async () => {
      const { top, images } = await treeOf();
      const entries = await everyItem((page) => drive.run('listByCategory', 'IMAGE', top.ref, page, call), 1);
      assert.deepEqual(refsOf(entries).toSorted(), refsOf(images).toSorted());
      const everywhere = await everyItem((page) => drive.run('listByCategory', 'IMAGE', null, page, call), 50);
      for (const image of images) assert.ok(refsOf(everywhere).includes(image.ref));
      assert.ok(everywhere.every(({ category }) => category === 'IMAGE'));
    });
  });

  function has(act: 'statMany' | 'resolve'): string | false {
    return drive.driver[act] ? false : `this drive has no ${act}`;
  }

  async function folderOf(size: number): Promise<{ readonly folder: DriveEntry; readonly names: string[] }> {
    const folder = await drive.newFolder();
    const names = Array.from({ length: size }, (_, index) => `entry ${index}`);
    for (const name of names) await drive.run('createFolder', folder.ref, name, call);
    return { folder, names };
  }

  async function mixedFolder() {
    const folder = await drive.newFolder();
    const folders = ['b folder', 'Another', '资料'];
    const files = ['c.txt', 'A.txt', 'b.txt'];
    for (const name of folders) await drive.run('createFolder', folder.ref, name, call);
    for (const name of files) await drive.put(folder.ref, name, name.repeat(1 + (name.charCodeAt(0) % 7)));
    return { folder, folders, files };
  }

  async function treeOf() {
    const top = await drive.newFolder();
    const inner = await drive.run('createFolder', top.ref, 'inner', call);
    const empty = await drive.run('createFolder', inner.ref, 'empty', call);
    const images = [await drive.put(top.ref, 'one.jpg'), await drive.put(inner.ref, 'two.PNG')];
    const text = await drive.put(inner.ref, 'three.txt');
    return { top, images, all: [inner, empty, ...images, text] };
  }
}

const refsOf = (entries: readonly DriveEntry[]): string[] => entries.map(({ ref }) => ref);

const sortValue = (entry: DriveEntry, by: EntrySort): string | number =>
  by === 'NAME'
    ? entry.name.normalize('NFC').toLowerCase()
    : by === 'SIZE'
      ? (entry.sizeBytes ?? 0)
      : (entry.modifiedAt?.getTime() ?? 0);

/** Refs of nothing: one that could be, and some that no drive gives. */
const missingRefs = ({ ref }: DriveEntry): string[] => [
  ref.replace(/[0-9a-f](?=[^0-9a-f]*$)/, (digit) => (digit === '0' ? '1' : '0')),
  'no such entry',
  "' or 1=1 --",
  '\0',
  '../../etc/passwd',
  '',
];
