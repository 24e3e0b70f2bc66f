import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { entryNameFault, mendedName, NAME_BYTES_MAX, numberedName } from './names.ts';

for (const [told, name] of [
  ['report.pdf', 'report.pdf'],
  ['名 é 🎉.txt', '名 é 🎉.txt'],
  ['.hidden', '.hidden'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\Users\\me\\a.txt', 'a.txt'],
  ['/', null],
  ['a/', null],
  ['', null],
  ['.', null],
  ['..', null],
  ['．．', null],
  ['a/..', null],
  ['  a.txt \n', 'a.txt'],
  ['a\u0000b\r\n.txt', 'ab.txt'],
  ['gpj\u202e.exe', 'gpj.exe'],
  ['what?: "a" <b>|*.txt', 'what__ _a_ _b___.txt'],
  ['\ud800.txt', '\ufffd.txt'],
  ['\u200b', null],
] as const) {
  test(`${JSON.stringify(told)} as another server tells it becomes ${name}`, () => {
    assert.equal(mendedName(told), name);
    if (name !== null) assert.equal(entryNameFault(name), null);
  });
}

test('a name that is too long keeps its extension', () => {
  for (const told of [`${'a'.repeat(5_000)}.tar`, `${'名'.repeat(5_000)}.txt`, `${'🎉'.repeat(200)}.jpeg`]) {
    const name = mendedName(told) ?? '';
    assert.ok(Buffer.byteLength(name) <= NAME_BYTES_MAX && Buffer.byteLength(name) > NAME_BYTES_MAX - 4);
    assert.equal(name.slice(name.lastIndexOf('.')), told.slice(told.lastIndexOf('.')));
    assert.equal(entryNameFault(name), null);
  }
  assert.equal(Buffer.byteLength(mendedName(`a.${'b'.repeat(5_000)}`) ?? ''), NAME_BYTES_MAX);
});

test('a number goes before the extension, and always fits', () => {
  assert.equal(numberedName('a.txt', 2), 'a (2).txt');
  assert.equal(numberedName('.bashrc', 2), '.bashrc (2)');
  for (const name of ['a'.repeat(255), `${'a'.repeat(250)}.txt`, `.${'a'.repeat(254)}`, `a.${'b'.repeat(253)}`]) {
    const numbered = numberedName(name, 12);
    assert.ok(Buffer.byteLength(numbered) <= NAME_BYTES_MAX && numbered.includes(' (12)'), numbered);
  }
});
