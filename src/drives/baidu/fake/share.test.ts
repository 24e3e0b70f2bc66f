import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probe, probeAs } from './probe.ts';

const at = (name: string) => `/apaas/1.0/share/${name}`;

async function shared() {
  const owner = await probe({}, { shareGrant: true });
  const { fake, user, post } = owner;
  const file = fake.seedFile(user, '/apps/demo/a.txt', 'shared');
  const directory = fake.seedFolder(user, '/apps/demo/d');
  fake.seedFile(user, '/apps/demo/d/b.txt', 'below');
  const query = { appid: fake.app.appId, product: 'netdisk' };
  const form = { fsid_list: `["${file.fsId}","${directory.fsId}"]`, period: '7', pwd: '12zx' };
  const set = (more: Record<string, string> = {}) => post(at('set'), query, { ...form, ...more });
  return { ...owner, query, set, file, directory };
}

const dataOf = (json: Readonly<Record<string, unknown>>) => json.data as Record<string, unknown>;

test('a share is made of strings, with a period and a password, by those who may', async () => {
  const { fake, set, file, query } = await shared();
  await using _ = fake;
  const made = await set();
  assert.equal(made.json.errno, 0);
  assert.equal(typeof made.json.request_id, 'string');
  assert.equal(dataOf(made.json).link, `https://pan.baidu.com/netdisk/share?surl=${dataOf(made.json).short_url}`);
  const misshapen: Record<string, string>[] = [
    { fsid_list: `[${file.fsId}]` },
    { period: '0' },
    { pwd: 'ABCD' },
    { pwd: '123' },
  ];
  for (const wrong of misshapen) {
    assert.equal((await set(wrong)).json.errno, 2, JSON.stringify(wrong));
  }
  assert.equal((await set({ fsid_list: '["1"]' })).json.errno, -3);
  const stranger = probeAs(fake, fake.createUser());
  assert.equal(
    (await stranger.post(at('set'), query, { fsid_list: '["1"]', period: '1', pwd: 'aaaa' })).json.errno,
    13998,
  );
});

test('another account opens a share, reads it and takes it over', async () => {
  const { fake, user, query, set, file, directory, post } = await shared();
  await using _ = fake;
  const { short_url } = dataOf((await set()).json);
  const link = { ...query, short_url: String(short_url) };
  const receiver = fake.createUser({ shareGrant: true });
  const other = probeAs(fake, receiver);
  const call = async (name: string, form: Record<string, string>) => (await other.post(at(name), link, form)).json;
  assert.equal((await call('verify', { pwd: '0000' })).errno, -12);
  assert.equal((await call('list', { spwd: 'guess' })).errno, 13003);
  const spwd = String(dataOf(await call('verify', { pwd: '12zx' })).spwd);
  assert.equal((dataOf(await call('info', { spwd })).link_info as { file_cnt: number }).file_cnt, 2);
  assert.equal(dataOf(await call('list', { spwd, dir: '' })).count, 2);
  assert.equal(dataOf(await call('list', { spwd, dir: '/apps/demo/d' })).count, 1);
  assert.equal((await call('list', { spwd, dir: '/apps' })).errno, -9);
  const fsid_list = `["${file.fsId}","${directory.fsId}"]`;
  const transfer = { fsid_list, to_path: '/apps/demo', spwd, async: '2', ondup: 'fail' };
  const { task_id } = dataOf(await call('transfer', transfer));
  assert.equal((await call('transfer', transfer)).errno, 111);
  fake.clock.advance(30_000);
  const task = await other.pan(at('taskquery'), { ...query, task_id: String(task_id) });
  assert.equal(dataOf(task.json).status, 'success');
  assert.equal(String(fake.bytesAt(receiver, '/apps/demo/d/b.txt')), 'below');
  const again = dataOf(await call('transfer', transfer));
  fake.clock.advance(30_000);
  const failed = await other.pan(at('taskquery'), { ...query, task_id: String(again.task_id) });
  assert.equal(dataOf(failed.json).status, 'fail');
  assert.equal((await post(at('transfer'), link, transfer)).json.errno, 12);
  assert.equal((await post(at('verify'), { ...link, short_url: `1${short_url}` }, { pwd: '12zx' })).json.errno, 2131);
  fake.clock.advance(7 * 86_400_000);
  assert.equal((await call('verify', { pwd: '12zx' })).errno, -21);
  assert.equal(user.tasks.size, 0);
});

test('own shares are listed and cancelled by the web calls only when these are open', async () => {
  const { fake, set, call } = await shared();
  await using _ = fake;
  const headers = { referer: 'https://pan.baidu.com/' };
  const record = async () => (await call('pan', '/share/record', { page: '1', num: '10' }, { headers })).json;
  assert.equal((await record()).errno, 3);
  fake.settings.webEndpoints = true;
  assert.deepEqual((await record()).list, {});
  const { share_id } = dataOf((await set()).json);
  assert.equal((await record()).count, 1);
  const body = new URLSearchParams({ shareid_list: `[${share_id}]` });
  assert.equal((await call('pan', '/share/cancel', {}, { method: 'POST', headers, body })).json.errno, 0);
  assert.equal((await record()).count, 0);
});

test('playlists count in strings', async () => {
  const { fake, user, file, pan, post } = await shared();
  await using _ = fake;
  const id = fake.seedPlaylist(user, 'Evening', [file]);
  const lists = await pan('/rest/2.0/xpan/broadcast/list', { method: 'list', page: '1', psize: '20' });
  assert.equal((lists.json.list as { name: string }[])[0]?.name, 'Evening');
  const files = await post('/rest/2.0/xpan/broadcast/filelist', { mb_id: id, showmeta: '1' }, {});
  assert.equal((files.json.list as { size: string }[])[0]?.size, '6');
  assert.equal((await post('/rest/2.0/xpan/broadcast/filelist', { mb_id: '1' }, {})).json.errno, 50002);
});
