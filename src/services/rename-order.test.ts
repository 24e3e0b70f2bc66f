import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DriveEntry } from '../drives/driver.ts';
import { ROOT_ENTRY } from '../drives/pan123/wire.ts';
import { renameGroups } from './rename-order.ts';

const LIMITS = { caseSensitive: true, renamesMax: 30 };

/** Entries of one folder by their names, or by paths where these begin with a slash. */
function groupsOf(renames: readonly (readonly [from: string, to: string])[], limits = LIMITS): string[][] {
  const entries = renames.map(([from]): DriveEntry => {
    const isPath = from.startsWith('/');
    const name = from.slice(from.lastIndexOf('/') + 1);
    return { ...ROOT_ENTRY, ref: `ref of ${from}`, name, parentRef: isPath ? null : '7', path: isPath ? from : null };
  });
  const tasks = renames.map(([from, name]) => ({ ref: `ref of ${from}`, from, name }));
  const now = new Map(entries.map((entry) => [entry.ref, entry]));
  return renameGroups(tasks, now, limits).map((group) => group.map(({ from, name }) => `${from}>${name}`));
}

describe('the order of renames', () => {
  it('is that of the list where names have nothing to do with each other', () => {
    assert.deepEqual(
      groupsOf([
        ['a', 'x'],
        ['b', 'y'],
        ['c', 'c'],
      ]),
      [['a>x', 'b>y', 'c>c']],
    );
  });

  it('frees a name before it is given, one step after the other', () => {
    const chain = [
      ['1', '2'],
      ['2', '3'],
      ['3', '4'],
      ['other', 'name'],
    ] as const;
    assert.deepEqual(groupsOf(chain), [['3>4', 'other>name'], ['2>3'], ['1>2']]);
    assert.deepEqual(groupsOf(chain.toReversed()), [['other>name', '3>4'], ['2>3'], ['1>2']]);
  });

  it('gives a name that two want to the first', () => {
    assert.deepEqual(
      groupsOf([
        ['a', 'x'],
        ['b', 'x'],
        ['x', 'y'],
      ]),
      [['x>y'], ['a>x'], ['b>x']],
    );
  });

  it('keeps those apart who exchange their names, two or more', () => {
    const swap = groupsOf([
      ['a', 'b'],
      ['b', 'a'],
    ]);
    assert.deepEqual(swap, [['b>a'], ['a>b']]);
    const circle = groupsOf([
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'a'],
      ['d', 'a'],
    ]);
    assert.deepEqual(circle.flat().toSorted(), ['a>b', 'b>c', 'c>a', 'd>a']);
    assert.ok(circle.every((group) => group.length === 1));
  });

  it('does what is in a folder before the folder, and minds no name of another folder', () => {
    assert.deepEqual(
      groupsOf([
        ['/a', 'b'],
        ['/a/deep/x', 'a'],
        ['/a/deep', 'x'],
        ['/ab', 'c'],
      ]),
      [['/a/deep/x>a', '/ab>c'], ['/a/deep>x'], ['/a>b']],
    );
  });

  it('takes names that differ in case for one where the drive does', () => {
    const renames = [
      ['A', 'b'],
      ['B', 'c'],
      ['x', 'X'],
    ] as const;
    assert.equal(groupsOf(renames).length, 1);
    assert.deepEqual(groupsOf(renames, { ...LIMITS, caseSensitive: false }), [['B>c', 'x>X'], ['A>b']]);
  });

  it('makes no group larger than the drive takes, and leaves out nobody who is not there', () => {
    const renames = Array.from({ length: 7 }, (_, at) => [`${at}`, `new ${at}`] as const);
    assert.deepEqual(
      groupsOf(renames, { ...LIMITS, renamesMax: 3 }).map((group) => group.length),
      [3, 3, 1],
    );
    const tasks = [{ ref: 'gone', name: 'x' }];
    assert.deepEqual(renameGroups(tasks, new Map(), LIMITS), [tasks]);
  });
});
