import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probe } from './probe.ts';

type Row = Readonly<Record<string, unknown>>;
const rows = (value: unknown): Row[] => value as Row[];
const names = (value: unknown) => rows(value).map((row) => row.server_filename ?? row.filename);

test('list sorts directories first, pages without has_more and refuses large pages', async () => {
  const { fake, user, file } = await probe();
  await using _ = fake;
  for (const name of ['b.txt', 'a.txt', 'c.jpg']) fake.seedFile(user, `/apps/demo/${name}`, name);
  fake.seedFolder(user, '/apps/demo/z/below');
  const dir = '/apps/demo';
  const { json } = await file('list', { dir, limit: '3' });
  assert.deepEqual(names(json.list), ['z', 'a.txt', 'b.txt']);
  assert.equal('has_more' in json, false);
  assert.deepEqual(names((await file('list', { dir, start: '3', limit: '3' })).json.list), ['c.jpg']);
  assert.deepEqual(names((await file('list', { dir, desc: '1' })).json.list), ['z', 'c.jpg', 'b.txt', 'a.txt']);
  const web = rows((await file('list', { dir, web: '1' })).json.list);
  assert.equal(web[0]?.dir_empty, 0);
  assert.equal(web.filter((row) => 'thumbs' in row).length, 1);
  assert.deepEqual((await file('list', { dir, folder: '1' })).json.list, [{ path: '/apps/demo/z' }]);
  assert.equal((await file('list', { dir: '/apps/none' })).json.errno, -9);
  assert.deepEqual(fake.violations, []);
  for (const [name, value] of ['limit=1001', 'order=date', 'web=true', 'dir=/apps/', 'path=/'].map((pair) =>
    pair.split('='),
  )) {
    assert.equal((await file('list', { [String(name)]: String(value) })).json.errno, 2, name);
  }
  assert.equal(fake.violations.length, 5);
});

test('listall goes on by its cursor only, and ten times a minute', async () => {
  const { fake, user, multimedia } = await probe();
  await using _ = fake;
  for (const name of ['a', 'b', 'd/c']) fake.seedFile(user, `/apps/demo/${name}`, name);
  const seen: unknown[] = [];
  let start = '0';
  for (let more = 1; more === 1; ) {
    const { json } = await multimedia('listall', { path: '/apps/demo', recursion: '1', start, limit: '2' });
    seen.push(...names(json.list));
    assert.equal(typeof json.request_id, 'string');
    more = Number(json.has_more);
    start = String(json.cursor);
  }
  assert.deepEqual(seen, ['d', 'a', 'b', 'c']);
  assert.equal((await multimedia('listall', { path: '/apps/demo', start: '2' })).json.errno, 2);
  assert.equal((await multimedia('listall', { path: '/none' })).json.errno, 31066);
  for (let call = 0; call < 6; call++) await multimedia('listall', { path: '/' });
  assert.equal((await multimedia('listall', { path: '/' })).json.errno, 31034);
  fake.clock.advance(60_000);
  assert.equal((await multimedia('listall', { path: '/' })).json.errno, 0);
});

test('the typed lists answer under info, and everything without a page', async () => {
  const { fake, user, file } = await probe();
  await using _ = fake;
  for (const name of ['a.mp4', 'b.mp4', 'c.pdf', 'd.torrent', 'e/f.mp4'])
    fake.seedFile(user, `/apps/demo/${name}`, name);
  const parent_path = '/apps/demo';
  assert.deepEqual(names((await file('videolist', { parent_path, num: '1' })).json.info), ['b.mp4', 'a.mp4']);
  assert.equal(rows((await file('videolist', { parent_path, num: '1', page: '2' })).json.info).length, 1);
  assert.equal(rows((await file('videolist', { parent_path, recursion: '1' })).json.info).length, 3);
  const [document] = rows((await file('doclist', { parent_path, web: '1' })).json.info);
  assert.match(String(document?.docpreview), /^http/);
  assert.deepEqual(names((await file('btlist', { parent_path })).json.info), ['d.torrent']);
  assert.equal((await file('imagelist', { page: '0' })).json.errno, 2);
});

test('kinds are counted and listed', async () => {
  const { fake, user, pan, multimedia } = await probe();
  await using _ = fake;
  fake.seedFile(user, '/apps/demo/a.jpg', 'four');
  fake.seedFile(user, '/apps/demo/d/b.txt', 'txt');
  const { json } = await pan('/api/categoryinfo', { category: '3,4' });
  const counts = json.info as Record<string, Row>;
  assert.deepEqual(Object.keys(counts), ['3', '4']);
  assert.deepEqual([counts['3']?.size, counts['4']?.count], [4, 1]);
  const found = await multimedia('categorylist', { category: '3,4', recursion: '1', ext: 'txt' });
  assert.deepEqual(names(found.json.list), ['b.txt']);
  assert.equal((await multimedia('categorylist', { category: '3', recursion: '1', show_dir: '1' })).json.errno, 2);
  assert.equal((await multimedia('categorylist', { category: '8' })).json.errno, 2);
});

test('filemetas takes whole numbers only, and leaves out what it does not know', async () => {
  const { fake, user, multimedia } = await probe({ settings: { fsIds: 'huge' } });
  await using _ = fake;
  const video = fake.seedFile(user, '/apps/demo/v.mp4', 'video', { durationMs: 2500, width: 1280, height: 720 });
  const picture = fake.seedFile(user, '/apps/demo/p.jpg', 'picture', { width: 3, height: 2 });
  const all = { dlink: '1', thumb: '1', extra: '1', needmedia: '1', detail: '1' };
  const { json, text } = await multimedia('filemetas', { fsids: `[${video.fsId},1,${picture.fsId}]`, ...all });
  const list = rows(json.list);
  assert.equal(list.length, 2);
  assert.match(text, /\\u0026rt=pr/);
  const found = list.find((row) => row.fs_id === video.fsId);
  assert.equal(found?.duration, 3);
  assert.equal((found?.media_info as Row | undefined)?.file_size, '5');
  assert.equal('server_filename' in (found ?? {}), false);
  assert.equal(Object.keys(list.find((row) => row.fs_id === picture.fsId)?.thumbs as Row).length, 5);
  for (const fsids of [`["${video.fsId}"]`, '[]', '1', '[1.5]', `[${Array.from({ length: 101 }, (_, i) => i)}]`]) {
    assert.equal((await multimedia('filemetas', { fsids })).json.errno, 2, fsids.slice(0, 20));
  }
  assert.deepEqual((await multimedia('filemetas', { fsids: `[${video.fsId}]`, path: '/1-2' })).json.list, []);
});

test('search stays in its directory unless recursion is named, lags, and limits its key', async () => {
  const { fake, user, file } = await probe({ settings: { searchLagMs: 60_000 } });
  await using _ = fake;
  fake.seedFile(user, '/apps/demo/report.txt', 'x');
  fake.seedFile(user, '/apps/demo/d/report.pdf', 'x');
  const search = async (more: Record<string, string> = {}) =>
    names((await file('search', { key: 'REPORT', dir: '/apps/demo', ...more })).json.list);
  assert.deepEqual(await search(), []);
  fake.clock.advance(61_000);
  assert.deepEqual(await search(), ['report.txt']);
  assert.equal((await search({ recursion: '0' })).length, 2);
  fake.removeEntry(user, '/apps/demo/report.txt');
  assert.deepEqual(await search(), ['report.txt']);
  assert.equal((await file('search', { key: '字'.repeat(31) })).json.errno, 2);
  assert.equal((await file('search', { key: 'a', page: '0' })).json.errno, 2);
});

test('the semantic search wants a grant and the body {}', async () => {
  const { fake, user, call } = await probe({}, { searchGrant: true });
  await using _ = fake;
  fake.seedFile(user, '/apps/demo/cat.jpg', 'x');
  const query = { scene: 'mcpserver', query: 'cat', dir: '["/"]' };
  const init = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const found = await call('pan', '/xpan/unisearch', query, { ...init, body: '{}' });
  assert.equal(found.json.error_no, 0);
  assert.deepEqual(
    rows(found.json.data).map((group) => group.source),
    [4, 11],
  );
  assert.equal((await call('pan', '/xpan/unisearch', query, init)).json.error_no, 2);
  const other = fake.grant(fake.createUser()).accessToken;
  const refused = await call('pan', '/xpan/unisearch', { ...query, access_token: other }, { ...init, body: '{}' });
  assert.equal(refused.json.errno, 20013);
});

test('what does not exist is refused as on the real hosts', async () => {
  const { fake, pan, post } = await probe();
  await using _ = fake;
  assert.equal((await pan('/rest/2.0/xpan/offline', { method: 'list_task' })).status, 403);
  assert.deepEqual((await pan('/rest/2.0/xpan/file', { method: 'lst' })).json.error_code, 3);
  assert.equal((await post('/rest/2.0/xpan/file', { method: 'list' }, {})).json.errno, 2);
  assert.equal((await pan('/nowhere', {})).status, 404);
});

test('the account answers', async () => {
  const { fake, user, pan } = await probe({}, { vipType: 2, totalBytes: 100, otherUsedBytes: 500 });
  await using _ = fake;
  const nas = '/rest/2.0/xpan/nas';
  const info = await pan(nas, { method: 'uinfo', vip_version: 'v2' });
  assert.deepEqual([info.json.vip_type, info.json.uk], [2, user.uk]);
  assert.equal((await pan(nas, { method: 'uinfo' })).json.vip_type, 0);
  const { json } = await pan('/api/quota', { checkfree: '1', checkexpire: '1' });
  assert.deepEqual([json.total, json.used, json.expire], [100, 500, false]);
});
