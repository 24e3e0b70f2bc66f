import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type NetdiskFixture, openNetdiskFixture } from '../../../test/conformance/fixtures/netdisk.ts';
import type { ConflictPolicy } from '../driver.ts';
import { reachable } from './links.ts';

const call = { signal: new AbortController().signal };

describe('what is peculiar to a Netdisk server', () => {
  let fixture: NetdiskFixture;
  before(async () => {
    fixture = await openNetdiskFixture();
    fixture.user.world.put('/docs', null);
  });
  after(() => fixture.close());
  beforeEach(() => {
    fixture.fake.clear();
    Object.assign(fixture.fake.settings, { uploadTo: 'folder', deleteBy: 'POST json', ranges: false, lengths: true });
  });

  const content = async (ref: string, range: Parameters<typeof fixture.drive.driver.read>[1] = null): Promise<string> =>
    Buffer.concat(await (await fixture.drive.driver.read(ref, range, call)).toArray()).toString();
  const put = async (name: string, text: string, onConflict: ConflictPolicy = 'FAIL') => {
    const file = await fixture.spool(Buffer.from(text));
    const plan = { parentRef: '/docs', name, sizeBytes: file.sizeBytes, hashes: {}, onConflict };
    return fixture.drive.run('adopt', plan, file, call);
  };

  it('a file of JSON is given as it is, and whole or in part', async () => {
    const text = JSON.stringify({ code: 404, other: 'x'.repeat(100) });
    await put('a.json', text);
    assert.equal(await content('/docs/a.json'), text);
    assert.equal(await content('/docs/a.json', { start: 2, end: 5 }), text.slice(2, 6));
    assert.equal(await content('/docs/a.json', { start: text.length - 1, end: null }), '}');
  });

  it('a failure that comes with HTTP 200 in place of a file is no file', async () => {
    // A file of just these bytes would be taken for one: the server leaves no way to tell.
    await put('b.json', '{"code":404,"state":"exception","msg":"file not found","data":null}');
    await assert.rejects(content('/docs/b.json'), { category: 'not_found', providerCode: '404' });
  });

  it('a look at what is not there makes no folder', async () => {
    await assert.rejects(content('/docs/nowhere'), { category: 'not_found' });
    assert.equal(fixture.user.world.kindOf('/docs/nowhere'), null);
  });

  it('a name that is taken: refused, numbered, skipped or replaced', async () => {
    await put('c.txt', 'old');
    await assert.rejects(put('c.txt', 'new'), { category: 'already_exists', existingRef: '/docs/c.txt' });
    assert.equal((await put('c.txt', 'numbered', 'RENAME')).ref, '/docs/c (2).txt');
    assert.equal((await put('c.txt', 'skipped', 'SKIP')).ref, '/docs/c.txt');
    assert.equal(await content('/docs/c.txt'), 'old');
    const replaced = await put('c.txt', 'replaced', 'REPLACE');
    assert.deepEqual([replaced.ref, await content('/docs/c.txt')], ['/docs/c.txt', 'replaced']);
    assert.deepEqual(
      fixture.user.world.namesIn('/docs').filter((name) => name.startsWith('c') || name.startsWith('.')),
      ['c (2).txt', 'c.txt'],
    );
    await assert.rejects(
      put('docs', 'x', 'REPLACE').then(() => put('../docs', 'x')),
      { category: 'invalid_argument' },
    );
  });

  it('a file is measured without being read, and read in parts by servers of both kinds', async () => {
    const text = '0123456789'.repeat(1000);
    await put('m.bin', text);
    await put('m.json', '{"code":200}');
    await put('nothing.bin', '');
    const measure = (name: string) => fixture.drive.run('measure', `/docs/${name}`, call);
    for (const ranges of [false, true]) {
      fixture.fake.settings.ranges = ranges;
      assert.deepEqual(await measure('m.bin'), { sizeBytes: 10_000, parts: ranges });
      assert.deepEqual(await measure('m.json'), { sizeBytes: 12, parts: ranges });
      assert.deepEqual(await measure('nothing.bin'), { sizeBytes: 0, parts: ranges });
      assert.equal(await content('/docs/m.bin', { start: 9_995, end: null }), '56789');
      assert.equal(await content('/docs/m.bin', { start: 4_321, end: 4_325 }), '12345');
    }
    Object.assign(fixture.fake.settings, { ranges: false, lengths: false });
    assert.deepEqual(await measure('m.bin'), { sizeBytes: null, parts: false });
    await assert.rejects(measure('none.bin'), { category: 'not_found' });
  });

  it('an upload goes by the path of the file where the server wants that', async () => {
    fixture.fake.settings.uploadTo = 'file';
    assert.equal((await put('by path.txt', 'one')).ref, '/docs/by path.txt');
    assert.equal(await content('/docs/by path.txt'), 'one');
    await assert.rejects(put('by path.txt', 'two'), { category: 'already_exists' });
    assert.equal((await put('by path.txt', 'two', 'REPLACE')).ref, '/docs/by path.txt');
    assert.equal(await content('/docs/by path.txt'), 'two');
  });

  it('a deletion is told in a form where the server reads no JSON', async () => {
    fixture.fake.settings.deleteBy = 'POST form';
    await put('gone.txt', 'x');
    await fixture.drive.run('remove', '/docs/gone.txt', {}, call);
    assert.equal(fixture.user.world.kindOf('/docs/gone.txt'), null);
  });

  it('a replacement that fails leaves nothing of itself', async () => {
    await put('kept.txt', 'old');
    const names = () => fixture.user.world.namesIn('/docs').filter((name) => name.startsWith('.panql'));
    fixture.fake.failNext('deleteFile');
    await assert.rejects(put('kept.txt', 'new', 'REPLACE'), { category: 'unavailable' });
    assert.deepEqual([await content('/docs/kept.txt'), names()], ['old', []]);
  });

  it('a replacement that was tried again leaves nothing of the try that died', async () => {
    await put('again.txt', 'old');
    const { world } = fixture.user;
    const file = await fixture.spool(Buffer.from('new'));
    const plan = { parentRef: '/docs', name: 'again.txt', sizeBytes: file.sizeBytes, hashes: {} };
    const replace = () => fixture.drive.run('adopt', { ...plan, onConflict: 'REPLACE', transferId: 'job' }, file, call);
    for (const died of ['before the old one was deleted', 'before the new one was renamed']) {
      world.put('/docs/.panql-job.part', Buffer.from('half'));
      if (died.endsWith('renamed')) world.remove('/docs/again.txt');
      assert.equal((await replace()).ref, '/docs/again.txt', died);
      const left = world.namesIn('/docs').filter((name) => name.startsWith('.panql'));
      assert.deepEqual([await content('/docs/again.txt'), left], ['new', []], died);
    }
  });

  it('a link for a quarter of an hour leads to the bytes without a token', async () => {
    await put('d.txt', 'linked');
    const { url, headers, expiresAt } = await fixture.drive.run('link', '/docs/d.txt', call);
    assert.deepEqual(headers, {});
    assert.ok(Math.abs((expiresAt?.getTime() ?? 0) - Date.now() - 15 * 60_000) < 60_000);
    assert.equal(await (await fetch(url)).text(), 'linked');
    await assert.rejects(fixture.drive.run('link', '/docs', call), { category: 'wrong_kind' });
  });

  it('a link to the server’s own machine becomes one to the address that it was linked by', () => {
    const link = 'http://127.0.0.1/Netdisk/download/eyJ.x_-y';
    assert.equal(
      reachable(link, 'http://192.168.1.5:8080/Netdisk'),
      'http://192.168.1.5:8080/Netdisk/download/eyJ.x_-y',
    );
    assert.equal(reachable(link, 'http://127.0.0.1:8080/Netdisk'), link);
    const named = 'https://files.example.com/Netdisk/download/eyJ.x_-y';
    assert.equal(reachable(named, 'http://192.168.1.5/Netdisk'), named);
  });

  it('a share is of one file, and keeps nothing that the server does not', async () => {
    const options = { days: null, password: null, remark: null, ticket: null };
    const share = await fixture.drive.run('shares.create', ['/docs/d.txt'], options, call);
    assert.equal(share.expiresAt, null);
    for (const [refs, more] of [
      [['/docs/d.txt', '/docs/c.txt'], {}],
      [['/docs/d.txt'], { remark: 'For you' }],
    ] as const) {
      const made = fixture.drive.run('shares.create', refs, { ...options, ...more }, call);
      await assert.rejects(made, { category: 'invalid_argument' });
    }
  });

  it('another’s files are not seen, and no password or token is logged', async () => {
    const other = fixture.fake.createUser();
    other.world.put('/theirs.txt', Buffer.from('x'));
    const drive = await fixture.openAnother(other);
    assert.equal((await drive.driver.stat('/theirs.txt', call)).name, 'theirs.txt');
    await assert.rejects(fixture.drive.driver.stat('/theirs.txt', call), { category: 'not_found' });
    assert.ok(fixture.lines.length > 0);
    const logged = fixture.lines.join('');
    for (const secret of [other.password, fixture.user.password, 'eyJhbGci']) assert.ok(!logged.includes(secret));
  });
});
