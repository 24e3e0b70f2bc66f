import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openPan115Fixture, type Pan115Fixture } from '../../../test/conformance/fixtures/pan115.ts';
import { call, failure, Subject } from '../../../test/conformance/subject.ts';

const SIZE = 400_000;
const PART = 50_000;
const HOUR_MS = 3_600_000;

describe('addresses of 115 for the bytes of a file', { timeout: 60_000 }, () => {
  let pan115: Pan115Fixture;
  let subject: Subject;
  let ref: string;

  beforeEach(async () => {
    pan115 = await openPan115Fixture();
    subject = new Subject(pan115);
    ref = pan115.fake.seedFile(pan115.user, '/a.bin', SIZE).id;
  });
  afterEach(() => pan115.close());

  const part = async (index: number): Promise<void> => {
    const bytes = await subject.content(ref, index * PART, (index + 1) * PART - 1);
    const whole = pan115.fake.bytesAt(pan115.user, '/a.bin') ?? assert.fail();
    assert.ok(bytes.equals(whole.subarray(index * PART, (index + 1) * PART)));
  };
  const asked = () => ['info', 'downurl', 'download'].map((endpoint) => pan115.fake.count(endpoint));

  it('serve all parts of it: 115 is asked once', async () => {
    for (const index of [0, 3, 1, 7]) await part(index);
    assert.deepEqual(asked(), [1, 1, 4]);
  });

  it('are asked for once by parts that begin together', async () => {
    await Promise.all([0, 1, 2, 3].map(part));
    assert.deepEqual(asked(), [1, 1, 4]);
  });

  it('are used again for ten minutes, and by whoever opens the account in this process', async () => {
    await part(0);
    pan115.fake.clock.advance(9 * 60_000);
    await part(1);
    assert.equal(pan115.fake.count('downurl'), 1);
    pan115.fake.clock.advance(2 * 60_000);
    await part(2);
    assert.equal(pan115.fake.count('downurl'), 2);
  });

  it('are not used again when they end within minutes', async () => {
    pan115.fake.settings.downloadMs = 2 * 60_000;
    await part(0);
    await part(1);
    assert.equal(pan115.fake.count('downurl'), 2);
  });

  it('are replaced once when the host knows them no more, by whichever words it says so', async () => {
    await part(0);
    for (const [status, body] of [
      [403, 'gone'],
      [401, ''],
      [410, ''],
    ] as const) {
      const before = pan115.fake.count('downurl');
      pan115.fake.faults.inject({ kind: 'status', status, body, match: { endpoint: 'download' } });
      await part(1);
      assert.equal(pan115.fake.count('downurl'), before + 1, `${status}`);
    }
  });

  it('are forgotten with the file', async () => {
    await part(0);
    await subject.run('remove', ref, {}, call);
    await failure(subject.run('read', ref, null, call), 'not_found');
    assert.equal(pan115.fake.count('downurl'), 1, 'and not asked for: 115 resents that');
  });

  it('bring a cookie where they want one (f=3), for that host alone', async () => {
    pan115.fake.settings.downloadCookie = true;
    await part(0);
    await part(1);
    assert.equal(pan115.fake.count('downurl'), 1);
    const api = pan115.fake.requests.filter(({ role }) => role === 'api');
    assert.ok(api.every(({ headers }) => headers.cookie === undefined));
    const link = await subject.run('link', ref, call);
    assert.match(link.headers.Cookie ?? '', /^uc=[^;]+$/);
  });

  it('allow one connection where they say so (c=1)', async () => {
    pan115.fake.settings.connectionsMax = 1;
    const large = pan115.fake.seedFile(pan115.user, '/large.bin', 16_000_000).id;
    // What is not read holds its connection.
    const first = await subject.run('read', large, null, call);
    const second = subject.content(large, 0, 9);
    for (let look = 0; look < 10; look += 1) await subject.run('stat', ref, call);
    first.destroy();
    assert.equal((await second).length, 10);
    assert.equal(pan115.fake.count('download'), 2, 'none was refused');
  });

  it('tell a client that is sent there when they end', async () => {
    const { url, expiresAt } = await subject.run('link', ref, call);
    const leftMs = (expiresAt?.getTime() ?? 0) - pan115.fake.clock.now().getTime();
    assert.ok(leftMs > HOUR_MS, `${leftMs} ms`);
    assert.ok(url.startsWith(pan115.fake.urls.cdn));
  });
});
