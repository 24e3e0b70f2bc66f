import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { categoryOf, mimeTypeOf } from './categories.ts';
import { checkEntryName } from './names.ts';
import { decodeCursor, encodeCursor, limitOf, pageOf } from './paging.ts';

describe('categories', () => {
  for (const [name, category] of [
    ['film.mp4', 'VIDEO'],
    ['Film.MKV', 'VIDEO'],
    ['stream.ts', 'VIDEO'],
    ['song.flac', 'AUDIO'],
    ['song.mp3', 'AUDIO'],
    ['photo.heic', 'IMAGE'],
    ['photo.JPG', 'IMAGE'],
    ['vector.svg', 'IMAGE'],
    ['report.docx', 'DOCUMENT'],
    ['table.csv', 'DOCUMENT'],
    ['notes.md', 'DOCUMENT'],
    ['book.epub', 'DOCUMENT'],
    ['程序.apk', 'APPLICATION'],
    ['setup.exe', 'APPLICATION'],
    ['linux.iso.torrent', 'TORRENT'],
    ['backup.zip', 'OTHER'],
    ['no extension', 'OTHER'],
    ['.bashrc', 'OTHER'],
    ['trailing.', 'OTHER'],
    ['', 'OTHER'],
    ['x.constructor', 'OTHER'],
    ['x.__proto__', 'OTHER'],
  ] as const)
    it(`takes ${JSON.stringify(name)} for ${category}`, () => assert.equal(categoryOf(name), category));

  it('tells the MIME type of an extension, and null of none', () => {
    assert.equal(mimeTypeOf('a.JPG'), 'image/jpeg');
    assert.equal(mimeTypeOf('a.txt'), 'text/plain');
    assert.equal(mimeTypeOf('a.unknown-extension'), null);
  });
});

describe('cursors', () => {
  const shape = z.tuple([z.string(), z.int()]);

  it('come back as they were given, whatever is in them', () => {
    for (const place of [
      ['', 0],
      ['文件 "#?%&+/\\', 7],
      ['👩‍🚀', -1],
    ])
      assert.deepEqual(decodeCursor(encodeCursor(place), shape), place);
  });

  it('fit into a URL', () => assert.match(encodeCursor(['???>>>~~~', 1]), /^[\w-]+$/));

  it('of another kind are none', () => {
    for (const cursor of ['', 'x', '{}', encodeCursor(['a']), encodeCursor(['a', 1.5]), encodeCursor(null), '%', '\0'])
      assert.equal(decodeCursor(cursor, shape), null);
  });
});

describe('pages', () => {
  const page = (rows: number[]) =>
    pageOf(
      rows,
      2,
      (row) => `item ${row}`,
      (row) => [row],
    );

  it('end where no row is left', () => {
    const { itemCursors, ...rest } = page([]);
    assert.deepEqual(rest, { items: [], nextCursor: null, totalCount: null });
    assert.deepEqual([itemCursors?.length, itemCursors?.at(0), itemCursors?.at(-1)], [0, undefined, undefined]);
    assert.equal(page([1, 2]).nextCursor, null);
  });

  it('go on after their last item', () => {
    const { items, nextCursor, itemCursors } = page([1, 2, 3]);
    assert.deepEqual(items, ['item 1', 'item 2']);
    assert.equal(nextCursor, encodeCursor([2]));
    assert.deepEqual(
      [0, 1, 2, -1, -3].map((place) => itemCursors?.at(place)),
      [encodeCursor([1]), encodeCursor([2]), undefined, encodeCursor([2]), undefined],
    );
  });

  it('are no larger than the drive allows, and no smaller than one', () => {
    assert.equal(limitOf({ cursor: null, limit: 5 }, 10), 5);
    assert.equal(limitOf({ cursor: null, limit: 50 }, 10), 10);
    for (const limit of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
      assert.equal(limitOf({ cursor: null, limit }, 10), null);
  });
});

it('a name that cannot be is refused in words', () => {
  checkEntryName('fine.txt', 'LOCAL');
  assert.throws(() => checkEntryName('a/b', 'BAIDU'), { category: 'invalid_argument', provider: 'BAIDU' });
});
