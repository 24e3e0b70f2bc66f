import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type BaiduFake, startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { systemTimer, type Timer } from '../../src/lib/timer.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { identify, type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;
type User = ReturnType<BaiduFake['createUser']>;

const UPSERT = `mutation ($access: String!) { upsertAccountTokens(input: { provider: BAIDU, accessToken: $access }) {
  ... on UpsertAccountTokensPayload { account { id } } ... on UserError { code message } } }`;
const PLAYLIST = `query ($ref: EntryRef!, $quality: String) { entry(ref: $ref) { ... on File { media {
  playlistUrl(quality: $quality) playlist(quality: $quality) { url headers { name } expiresAt } } } } }`;
const SUBTITLES = `query ($ref: EntryRef!) { entry(ref: $ref) { ... on File { media {
  subtitles { url name language format expiresAt } } } } }`;

/** The whole server, and the netdisk's imitation behind it. */
describe('a playlist by way of the server', { timeout: 120_000 }, () => {
  const clock = new ManualClock();
  /** Whoever waits for an advertisement waits by the clock of both. */
  const waits: number[] = [];
  const timer: Timer = {
    ...systemTimer,
    after: (delayMs, task) => {
      waits.push(delayMs);
      clock.advance(delayMs);
      return systemTimer.after(0, task);
    },
  };
  let fake: BaiduFake;
  let app: TestApp;
  let person: Person;
  let ordinary: { readonly user: User; readonly accountId: string };
  let member: { readonly user: User; readonly accountId: string };

  before(async () => {
    fake = await startBaiduFake({ now: () => clock.now().getTime() });
    app = await startTestApp({
      clock,
      driveTimer: timer,
      settings: {
        BAIDU_CLIENT_ID: fake.app.clientId,
        BAIDU_CLIENT_SECRET: fake.app.clientSecret,
        BAIDU_APP_ROOT: '/apps/demo',
        BAIDU_OPENAPI_URL: fake.urls.openapi,
        BAIDU_PAN_URL: fake.urls.pan,
        BAIDU_PCS_URL: fake.urls.pcs,
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
      },
    });
    person = await registerUser(app);
    ordinary = await link(0);
    member = await link(2);
  });
  after(async () => {
    await app.close();
    await fake.close();
    assert.deepEqual(fake.violations, [], 'the driver did what the documents forbid');
  });
  beforeEach(() => {
    waits.length = 0;
    fake.faults.clear();
  });

  async function link(vipType: 0 | 2) {
    const user = fake.createUser({ vipType });
    const { data } = await app.graphql(UPSERT, { access: fake.grant(user).accessToken }, person.token);
    const { id } = data.upsertAccountTokens.account ?? assert.fail(JSON.stringify(data));
    fake.seedFile(user, '/apps/demo/电影 1+1.mp4', 'a film', {
      subtitles: '1\n00:00:01,000 --> 00:00:02,000\nHello\n',
    });
    fake.seedFile(user, '/apps/demo/song.mp3', 'a song');
    fake.seedFile(user, '/apps/demo/text.txt', 'a text');
    return { user, accountId: String(id) };
  }
  const ask = (
    accountId: string,
    path: string,
    quality: string | null = null,
    document = PLAYLIST,
  ): Promise<GraphqlAnswer<Answer>> =>
    app.graphql(document, { ref: { path: { accountId, path } }, quality }, person.token);
  const addressOf = async (accountId: string, path: string, quality: string | null = null): Promise<string> => {
    const { data, errors } = await ask(accountId, path, quality);
    return data.entry.media.playlistUrl ?? assert.fail(JSON.stringify(errors));
  };
  const partsOf = (text: string): string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const asked = () => fake.requests.filter(({ endpoint }) => endpoint === 'streaming');

  it('is opened by any player, after the advertisement that Baidu wants, and so are its segments', async () => {
    const before = asked().length;
    const { data, errors } = await ask(ordinary.accountId, '/电影 1+1.mp4');
    assert.equal(errors, undefined, JSON.stringify(errors));
    const { playlistUrl, playlist } = data.entry.media;
    assert.equal(playlistUrl, playlist.url);
    assert.deepEqual(playlist.headers, []);
    assert.ok(playlistUrl.startsWith(`${app.url}/media/`) && playlistUrl.endsWith('.m3u8'));
    assert.deepEqual(waits, [5_000]);
    assert.equal(asked().length - before, 2, 'the advertisement, and the playlist');

    const answer = await fetch(playlistUrl);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'application/vnd.apple.mpegurl');
    const text = await answer.text();
    assert.match(text, /^#EXTM3U\n.*#EXT-X-ENDLIST\n$/s);
    assert.deepEqual(waits, [5_000], 'the advertisement has been seen');
    const parts = partsOf(text);
    assert.equal(parts.length, 3);
    for (const [index, part] of parts.entries()) {
      assert.match(part, /^[\w.%-]+\.ts$/, 'relative to the playlist');
      const segment = await fetch(new URL(part, playlistUrl));
      assert.equal(segment.status, 200);
      assert.equal(segment.headers.get('content-type'), 'video/mp2t');
      assert.match(await segment.text(), new RegExp(`/segment/${index}.ts`));
    }
  });

  it('holds nothing of the account, nor of the provider', async () => {
    const url = await addressOf(ordinary.accountId, '/电影 1+1.mp4');
    const text = await (await fetch(url)).text();
    for (const shown of [url, text]) {
      assert.doesNotMatch(shown, /access_token|adToken|sign=|baidu/i);
      for (const host of Object.values(fake.urls)) assert.ok(!shown.includes(new URL(host).host));
    }
    const adTokens = asked().flatMap(({ query }) => query.adToken ?? []);
    assert.ok(adTokens.length > 0);
    const log = app.logLines.join('');
    for (const token of adTokens) assert.ok(!log.includes(token) && !log.includes(encodeURIComponent(token)));
  });

  it('comes at once for super members, in the best quality or the one asked for', async () => {
    await addressOf(member.accountId, '/电影 1+1.mp4');
    assert.deepEqual(waits, []);
    const typeFor = async (accountId: string, path: string, quality: string | null) => {
      const url = await addressOf(accountId, path, quality);
      assert.equal((await fetch(url)).status, 200);
      return asked().at(-1)?.query.type;
    };
    assert.equal(await typeFor(member.accountId, '/电影 1+1.mp4', null), 'M3U8_AUTO_1080');
    assert.equal(await typeFor(member.accountId, '/电影 1+1.mp4', '720'), 'M3U8_AUTO_720');
    assert.equal(await typeFor(member.accountId, '/电影 1+1.mp4', 'M3U8_FLV_264_480'), 'M3U8_FLV_264_480');
    assert.equal(await typeFor(ordinary.accountId, '/电影 1+1.mp4', null), 'M3U8_AUTO_480');
    assert.equal(await typeFor(ordinary.accountId, '/song.mp3', null), 'M3U8_HLS_MP3_128');
  });

  it('says why there is none', async () => {
    const codes = async (path: string, quality: string | null = null) =>
      (await ask(member.accountId, path, quality)).errors?.map(({ extensions }) => extensions?.code)[0];
    assert.equal(await codes('/text.txt'), undefined, 'null, as there is nothing to play');
    assert.equal(await codes('/song.mp3', '720'), 'INVALID_INPUT');
    for (const [streaming, code] of [
      [31341, 'PROVIDER_FAILED'],
      ['partial', 'PROVIDER_FAILED'],
      [31346, 'UNSUPPORTED'],
      [31347, 'UNSUPPORTED'],
    ] as const) {
      fake.seedFile(member.user, '/apps/demo/other.mp4', 'x', { streaming });
      const { data, errors } = await ask(member.accountId, '/other.mp4');
      assert.equal(data.entry.media.playlistUrl, null);
      assert.equal(errors?.[0]?.extensions?.code, code, `${streaming}: ${JSON.stringify(errors)}`);
    }
  });

  it('tells subtitles, and where to get them', async () => {
    const { data, errors } = await ask(member.accountId, '/电影 1+1.mp4', null, SUBTITLES);
    assert.equal(errors, undefined, JSON.stringify(errors));
    const [{ url, ...subtitle }] = data.entry.media.subtitles;
    assert.deepEqual([subtitle.name, subtitle.language, subtitle.format], ['auto', 'zh', 'srt']);
    assert.match(await (await fetch(url)).text(), /Hello/);
    fake.seedFile(member.user, '/apps/demo/silent.mp4', 'x', {});
    assert.deepEqual((await ask(member.accountId, '/silent.mp4', null, SUBTITLES)).data.entry.media.subtitles, []);
  });

  it('is refused when it was changed, or never was one', async () => {
    const url = await addressOf(member.accountId, '/电影 1+1.mp4');
    // Not the last one, which may hold bits that count for nothing.
    const broken = url.replace(/.(?=.{20}\.m3u8$)/, (letter) => (letter === 'A' ? 'B' : 'A'));
    assert.notEqual(broken, url);
    for (const address of [broken, `${app.url}/media/`, `${app.url}/media/x.m3u8`, `${app.url}/media/%E0%A4%A.ts`])
      assert.equal((await fetch(address)).status, 404, address);
    const sealed = `v1.${randomBytes(8).toString('hex')}.${randomBytes(64).toString('base64url')}`;
    assert.equal((await fetch(`${app.url}/media/${sealed}.m3u8`)).status, 404);
    assert.equal((await fetch(url, { method: 'POST' })).status, 405);
    const head = await fetch(url, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
  });

  it('whose provider answers with a page, or breaks off, is not given in part', async () => {
    const url = await addressOf(member.accountId, '/电影 1+1.mp4');
    const [part = ''] = partsOf(await (await fetch(url)).text());
    fake.faults.inject({ kind: 'html', match: { endpoint: 'streaming' }, times: 9 });
    assert.equal((await fetch(url)).status, 502);
    fake.faults.clear();
    fake.faults.inject({ kind: 'cut', phase: 'within', match: { endpoint: 'segment' }, times: 9 });
    await assert.rejects(async () => (await fetch(new URL(part, url))).text());
  });

  it('ends with its time, and with the sign-in that asked for it', async () => {
    const url = await addressOf(member.accountId, '/电影 1+1.mp4');
    const [part = ''] = partsOf(await (await fetch(url)).text());
    const partUrl = new URL(part, url);
    const again = await identify(app, 'login', { username: person.username, password: person.password });
    const ref = { path: { accountId: member.accountId, path: '/电影 1+1.mp4' } };
    const { data } = await app.graphql(PLAYLIST, { ref }, again.session.accessToken);
    const other = data.entry.media.playlistUrl;
    for (const address of [url, partUrl, other]) assert.equal((await fetch(address)).status, 200);
    await identify(app, 'logout', {}, { token: again.session.accessToken });
    assert.equal((await fetch(other)).status, 404);
    for (const address of [url, partUrl]) assert.equal((await fetch(address)).status, 200);
    clock.advance(6 * 3_600_000);
    for (const address of [url, partUrl]) assert.equal((await fetch(address)).status, 404);
  });
});
