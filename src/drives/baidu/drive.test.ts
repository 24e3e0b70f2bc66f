import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type BaiduFixture, openBaiduFixture } from '../../../test/conformance/fixtures/baidu.ts';
import { bytesOf, call, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';
import { RATES } from './rates.ts';

const MIB = 1024 * 1024;
const ROOT = '/apps/demo';

describe('Baidu Netdisk', { timeout: 60_000 }, () => {
  let baidu: BaiduFixture;
  let subject: Subject;

  beforeEach(async () => {
    baidu = await openBaiduFixture();
    subject = new Subject(baidu);
  });
  afterEach(() => baidu.close());

  const refOf = (path: string): string => baidu.fake.entryAt(baidu.user, `${ROOT}${path}`)?.fsId ?? '';
  const seed = (path: string, content: string | number = 'content'): string =>
    baidu.fake.seedFile(baidu.user, `${ROOT}${path}`, content).fsId;
  const paths = (): string[] =>
    baidu.fake.paths(baidu.user).flatMap((path) => (path.startsWith(`${ROOT}/`) ? [path.slice(ROOT.length)] : []));
  const last = (endpoint: string) => baidu.fake.requests.findLast((request) => request.endpoint === endpoint);

  describe('every call', () => {
    it('has the token in its query, the one User-Agent, and no Authorization', async () => {
      seed('/a.txt');
      await subject.content(refOf('/a.txt'));
      await subject.run('remove', refOf('/a.txt'), {}, call);
      const sent = baidu.fake.requests.filter(({ role }) => role !== 'cdn');
      assert.ok(sent.length >= 4);
      for (const { query, headers } of sent) {
        assert.ok(query.access_token);
        assert.equal(headers['user-agent'], 'pan.baidu.com');
        assert.equal(headers.authorization, undefined);
      }
      const lines = baidu.lines.join('\n');
      assert.ok(!lines.includes(sent[0]?.query.access_token ?? '-'), 'no token in the log');
    });

    it('writes a path once, whatever is in it', async () => {
      const made = await subject.run('createFolder', '/', "文件 100% & it's #1+2", call);
      assert.deepEqual(paths(), ["/文件 100% & it's #1+2"]);
      assert.equal(made.path, "/文件 100% & it's #1+2");
    });

    it('stays in the folder of the application', async () => {
      const outside = baidu.fake.seedFile(baidu.user, '/private/x.txt', 'x');
      await failure(subject.run('stat', outside.fsId, call), 'not_found');
      await failure(subject.run('read', outside.fsId, null, call), 'not_found');
      await failure(subject.run('remove', outside.fsId, {}, call), 'not_found');
      await failure(subject.run('resolve', ['..', '..', 'private'], call), 'invalid_argument');
      const appRoot = baidu.fake.entryAt(baidu.user, ROOT)?.fsId ?? '';
      await failure(subject.run('remove', appRoot, {}, call), 'not_found');
    });

    it('gives up at once when a person would have to wait for a minute, and says how long', async () => {
      baidu.fake.faults.inject({ kind: 'errno', errno: 31034, match: { endpoint: 'list' } });
      const error = await failure(subject.run('list', '/', {}, FIRST_PAGE, call), 'rate_limited');
      assert.ok((error.retryAfterMs ?? 0) >= 30_000);
      assert.equal(baidu.fake.count('list'), 1);
    });

    for (const [errno, status] of [
      [20016, 200],
      [20016, 401],
      [-6, 200],
      [111, 200],
      [31045, 200],
    ] as const) {
      it(`renews the token once when Baidu says ${errno} with HTTP ${status}`, async () => {
        await subject.run('list', '/', {}, FIRST_PAGE, call);
        Object.assign(baidu.fake.settings, { expiredTokenErrno: errno, gatewayStatus: status });
        baidu.fake.expireTokens(baidu.user);
        await subject.run('list', '/', {}, FIRST_PAGE, call);
        assert.equal(baidu.fake.refreshes, 1);
      });
    }

    it('renews the token also between slices', async () => {
      const bytes = bytesOf(5 * MIB, 'renewed');
      const plan = subject.plan('/', 'a.bin', bytes);
      const session = await subject.begin(plan);
      const first = await subject.putSlices(plan, session, bytes, [0]);
      baidu.fake.expireTokens(baidu.user);
      const second = await subject.putSlices(plan, session, bytes, [1]);
      await subject.run('upload.complete', plan, session, [...first, ...second], call);
      assert.equal(baidu.fake.refreshes, 1);
      assert.ok(baidu.fake.bytesAt(baidu.user, `${ROOT}/a.bin`)?.equals(bytes));
    });

    it("takes no file of somebody else's for the one that it sent, though it is as long", async () => {
      const bytes = bytesOf(1000, 'sent');
      const plan = subject.plan('/', 'a.bin', bytes);
      const session = await subject.begin(plan);
      const receipts = await subject.putSlices(plan, session, bytes, [0]);
      baidu.fake.seedFile(baidu.user, `${ROOT}/a.bin`, bytesOf(1000, 'of somebody else'));
      await failure(subject.run('upload.complete', plan, session, receipts, call), 'already_exists');
    });

    it('does not go on renewing what stays refused', async () => {
      await subject.run('list', '/', {}, FIRST_PAGE, call);
      baidu.fake.faults.inject({ kind: 'errno', errno: -6, match: { endpoint: 'list' }, times: 99 });
      await failure(subject.run('list', '/', {}, FIRST_PAGE, call), 'unauthenticated');
      assert.equal(baidu.fake.refreshes, 1);
    });

    it('keeps to rates of its own for each kind', () => {
      assert.deepEqual(RATES.listall, { windows: [{ max: 8, windowMs: 60_000 }] });
      assert.deepEqual(RATES.list, { windows: [{ max: 5, windowMs: 2500 }] });
      assert.equal(RATES.filemanager?.concurrent, 1);
      assert.equal(RATES.superfile2?.concurrent, 3);
    });
  });

  describe('looking up', () => {
    it('asks for a hundred ids at once', async () => {
      const refs = Array.from({ length: 101 }, (_, index) => seed(`/${index}.txt`));
      const found = await subject.run('statMany', [...refs, '99'], call);
      assert.deepEqual(
        found.map((entry) => entry?.name ?? null),
        [...refs.map((_, index) => `${index}.txt`), null],
      );
      assert.equal(baidu.fake.count('filemetas'), 2);
      assert.match(last('filemetas')?.query.fsids ?? '', /^\[\d+(,\d+)*\]$/);
    });

    it('asks for the facts of many files at once, also where each is asked for by itself', async () => {
      const refs = Array.from({ length: 101 }, (_, index) => seed(`/${index}.jpg`));
      const leaver = new AbortController();
      const left = subject.run('media.thumbnails', refs[7] ?? '', { signal: leaver.signal });
      const all = Promise.allSettled(refs.map((ref) => subject.run('media.thumbnails', ref, call)));
      const gone = subject.run('media.thumbnails', '99', call);
      leaver.abort();
      await failure(left, 'cancelled');
      await failure(gone, 'not_found');
      const results = await all;
      assert.ok(results.every((result) => result.status === 'fulfilled' && result.value.length === 5));
      assert.equal(baidu.fake.count('filemetas'), 2);
      await subject.run('media.info', refs[0] ?? '', call);
      assert.equal(last('filemetas')?.query.needmedia, '1');
    });

    it('leaves nothing out when entries go and come between pages', async () => {
      for (let index = 0; index < 30; index += 1) baidu.fake.seedFolder(baidu.user, `${ROOT}/l/${index + 100}`);
      const list = (cursor: string | null) => subject.run('list', refOf('/l'), {}, { cursor, limit: 10 }, call);
      const first = await list(null);
      for (const name of ['100', '101', '109']) baidu.fake.removeEntry(baidu.user, `${ROOT}/l/${name}`);
      baidu.fake.seedFolder(baidu.user, `${ROOT}/l/000`);
      const second = await list(first.nextCursor);
      assert.equal(second.items[0]?.name, '110');
      for (const name of ['001', '002', '003', '004']) baidu.fake.seedFolder(baidu.user, `${ROOT}/l/${name}`);
      const third = await list(second.nextCursor);
      const seen = [...first.items, ...second.items, ...third.items].map(({ name }) => name);
      assert.deepEqual(
        seen.slice(10, 20),
        Array.from({ length: 10 }, (_, index) => String(110 + index)),
      );
      assert.equal(third.items[0]?.name, '120');
      assert.equal(new Set(seen).size, seen.length);
    });

    it('finds one among more than a page', async () => {
      for (let index = 0; index < 1001; index += 1) baidu.fake.seedFolder(baidu.user, `${ROOT}/many/${index}`);
      assert.equal((await subject.run('resolve', ['many', '999'], call)).ref, refOf('/many/999'));
      assert.equal(baidu.fake.count('list'), 2);
      const page = await subject.run('list', refOf('/many'), {}, { cursor: null, limit: 1000 }, call);
      assert.equal(page.items.length, 1000);
      const rest = await subject.run('list', refOf('/many'), {}, { cursor: page.nextCursor, limit: 1000 }, call);
      assert.deepEqual([rest.items.length, rest.nextCursor], [1, null]);
    });

    it('refuses to search for more than thirty characters', async () => {
      await failure(subject.run('searchByName', { query: '字'.repeat(31) }, FIRST_PAGE, call), 'invalid_argument');
      await subject.run('searchByName', { query: '字'.repeat(30) }, FIRST_PAGE, call);
    });

    it('searches by meaning: each file once, and only below the folder', async () => {
      const inside = seed('/in/report one.txt');
      baidu.fake.seedFile(baidu.user, '/private/report two.txt', 'x');
      seed('/report three.txt');
      const request = { query: 'report', folderRef: refOf('/in') };
      const { items } = await subject.run('searchByMeaning', request, FIRST_PAGE, call);
      assert.deepEqual(
        items.map(({ ref }) => ref),
        [inside],
      );
    });

    it('says that searching by meaning is not granted', async () => {
      const { run } = baidu.openAnother(baidu.fake.createUser());
      await failure(run('searchByMeaning', { query: 'report' }, FIRST_PAGE, call), 'permission_denied');
    });

    it('tells that more is used than there is as nothing left', async () => {
      baidu.user.otherUsedBytes = baidu.user.totalBytes + 5;
      assert.equal((await subject.run('usage', call)).freeBytes, 0);
    });
  });

  describe('an application whose folder is not there yet', () => {
    const newcomer = () => {
      baidu.fake.settings.createParents = false;
      const user = baidu.fake.createUser({ appRootExists: false });
      return { user, other: new Subject({ ...baidu, drive: baidu.openAnother(user) }) };
    };

    it('has an empty drive', async () => {
      const { other } = newcomer();
      assert.deepEqual(await other.names('/'), []);
      for (const category of ['IMAGE', 'AUDIO'] as const)
        assert.deepEqual((await other.run('listByCategory', category, null, FIRST_PAGE, call)).items, []);
      assert.deepEqual((await other.run('listRecursive', '/', FIRST_PAGE, call)).items, []);
      assert.deepEqual((await other.run('searchByName', { query: 'x' }, FIRST_PAGE, call)).items, []);
      assert.deepEqual((await other.run('usage', call)).byCategory, []);
    });

    it('gets it with the first upload, or the first folder', async () => {
      const { user, other } = newcomer();
      await other.put('/', 'first.txt', 'a');
      assert.ok(baidu.fake.entryAt(user, `${ROOT}/first.txt`));
      const second = newcomer();
      await second.other.run('createFolder', '/', 'first', call);
      assert.deepEqual(await second.other.names('/'), ['first']);
    });
  });

  describe('changing', () => {
    it('waits for the task that Baidu leaves behind', async () => {
      baidu.fake.settings.adaptiveItems = 0;
      seed('/a.txt');
      baidu.fake.seedFolder(baidu.user, `${ROOT}/to`);
      const moved = await subject.run('move', refOf('/a.txt'), refOf('/to'), { onConflict: 'FAIL' }, call);
      assert.equal(moved.path, '/to/a.txt');
      assert.ok(baidu.fake.count('taskquery') > 1);
    });

    it('tells what a task failed by', async () => {
      baidu.fake.settings.adaptiveItems = 0;
      const there = seed('/to/a.txt');
      seed('/a.txt');
      const moved = subject.run('move', refOf('/a.txt'), refOf('/to'), { onConflict: 'FAIL' }, call);
      assert.equal((await failure(moved, 'already_exists')).existingRef, there);
    });

    it('does not take a failed item for a success', async () => {
      baidu.fake.settings.partialErrno = 0;
      const there = seed('/to/a.txt');
      seed('/a.txt');
      const copied = subject.run('copy', refOf('/a.txt'), refOf('/to'), { onConflict: 'FAIL' }, call);
      assert.equal((await failure(copied, 'already_exists')).existingRef, there);
    });

    it('tries again while another task of the account runs, and refreshes no token for it', async () => {
      seed('/a.txt');
      const busy = baidu.fake.faults.inject({ kind: 'errno', errno: 111, match: { endpoint: 'delete' } });
      await subject.run('remove', refOf('/a.txt'), {}, call);
      assert.equal(busy.hits, 1);
      assert.equal(baidu.fake.refreshes, 0);
      assert.deepEqual(paths(), []);
    });

    it('does not repeat a change whose answer was lost', async () => {
      const ref = seed('/a.txt');
      baidu.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'rename' } });
      await failure(subject.run('rename', ref, 'b.txt', {}, call), 'unavailable');
      assert.equal(baidu.fake.count('rename'), 1);
    });
  });

  describe('uploading', () => {
    it('announces all hashes, in the fields that Baidu wants', async () => {
      const bytes = bytesOf(9 * MIB, 'nine');
      const file = await subject.put('/', 'nine.bin', bytes);
      const { form = {}, query = {} } = last('precreate') ?? {};
      assert.equal(JSON.parse(form.block_list ?? '').length, 3);
      assert.ok(form['content-md5'] && form['slice-md5']);
      assert.deepEqual(Object.keys(query).toSorted(), ['access_token', 'method']);
      assert.equal(last('create')?.form.block_list, form.block_list);
      assert.equal(file.sizeBytes, bytes.length);
      assert.equal(last('superfile2')?.headers['accept-encoding'], 'identity');
    });

    it('reads a slice answer that is labelled gzip and is not', async () => {
      baidu.fake.settings.gzipLabel = 'always';
      await subject.put('/', 'a.txt', 'a');
      assert.deepEqual(paths(), ['/a.txt']);
    });

    it('sends slices of 4 MiB also for an account that might send larger ones', async () => {
      const plan = subject.plan('/', 'a.bin', bytesOf(5 * MIB, 'five'));
      assert.equal((await subject.begin(plan)).sliceBytes, 4 * MIB);
      assert.equal(baidu.fake.count('uinfo'), 0);
    });

    it('looks the membership up for a file that not all may have', async () => {
      baidu.user.vipType = 0;
      const plan = { ...subject.plan('/', 'a.bin', new Uint8Array(1)), sizeBytes: 5 * 1024 * MIB };
      await failure(subject.run('upload.begin', plan, call), 'too_large');
      assert.equal(baidu.fake.count('uinfo'), 1);
      assert.equal(baidu.fake.count('precreate'), 0);
    });

    it('sends slices to no server but Baidu’s', async () => {
      baidu.fake.settings.uploadServers = ['https://evil.example', 'http://c3.pcs.baidu.com'];
      await subject.put('/', 'a.txt', 'a');
      assert.deepEqual(paths(), ['/a.txt']);
    });

    it('goes on without the server that it should be told', async () => {
      baidu.fake.faults.inject({ kind: 'status', status: 500, match: { endpoint: 'locateupload' }, times: 9 });
      await subject.put('/', 'a.txt', 'a');
      assert.deepEqual(paths(), ['/a.txt']);
    });

    it('finds the file when the answer that it was made is lost', async () => {
      baidu.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'create' } });
      const file = await subject.put('/', 'a.txt', 'a');
      assert.equal(file.ref, refOf('/a.txt'));
      assert.equal(baidu.fake.count('create'), 1, 'it is not made twice');
    });

    it('overwrites once, also when the answer is lost', async () => {
      await subject.put('/', 'a.txt', 'old');
      baidu.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'create' } });
      const file = await subject.put('/', 'a.txt', 'new', 'REPLACE');
      assert.equal(String(await subject.content(file.ref)), 'new');
      assert.deepEqual(paths(), ['/a.txt']);
    });

    it('never takes a file that was there for the one that it was to make beside it', async () => {
      await subject.put('/', 'a.txt', 'one');
      baidu.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'create' } });
      await failure(subject.put('/', 'a.txt', 'two', 'RENAME'), 'unavailable');
    });

    it('says that there is no room, before any byte is sent', async () => {
      baidu.user.totalBytes = 10;
      const plan = subject.plan('/', 'a.bin', bytesOf(1000, 'full'));
      await failure(subject.run('upload.begin', plan, call), 'quota_exceeded');
    });

    it('takes back nothing of a source that changed while it was read', async () => {
      const plan = { ...subject.plan('/', 'a.bin', bytesOf(1000, 'a')), hashes: { MD5: '0'.repeat(32) } };
      await failure(subject.run('upload.begin', plan, call), 'corrupted');
      const short = { ...subject.plan('/', 'a.bin', bytesOf(1000, 'a')), sizeBytes: 1001 };
      await failure(subject.run('upload.begin', short, call), 'corrupted');
      assert.equal(baidu.fake.count('precreate'), 0);
    });
  });

  describe('downloading', () => {
    it('gives the content host the User-Agent, and never the token', async () => {
      const ref = seed('/a.bin', 100_000);
      assert.equal((await subject.content(ref, 10, 19)).length, 10);
      const { query, headers } = last('download') ?? {};
      assert.equal(query?.access_token, undefined);
      assert.equal(headers?.['user-agent'], 'pan.baidu.com');
      assert.equal(headers?.range, 'bytes=10-19');
    });

    it('follows no redirect to a host of others', async () => {
      const ref = seed('/a.txt');
      const headers = { location: 'https://evil.example/x' };
      baidu.fake.faults.inject({ kind: 'status', status: 302, headers, match: { endpoint: 'dlink' } });
      await failure(subject.run('read', ref, null, call), 'permission_denied');
    });

    it('takes the bytes also without a redirect', async () => {
      baidu.fake.settings.directDownloads = true;
      assert.equal(String(await subject.content(seed('/a.txt', 'whole'))), 'whole');
    });

    it('gives a file of no bytes, which others may have put there', async () => {
      const ref = seed('/empty', '');
      assert.equal((await subject.content(ref)).length, 0);
      await failure(subject.run('read', ref, { start: 0, end: null }, call), 'invalid_argument');
    });

    it('does not end well when the bytes end early', async () => {
      const ref = seed('/a.bin', 100_000);
      baidu.fake.faults.inject({ kind: 'cut', phase: 'within', match: { endpoint: 'download' } });
      await assert.rejects(subject.content(ref));
      baidu.fake.faults.inject({ kind: 'truncate', match: { endpoint: 'download' } });
      await failure(subject.run('read', ref, null, call), 'corrupted');
    });
  });

  describe('sharing', () => {
    const options = { days: 7, password: '12zx', remark: 'for you', ticket: null };

    it('gives a link for some days', async () => {
      const refs = [seed('/a.txt'), seed('/b.txt')];
      const share = await subject.run('shares.create', refs, options, call);
      assert.deepEqual([share.password, share.remark, share.active], ['12zx', 'for you', true]);
      assert.match(share.url, /^https:\/\/pan\.baidu\.com\//);
      assert.equal(baidu.fake.shares[0]?.entries.length, 2);
      assert.equal(last('share-set')?.form.fsid_list, JSON.stringify(refs), 'ids are text here');
    });

    it('makes up a password where none is given', async () => {
      const share = await subject.run('shares.create', [seed('/a.txt')], { ...options, password: null }, call);
      assert.match(share.password ?? '', /^[0-9a-z]{4}$/);
    });

    it('refuses what Baidu would', async () => {
      const refs = [seed('/a.txt')];
      for (const more of [{ days: null }, { days: 0 }, { password: 'ABCD' }, { password: '12345' }])
        await failure(subject.run('shares.create', refs, { ...options, ...more }, call), 'invalid_argument');
      for (const none of [[], ['/'], ['99']])
        await failure(subject.run('shares.create', none, options, call), 'invalid_argument');
    });

    it('says when the application has no right to it', async () => {
      const user = baidu.fake.createUser();
      const { fsId } = baidu.fake.seedFile(user, `${ROOT}/a.txt`, 'a');
      const shared = baidu.openAnother(user).run('shares.create', [fsId], options, call);
      await failure(shared, 'permission_denied');
    });
  });

  describe('media', () => {
    it('has small pictures with their sizes, and an end', async () => {
      const thumbnails = await subject.run('media.thumbnails', seed('/a.jpg'), call);
      assert.equal(thumbnails.length, 5);
      assert.deepEqual([thumbnails[0]?.width, thumbnails[0]?.height], [60, 60]);
      assert.ok((thumbnails[0]?.expiresAt?.getTime() ?? 0) > Date.now() + 7 * 3_600_000);
      assert.deepEqual(await subject.run('media.thumbnails', seed('/a.txt'), call), []);
    });

    it('tells how long a film is', async () => {
      const media = { durationMs: 2500, width: 1280, height: 720 };
      const { fsId } = baidu.fake.seedFile(baidu.user, `${ROOT}/v.mp4`, 'film', media);
      assert.deepEqual(await subject.run('media.info', fsId, call), {
        durationSeconds: 2.5,
        width: 1280,
        height: 720,
      });
    });

    it('previews documents and pictures, and says of what it cannot', async () => {
      for (const name of ['/d/a.pdf', '/d/a.png']) {
        const { url, expiresAt } = await subject.run('media.preview', seed(name), call);
        assert.equal((await fetch(url)).status, 200);
        assert.ok(expiresAt);
      }
      const error = await failure(subject.run('media.preview', seed('/d/a.zip'), call), 'unsupported');
      assert.equal(error.ability, 'PREVIEW');
    });
  });
});
