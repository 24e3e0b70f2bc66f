import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import type { Media } from '../../src/drives/contract/media.ts';
import type { ByteRange, DriveDefinition, Driver } from '../../src/drives/driver.ts';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { linkAccount, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

const HOST = 'https://media.example/films';
const MASTER = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow/index?sign=1\n#EXT-X-STREAM-INF:BANDWIDTH=2\nbroken.m3u8\n';
const NESTED = '#EXTM3U\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:4,\n/a.m4s\n#EXT-X-ENDLIST\n';
const BYTES = Buffer.from('0123456789');

/** What a drive's media acts were asked, and what they give. */
class Streaming implements Required<Pick<Media, 'openPlaylist' | 'readPlaylist' | 'readPart'>> {
  readonly states: unknown[] = [];
  readonly parts: string[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  async openPlaylist(ref: string, quality: string | null) {
    return { state: { ref, quality, secret: 'of the account' }, expiresAt: null };
  }

  async readPlaylist(state: unknown) {
    this.states.push(state);
    return { text: MASTER, url: `${HOST}/master.m3u8` };
  }

  async readPart(url: string, range: ByteRange | null) {
    this.parts.push(url);
    if (url.endsWith('/broken.m3u8')) return this.#part('<html>', 'text/html');
    if (url.includes('/index')) return this.#part(NESTED, 'text/plain');
    if (url.endsWith('/init.mp4')) throw new DriveError('not_found', 'It is over.', { provider: this.#name });
    const bytes = range ? BYTES.subarray(range.start, (range.end ?? BYTES.length - 1) + 1) : BYTES;
    return { bytes: Readable.from([bytes]), sizeBytes: bytes.length, mimeType: 'video/mp4' };
  }

  #part(text: string, mimeType: string) {
    return { bytes: Readable.from([Buffer.from(text)]), sizeBytes: null, mimeType };
  }
}

describe('what a playlist names', { timeout: 60_000 }, () => {
  const drive = memoryDrive({ id: 'BAIDU' });
  const streaming = new Streaming('BAIDU');
  const media: Media = {
    openPlaylist: (ref, quality) => streaming.openPlaylist(ref, quality),
    readPlaylist: (state) => streaming.readPlaylist(state),
    readPart: (url, range) => streaming.readPart(url, range),
  };
  const definition: DriveDefinition = {
    ...drive.definition,
    create: (account, services): Driver => ({ ...drive.definition.create(account, services), media }),
  };
  let app: TestApp;
  let person: Person;
  let url = '';

  before(async () => {
    app = await startTestApp({ drives: [local, definition] });
    person = await registerUser(app);
    drive.put('/clip.mkv');
    const accountId = encodeGlobalId('CloudAccount', (await linkAccount(app, person.userId, { provider: 'BAIDU' })).id);
    const { data, errors } = await app.graphql(
      'query ($ref: EntryRef!) { entry(ref: $ref) { ... on File { media { playlistUrl(quality: "best") subtitles { url } } } } }',
      { ref: { path: { accountId, path: '/clip.mkv' } } },
      person.token,
    );
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.equal(data.entry.media.subtitles, null, 'this drive keeps none');
    url = data.entry.media.playlistUrl;
  });
  after(() => app.close());

  const addressesIn = async (of: string | URL): Promise<readonly URL[]> => {
    const text = await (await fetch(of)).text();
    assert.ok(!text.includes('media.example'), text);
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return lines.map((line) => new URL(line, of));
  };

  it('is served to any depth, and gets what the driver keeps sealed', async () => {
    const [low = new URL(url), broken = new URL(url)] = await addressesIn(url);
    assert.deepEqual(streaming.states.at(-1), {
      ref: 'ref/clip.mkv:1',
      quality: 'best',
      secret: 'of the account',
    });
    const nested = await fetch(low);
    assert.equal(nested.headers.get('content-type'), 'application/vnd.apple.mpegurl');
    assert.match(await nested.text(), /^#EXTM3U\n#EXT-X-MAP:URI="[^"/]+\.mp4"\n/);
    assert.equal(streaming.parts.at(-1), `${HOST}/low/index?sign=1`);
    const [segment = low] = await addressesIn(low);
    assert.ok(segment.pathname.endsWith('.m4s'));
    assert.equal(await (await fetch(segment)).text(), String(BYTES));
    assert.equal(streaming.parts.at(-1), 'https://media.example/a.m4s');
    assert.equal((await fetch(broken)).status, 502, 'a page is no playlist');
  });

  it('is given in part, where a player asks for a part', async () => {
    const [low = new URL(url)] = await addressesIn(url);
    const [segment = low] = await addressesIn(low);
    const asked = async (range: string) => {
      const answer = await fetch(segment, { headers: { range } });
      return [answer.status, answer.headers.get('content-range'), await answer.text()];
    };
    assert.deepEqual(await asked('bytes=2-4'), [206, 'bytes 2-4/*', '234']);
    assert.deepEqual(await asked('bytes=7-'), [206, 'bytes 7-9/*', '789']);
    assert.deepEqual(await asked('bytes=4-2'), [200, null, String(BYTES)]);
    assert.deepEqual(await asked('pages=1-2'), [200, null, String(BYTES)]);
    const head = await fetch(segment, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '10', '']);
    assert.match(head.headers.get('content-security-policy') ?? '', /sandbox/);
  });

  it('says that it is gone, when it is at the provider', async () => {
    const [low = new URL(url)] = await addressesIn(url);
    const text = await (await fetch(low)).text();
    const init = /URI="([^"]+)"/.exec(text)?.[1] ?? assert.fail(text);
    const answer = await fetch(new URL(init, low));
    assert.equal(answer.status, 404);
  });

  it('is sealed in an address of its own: a part is no playlist, nor another’s', async () => {
    const [low = new URL(url)] = await addressesIn(url);
    const [, token = ''] = /\/media\/(.+)\.m3u8$/.exec(low.href) ?? [];
    assert.ok(!Buffer.from(decodeURIComponent(token).split('.').at(-1) ?? '', 'base64url').includes('media.example'));
    const state = streaming.states.length;
    await fetch(low);
    assert.equal(streaming.states.length, state, 'the playlist itself was not asked for');
  });
});
