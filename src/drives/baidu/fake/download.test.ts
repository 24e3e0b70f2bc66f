import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchText, md5, probe } from './probe.ts';

const UA = { 'user-agent': 'pan.baidu.com' };
const BYTES = Buffer.from('0123456789');

async function linked() {
  const probed = await probe();
  const { fake, user, multimedia, accessToken } = probed;
  const { fsId } = fake.seedFile(user, '/apps/demo/f.bin', BYTES);
  const { json } = await multimedia('filemetas', { fsids: `[${fsId}]`, dlink: '1' });
  const [meta] = json.list as { dlink: string }[];
  const dlink = `${meta?.dlink}&access_token=${accessToken}`;
  const target = async () => (await fetchText(dlink, { headers: UA })).headers.get('location') ?? '';
  return { ...probed, dlink, target };
}

test('a link leads by a redirect to the bytes, whole or by range', async () => {
  const { fake, dlink, target } = await linked();
  await using _ = fake;
  assert.equal((await fetchText(dlink, { headers: UA, method: 'HEAD' })).status, 302);
  const url = await target();
  assert.ok(url.startsWith(fake.urls.cdn));
  const whole = await fetchText(url, { headers: UA });
  assert.deepEqual([whole.text, whole.headers.get('content-md5')], ['0123456789', md5(BYTES)]);
  for (const [range, text, told] of [
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=8-99', '89', 'bytes 8-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
  ] as const) {
    const part = await fetchText(url, { headers: { ...UA, range } });
    assert.deepEqual([part.status, part.text, part.headers.get('content-range')], [206, text, told]);
  }
  assert.equal((await fetchText(url, { headers: { ...UA, range: 'bytes=10-' } })).status, 416);
  assert.deepEqual(fake.violations, []);
});

test('both hops want the User-Agent, and the second no token', async () => {
  const { fake, dlink, target, accessToken } = await linked();
  await using _ = fake;
  const refused = await fetchText(dlink);
  assert.deepEqual([refused.status, refused.json.error_code], [403, 31326]);
  const url = await target();
  assert.equal((await fetchText(url)).json.error_code, 31326);
  assert.equal((await fetchText(`${url}&access_token=${accessToken}`, { headers: UA })).status, 403);
  assert.equal(fake.violations.length, 3);
});

test('a link runs out, and may not be altered or used by another account', async () => {
  const { fake, dlink, target, accessToken } = await linked();
  await using _ = fake;
  const code = async (url: string) => (await fetchText(url, { headers: UA })).json.error_code;
  assert.equal(await code(dlink.replace('%2B', '%252B')), 31362);
  const other = fake.grant(fake.createUser()).accessToken;
  assert.equal(await code(dlink.replace(accessToken, other)), 31626);
  const url = await target();
  fake.clock.advance(3_600_000);
  assert.equal(await code(url), 31360);
  fake.clock.advance(7 * 3_600_000);
  assert.equal(await code(dlink), 31360);
});

test('made-up bytes differ by place and agree between ranges', async () => {
  const { fake, user, multimedia, accessToken } = await probe();
  await using _ = fake;
  const { fsId } = fake.seedFile(user, '/apps/demo/large.bin', 5 * 1024 ** 3);
  const { json } = await multimedia('filemetas', { fsids: `[${fsId}]`, dlink: '1' });
  const [meta] = json.list as { dlink: string }[];
  const first = await fetch(`${meta?.dlink}&access_token=${accessToken}`, {
    headers: { ...UA, range: 'bytes=4294967290-4294967309' },
  });
  const bytes = Buffer.from(await first.arrayBuffer());
  assert.equal(first.headers.get('content-range'), 'bytes 4294967290-4294967309/5368709120');
  assert.ok(new Set(bytes).size > 10);
});

test('a video plays after its advertisement, at once for super members', async () => {
  const { fake, user, call } = await probe();
  await using _ = fake;
  fake.seedFile(user, '/apps/demo/v.mp4', 'x', { streaming: 'partial' });
  const headers = { 'user-agent': 'xpanvideo;panql;1.0;linux;6;ts' };
  const play = (more: Record<string, string> = {}, init: RequestInit = { headers }) =>
    call(
      'pan',
      '/rest/2.0/xpan/file',
      { method: 'streaming', path: '/apps/demo/v.mp4', type: 'M3U8_AUTO_480', ...more },
      init,
    );
  assert.equal((await play({ nom3u8: '1' }, {})).json.errno, 2);
  const ad = await play({ nom3u8: '1' });
  assert.deepEqual([ad.json.errno, ad.json.ltime], [133, 5]);
  const adToken = String(ad.json.adToken);
  assert.equal((await play({ adToken })).json.errno, 133);
  fake.clock.advance(5000);
  assert.equal((await play({ adToken: encodeURIComponent(adToken) })).json.errno, 2);
  const partial = await play({ adToken });
  assert.match(partial.text, /^#EXTM3U/);
  assert.doesNotMatch(partial.text, /ENDLIST/);
  user.vipType = 2;
  fake.seedFile(user, '/apps/demo/v.mp4', 'x', {});
  const whole = await play();
  assert.match(whole.text, /ENDLIST/);
  const segment = /^http.*$/m.exec(whole.text)?.[0] ?? '';
  assert.equal((await fetchText(segment)).status, 200);
  assert.equal((await play({ type: 'M3U8_SUBTITLE_SRT' })).json.errno, 31649);
  fake.seedFile(user, '/apps/demo/v.mp4', 'x', { streaming: 31341 });
  assert.equal((await play()).json.errno, 31341);
});
