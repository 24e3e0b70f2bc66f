import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openPan123Fixture, type Pan123Fixture } from '../../../test/conformance/fixtures/pan123.ts';
import { call, Subject } from '../../../test/conformance/subject.ts';
import type { RenameResult } from '../contract/renaming.ts';

const RENAME = '/api/v1/file/rename';

describe('renaming several entries at 123pan', { timeout: 60_000 }, () => {
  let pan: Pan123Fixture;
  let subject: Subject;

  beforeEach(async () => {
    pan = await openPan123Fixture();
    subject = new Subject(pan);
  });
  afterEach(() => pan.close());

  const seed = (path: string): string => String(pan.fake.seedFile(pan.user, path, path).id);
  const many = (...renamings: readonly (readonly [ref: string, name: string])[]) =>
    subject.run(
      'renameMany',
      renamings.map(([ref, name]) => ({ ref, name })),
      call,
    );
  const told = ({ entry, error }: RenameResult): string => entry?.name ?? error?.category ?? '';

  it('is one call, whose items are one text each: the id, a bar, the name', async () => {
    const [one, two] = [seed('/1.txt'), seed('/2.txt')];
    assert.deepEqual((await many([one, '文 &%+ 1.txt'], [two, 'two.txt'])).map(told), ['文 &%+ 1.txt', 'two.txt']);
    const requests = pan.fake.requests.filter(({ path }) => path === RENAME);
    assert.deepEqual(
      requests.map(({ method, json }) => [method, json]),
      [['POST', { renameList: [`${one}|文 &%+ 1.txt`, `${two}|two.txt`] }]],
    );
    assert.equal(pan.fake.count('/api/v1/file/name'), 0);
  });

  it('refuses a name with a bar, or another character that 123pan does not take, and sends the others', async () => {
    const names = ['a|b', `x|${seed('/x.txt')}`, 'a?b', 'a"b', '   ', `${'n'.repeat(255)}`, '..'];
    const refs = names.map((_, at) => seed(`/${at}.txt`));
    const good = seed('/good.txt');
    const results = await many(...names.map((name, at) => [refs[at] ?? '', name] as const), [good, 'better.txt']);
    assert.deepEqual(results.map(told), [...names.map(() => 'invalid_argument'), 'better.txt']);
    const json = pan.fake.requests.find(({ path }) => path === RENAME)?.json;
    assert.deepEqual(json, { renameList: [`${good}|better.txt`] });
  });

  it('sends nothing where nothing is to be done', async () => {
    const ref = seed('/same.txt');
    assert.deepEqual((await many([ref, 'same.txt'], ['123', 'gone.txt'])).map(told), ['same.txt', 'not_found']);
    assert.equal(pan.fake.count(RENAME), 0);
  });

  it('believes what is there more than an answer without lists, or one that was lost', async () => {
    const [one, two, there] = [seed('/1.txt'), seed('/2.txt'), seed('/there.txt')];
    pan.fake.settings.renameAnswer = 'null';
    const results = await many([one, 'new.txt'], [two, 'there.txt']);
    assert.deepEqual(results.map(told), ['new.txt', 'already_exists']);
    assert.equal(results[1]?.error?.existingRef, there);
    pan.fake.faults.inject({ kind: 'code', code: 0, message: 'ok', match: { path: RENAME } });
    assert.deepEqual((await many([one, 'x.txt'])).map(told), ['unavailable'], 'nobody did anything, or said why');
    pan.fake.settings.renameAnswer = 'lists';
    pan.fake.faults.inject({ kind: 'cut', phase: 'after', match: { path: RENAME }, times: 99 });
    assert.deepEqual((await many([one, 'newer.txt'], [two, '2b.txt'])).map(told), ['newer.txt', '2b.txt']);
    pan.fake.faults.clear();
    const [taken] = await many([two, 'there.txt'], [one, 'newest.txt']);
    assert.deepEqual([taken?.error?.category, taken?.error?.existingRef], ['already_exists', there]);
  });

  it('reads a folder once to tell what has the names, and says what a code means that fails them all', async () => {
    const [one, two] = [seed('/in/1.txt'), seed('/in/2.txt')];
    const [a, b] = [seed('/in/a.txt'), seed('/in/b.txt')];
    const results = await many([one, 'a.txt'], [two, 'b.txt']);
    assert.deepEqual(
      results.map(({ error }) => error?.existingRef),
      [a, b],
    );
    assert.equal(pan.fake.count('/api/v2/file/list'), 1);
    pan.fake.faults.inject({ kind: 'code', code: 1, message: '禁止操作', match: { path: RENAME }, times: 99 });
    assert.deepEqual((await many([one, 'x.txt'], [two, 'y.txt'])).map(told), [
      'permission_denied',
      'permission_denied',
    ]);
    pan.fake.faults.clear();
  });
});
