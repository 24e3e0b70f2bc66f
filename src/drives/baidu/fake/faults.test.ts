import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchText, probe } from './probe.ts';

test('a fault meets the requests that it names, so many times, after so many', async () => {
  const { fake, file, pan } = await probe();
  await using _ = fake;
  const fault = fake.faults.inject({ match: { endpoint: 'list' }, kind: 'errno', errno: 31034, times: 2, skip: 1 });
  const errnos: unknown[] = [];
  for (let call = 0; call < 4; call++) errnos.push((await file('list')).json.errno);
  assert.deepEqual(errnos, [0, 31034, 31034, 0]);
  assert.equal(fault.hits, 2);
  assert.equal((await pan('/api/quota', {})).json.errno, 0);
  assert.equal(fake.count('list'), 4);
});

test('answers become statuses, pages, OAuth errors or end early', async () => {
  const { fake, file, token } = await probe();
  await using _ = fake;
  fake.faults.inject({ kind: 'status', status: 429, headers: { 'retry-after': '7' } });
  const throttled = await file('list');
  assert.deepEqual([throttled.status, throttled.headers.get('retry-after')], [429, '7']);
  fake.faults.inject({ kind: 'html' });
  assert.match((await file('list')).text, /^<html>/);
  fake.faults.inject({ kind: 'oauth', error: 'Trigger security policy' });
  assert.equal((await token({ grant_type: 'refresh_token' })).json.error, 'Trigger security policy');
  fake.faults.inject({ kind: 'truncate', bytes: 5 });
  await assert.rejects(file('list'), SyntaxError);
  for (const phase of ['before', 'within'] as const) {
    fake.faults.inject({ kind: 'cut', phase });
    await assert.rejects(file('list'), TypeError);
  }
  assert.equal((await file('list')).json.errno, 0);
});

test('work is done though its answer is cut off', async () => {
  const { fake, user, postFile } = await probe();
  await using _ = fake;
  fake.faults.inject({ match: { endpoint: 'mkdir' }, kind: 'cut', phase: 'after' });
  await assert.rejects(postFile('create', { path: '/apps/demo/d', isdir: '1' }));
  assert.ok(fake.entryAt(user, '/apps/demo/d'));
});

test('an answer waits for what a test says, or for ever', async () => {
  const { fake, file } = await probe();
  await using _ = fake;
  const gate = Promise.withResolvers<void>();
  fake.faults.inject({ kind: 'slow', until: gate.promise });
  fake.faults.inject({ kind: 'hang' });
  const [slow, abort] = [file('list'), new AbortController()];
  const hanging = fetchText(`${fake.urls.pan}/`, { signal: abort.signal });
  abort.abort();
  await assert.rejects(hanging, { name: 'AbortError' });
  gate.resolve();
  assert.equal((await slow).json.errno, 0);
});

test('a download drips, breaks off or passes over the range', async () => {
  const { fake, user, multimedia, accessToken } = await probe();
  await using _ = fake;
  const { fsId } = fake.seedFile(user, '/apps/demo/f', '0123456789');
  const { json } = await multimedia('filemetas', { fsids: `[${fsId}]`, dlink: '1' });
  const [meta] = json.list as { dlink: string }[];
  const download = (headers = {}) =>
    fetchText(`${meta?.dlink}&access_token=${accessToken}`, {
      redirect: 'follow',
      headers: { 'user-agent': 'pan.baidu.com', ...headers },
    });
  const match = { endpoint: 'download' };
  fake.faults.inject({ match, kind: 'range-ignored' });
  const whole = await download({ range: 'bytes=1-2' });
  assert.deepEqual([whole.status, whole.text], [200, '0123456789']);
  fake.faults.inject({ match, kind: 'cut', phase: 'within', afterBytes: 4 });
  await assert.rejects(download());
  fake.faults.inject({ match, kind: 'truncate', bytes: 4 });
  assert.equal((await download()).text, '0123');
  fake.faults.inject({ match, kind: 'throttle', bytesPerSecond: 1000 });
  assert.equal((await download()).text, '0123456789');
});

test('a server that closes ends what still hangs', async () => {
  const { fake } = await probe();
  const arrived = Promise.withResolvers<void>();
  const when = () => {
    arrived.resolve();
    return true;
  };
  fake.faults.inject({ kind: 'hang', match: { when } });
  const hanging = assert.rejects(fetchText(`${fake.urls.pan}/`));
  await arrived.promise;
  await fake.close();
  await hanging;
});
