import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listing } from '../../../test/support/listing.ts';
import { memoryDrive } from '../../../test/support/memory-drive.ts';
import type { CallContext, ProviderId } from '../driver.ts';
import { DriveError } from '../errors.ts';
import { openDrive } from '../open.ts';
import { AGE_MAX_MS, ReadCache } from '../read-cache.ts';

const { signal } = new AbortController();
const fresh: CallContext = { signal };
const relaxed: CallContext = { signal, maxAgeMs: 10_000 };
const PAGE = { cursor: null, limit: 100 };

/** A drive behind a cache whose time is in the test's hand. */
function setUp() {
  let ms = 0;
  const written: string[] = [];
  const memory = memoryDrive({ acts: ['statMany', 'createFolder', 'searchByName', 'usage', 'count', 'remove'] });
  memory.put('/docs/a.txt', '/docs/b.txt', '/docs/c.txt');
  const reads = new ReadCache({
    now: () => new Date(ms),
    nowMs: () => ms,
    onWrite: (accountId) => void written.push(accountId),
  });
  const open = (id = 'account') => openDrive(memory.definition, { id, settings: {} }, undefined as never, { reads });
  return { memory, reads, written, open, ...open(), pass: (by: number) => (ms += by) };
}

const ref = (name: string, index: number): string => `ref/${name}:${index}`;
const DOCS = ref('docs', 1);
const A = ref('a.txt', 2);
const B = ref('b.txt', 3);

describe('reads of a drive', () => {
  it('are given again only to who allows their age, with the time of the first', async () => {
    const { driver, memory, pass } = setUp();
    const first = await listing(driver)(DOCS, {}, PAGE, fresh);
    assert.deepEqual(first.fetchedAt, new Date(0));
    pass(9_999);
    const again = await listing(driver)(DOCS, {}, PAGE, relaxed);
    assert.deepEqual([again.fetchedAt, again.items], [new Date(0), first.items]);
    assert.deepEqual(memory.calls, ['list']);
    assert.deepEqual((await listing(driver)(DOCS, {}, PAGE, fresh)).fetchedAt, new Date(9_999));
    pass(10_000);
    await listing(driver)(DOCS, {}, PAGE, relaxed);
    assert.deepEqual(memory.calls, ['list', 'list', 'list']);
    pass(AGE_MAX_MS);
    await listing(driver)(DOCS, {}, PAGE, { signal, maxAgeMs: 1e9 });
    assert.equal(memory.calls.length, 4);
  });

  it('tell apart what is asked: the folder, the page, the options, the account', async () => {
    const { driver, memory, open } = setUp();
    await listing(driver)(DOCS, {}, PAGE, relaxed);
    await listing(driver)(DOCS, { kind: 'FILE' }, PAGE, relaxed);
    await listing(driver)(DOCS, {}, { ...PAGE, limit: 1 }, relaxed);
    await listing(driver)('root', {}, PAGE, relaxed);
    await driver.count?.(DOCS, {}, relaxed);
    await listing(open('another').driver)(DOCS, {}, PAGE, relaxed);
    assert.deepEqual(memory.calls, ['list', 'list', 'list', 'list', 'count', 'list']);
    await listing(open().driver)(DOCS, {}, PAGE, relaxed);
    assert.equal(memory.calls.length, 6, 'another opening of the account has the same reads');
  });

  it('are old after any change of the account, also one that failed', async () => {
    const { driver, memory, written, open } = setUp();
    const other = open('another').driver;
    await listing(driver)(DOCS, {}, PAGE, relaxed);
    await listing(other)(DOCS, {}, PAGE, relaxed);
    await driver.createFolder?.(DOCS, 'new', fresh);
    assert.equal((await listing(driver)(DOCS, {}, PAGE, relaxed)).items.length, 4);
    await listing(other)(DOCS, {}, PAGE, relaxed);
    assert.deepEqual(memory.calls, ['list', 'list', 'createFolder', 'list']);
    await assert.rejects(async () => driver.createFolder?.(DOCS, 'new', fresh));
    await listing(driver)(DOCS, {}, PAGE, relaxed);
    assert.equal(memory.calls.at(-1), 'list');
    assert.deepEqual(written, ['account', 'account']);
  });

  it('that began before a change are not given after it', async () => {
    const { driver, reads, memory } = setUp();
    const before = listing(driver)(DOCS, {}, PAGE, relaxed);
    await driver.remove?.(A, {}, fresh);
    const after = listing(driver)(DOCS, {}, PAGE, relaxed);
    assert.equal((await after).items.length, 2);
    await before;
    assert.equal((await listing(driver)(DOCS, {}, PAGE, relaxed)).items.length, 2);
    assert.deepEqual(memory.calls, ['list', 'remove', 'list']);
    reads.forget('account');
    await listing(driver)(DOCS, {}, PAGE, relaxed);
    assert.equal(memory.calls.length, 4);
  });

  it('that are equal and come together are one, for fresh ones too', async () => {
    const { driver, memory } = setUp();
    const pages = await Promise.all([1, 2, 3].map(() => listing(driver)(DOCS, {}, PAGE, fresh)));
    assert.deepEqual(
      pages.map(({ items }) => items.length),
      [3, 3, 3],
    );
    assert.deepEqual(memory.calls, ['list']);
    await Promise.all([
      listing(driver)(DOCS, {}, PAGE, fresh),
      listing(driver)(DOCS, {}, PAGE, { signal, priority: 'bulk' }),
    ]);
    assert.equal(memory.calls.length, 3, 'a person does not wait for the turn of a job');
  });

  it('are left by who gives up, and go on for the others', async () => {
    const { driver, memory } = setUp();
    const leaver = new AbortController();
    const left = listing(driver)(DOCS, {}, PAGE, { signal: leaver.signal });
    const stays = listing(driver)(DOCS, {}, PAGE, fresh);
    leaver.abort();
    await assert.rejects(left, { category: 'cancelled', operation: 'list' });
    assert.equal((await stays).items.length, 3);
    assert.deepEqual(memory.calls, ['list']);
  });

  it('that fail are not kept', async () => {
    const { driver, memory } = setUp();
    memory.fail('list', new DriveError('unavailable', 'Broken.', { provider: 'NETDISK' }));
    await assert.rejects(listing(driver)(DOCS, {}, PAGE, relaxed), { category: 'unavailable' });
    memory.mend();
    assert.equal((await listing(driver)(DOCS, {}, PAGE, relaxed)).items.length, 3);
  });

  it('of many entries ask only for those that are not kept, and do not keep what is missing', async () => {
    const { driver, memory } = setUp();
    assert.equal((await driver.stat(A, relaxed)).name, 'a.txt');
    const many = await driver.statMany?.([B, A, 'gone', B], relaxed);
    assert.deepEqual(
      many?.map((entry) => entry?.name),
      ['b.txt', 'a.txt', undefined, 'b.txt'],
    );
    await driver.statMany?.([A, B], relaxed);
    await driver.stat(B, relaxed);
    assert.deepEqual(memory.calls, ['stat', 'statMany']);
    await driver.statMany?.(['gone'], relaxed);
    await driver.statMany?.([A], fresh);
    assert.deepEqual(memory.calls, ['stat', 'statMany', 'statMany', 'statMany']);
  });

  it('are not kept of searches, and of a drive on this machine', async () => {
    const { driver, memory, reads } = setUp();
    for (let time = 0; time < 2; time += 1) await driver.searchByName?.({ query: 'a' }, PAGE, relaxed);
    assert.deepEqual(memory.calls, ['searchByName', 'searchByName']);
    const here = memoryDrive({ id: 'LOCAL' as ProviderId });
    const definition = { ...here.definition, linkMethods: ['NONE'] as const };
    const drive = openDrive(definition, { id: 'account', settings: {} }, undefined as never, { reads });
    for (let time = 0; time < 2; time += 1) {
      assert.equal((await listing(drive.driver)('root', {}, PAGE, relaxed)).fetchedAt, undefined);
    }
    assert.deepEqual(here.calls, ['list', 'list']);
  });
});
