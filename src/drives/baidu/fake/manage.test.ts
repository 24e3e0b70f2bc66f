import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Probed } from './probe.ts';
import { probe } from './probe.ts';

const infos = ({ json }: Probed) => (json.info as { errno: number }[]).map(({ errno }) => errno);
const DEMO = '/apps/demo';

test('items of a batch fail by themselves, under 12', async () => {
  const { fake, user, manage } = await probe();
  await using _ = fake;
  for (const name of ['a', 'b', 'd/a']) fake.seedFile(user, `${DEMO}/${name}`, name);
  const move = (name: string, more = {}) => ({ path: `${DEMO}/${name}`, dest: `${DEMO}/d`, newname: name, ...more });
  const moved = await manage('move', [move('a'), move('b'), move('none')]);
  assert.equal(moved.json.errno, 12);
  assert.deepEqual(infos(moved), [-8, 0, -9]);
  assert.ok(fake.entryAt(user, `${DEMO}/d/b`));
  fake.settings.partialErrno = 0;
  const renamed = await manage('rename', [{ path: `${DEMO}/a`, newname: 'a:b' }]);
  assert.deepEqual([renamed.json.errno, ...infos(renamed)], [0, -7]);
  assert.deepEqual(infos(await manage('move', [{ path: `${DEMO}/d`, dest: `${DEMO}/d`, newname: 'd' }])), [2]);
});

test('the same source twice, too many items and misshapen items are refused whole', async () => {
  const { fake, manage } = await probe();
  await using _ = fake;
  const item = { path: `${DEMO}/a`, newname: 'b' };
  assert.equal((await manage('rename', [item, item])).json.errno, 12);
  assert.equal(
    (
      await manage(
        'delete',
        Array.from({ length: 101 }, (_, i) => `${DEMO}/${i}`),
      )
    ).json.errno,
    -33,
  );
  const misshapen: [string, unknown, Record<string, string>?][] = [
    ['delete', [{ path: `${DEMO}/a` }]],
    ['delete', []],
    ['delete', [`${DEMO}/a`], { ondup: 'fail' }],
    ['delete', [`${DEMO}/a`], { async: 'true' }],
    ['copy', [{ path: `${DEMO}/a`, dest: DEMO }]],
    ['move', [{ path: `${DEMO}/a`, dest: DEMO, newname: 'b', name: 'b' }]],
    ['rename', [item], { ondup: 'replace' }],
    ['remove', [`${DEMO}/a`]],
  ];
  for (const [opera, list, form] of misshapen) assert.equal((await manage(opera, list, form)).json.errno, 2, opera);
  assert.equal(fake.violations.length, misshapen.length + 1);
});

test('ondup renames, overwrites or skips', async () => {
  const { fake, user, manage } = await probe();
  await using _ = fake;
  fake.seedFile(user, `${DEMO}/a.txt`, 'new');
  fake.seedFile(user, `${DEMO}/d/a.txt`, 'old');
  const copy = async (ondup: string) =>
    infos(await manage('copy', [{ path: `${DEMO}/a.txt`, dest: `${DEMO}/d`, newname: 'a.txt' }], { ondup }))[0];
  const read = (path: string) => String(fake.bytesAt(user, `${DEMO}/d/${path}`));
  assert.equal(await copy('fail'), -8);
  assert.equal(await copy('skip'), 0);
  assert.equal(read('a.txt'), 'old');
  assert.equal(await copy('newcopy'), 0);
  assert.equal(read('a(1).txt'), 'new');
  assert.equal(await copy('overwrite'), 0);
  assert.equal(read('a.txt'), 'new');
  fake.settings.syncMoveOverwriteFails = true;
  const item = { path: `${DEMO}/a.txt`, dest: `${DEMO}/d`, newname: 'a.txt', ondup: 'overwrite' };
  assert.deepEqual(infos(await manage('move', [item])), [-8]);
});

test('a task runs alone, tells how far it is, and ends by polls or by time', async () => {
  const { fake, user, manage, pan } = await probe();
  await using _ = fake;
  fake.seedFile(user, `${DEMO}/a`, 'x');
  fake.settings.holdTasks = true;
  const started = await manage('rename', [{ path: `${DEMO}/a`, newname: 'b' }], { async: '2' });
  assert.deepEqual(started.json.info, []);
  const query = async () => (await pan('/share/taskquery', { taskid: String(started.json.taskid) })).json;
  assert.equal((await manage('delete', [`${DEMO}/none`])).json.errno, 111);
  assert.equal((await query()).status, 'pending');
  fake.settings.holdTasks = false;
  assert.equal((await query()).status, 'pending');
  assert.equal((await query()).status, 'running');
  assert.ok(fake.entryAt(user, `${DEMO}/a`));
  const done = await query();
  assert.deepEqual([done.status, done.task_errno, done.total], ['success', 0, 1]);
  assert.ok(fake.entryAt(user, `${DEMO}/b`));
  const failing = await manage('rename', [{ path: `${DEMO}/none`, newname: 'b' }], { async: '2' });
  fake.clock.advance(20_000);
  const failed = (await pan('/share/taskquery', { taskid: String(failing.json.taskid) })).json;
  assert.deepEqual([failed.status, failed.task_errno], ['failed', 12]);
  assert.equal((await pan('/share/taskquery', { taskid: '1' })).json.errno, 114);
});

test('changes outside of the application directory are refused, reads by setting', async () => {
  const { fake, user, manage, file } = await probe();
  await using _ = fake;
  fake.seedFile(user, '/mine/a', 'x');
  assert.deepEqual(infos(await manage('delete', ['/mine/a'])), [-7]);
  assert.deepEqual(infos(await manage('copy', [{ path: '/mine/a', dest: DEMO, newname: 'a' }])), [0]);
  fake.settings.scopeErrors = 'gateway';
  assert.equal((await manage('delete', ['/mine/a'])).json.errno, 20020);
  fake.settings.scope = 'all';
  assert.equal((await file('list', { dir: '/mine' })).json.errno, 20020);
  fake.settings.scope = 'open';
  assert.equal((await manage('delete', ['/mine/a'])).json.errno, 0);
});

test('what is deleted lies in the recycle bin, which the web alone reads', async () => {
  const { fake, user, manage, call } = await probe();
  await using _ = fake;
  const { fsId } = fake.seedFile(user, `${DEMO}/d/a`, 'x');
  await manage('delete', [`${DEMO}/d`]);
  assert.deepEqual(fake.recycled(user), [`${DEMO}/d`]);
  assert.equal(fake.entryAt(user, `${DEMO}/d/a`), null);
  const headers = { referer: 'https://pan.baidu.com/' };
  const list = () => call('pan', '/api/recycle/list', { page: '1', num: '100' }, { headers });
  assert.equal((await list()).status, 400);
  fake.settings.webEndpoints = true;
  const [row] = (await list()).json.list as { fs_id: string; path: string; leftTime: number }[];
  assert.deepEqual([row?.path, row?.leftTime], [`${DEMO}/d`, 864_000]);
  const body = new URLSearchParams({ fidlist: `[${row?.fs_id},7]` });
  const restored = await call('pan', '/api/recycle/restore', { async: '1' }, { method: 'POST', headers, body });
  assert.deepEqual(restored.json.faillist, [7]);
  assert.equal(fake.entryAt(user, `${DEMO}/d/a`)?.fsId, fsId);
});
