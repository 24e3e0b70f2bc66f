import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { call, everyItem, failure, type Subject } from './subject.ts';

/** A search finds any part of a name, and takes every character for what it is. */
export function searchSuite(drive: Subject): void {
  describe('search by name', { skip: drive.lacks('SEARCH_NAME') }, () => {
    const forbidden = new Set(drive.fixture.forbiddenNames);
    const NAMES = [
      'Holiday 100%.jpg',
      'holidays_2024.txt',
      '假期照片.png',
      '照片',
      'a"b AND c*.txt',
      'ÉCOLE.pdf',
    ].filter((name) => !forbidden.has(name));

    for (const [query, expected] of [
      ['holiday', ['Holiday 100%.jpg', 'holidays_2024.txt']],
      ['LIDAYS_2', ['holidays_2024.txt']],
      ['100%', ['Holiday 100%.jpg']],
      ['%', ['Holiday 100%.jpg']],
      ['_', ['holidays_2024.txt']],
      ['!', []],
      ['假', ['假期照片.png']],
      ['照片', ['假期照片.png', '照片']],
      ['期照片', ['假期照片.png']],
      ['a"b', ['a"b AND c*.txt']],
      ['b and c*', ['a"b AND c*.txt']],
      ['c*', ['a"b AND c*.txt']],
      ['NOT holiday', []],
      ['école', ['ÉCOLE.pdf']],
      ['e\u0301cole', ['ÉCOLE.pdf']],
      ["' or 1=1 --", []],
      ['\0', []],
    ] as const) {
      it(`finds ${expected.length} of ${NAMES.length} by ${JSON.stringify(query)}`, async () => {
        const folder = await library();
        const there = expected.filter((name) => !forbidden.has(name));
        assert.deepEqual((await found(query, folder.ref)).toSorted(), there.toSorted());
      });
    }

    it('pages, and keeps to a kind', async () => {
      const folder = await library();
      const search = { query: '照', folderRef: folder.ref };
      const all = await everyItem((page) => drive.run('searchByName', search, page, call), 1);
      assert.equal(all.length, 2);
      const folders = await drive.run('searchByName', { ...search, kind: 'FOLDER' }, { cursor: null, limit: 9 }, call);
      assert.deepEqual(
        folders.items.map(({ name }) => name),
        ['照片'],
      );
    });

    it('keeps to a folder, at any depth', async () => {
      const folder = await library();
      const other = await library();
      assert.equal((await found('holiday', folder.ref)).length, 2);
      const inner = await drive.run('createFolder', folder.ref, 'inner', call);
      await drive.put(inner.ref, 'deep holiday.txt');
      assert.equal((await found('holiday', folder.ref)).length, 3);
      assert.equal((await found('holiday', other.ref)).length, 2);
      assert.ok((await found('holiday')).length >= 5);
      await failure(found('holiday', 'no such folder'), 'not_found');
    });

    it('follows renames and deletions', { skip: drive.lacks('RENAME', 'DELETE') }, async () => {
      const folder = await drive.newFolder();
      const file = await drive.put(folder.ref, 'zebra.txt');
      const renamed = await drive.run('rename', file.ref, 'giraffe.txt', {}, call);
      assert.deepEqual(await found('zebra', folder.ref), []);
      assert.deepEqual(await found('giraffe', folder.ref), ['giraffe.txt']);
      await drive.run('remove', renamed.ref, {}, call);
      assert.deepEqual(await found('giraffe', folder.ref), []);
    });

    it('refuses a search for nothing', async () => {
      for (const query of ['', '  ']) await failure(found(query), 'invalid_argument');
    });

    async function library() {
      const folder = await drive.newFolder();
      for (const name of NAMES)
        if (name === '照片') await drive.run('createFolder', folder.ref, name, call);
        else await drive.put(folder.ref, name);
      return folder;
    }

    async function found(query: string, folderRef?: string): Promise<string[]> {
      const search = { query, ...(folderRef === undefined ? {} : { folderRef }) };
      const entries = await everyItem((page) => drive.run('searchByName', search, page, call), 50);
      return entries.map(({ name }) => name);
    }
  });
}
