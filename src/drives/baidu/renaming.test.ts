import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type BaiduFixture, openBaiduFixture } from '../../../test/conformance/fixtures/baidu.ts';
import { call, Subject } from '../../../test/conformance/subject.ts';
import type { RenameResult } from '../contract/renaming.ts';

describe('renaming several entries at Baidu', { timeout: 60_000 }, () => {
  let baidu: BaiduFixture;
  let subject: Subject;
  let refs: readonly string[];
  let there: string;

  beforeEach(async () => {
    baidu = await openBaiduFixture();
    subject = new Subject(baidu);
    const folder = await subject.newFolder();
    there = (await subject.put(folder.ref, 'there.txt')).ref;
    const made = ['1.txt', '2.txt', '3.txt'].map((name) => subject.put(folder.ref, name));
    refs = (await Promise.all(made)).map(({ ref }) => ref);
  });
  afterEach(() => baidu.close());

  const many = (...names: readonly string[]) =>
    subject.run(
      'renameMany',
      names.map((name, at) => ({ ref: refs[at] ?? '', name })),
      call,
    );
  const told = ({ entry, error }: RenameResult): string => entry?.name ?? error?.category ?? '';
  const calls = (): number => baidu.fake.count('rename');

  it('is one call for all', async () => {
    assert.deepEqual((await many('a.txt', 'b.txt', 'c.txt')).map(told), ['a.txt', 'b.txt', 'c.txt']);
    assert.equal(calls(), 1);
  });

  for (const [how, set] of [
    ['in an answer that says so of the whole', () => {}],
    ['in an answer that says it of the item alone', () => Object.assign(baidu.fake.settings, { partialErrno: 0 })],
    ['by a task that was left behind', () => Object.assign(baidu.fake.settings, { adaptiveItems: 0 })],
  ] as const) {
    it(`tells of each why it failed, ${how}`, async () => {
      set();
      const results = await many('there.txt', 'a?b', 'c.txt');
      assert.deepEqual(results.map(told), ['already_exists', 'invalid_argument', 'c.txt']);
      assert.equal(results[0]?.error?.existingRef, there);
      const [entry] = results.flatMap((result) => result.entry ?? []);
      assert.equal(entry?.ref, refs[2], 'the entry is the one that it was');
      assert.equal(calls(), 1);
    });
  }

  it('looks what became of them when the answer was lost, and does not send it again', async () => {
    baidu.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'rename' } });
    assert.deepEqual((await many('a.txt', 'b.txt')).map(told), ['a.txt', 'b.txt']);
    baidu.fake.faults.inject({ kind: 'cut', phase: 'before', match: { endpoint: 'rename' } });
    assert.deepEqual((await many('c.txt', 'd.txt')).map(told), ['unavailable', 'unavailable']);
    assert.equal(calls(), 2);
  });

  it('waits while another task of the account runs', async () => {
    const busy = baidu.fake.faults.inject({ kind: 'errno', errno: 111, match: { endpoint: 'rename' } });
    assert.deepEqual((await many('a.txt', 'b.txt')).map(told), ['a.txt', 'b.txt']);
    assert.deepEqual([busy.hits, baidu.fake.refreshes], [1, 0]);
  });
});
