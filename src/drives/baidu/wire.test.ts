import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseLossless } from '../../lib/json.ts';
import { checkName } from './names.ts';
import { isUploadServer } from './upload-server.ts';
import { CURSOR_LIST, FILE, FILE_LIST, isInside, rootOf, TEXT_KEYS, toEntry, UNISEARCH } from './wire.ts';

const read = (text: string) => parseLossless(text, new Set(TEXT_KEYS));
const file = (more: object = {}) =>
  FILE.parse({
    fs_id: '1009876543210987',
    path: '/apps/demo/a/Report.pdf',
    size: 9,
    isdir: 0,
    category: 4,
    md5: '0123456789gbcdef0123456789abcdef',
    server_ctime: 1_700_000_000,
    server_mtime: 1_700_000_001,
    ...more,
  });

describe("Baidu's file object", () => {
  it('is an entry', () => {
    assert.deepEqual(toEntry(file(), '/apps/demo', '42'), {
      ref: '1009876543210987',
      kind: 'FILE',
      name: 'Report.pdf',
      parentRef: '42',
      path: '/a/Report.pdf',
      sizeBytes: 9,
      createdAt: new Date(1_700_000_000_000),
      modifiedAt: new Date(1_700_000_001_000),
      revision: toEntry(file(), '').revision,
      mimeType: 'application/pdf',
      category: 'DOCUMENT',
      // Its md5 is no hash of the content.
      hashes: {},
      deletedAt: null,
    });
  });

  it('is a folder without size, type and category', () => {
    const folder = toEntry(file({ isdir: 1, category: 6, size: 0, path: '/apps/demo/a' }), '/apps/demo');
    assert.deepEqual(
      [folder.kind, folder.sizeBytes, folder.mimeType, folder.category, folder.parentRef],
      ['FOLDER', null, null, null, '/'],
    );
  });

  it('has another revision after a rename within the same second', () => {
    const before = toEntry(file(), '').revision;
    assert.notEqual(toEntry(file({ path: '/apps/demo/a/Other.pdf' }), '').revision, before);
    assert.notEqual(toEntry(file({ size: 10 }), '').revision, before);
    assert.equal(toEntry(file({ path: '/elsewhere/Report.pdf', fs_id: '1' }), '').revision, before);
  });

  it('keeps ids that are beyond what a number holds, and small ones alike', () => {
    const text =
      '{"errno":0,"list":[{"fs_id":18446744073709551615,"path":"/a","isdir":1},{"fs_id":7,"path":"/b","isdir":0}]}';
    assert.deepEqual(
      FILE_LIST.parse(read(text)).list.map(({ fs_id }) => fs_id),
      ['18446744073709551615', '7'],
    );
  });

  it('takes an empty list that comes as an object, and numbers that come as text', () => {
    assert.deepEqual(CURSOR_LIST.parse({ list: {}, has_more: '0', cursor: '7' }), { list: [], has_more: 0, cursor: 7 });
  });

  it('is found under another key by semantic search', () => {
    const text =
      '{"error_no":0,"data":[{"source":4,"list":[{"fsid":1,"filename":"r.pdf","path":"/r.pdf","size":9,"isdir":0}]}]}';
    assert.equal(UNISEARCH.parse(read(text)).data[0]?.list[0]?.fs_id, '1');
  });
});

it('a drive begins in its folder, and goes no further', () => {
  assert.equal(rootOf('/'), '');
  assert.equal(rootOf('/apps/demo/'), '/apps/demo');
  assert.ok(isInside('/apps/demo/a', '/apps/demo'));
  assert.ok(!isInside('/apps/demonstration', '/apps/demo'));
});

it('names that Baidu refuses are refused before', () => {
  for (const name of ['a?b', 'a|b', 'a"b', 'a>b', 'a<b', 'a:b', 'a*b', '.a', 'a.', 'a\u3000', '🚀', 'a/b', ''])
    assert.throws(() => checkName(name), { category: 'invalid_argument', provider: 'BAIDU' });
  for (const name of ['a b', '文件（一）.txt', "it's #1 & 100%", 'a..b']) checkName(name);
});

it('slices go to servers of Baidu only', () => {
  const own = 'https://d.pcs.baidu.com';
  for (const server of ['https://c3.pcs.baidu.com', own]) assert.ok(isUploadServer(server, own), server);
  for (const server of [
    'http://c3.pcs.baidu.com',
    'https://pcs.baidu.com.evil.example',
    'https://evil.example',
    '',
    'x',
  ])
    assert.ok(!isUploadServer(server, own), server);
});
