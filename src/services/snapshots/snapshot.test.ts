import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DriveEntry } from '../../drives/driver.ts';
import { changesBetween, packed, snapshotOf, unpacked } from './snapshot.ts';

const entryOf = (ref: string, parentRef: string | null, more: Partial<DriveEntry> = {}): DriveEntry => ({
  ref,
  kind: ref.endsWith('/') ? 'FOLDER' : 'FILE',
  name: `name of ${ref}`,
  parentRef,
  path: null,
  sizeBytes: 1,
  createdAt: null,
  modifiedAt: null,
  revision: null,
  mimeType: null,
  category: null,
  hashes: {},
  deletedAt: null,
  ...more,
});

const told = (before: readonly DriveEntry[], after: readonly DriveEntry[]): readonly string[] =>
  changesBetween(snapshotOf('root', before), snapshotOf('root', after)).map(
    ({ kind, entryRef, path, folderRefs }) => `${kind} ${entryRef} ${path} in ${folderRefs.join('+')}`,
  );

describe('two snapshots', () => {
  it('that are equal show no change, whatever their order', () => {
    const entries = [entryOf('d/', 'root'), entryOf('a', 'd/'), entryOf('b', 'root')];
    assert.deepEqual(told(entries, entries.toReversed()), []);
  });

  it('show what is new, folders first', () => {
    assert.deepEqual(told([], [entryOf('a', 'd/'), entryOf('d/', 'root')]), [
      'CREATED d/ /name of d/ in root',
      'CREATED a /name of d//name of a in d/',
    ]);
  });

  it('show what is gone, with where it was', () => {
    assert.deepEqual(told([entryOf('d/', 'root'), entryOf('a', 'd/')], []), [
      'DELETED d/ /name of d/ in root',
      'DELETED a /name of d//name of a in d/',
    ]);
  });

  it('show other content by revision, else by size and time, and never of a folder', () => {
    const was = [
      entryOf('a', 'root', { revision: '1', sizeBytes: 1 }),
      entryOf('b', 'root'),
      entryOf('c', 'root', { modifiedAt: new Date(1) }),
      entryOf('d/', 'root', { modifiedAt: new Date(1), revision: '1' }),
    ];
    const now = [
      entryOf('a', 'root', { revision: '2', sizeBytes: 1 }),
      entryOf('b', 'root', { sizeBytes: 2 }),
      entryOf('c', 'root', { modifiedAt: new Date(2) }),
      entryOf('d/', 'root', { modifiedAt: new Date(2), revision: '2' }),
    ];
    assert.deepEqual(
      told(was, now),
      ['a', 'b', 'c'].map((ref) => `MODIFIED ${ref} /name of ${ref} in root`),
    );
  });

  it('show a move in both folders, and none of what is in a folder that moved', () => {
    const was = [entryOf('d/', 'root'), entryOf('e/', 'root'), entryOf('a', 'd/'), entryOf('b', 'd/')];
    const now = [entryOf('d/', 'e/'), entryOf('e/', 'root'), entryOf('a', 'd/'), entryOf('b', 'root', { name: 'B' })];
    assert.deepEqual(told(was, now), ['MOVED b /B in d/+root', 'MOVED d/ /name of e//name of d/ in root+e/']);
  });

  it('find parents by paths where only these are told', () => {
    const at = (ref: string, path: string): DriveEntry =>
      entryOf(ref, null, { path, name: path.split('/').at(-1) ?? '' });
    const was = [at('d/', '/d'), at('a', '/d/a'), at('b', '/b')];
    const now = [at('d/', '/e'), at('a', '/e/a'), at('b', '/e/b')];
    assert.deepEqual(told(was, now), ['MOVED d/ /e in root', 'MOVED b /e/b in root+d/']);
  });

  it('leave out what is in the recycle bin, and say no path where none is known', () => {
    assert.deepEqual(told([], [entryOf('a', 'root', { deletedAt: new Date() })]), []);
    assert.deepEqual(told([], [entryOf('a', 'lost/'), entryOf('b/', 'c/'), entryOf('c/', 'b/')]), [
      'CREATED a null in lost/',
      'CREATED b/ null in c/',
      'CREATED c/ null in b/',
    ]);
  });

  it('are the same after they were stored, in a small room', async () => {
    const entries = Array.from({ length: 20_000 }, (_, index) =>
      entryOf(`${10 ** 15 + index * 7919}`, 'root', { name: `IMG_${index}.jpg`, modifiedAt: new Date(index * 1e6) }),
    );
    const snapshot = snapshotOf('root', [entryOf('d/', 'root'), entryOf('x', null), ...entries]);
    const bytes = await packed(snapshot);
    assert.deepEqual(await unpacked(bytes), snapshot);
    assert.ok(bytes.length < 1_000_000, `${bytes.length} bytes`);
    await assert.rejects(unpacked(Buffer.from('garbage')));
  });
});
