import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openPan123Fixture, type Pan123Fixture } from '../../../test/conformance/fixtures/pan123.ts';
import { bytesOf, call, everyItem, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';
import { FREE_RATES, MEMBER_RATES } from './rates.ts';

const SLICE = 64 * 1024;
const LIST = '/api/v2/file/list';
const SLICE_PATH = '/upload/v2/file/slice';
const COMPLETE = '/upload/v2/file/upload_complete';

describe('123pan', { timeout: 60_000 }, () => {
  let pan: Pan123Fixture;
  let subject: Subject;

  beforeEach(async () => {
    pan = await openPan123Fixture();
    subject = new Subject(pan);
  });
  afterEach(() => pan.close());

  const refOf = (path: string): string => String(pan.fake.entryAt(pan.user, path)?.id ?? '');
  const seed = (path: string, content: string | number = 'content'): string =>
    String(pan.fake.seedFile(pan.user, path, content).id);
  const last = (path: string) => pan.fake.requests.findLast((request) => request.path === path);
  const upload = async (bytes: Buffer, name = 'a.bin') => {
    const plan = subject.plan('0', name, bytes);
    const session = await subject.begin(plan);
    return { plan, session };
  };
  const finish = async (bytes: Buffer, name = 'a.bin') => {
    const { plan, session } = await upload(bytes, name);
    const receipts = await subject.putSlices(plan, session, bytes);
    return subject.run('upload.complete', plan, session, receipts, call);
  };

  describe('every call', () => {
    it('has the token and the platform in its headers, and nothing of ours where the bytes are', async () => {
      seed('/a.txt');
      await subject.content(refOf('/a.txt'));
      await finish(bytesOf(SLICE + 5, 'headers'));
      const [mine, bytes] = [(role: string) => role !== 'cdn', (role: string) => role === 'cdn'].map((is) =>
        pan.fake.requests.filter(({ role }) => is(role)),
      );
      assert.ok(mine?.length && bytes?.length);
      for (const { headers } of mine) {
        assert.match(String(headers.authorization), /^Bearer \S+$/);
        assert.equal(headers.platform, 'open_platform');
      }
      for (const { headers } of bytes)
        assert.deepEqual([headers.authorization, headers.platform], [undefined, undefined]);
      const token = String(mine[0]?.headers.authorization).slice('Bearer '.length);
      assert.ok(!pan.lines.join('\n').includes(token), 'no token in the log');
    });

    it('goes to the upload servers that were named, with the scheme of the API where they have none', async () => {
      await finish(bytesOf(4 * SLICE, 'servers'));
      const servers = new Set(pan.fake.requests.filter(({ path }) => path === SLICE_PATH).map(({ role }) => role));
      assert.deepEqual([...servers].toSorted(), ['upload', 'upload2']);
      pan.fake.settings.serversInCreate = false;
      await finish(bytesOf(4 * SLICE, 'domain'), 'b.bin');
      assert.equal(pan.fake.count('/upload/v2/file/domain'), 1);
    });

    it('reads times as those of Beijing, and ids to their last digit', async () => {
      const huge = await openPan123Fixture({ fake: { settings: { ids: 'huge' }, now: () => Date.UTC(2026, 0, 2, 3) } });
      try {
        const { id } = huge.fake.seedFile(huge.user, '/a.txt', 'x');
        const entry = await huge.drive.driver.stat(String(id), call);
        assert.equal(entry.ref, String(id));
        assert.ok(id > BigInt(Number.MAX_SAFE_INTEGER));
        assert.equal(entry.createdAt?.toISOString(), '2026-01-02T03:00:00.000Z');
      } finally {
        await huge.close();
      }
    });
  });

  describe('rates', () => {
    it('let 5,000 entries be listed on 50 pages in the time that the table of free accounts allows', async () => {
      const folder = pan.fake.seedFolder(pan.user, '/many');
      for (let number = 0; number < 5000; number += 1) pan.fake.newFolder(pan.user, folder, `entry ${number}`);
      await subject.run('stat', String(folder.id), call);
      const startMs = pan.time.nowMs;
      const entries = await everyItem((page) => subject.run('list', String(folder.id), {}, page, call), 100);
      const tookMs = pan.time.nowMs - startMs;
      assert.equal(new Set(entries.map(({ ref }) => ref)).size, 5000);
      assert.equal(pan.fake.count(LIST), 50);
      assert.equal(pan.fake.throttled, 0);
      // 50 requests, 5 in any second: the last one may go out after 9 seconds.
      assert.ok(tookMs >= 9_000 && tookMs <= 9_000 * 1.15, `${tookMs} ms`);
    });

    it('are those of members for a member, whom 123pan is asked about once', async () => {
      const member = await openPan123Fixture({ vip: true });
      try {
        for (let pages = 0; pages < 41; pages += 1) await member.drive.run('list', '0', {}, FIRST_PAGE, call);
        assert.ok(member.time.nowMs < 5_000, `${member.time.nowMs} ms: 10 in a second`);
        assert.equal(member.fake.count('/api/v1/user/info'), 1);
        assert.equal(member.fake.throttled, 0);
      } finally {
        await member.close();
      }
      assert.notDeepEqual(FREE_RATES, MEMBER_RATES);
    });

    it('are shared by all drives of an account, and no one else waits for them', async () => {
      // Equal questions at one time would be one.
      const list = (_: unknown, at: number) => subject.run('list', '0', {}, { cursor: null, limit: at + 1 }, call);
      await Promise.all(Array.from({ length: 15 }, list));
      const mineMs = pan.time.nowMs;
      assert.ok(mineMs >= 2_000, `${mineMs} ms`);
      const other = pan.openAnother(pan.fake.createUser());
      await other.run('list', '0', {}, FIRST_PAGE, call);
      assert.equal(pan.time.nowMs, mineMs);
    });

    it('survive a burst of refusals', async () => {
      pan.fake.faults.inject({ kind: 'code', code: 429, message: '请求太频繁', times: 3, match: { path: LIST } });
      seed('/a.txt');
      assert.deepEqual(await subject.names('0'), ['a.txt']);
      pan.fake.faults.inject({ kind: 'code', code: 429, message: '请求太频繁', times: 99, match: { path: LIST } });
      const error = await failure(subject.run('list', '0', {}, FIRST_PAGE, call), 'rate_limited');
      assert.equal(error.persistent, true);
      pan.fake.faults.clear();
    });
  });

  describe('listing', () => {
    it('leaves out what is in the recycle bin, and no page', async () => {
      const folder = pan.fake.seedFolder(pan.user, '/mixed');
      const made = Array.from({ length: 30 }, (_, at) => pan.fake.newFolder(pan.user, folder, `entry ${at}`));
      for (const entry of made.slice(0, 25)) pan.fake.removeEntry(entry);
      const entries = await everyItem((page) => subject.run('list', String(folder.id), {}, page, call), 5);
      assert.equal(entries.length, 5);
    });

    it('fails rather than to give a part for the whole', async () => {
      const folder = pan.fake.seedFolder(pan.user, '/three');
      for (const name of ['a', 'b', 'c']) pan.fake.newFolder(pan.user, folder, name);
      pan.fake.faults.inject({ kind: 'status', status: 502, times: 99, skip: 1, match: { path: LIST } });
      const read = everyItem((page) => subject.run('list', String(folder.id), {}, page, call), 2);
      await failure(read, 'unavailable');
      pan.fake.faults.clear();
    });
  });

  describe('uploads', () => {
    it('go on after 123pan refused the token between two slices', async () => {
      const bytes = bytesOf(2 * SLICE, 'token');
      const { plan, session } = await upload(bytes);
      const first = await subject.putSlices(plan, session, bytes, [0]);
      pan.fake.expireTokens(pan.user);
      const second = await subject.putSlices(plan, session, bytes, [1]);
      await subject.run('upload.complete', plan, session, [...first, ...second], call);
      assert.equal(pan.fake.logins, 1);
      assert.ok(pan.fake.bytesAt(pan.user, '/a.bin')?.equals(bytes));
    });

    it('wait for a server that needs long, asking each second', async () => {
      for (const mergeAnswer of ['incomplete', '20103'] as const) {
        Object.assign(pan.fake.settings, { mergePolls: 20, mergeAnswer });
        const before = { ms: pan.time.nowMs, polls: pan.fake.count(COMPLETE) };
        const bytes = bytesOf(1000, mergeAnswer);
        const plan = subject.plan('0', `${mergeAnswer}.bin`, bytes);
        const session = await subject.begin(plan);
        const receipts = await subject.putSlices(plan, session, bytes);
        const file = await subject.run('upload.complete', plan, session, receipts, call);
        assert.equal(file.hashes.MD5, createHash('md5').update(bytes).digest('hex'));
        assert.equal(pan.fake.count(COMPLETE) - before.polls, 21);
        assert.ok(pan.time.nowMs - before.ms >= 20_000);
      }
    });

    it('give up on a server that never ends, and say that the file may come', async () => {
      pan.fake.settings.mergePolls = 1000;
      await failure(finish(bytesOf(1000, 'never')), 'timeout');
    });

    it('go on when an answer about the end is lost, and make one file', async () => {
      for (const phase of ['before', 'after', 'within'] as const) {
        pan.fake.faults.inject({ kind: 'cut', phase, match: { path: COMPLETE }, times: 2 });
        const name = `${phase}.bin`;
        const bytes = bytesOf(1000, phase);
        const plan = subject.plan('0', name, bytes);
        const session = await subject.begin(plan);
        const receipts = await subject.putSlices(plan, session, bytes);
        await subject.run('upload.complete', plan, session, receipts, call);
        assert.equal((await subject.names('0')).filter((other) => other === name).length, 1);
      }
    });

    it('send a slice to another server when one fails', async () => {
      pan.fake.faults.inject({ kind: 'status', status: 500, times: 4, match: { role: 'upload' } });
      const bytes = bytesOf(SLICE, 'elsewhere');
      await finish(bytes);
      assert.ok(pan.fake.bytesAt(pan.user, '/a.bin')?.equals(bytes));
      assert.equal(last(SLICE_PATH)?.role, 'upload2');
    });

    it('take an empty answer for a slice as a success', async () => {
      pan.fake.settings.emptySliceAnswer = true;
      assert.equal((await finish(bytesOf(SLICE, 'empty answer'))).sizeBytes, SLICE);
    });

    it('wait in a full queue', async () => {
      const path = '/upload/v2/file/create';
      pan.fake.faults.inject({ kind: 'code', code: 1, message: '秒传队列繁忙，请慢一点', times: 3, match: { path } });
      await finish(bytesOf(1000, 'queue'));
      assert.equal(pan.fake.count(path), 4);
      pan.fake.faults.inject({ kind: 'code', code: 1, message: '秒传队列繁忙，请慢一点', times: 99, match: { path } });
      await failure(upload(bytesOf(1000, 'full'), 'b.bin'), 'unavailable');
      pan.fake.faults.clear();
    });

    it('make no second file when the answer to an instant hit was lost', async () => {
      const bytes = bytesOf(1000, 'lost hit');
      await subject.put('0', 'first.bin', bytes);
      pan.fake.faults.inject({ kind: 'cut', phase: 'after', match: { path: '/upload/v2/file/create' } });
      const begun = await subject.run(
        'upload.begin',
        subject.plan('0', 'b.bin', bytes, { onConflict: 'RENAME' }),
        call,
      );
      assert.ok('instant' in begun);
      assert.deepEqual((await subject.names('0')).toSorted(), ['b.bin', 'first.bin']);
    });

    it('find a file that was there already, and has no number yet', async () => {
      const bytes = bytesOf(1000, 'nameless');
      await subject.put('0', 'first.bin', bytes);
      pan.fake.settings.reuseWithoutId = true;
      const begun = await subject.run('upload.begin', subject.plan('0', 'b.bin', bytes), call);
      assert.ok('instant' in begun);
      assert.equal(begun.instant.ref, refOf('/b.bin'));
    });

    it('end with a typed error when the account may not write', async () => {
      const path = '/upload/v2/file/create';
      pan.fake.faults.inject({ kind: 'code', code: 1, message: '禁止上传', times: 99, match: { path } });
      const error = await failure(upload(bytesOf(1000, 'ban')), 'permission_denied');
      assert.match(error.hint ?? '', /hours/);
      assert.equal(pan.fake.count(path), 1, 'a ban is not tried against');
      pan.fake.faults.clear();
    });

    it('take the first version where there is no second, and ask it for each part', async () => {
      pan.fake.settings.missing = ['/upload/v2/file/create'];
      const bytes = bytesOf(2 * SLICE + 3, 'v1');
      await finish(bytes);
      assert.ok(pan.fake.bytesAt(pan.user, '/a.bin')?.equals(bytes));
      assert.equal(pan.fake.count('/upload/v1/file/get_upload_url'), 3);
      assert.equal(pan.fake.count(SLICE_PATH), 0);
    });

    it('that are small go in one request, and are found when its answer says nothing, or is lost', async () => {
      const bytes = bytesOf(1000, 'single');
      const put = (name: string) => subject.run('upload.putWhole', subject.plan('0', name, bytes), bytes, call);
      await put('a.bin');
      assert.equal(last('/upload/v2/file/single/create')?.status, 200);
      assert.equal(pan.fake.count('/upload/v2/file/create'), 0);
      pan.fake.settings.singleIncomplete = true;
      assert.equal((await put('b.bin')).ref, refOf('/b.bin'));
      const path = '/upload/v2/file/single/create';
      pan.fake.faults.inject({ kind: 'cut', phase: 'after', match: { path } });
      assert.equal((await put('c.bin')).ref, refOf('/c.bin'));
      pan.fake.settings.missing = [path];
      await failure(put('d.bin'), 'unsupported');
    });

    it('refuse more than 10 GB before anything is sent', async () => {
      const plan = { ...subject.plan('0', 'big', Buffer.from('x')), sizeBytes: 10_000_000_001 };
      await failure(subject.run('upload.begin', plan, call), 'too_large');
      assert.equal(pan.fake.count('/upload/v2/file/create'), 0);
    });
  });

  describe('downloads', () => {
    it('say when the traffic is used up, and what to do', async () => {
      const ref = seed('/a.bin', 5000);
      pan.user.trafficLeft = 4000;
      const error = await failure(subject.driver.read(ref, null, call), 'quota_exceeded');
      assert.equal(error.providerCode, '5113');
      assert.match(error.hint ?? '', /10 GB a month/);
    });

    it('are given by this server, which asks for the link and uses it at one place', async () => {
      const ref = seed('/a.bin', 5000);
      pan.fake.settings.cdnCity = '北京市';
      const error = await failure(subject.driver.read(ref, null, call), 'permission_denied');
      assert.equal(error.providerCode, '1010');
      assert.equal(pan.fake.count('/api/v1/file/download_info'), 2, 'one other link was tried');
      pan.fake.settings.cdnCity = pan.fake.settings.apiCity;
      assert.equal((await subject.content(ref)).length, 5000);
    });

    it('ask for another link when one is good no more', async () => {
      const ref = seed('/a.bin', 5000);
      const body = JSON.stringify({ code: 1010, message: 'download err: 50002' });
      pan.fake.faults.inject({ kind: 'status', status: 403, body, match: { role: 'cdn' } });
      assert.equal((await subject.content(ref)).length, 5000);
    });

    it('wait for a file that is verified, or shows late', async () => {
      pan.fake.settings.freshPolls = 2;
      assert.equal((await subject.content(seed('/a.bin', 100))).length, 100);
      Object.assign(pan.fake.settings, { freshPolls: 0, lateFiles: 1 });
      assert.equal((await subject.content(seed('/b.bin', 100))).length, 100);
      pan.fake.settings.lateFiles = 5;
      await failure(subject.driver.read(seed('/c.bin', 100), null, call), 'unavailable');
    });

    it('that end early, or break, are never taken for whole', async () => {
      const ref = seed('/a.bin', 100_000);
      pan.fake.faults.inject({ kind: 'truncate', bytes: 50_000, match: { role: 'cdn' } });
      await failure(subject.driver.read(ref, null, call), 'corrupted');
      pan.fake.faults.inject({ kind: 'cut', phase: 'within', match: { role: 'cdn' } });
      await assert.rejects(
        subject.content(ref),
        ({ category }) => category === 'unavailable' || category === 'corrupted',
      );
      assert.equal((await subject.content(ref)).length, 100_000);
    });
  });

  describe('shares', () => {
    const options = { days: 7, password: 'ab12', remark: 'Photos', ticket: null };

    it('are made, listed over pages, and change in who pays', async () => {
      const refs = [seed('/a.txt'), seed('/b.txt')];
      const traffic = { guests: true, beyondQuota: false, limitBytes: 1_000_000 };
      const made = await subject.run('shares.create', refs, { ...options, traffic }, call);
      assert.match(made.url, /\/s\/key-/);
      assert.deepEqual(pan.fake.shares[0]?.fileIds.map(String), refs);
      assert.deepEqual([pan.fake.shares[0]?.trafficSwitch, pan.fake.shares[0]?.trafficLimit], [2, 1_000_000n]);
      for (let more = 0; more < 3; more += 1) {
        await subject.run('shares.create', refs, { ...options, days: null, password: null }, call);
      }
      const listed = await everyItem((page) => subject.run('shares.list', page, call), 2);
      assert.equal(listed.length, 4);
      assert.deepEqual([listed[0]?.ref, listed[0]?.password, listed[0]?.remark], [made.ref, 'ab12', 'Photos']);
      assert.equal(listed[1]?.expiresAt, null, 'for ever');
      await subject.run(
        'shares.update',
        made.ref,
        { traffic: { ...traffic, beyondQuota: true, limitBytes: null } },
        call,
      );
      assert.deepEqual([pan.fake.shares[0]?.trafficSwitch, pan.fake.shares[0]?.trafficLimitSwitch], [4, 1]);
    });

    it('refuse what 123pan has no way for', async () => {
      const refs = [seed('/a.txt')];
      for (const wrong of [{ days: 3 }, { password: 'abc' }, { password: 'äöü1' }, { ticket: 'x' }])
        await failure(subject.run('shares.create', refs, { ...options, ...wrong }, call), 'invalid_argument');
      await failure(subject.run('shares.create', ['0'], options, call), 'invalid_argument');
      const { ref } = await subject.run('shares.create', refs, options, call);
      await failure(subject.run('shares.update', ref, { password: 'cd34' }, call), 'unsupported');
      await failure(subject.run('shares.update', '12345', { traffic: noTraffic }, call), 'not_found');
    });
    const noTraffic = { guests: false, beyondQuota: false, limitBytes: null };
  });

  describe('offline tasks', () => {
    it('are begun for a link each, and followed by their number', async () => {
      const folder = await subject.newFolder();
      const urls = ['https://files.example/film.mkv', 'https://files.example/broken.mkv'];
      const [good, broken] = await subject.run('offline.add', urls, folder.ref, call);
      assert.ok(good?.task && broken?.task);
      const state = async (ref = '') => (await subject.run('offline.stat', ref, call)).state;
      assert.equal(await state(good.task.ref), 'RUNNING');
      const done = await subject.run('offline.stat', good.task.ref, call);
      assert.deepEqual([done.state, done.percentDone], ['SUCCEEDED', 100]);
      assert.deepEqual(await subject.names(folder.ref), ['film.mkv']);
      await state(broken.task.ref);
      assert.ok((await subject.run('offline.stat', broken.task.ref, call)).failure);
      await failure(subject.run('offline.stat', '99', call), 'not_found');
    });

    it('go to a folder of 123pan when none is named, and never to the root', async () => {
      const [added] = await subject.run('offline.add', ['http://files.example/a.txt'], null, call);
      assert.ok(added?.task);
      const [refused] = await subject.run('offline.add', ['http://files.example/a.txt'], '0', call);
      assert.equal(refused?.error?.category, 'invalid_argument');
      await failure(subject.run('offline.add', ['http://files.example/a.txt'], seed('/a.txt'), call), 'wrong_kind');
    });
  });

  describe('direct links', () => {
    it('are given for files below a folder that is enabled, and explained elsewhere', async () => {
      const ref = seed('/shared/deep/a.txt');
      const error = await failure(subject.run('link', ref, call), 'permission_denied');
      assert.match(error.hint ?? '', /enabled/);
      const folder = pan.fake.entryAt(pan.user, '/shared');
      assert.ok(folder);
      pan.fake.enableDirectLinks(folder);
      const { url, headers } = await subject.run('link', ref, call);
      assert.equal(await (await fetch(url)).text(), 'content');
      assert.deepEqual(headers, {});
      await failure(subject.run('link', refOf('/shared'), call), 'wrong_kind');
      await failure(subject.run('link', '0', call), 'wrong_kind');
    });
  });

  describe('versions of films', () => {
    const film = (): string => seed('/Holiday.mp4', 5000);

    for (const fromDisk of ['array', 'wrapped'] as const) {
      it(`are made in the transcoding space, played, and deleted (${fromDisk})`, async () => {
        pan.fake.settings.fromDisk = fromDisk;
        const ref = film();
        assert.deepEqual(await subject.run('media.versions', ref, call), []);
        await failure(subject.run('media.openPlaylist', ref, null, call), 'not_found');
        await subject.run('media.transcode', ref, '720p', call);
        assert.equal(Reflect.get(Object(last('/api/v1/transcode/video')?.json), 'resolutions'), '720P');
        await failure(subject.run('media.openPlaylist', ref, '720P', call), 'unavailable');
        const versions = await subject.run('media.versions', ref, call);
        assert.deepEqual(
          versions.map(({ quality, state }) => [quality, state]),
          [
            ['480P', 'AVAILABLE'],
            ['720P', 'READY'],
            ['1080P', 'AVAILABLE'],
          ],
        );
        await subject.run('media.transcode', ref, '720P', call);
        assert.equal(pan.fake.count('/api/v1/transcode/video'), 1, 'what is made is not asked for again');
        const { state } = await subject.run('media.openPlaylist', ref, null, call);
        const playlist = await subject.run('media.readPlaylist', state, call);
        assert.match(playlist.text, /^#EXTM3U/);
        const segment = new URL('segment-0.ts', playlist.url).href;
        const part = await subject.run('media.readPart', segment, null, call);
        assert.match(String(Buffer.concat(await part.bytes.toArray())), /^bytes of/);
        await subject.run('media.deleteVersions', ref, call);
        assert.deepEqual(await subject.run('media.versions', ref, call), []);
        assert.ok(pan.fake.entryAt(pan.user, '/Holiday.mp4'), 'the film stays');
      });
    }

    it('refuse a quality that the film does not have, and what is no film', async () => {
      const error = await failure(subject.run('media.transcode', film(), '4320P', call), 'invalid_argument');
      assert.match(error.hint ?? '', /1080P/);
      await failure(subject.run('media.transcode', seed('/a.txt'), '720P', call), 'unsupported');
      await failure(subject.run('media.deleteVersions', seed('/b.mp4'), call), 'not_found');
    });

    it('that failed are told so', async () => {
      const ref = film();
      await subject.run('media.transcode', ref, '480P', call);
      pan.fake.transcoding.fail(pan.user);
      const [version] = await subject.run('media.versions', ref, call);
      assert.deepEqual([version?.quality, version?.state], ['480P', 'FAILED']);
      await failure(subject.run('media.openPlaylist', ref, '480P', call), 'not_found');
    });

    it("are listed by another call for accounts of the operator's application", async () => {
      const drive = pan.openAnother(pan.fake.createUser(), 'oauth');
      const owner = pan.fake.users.at(-1);
      assert.ok(owner);
      const ref = String(pan.fake.seedFile(owner, '/b.mp4', 100).id);
      const versions = await drive.run('media.versions', ref, call);
      assert.deepEqual(
        versions.map(({ quality, state }) => [quality, state]),
        [
          ['720P', 'READY'],
          ['1080P', 'RUNNING'],
        ],
      );
      const { state } = await drive.run('media.openPlaylist', ref, null, call);
      assert.match((await drive.run('media.readPlaylist', state, call)).text, /^#EXTM3U/);
    });
  });
});
