import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openPan123Fixture, type Pan123Fixture } from '../../../test/conformance/fixtures/pan123.ts';
import { call, failure, Subject } from '../../../test/conformance/subject.ts';
import type { MediaDownloadKind } from '../contract/media.ts';
import type { ByteRange } from '../driver.ts';

const ONE = '/api/v1/transcode/file/download';
const ALL = '/api/v1/transcode/file/download/all';

describe('downloads of films at 123pan', { timeout: 60_000 }, () => {
  let pan: Pan123Fixture;
  let subject: Subject;
  let ref: string;

  beforeEach(async () => {
    pan = await openPan123Fixture();
    subject = new Subject(pan);
    ref = String(pan.fake.seedFile(pan.user, '/Holiday 假期.mp4', 5000).id);
  });
  afterEach(() => pan.close());

  /** Has versions made, and waits until they are. */
  async function transcode(...qualities: readonly string[]): Promise<void> {
    for (const quality of qualities) await subject.run('media.transcode', ref, quality, call);
    for (let looks = 0; looks < 2; looks += 1) await subject.run('media.versions', ref, call);
  }
  const open = (kind: MediaDownloadKind) => subject.run('media.openDownload', ref, kind, call);
  const read = async (state: unknown, range: ByteRange | null = null) => {
    const { bytes, ...rest } = await subject.run('media.readDownload', state, range, call);
    return { ...rest, content: Buffer.concat(await bytes.toArray()) };
  };
  const asked = (path: string) => pan.fake.requests.filter((request) => request.path === path);

  it('give the original, whole or in part, by a fresh link each time', async () => {
    await failure(open('ORIGINAL'), 'not_found');
    await transcode('720P');
    const { state, name } = await open('ORIGINAL');
    assert.equal(name, 'Holiday 假期.mp4');
    const whole = await read(state);
    assert.deepEqual(whole.content, pan.fake.bytesAt(pan.user, '/Holiday 假期.mp4'));
    assert.deepEqual([whole.sizeBytes, whole.mimeType, whole.isWhole], [5000, 'video/mp4', true]);
    const part = await read(state, { start: 10, end: 19 });
    assert.deepEqual([part.content, part.isWhole], [whole.content.subarray(10, 20), false]);
    const [{ json, method } = {}] = asked(ONE);
    assert.equal(method, 'POST');
    assert.deepEqual(json, { fileId: BigInt(String(pan.fake.transcoding.films(pan.user)[0]?.fileId)) });
    assert.equal(asked(ONE).length, 3);
    pan.fake.faults.inject({ kind: 'range-ignored', match: { role: 'cdn' } });
    const ignored = await read(state, { start: 10, end: 19 });
    assert.deepEqual([ignored.content.length, ignored.isWhole], [5000, true]);
  });

  it('give all versions in one archive, asking every ten seconds while it is packed', async () => {
    await transcode('480P', '720P');
    pan.fake.settings.packPolls = 3;
    const startMs = pan.time.nowMs;
    const { state, name } = await open('VERSIONS');
    assert.ok(pan.time.nowMs - startMs >= 30_000);
    assert.equal(name, 'Holiday 假期.zip');
    assert.deepEqual(
      asked(ALL).map(({ json }) => Reflect.get(Object(json), 'zipName')),
      Array(4).fill(name),
    );
    const { content, mimeType } = await read(state);
    assert.equal(String(content), 'zip of 480P 720P');
    assert.equal(mimeType, 'application/zip');
  });

  it('say when to ask again for an archive that is packed for longer', async () => {
    await transcode('720P');
    pan.fake.settings.packPolls = 9;
    const error = await failure(open('VERSIONS'), 'unavailable');
    assert.deepEqual([error.persistent, error.retryAfterMs], [true, 10_000]);
  });

  it('let no token of their address into a log line, nor to the servers of the bytes', async () => {
    await transcode('720P');
    const { state } = await open('VERSIONS');
    await read(state);
    const delivered = pan.fake.requests.findLast(({ role }) => role === 'cdn');
    const token = delivered?.query.access_token ?? '';
    assert.ok(token.length > 20, 'the link holds a token');
    assert.equal(delivered?.headers.authorization, undefined);
    assert.ok(!JSON.stringify(state).includes(token), 'what clients get sealed has none either');
    assert.ok(!pan.lines.join('\n').includes(token));
    pan.fake.faults.inject({ kind: 'status', status: 500, times: 99, match: { role: 'cdn' } });
    const error = await failure(subject.run('media.readDownload', state, null, call), 'unavailable');
    assert.ok(!JSON.stringify([error, error.message, String(error.cause)]).includes(token));
    assert.ok(!pan.lines.join('\n').includes(token));
    pan.fake.faults.clear();
  });

  it('say what is in the way: a full space, a link that is refused, what is no film', async () => {
    await transcode('720P');
    const { state } = await open('ORIGINAL');
    const body = JSON.stringify({ code: 1010, message: 'download err: 50002' });
    pan.fake.faults.inject({ kind: 'status', status: 403, body, match: { role: 'cdn' } });
    assert.equal((await read(state)).content.length, 5000, 'by another link');
    pan.fake.settings.transcodeFull = true;
    for (const kind of ['ORIGINAL', 'VERSIONS'] as const) {
      pan.fake.settings.packPolls = 0;
      assert.match((await failure(open(kind), 'quota_exceeded')).hint ?? '', /versions of other films/);
    }
    pan.fake.settings.transcodeFull = false;
    await failure(subject.run('media.readDownload', { film: 'x' }, null, call), 'invalid_argument');
    const text = String(pan.fake.seedFile(pan.user, '/a.txt', 'x').id);
    await failure(subject.run('media.openDownload', text, 'ORIGINAL', call), 'unsupported');
  });
});
