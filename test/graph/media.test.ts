import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { putFile } from '../support/files.ts';
import { linkAccount, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const LINK = '{ url headers { name value } expiresAt }';
const ALL = `thumbnails { url width height expiresAt } preview ${LINK}
  media { durationSeconds width height playlistUrl(quality: "720") playlist(quality: "720") ${LINK} }`;
const TRANSCODE = `mutation ($file: EntryRef!, $quality: String!) {
  result: transcodeFile(input: { file: $file, quality: $quality }) {
    ... on TranscodeFilePayload { file { name } } ... on UserError { code } ... on UnsupportedError { ability }
    ... on InvalidInputError { issues { path } }
  }
}`;

describe('media', { timeout: 60_000 }, () => {
  let app: TestApp;
  let person: Person;
  let stranger: Person;
  let accountId: string;
  const drive = memoryDrive({ id: 'BAIDU', acts: ['media'] });

  before(async () => {
    app = await startTestApp({ drives: [local, drive.definition] });
    person = await registerUser(app);
    stranger = await registerUser(app);
    drive.put('/clip.mkv', '/folder/');
    accountId = encodeGlobalId('CloudAccount', (await linkAccount(app, person.userId, { provider: 'BAIDU' })).id);
  });
  after(() => app.close());
  beforeEach(() => {
    drive.mend();
    drive.calls.length = 0;
  });

  const clip = (path = '/clip.mkv'): object => ({ path: { accountId, path } });
  const ask = (fields: string, who = person, ref = clip()): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(
      `query ($ref: EntryRef!) { entry(ref: $ref) { name ... on File { ${fields} } } }`,
      { ref },
      who.token,
    );
  const transcode = async (file: object, quality: string, who = person): Promise<Answer> =>
    (await app.graphql<Answer>(TRANSCODE, { file, quality }, who.token)).data.result;

  it('is told as the provider tells it, with what it takes to use its addresses', async () => {
    const { data, errors } = await ask(ALL);
    assert.equal(errors, undefined, JSON.stringify(errors));
    const { thumbnails, preview, media } = data.entry;
    assert.match(thumbnails[0].url, /^https:\/\/thumbnails\.example/);
    assert.deepEqual(preview.headers, [{ name: 'User-Agent', value: 'provider' }]);
    assert.deepEqual([media.durationSeconds, media.width, media.height], [1.5, 640, 480]);
    assert.equal(media.playlistUrl, media.playlist.url);
    for (const act of ['media.thumbnails', 'media.preview', 'media.info', 'media.playlist']) {
      assert.equal(drive.calls.filter((call) => call === act).length, 1, act);
    }
  });

  it('costs no request that is not asked for', async () => {
    await ask('media { __typename }');
    assert.ok(!drive.calls.some((call) => call.startsWith('media.')), drive.calls.join());
    await ask('preview { url }');
    assert.deepEqual(
      drive.calls.filter((call) => call.startsWith('media.')),
      ['media.preview'],
    );
  });

  it('that the provider fails to tell leaves the rest of the answer whole', async () => {
    drive.fail('media.preview', new DriveError('unavailable', 'No previews now.', { provider: 'BAIDU' }));
    drive.fail('media.playlist', new DriveError('rate_limited', 'Too many.', { provider: 'BAIDU', retryAfterMs: 9 }));
    const { data, errors } = await ask(ALL);
    assert.equal(data.entry.thumbnails.length, 1);
    assert.equal(data.entry.preview, null);
    assert.deepEqual([data.entry.media.width, data.entry.media.playlistUrl], [640, null]);
    assert.deepEqual(
      new Set(errors?.map(({ path, extensions }) => `${(path as string[]).join('.')} ${extensions?.code}`)),
      new Set([
        'entry.preview PROVIDER_FAILED',
        'entry.media.playlistUrl RATE_LIMITED',
        'entry.media.playlist RATE_LIMITED',
      ]),
    );
  });

  it('is null for a file of which the provider has no view', async () => {
    drive.fail('media.preview', new DriveError('unsupported', 'No preview of this file.', { provider: 'BAIDU' }));
    const { data, errors } = await ask('preview { url }');
    assert.equal(errors, undefined);
    assert.equal(data.entry.preview, null);
  });

  it('is null where the drive has none', async () => {
    const { file } = await putFile(app, person, 'clip.mkv', Buffer.from('x'));
    const { data, errors } = await ask(ALL, person, file);
    assert.equal(errors, undefined);
    assert.deepEqual(data.entry, { name: 'clip.mkv', thumbnails: null, preview: null, media: null });
  });

  it('is nobody else’s', async () => {
    assert.equal((await ask(ALL, stranger)).data.entry, null);
    assert.equal((await transcode(clip(), '720', stranger)).code, 'NOT_FOUND');
    assert.deepEqual(drive.calls, []);
  });

  it('takes the name of a quality only', async () => {
    const { data, errors } = await ask('media { width playlistUrl(quality: "../../x?y=") }');
    assert.equal(data.entry.media.width, 640);
    assert.equal(data.entry.media.playlistUrl, null);
    assert.equal(errors?.[0]?.extensions?.code, 'INVALID_INPUT');
    assert.deepEqual((await transcode(clip(), 'a\nb')).issues[0].path, ['input', 'quality']);
  });

  it('is made in another quality where the provider can', async () => {
    assert.deepEqual(await transcode(clip(), '720P'), { file: { name: 'clip.mkv' } });
    assert.ok(drive.calls.includes('media.transcode'));
    assert.deepEqual((await transcode(clip('/folder'), '720P')).issues[0].path, ['input', 'file']);
    const { file } = await putFile(app, person, 'other.mkv', Buffer.from('x'));
    assert.deepEqual(await transcode(file, '720P'), { code: 'UNSUPPORTED', ability: 'TRANSCODE' });
  });
});
