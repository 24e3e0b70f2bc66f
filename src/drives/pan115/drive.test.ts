import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openPan115Fixture, type Pan115Fixture } from '../../../test/conformance/fixtures/pan115.ts';
import { bytesOf, call, everyItem, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';
import type { UploadSession } from '../contract/upload.ts';
import { RATES } from './rates.ts';

const KIB = 1024;
const PART = 256 * KIB;

describe('115', { timeout: 60_000 }, () => {
  let pan115: Pan115Fixture;
  let subject: Subject;

  beforeEach(async () => {
    pan115 = await openPan115Fixture();
    subject = new Subject(pan115);
  });
  afterEach(() => pan115.close());

  const refOf = (path: string): string => pan115.fake.entryAt(pan115.user, path)?.id ?? '';
  const seed = (path: string, content: string | number | Buffer = 'content', more = {}): string =>
    pan115.fake.seedFile(pan115.user, path, content, more).id;
  const paths = (): string[] => pan115.fake.paths(pan115.user);
  const last = (endpoint: string) => pan115.fake.requests.findLast((request) => request.endpoint === endpoint);
  const sha1 = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex');

  describe('every call', () => {
    it('has the token in its header, the one User-Agent, and forms that are forms', async () => {
      seed('/a.txt');
      await subject.content(refOf('/a.txt'));
      await subject.run('remove', refOf('/a.txt'), {}, call);
      const sent = pan115.fake.requests.filter(({ role }) => role === 'api');
      assert.ok(sent.length >= 4);
      for (const { headers, query } of sent) {
        assert.match(String(headers.authorization), /^Bearer at\./);
        assert.ok(headers['user-agent']);
        assert.ok(!JSON.stringify(query).includes('at.'));
      }
      assert.ok(!pan115.lines.join('\n').includes('at.'), 'no token in the log');
    });

    it('keeps ids of 19 digits whole that come as numbers', async () => {
      seed('/深/a.txt');
      const { items } = await subject.run('list', refOf('/深'), {}, FIRST_PAGE, call);
      assert.equal(items[0]?.parentRef, refOf('/深'));
      assert.ok(!Number.isSafeInteger(Number(refOf('/深'))));
      const file = await subject.run('stat', refOf('/深/a.txt'), call);
      assert.deepEqual([file.parentRef, file.path], [refOf('/深'), '/深/a.txt']);
    });

    it('is told apart from nothing when there were too many', async () => {
      seed('/a.txt');
      const throttled = pan115.fake.faults.inject({ kind: 'code', code: 0, match: { endpoint: 'list' }, times: 2 });
      assert.deepEqual(await subject.names('0'), ['a.txt']);
      assert.equal(throttled.hits, 2);
    });

    it('gives up at once when a person would have to wait for a minute, and says how long', async () => {
      pan115.fake.faults.inject({
        kind: 'code',
        code: 406,
        message: '已达到当前访问上限',
        match: { endpoint: 'list' },
      });
      const error = await failure(subject.run('list', '0', {}, FIRST_PAGE, call), 'rate_limited');
      assert.ok((error.retryAfterMs ?? 0) >= 60_000);
      assert.equal(pan115.fake.count('list'), 1);
    });

    it('repeats a change that was not done because there were too many', async () => {
      pan115.fake.faults.inject({ kind: 'code', code: 0, match: { endpoint: 'add' } });
      await subject.run('createFolder', '0', 'new', call);
      assert.deepEqual(paths(), ['/new']);
    });

    it('never asks faster than clients live with', () => {
      const [window] = RATES['*']?.windows ?? [];
      assert.ok(window && window.max / (window.windowMs / 1000) <= 2 && window.max <= 5);
    });

    for (const code of [40140125, 40140126, 40140123, 40140124, 99, 40140199]) {
      it(`renews the token once when 115 says ${code}`, async () => {
        pan115.fake.faults.inject({ kind: 'code', code, match: { endpoint: 'list' } });
        await subject.run('list', '0', {}, FIRST_PAGE, call);
        assert.equal(pan115.fake.refreshes, 1);
        assert.equal(pan115.fake.count('list'), 2);
      });
    }

    it('renews no token for a page of HTML', async () => {
      pan115.fake.faults.inject({ kind: 'html', match: { endpoint: 'list' } });
      await subject.run('list', '0', {}, FIRST_PAGE, call);
      assert.equal(pan115.fake.refreshes, 0);
    });
  });

  describe('looking', () => {
    it('says that a folder is missing, though 115 lists another one', async () => {
      seed('/a.txt');
      const missing = '3999999999999999999';
      await failure(subject.run('list', missing, {}, FIRST_PAGE, call), 'not_found');
      await failure(subject.run('list', refOf('/a.txt'), {}, FIRST_PAGE, call), 'wrong_kind');
      await failure(subject.run('listByCategory', 'DOCUMENT', missing, FIRST_PAGE, call), 'not_found');
      await failure(subject.run('searchByName', { query: 'zzz', folderRef: missing }, FIRST_PAGE, call), 'not_found');
    });

    it('asks for its own order, direct children and folders', async () => {
      await subject.run('list', '0', { orderBy: { by: 'SIZE', direction: 'DESC' } }, FIRST_PAGE, call);
      const { query } = last('list') ?? assert.fail();
      assert.deepEqual(
        [query.custom_order, query.o, query.asc, query.show_dir, query.cur],
        ['1', 'file_size', '0', '1', '1'],
      );
    });

    it('takes the order of a folder that has no other, unless one was asked for', async () => {
      seed('/a.txt');
      const unsupported = { kind: 'code', code: 20130827, match: { endpoint: 'list' } } as const;
      pan115.fake.faults.inject(unsupported);
      assert.deepEqual(await subject.names('0'), ['a.txt']);
      assert.deepEqual([last('list')?.query.custom_order, last('list')?.query.o], [undefined, undefined]);
      pan115.fake.faults.inject(unsupported);
      const options = { orderBy: { by: 'SIZE', direction: 'ASC' } } as const;
      await failure(subject.run('list', '0', options, FIRST_PAGE, call), 'invalid_argument');
    });

    it('reads to an empty page where it is not told how many there are', async () => {
      for (const name of ['a', 'b', 'c']) seed(`/${name}`);
      const item = (name: string) => ({
        fid: refOf(`/${name}`),
        pid: '0',
        fc: '1',
        fn: name,
        fs: 7,
        pc: 'x',
        sha1: '',
      });
      for (const data of [[item('a'), item('b')], [item('c')], []]) {
        const body = JSON.stringify({ state: true, code: 0, cid: 0, data });
        pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'list' } });
      }
      await failure(subject.run('createFolder', '0', 'c', call), 'already_exists');
      assert.equal(pan115.fake.count('list'), 3);
    });

    it('leaves nothing out when entries go and come between pages', async () => {
      for (let index = 0; index < 30; index += 1) seed(`/l/${index + 100}`);
      const list = (cursor: string | null) => subject.run('list', refOf('/l'), {}, { cursor, limit: 10 }, call);
      const first = await list(null);
      for (const name of ['100', '101', '109']) pan115.fake.removeEntry(pan115.user, `/l/${name}`);
      const second = await list(first.nextCursor);
      assert.equal(second.items[0]?.name, '110');
      for (const name of ['001', '002', '003', '004']) seed(`/l/${name}`);
      const third = await list(second.nextCursor);
      assert.equal(third.items[0]?.name, '120');
      const seen = [...first.items, ...second.items, ...third.items].map(({ name }) => name);
      assert.equal(new Set(seen).size, seen.length);
    });

    it('reads a folder of more than a page, in pages of 1150', async () => {
      for (let index = 0; index < 1151; index += 1) pan115.fake.seedFolder(pan115.user, `/many/${index}`);
      const before = pan115.fake.count('list');
      const page = await subject.run('list', refOf('/many'), {}, { cursor: null, limit: 5000 }, call);
      assert.deepEqual([page.items.length, page.totalCount, pan115.fake.count('list') - before], [1150, 1151, 1]);
      const rest = await subject.run('list', refOf('/many'), {}, { cursor: page.nextCursor, limit: 5000 }, call);
      assert.deepEqual([rest.items.length, rest.nextCursor], [1, null]);
    });

    it('finds what was just made, though its facts are not there yet', async () => {
      const made = await subject.run('createFolder', '0', 'new', call);
      assert.equal((await subject.run('stat', made.ref, call)).name, 'new');
      await subject.put(made.ref, 'a.txt', 'a');
      assert.equal((await subject.run('resolve', ['new', 'a.txt'], call)).name, 'a.txt');
    });

    it('walks to a name with the other separator of paths', async () => {
      pan115.fake.seedFolder(pan115.user, '/a');
      const odd = pan115.fake.seedFolder(pan115.user, '/a/b>c');
      assert.equal((await subject.run('resolve', ['a', 'b>c'], call)).ref, odd.id);
    });

    it('lists documents and books for documents, and nothing that is no torrent for torrents', async () => {
      for (const name of ['a.pdf', 'b.epub', 'c.jpg', 'd.torrent', 'e.zip']) seed(`/kinds/${name}`);
      const names = async (category: 'DOCUMENT' | 'TORRENT') =>
        (await everyItem((page) => subject.run('listByCategory', category, null, page, call), 1)).map(
          ({ name }) => name,
        );
      assert.deepEqual(await names('DOCUMENT'), ['a.pdf', 'b.epub']);
      assert.deepEqual(await names('TORRENT'), ['d.torrent']);
      const error = await failure(subject.run('listByCategory', 'OTHER', null, FIRST_PAGE, call), 'unsupported');
      assert.equal(error.ability, 'LIST_BY_CATEGORY');
    });

    it('searches until there is nothing more, whatever the count says', async () => {
      for (let index = 0; index < 5; index += 1) seed(`/s/hit ${index}.txt`);
      const hits = await everyItem((page) => subject.run('searchByName', { query: 'hit' }, page, call), 2);
      assert.equal(hits.length, 5);
      assert.equal(hits[0]?.hashes.SHA1?.length, 40);
    });

    it('tells who it is and how full it is', async () => {
      seed('/a.bin', 1000);
      const profile = await subject.run('profile', call);
      assert.deepEqual([profile.providerUserId, profile.membership], [pan115.user.id, '年费VIP']);
      assert.ok(profile.membershipExpiresAt);
      const usage = await subject.run('usage', call);
      assert.deepEqual([usage.usedBytes, usage.freeBytes], [1000, 2 ** 41 - 1000]);
    });
  });

  describe('changing', () => {
    it('never overlaps, whatever is asked at once', async () => {
      const to = pan115.fake.seedFolder(pan115.user, '/to');
      const refs = Array.from({ length: 6 }, (_, index) => seed(`/from/${index}.txt`));
      await Promise.all(
        refs.map((ref, index) =>
          index % 2 === 0
            ? subject.run('move', ref, to.id, { onConflict: 'FAIL' }, call)
            : subject.run('remove', ref, {}, call),
        ),
      );
      assert.equal(paths().filter((path) => path.startsWith('/to/')).length, 3);
    });

    it('waits while 115 still works on the one before', async () => {
      const ref = seed('/a.txt');
      pan115.fake.seedFolder(pan115.user, '/to');
      const busy = pan115.fake.faults.inject({ kind: 'code', code: 990019, match: { endpoint: 'move' }, times: 2 });
      await subject.run('move', ref, refOf('/to'), { onConflict: 'FAIL' }, call);
      assert.equal(busy.hits, 2);
      assert.equal(pan115.fake.refreshes, 0);
      assert.deepEqual(paths(), ['/to', '/to/a.txt']);
    });

    it('does not repeat a change whose answer was lost', async () => {
      const ref = seed('/a.txt');
      pan115.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'delete' } });
      await failure(subject.run('remove', ref, {}, call), 'unavailable');
      assert.equal(pan115.fake.count('delete'), 1);
    });

    it('does not read all of a large folder to see that a name is free', async () => {
      for (let index = 0; index < 3000; index += 1) pan115.fake.seedFolder(pan115.user, `/many/${10_000 + index}`);
      const file = seed('/12999', 'x');
      const asked = () => [pan115.fake.count('list'), pan115.fake.count('info')] as const;
      const [lists, infos] = asked();
      await subject.run('createFolder', refOf('/many'), 'new', call);
      assert.deepEqual(asked(), [lists + 1, infos + 1]);
      const there = refOf('/many/12999');
      const made = subject.run('createFolder', refOf('/many'), '12999', call);
      assert.equal((await failure(made, 'already_exists')).existingRef, there);
      const moved = subject.run('move', file, refOf('/many'), { onConflict: 'FAIL' }, call);
      assert.equal((await failure(moved, 'already_exists')).existingRef, there);
      const beside = await subject.run('move', file, refOf('/many'), { onConflict: 'RENAME' }, call);
      assert.equal(beside.name, '12999 (2)');
    });

    it('says so when 115 keeps an extension, and leaves the name as it was', async () => {
      const ref = seed('/a.txt');
      await failure(subject.run('rename', ref, 'a.md', {}, call), 'invalid_argument');
      assert.deepEqual(paths(), ['/a.txt']);
      assert.equal((await subject.run('rename', ref, 'b.txt', {}, call)).name, 'b.txt');
    });

    it('finds a copy that is shown late', async () => {
      const ref = seed('/a.txt');
      pan115.fake.seedFolder(pan115.user, '/to');
      const lists = pan115.fake.count('list');
      const copied = subject.run('copy', ref, refOf('/to'), { onConflict: 'FAIL' }, call);
      assert.notEqual((await copied).ref, ref);
      assert.ok(pan115.fake.count('list') > lists);
      assert.deepEqual(paths(), ['/a.txt', '/to', '/to/a.txt']);
    });

    it('takes a folder that another program made meanwhile for taken', async () => {
      const add = pan115.fake.faults.inject({ kind: 'code', code: 20004, match: { endpoint: 'add' } });
      await failure(subject.run('createFolder', '0', 'x', call), 'already_exists');
      assert.equal(add.hits, 1);
    });

    it('deletes for ever what was just deleted, and nothing else of that name', async () => {
      seed('/old/a.txt', 'same');
      await subject.run('remove', refOf('/old/a.txt'), {}, call);
      const ref = seed('/a.txt', 'same');
      await subject.run('removePermanently', ref, {}, call);
      assert.deepEqual(pan115.fake.recycled(pan115.user), ['a.txt'], 'the one from the other folder is still there');
      const { items } = await subject.run('recycleBin.list', FIRST_PAGE, call);
      assert.equal(items[0]?.parentRef, refOf('/old'));
    });

    it('never empties the bin by a list of nothing', async () => {
      seed('/a.txt');
      await subject.run('remove', refOf('/a.txt'), {}, call);
      await failure(subject.run('recycleBin.purge', '', call), 'not_found');
      assert.deepEqual(pan115.fake.recycled(pan115.user), ['a.txt']);
    });

    it('sees that one of a list was not given back, though the whole succeeded', async () => {
      seed('/a.txt');
      await subject.run('remove', refOf('/a.txt'), {}, call);
      const { items } = await subject.run('recycleBin.list', FIRST_PAGE, call);
      const ref = items[0]?.ref ?? '';
      const body = JSON.stringify({
        state: true,
        code: 0,
        data: { [ref]: { state: false, error: 'x', errno: 91006 } },
      });
      pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'rb.revert' } });
      await failure(subject.run('recycleBin.restore', ref, call), 'quota_exceeded');
    });
  });

  describe('downloading', () => {
    it('names the same program to both hosts, and gives the content host no token', async () => {
      const ref = seed('/a.bin', 100_000);
      assert.equal((await subject.content(ref, 10, 19)).length, 10);
      const { headers } = last('download') ?? assert.fail();
      assert.equal(headers['user-agent'], last('downurl')?.headers['user-agent']);
      assert.equal(headers.authorization, undefined);
      assert.equal(headers.range, 'bytes=10-19');
    });

    it('opens two connections to a file at a time, however many are asked for', async () => {
      const ref = seed('/a.bin', 400_000);
      const parts = await Promise.all(
        Array.from({ length: 8 }, (_, index) => subject.content(ref, index * 50_000, index * 50_000 + 49_999)),
      );
      assert.ok(Buffer.concat(parts).equals(pan115.fake.bytesAt(pan115.user, '/a.bin') ?? Buffer.alloc(0)));
      assert.ok(pan115.fake.peak('download') <= 2, `${pan115.fake.peak('download')} at once`);
    });

    it('asks for another address once when the first is no good, and never for a third', async () => {
      const ref = seed('/a.txt', 'whole');
      const body = JSON.stringify({ message: 'invalid signature' });
      const stale = { kind: 'status', status: 403, body, match: { endpoint: 'download' } } as const;
      pan115.fake.faults.inject(stale);
      assert.equal(String(await subject.content(ref)), 'whole');
      assert.equal(pan115.fake.count('downurl'), 2);
      // The one that was kept, and another.
      pan115.fake.faults.inject({ ...stale, times: 9 });
      await failure(subject.run('read', ref, null, call), 'invalid_argument');
      assert.equal(pan115.fake.count('downurl'), 3);
    });

    it('comes back later when there are too many connections', async () => {
      const ref = seed('/a.txt', 'whole');
      pan115.fake.faults.inject({ kind: 'status', status: 403, body: 'too many', match: { endpoint: 'download' } });
      assert.equal(String(await subject.content(ref)), 'whole');
      assert.equal(pan115.fake.count('downurl'), 1);
    });

    it('does not end well when the bytes are fewer or others than 115 says', async () => {
      const ref = seed('/a.bin', 100_000);
      pan115.fake.faults.inject({ kind: 'cut', phase: 'within', match: { endpoint: 'download' } });
      await assert.rejects(subject.content(ref));
      pan115.fake.faults.inject({ kind: 'truncate', match: { endpoint: 'download' } });
      await failure(subject.run('read', ref, null, call), 'corrupted');
      const body = 'x'.repeat(100_000);
      pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'download' } });
      await assert.rejects(subject.content(ref), { category: 'corrupted' });
    });

    it('refuses an address without a host', async () => {
      const ref = seed('/a.txt');
      const data = { [ref]: { pick_code: 'x', url: { url: 'https:///nowhere' } } };
      const body = JSON.stringify({ state: true, code: 0, data });
      pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'downurl' } });
      await failure(subject.run('read', ref, null, call), 'unavailable');
    });

    it('gives an address away with what it takes to use it', async () => {
      const { url, headers, expiresAt } = await subject.run('link', seed('/a.txt', 'linked'), call);
      const answer = await fetch(url, { headers });
      assert.equal(await answer.text(), 'linked');
      assert.ok(expiresAt && expiresAt > pan115.fake.clock.now());
    });
  });

  describe('uploading', () => {
    const bytes = bytesOf(5 * PART + 17, 'upload');

    it('tells 115 the hashes of the file, and the proof that it asks for', async () => {
      seed('/known.bin', bytes);
      const reads: { start: number; length: number }[] = [];
      const plan = subject.plan('0', 'again.bin', bytes, {
        readSource: async (range) => {
          reads.push(range);
          return bytes.subarray(range.start, range.start + range.length);
        },
      });
      const begun = await subject.run('upload.begin', plan, call);
      assert.ok('instant' in begun);
      assert.equal(begun.instant.ref, refOf('/again.bin'));
      const sent = pan115.fake.requests.filter(({ endpoint }) => endpoint === 'init').map(({ form }) => form);
      assert.equal(sent.length, 2);
      assert.equal(sent[0]?.fileid, sha1(bytes).toUpperCase());
      assert.equal(sent[0]?.preid, sha1(bytes.subarray(0, 128 * KIB)).toUpperCase());
      assert.equal(sent[0]?.target, 'U_1_0');
      assert.ok(sent[1]?.sign_key && /^[0-9A-F]{40}$/.test(sent[1].sign_val ?? ''));
      assert.deepEqual(reads[0], { start: 0, length: 128 * KIB }, 'hashes come from the source, not from memory');
      assert.ok(reads.length >= 2 && reads.every(({ length }) => length <= 1024 * KIB));
    });

    it('computes the SHA-1 itself where nobody has', async () => {
      const plan = subject.plan('0', 'a.bin', bytes, { hashes: {} });
      await subject.run('upload.begin', plan, call);
      assert.equal(last('init')?.form.fileid, sha1(bytes).toUpperCase());
    });

    it('gives up when 115 is never convinced', async () => {
      seed('/known.bin', bytes);
      const wrong = subject.plan('0', 'b.bin', bytes, {
        readSource: async ({ start, length }) =>
          start === 0 && length === 128 * KIB ? bytes.subarray(0, length) : new Uint8Array(length),
      });
      await failure(subject.run('upload.begin', wrong, call), 'corrupted');
      assert.ok(pan115.fake.count('init') <= 5);
    });

    it('begins the proof anew when it is refused without another question', async () => {
      const body = JSON.stringify({ state: true, code: 0, data: { status: 6, code: 700 } });
      pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'init' }, times: 2 });
      assert.ok((await subject.put('0', 'a.bin', bytes)).ref);
      pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'init' }, times: 99 });
      await failure(subject.put('0', 'b.bin', bytes), 'corrupted');
    });

    it('does not ask its person to link again when the storage refuses all credentials', async () => {
      pan115.fake.faults.inject({
        kind: 'oss',
        status: 403,
        code: 'InvalidAccessKeyId',
        match: { role: 'oss' },
        times: 99,
      });
      const error = await failure(subject.put('0', 'a.bin', bytes), 'unavailable');
      assert.deepEqual([error.persistent, pan115.fake.count('get_token')], [true, 2]);
    });

    it('sends parts one after the other, then the words of 115 as they are', async () => {
      const file = await subject.put('0', 'a.bin', bytes);
      assert.equal(file.ref, refOf('/a.bin'));
      assert.equal(file.hashes.SHA1, sha1(bytes));
      const parts = pan115.fake.requests.filter(({ endpoint }) => endpoint === 'oss.part');
      assert.deepEqual(
        parts.map(({ query }) => query.partNumber),
        ['1', '2', '3', '4', '5', '6'],
      );
      assert.equal(pan115.fake.count('get_token'), 1, 'credentials are asked for once');
      assert.equal(pan115.fake.peak('oss.part'), 1);
      for (const { headers } of parts) assert.match(String(headers.host), /^fhnfile\.oss-cn-shenzhen\.aliyuncs\.com$/);
      const log = pan115.lines.join('\n');
      for (const { headers, query } of pan115.fake.requests.filter(({ role }) => role === 'oss')) {
        for (const secret of [headers.authorization, headers['x-oss-security-token'], query.uploadId])
          if (secret) assert.ok(!log.includes(String(secret)));
      }
    });

    it('goes on with new credentials when the old ones run out on the way', async () => {
      const plan = subject.plan('0', 'a.bin', bytes);
      const session = await subject.begin(plan);
      const first = await subject.putSlices(plan, session, bytes, [0, 1]);
      pan115.fake.expireCredentials();
      const rest = await subject.putSlices(plan, session, bytes, [2, 3, 4]);
      pan115.fake.expireCredentials();
      const end = await subject.putSlices(plan, session, bytes, [5]);
      pan115.fake.expireCredentials();
      const file = await subject.run('upload.complete', plan, session, [...first, ...rest, ...end], call);
      assert.ok((await subject.content(file.ref)).equals(bytes));
      assert.equal(pan115.fake.count('get_token'), 4);
    });

    it('asks for credentials before they run out', async () => {
      pan115.fake.settings.stsMs = 3_600_000;
      const plan = subject.plan('0', 'a.bin', bytes);
      const session = await subject.begin(plan);
      await subject.putSlices(plan, session, bytes, [0]);
      pan115.fake.clock.advance(52 * 60_000);
      await subject.putSlices(plan, session, bytes, [1]);
      assert.equal(pan115.fake.count('get_token'), 2);
      assert.ok(pan115.fake.requests.every(({ code }) => code !== 'SecurityTokenExpired'));
    });

    it('sends a part again that failed, or whose answer was lost', async () => {
      const match = { endpoint: 'oss.part' };
      pan115.fake.faults.inject({ kind: 'oss', status: 500, code: 'InternalError', match, skip: 1 });
      pan115.fake.faults.inject({ kind: 'cut', phase: 'after', match, skip: 3 });
      pan115.fake.faults.inject({ kind: 'cut', phase: 'before', match, skip: 5 });
      const file = await subject.put('0', 'a.bin', bytes);
      assert.ok((await subject.content(file.ref)).equals(bytes));
      assert.ok(pan115.fake.count('oss.parts') >= 1, 'the storage was asked what it has');
    });

    it('goes on in another process: 115 is asked for its words anew, the storage for its parts', async () => {
      const plan = subject.plan('0', 'a.bin', bytes);
      const session = JSON.parse(JSON.stringify(await subject.begin(plan))) as UploadSession;
      const first = await subject.putSlices(plan, session, bytes, [0, 1, 2]);
      const other = new Subject({ ...pan115, drive: pan115.reopen() });
      // The receipt of the third part was lost with the process.
      const rest = await other.putSlices(plan, session, bytes, [2, 3, 4, 5]);
      const receipts = [...first.slice(0, 2), ...rest];
      const file = await other.run('upload.complete', plan, session, receipts, call);
      assert.ok((await other.content(file.ref)).equals(bytes));
      assert.equal(pan115.fake.count('resume'), 1);
    });

    it('begins anew when 115 wants the file elsewhere by now', async () => {
      const plan = subject.plan('0', 'a.bin', bytes);
      const session = await subject.begin(plan);
      const other = new Subject({ ...pan115, drive: pan115.reopen() });
      const data = { bucket: 'other', object: 'x', callback: [] };
      const body = JSON.stringify({ state: true, code: 0, data });
      pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'resume' } });
      await failure(other.putSlices(plan, session, bytes, [0]), 'not_found');
    });

    it('refuses to take another part for the one that is there', async () => {
      const plan = subject.plan('0', 'a.bin', bytes);
      const session = await subject.begin(plan);
      await subject.putSlices(plan, session, bytes, [0]);
      const other = Buffer.from(bytes);
      other[5] = (other[5] ?? 0) ^ 1;
      const changed = { ...plan, readSource: subject.plan('0', 'x', other).readSource ?? assert.fail() };
      await failure(subject.putSlices(changed, session, other, [0]), 'not_found');
    });

    it('finds the file when the answer that it was made is lost', async () => {
      pan115.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'oss.complete' } });
      const file = await subject.put('0', 'a.bin', bytes);
      assert.equal(file.ref, refOf('/a.bin'));
      assert.equal(pan115.fake.count('oss.complete'), 1, 'it is not made twice');
      assert.deepEqual(paths(), ['/a.bin']);
    });

    it('finds the file when the answer to an instant hit is lost', async () => {
      seed('/known.bin', bytes);
      pan115.fake.settings.challenges = 'none';
      pan115.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'init' } });
      const file = await subject.put('0', 'a.bin', bytes);
      assert.equal(file.ref, refOf('/a.bin'));
      assert.deepEqual(paths(), ['/a.bin', '/known.bin']);
    });

    it('tells 115 once more when it did not answer its storage in time', async () => {
      pan115.fake.callbacks.failed = 1;
      const file = await subject.put('0', 'a.bin', bytes);
      assert.equal(file.ref, refOf('/a.bin'));
      assert.ok((await subject.content(file.ref)).equals(bytes));
    });

    it('does not call a file stored that 115 refused', async () => {
      pan115.fake.callbacks.refused = 1;
      pan115.fake.settings.instant = false;
      // As an upload that 115 does not know: whoever sends it begins anew, once.
      const error = await failure(subject.put('0', 'a.bin', bytes), 'not_found');
      assert.match(error.message, /did not take/);
      assert.deepEqual(paths(), []);
    });

    it('sends a file of no bytes in one request, where 115 does not know it', async () => {
      pan115.fake.settings.emptyKnown = false;
      const file = await subject.put('0', 'empty', '');
      assert.deepEqual([file.ref, file.sizeBytes], [refOf('/empty'), 0]);
      assert.deepEqual([pan115.fake.count('oss.put'), pan115.fake.count('oss.initiate')], [1, 0]);
    });

    it('puts the old file away once the new one is there, and never before', async () => {
      const old = await subject.put('0', 'a.bin', 'old');
      pan115.fake.faults.inject({
        kind: 'oss',
        status: 403,
        code: 'AccessDenied',
        match: { endpoint: 'oss.complete' },
      });
      await failure(subject.put('0', 'a.bin', bytes, 'REPLACE'), 'permission_denied');
      assert.equal(String(await subject.content(old.ref)), 'old');
      pan115.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'oss.complete' } });
      const file = await subject.put('0', 'a.bin', bytes, 'REPLACE');
      assert.deepEqual(paths(), ['/a.bin']);
      assert.equal(refOf('/a.bin'), file.ref);
      assert.deepEqual(pan115.fake.recycled(pan115.user), ['a.bin']);
    });

    it('keeps to parts of which there are not too many', async () => {
      const plan = {
        ...subject.plan('0', 'a.bin', new Uint8Array(1)),
        sizeBytes: 5 * 2 ** 40,
        hashes: { SHA1: 'a'.repeat(40) },
      };
      pan115.user.totalBytes = 2 ** 50;
      const zeros = { ...plan, readSource: async ({ length }: { length: number }) => new Uint8Array(length) };
      const session = await subject.begin(zeros);
      assert.ok(session.sliceCount <= 10_000, `${session.sliceCount} parts`);
      assert.equal(session.sliceBytes % 2 ** 20, 0);
    });

    it('says that there is no room, before any byte is sent', async () => {
      pan115.user.totalBytes = 10;
      await failure(subject.run('upload.begin', subject.plan('0', 'a.bin', bytes), call), 'quota_exceeded');
    });

    it('notices a clock that is wrong', async () => {
      pan115.fake.faults.inject({ kind: 'oss', status: 403, code: 'RequestTimeTooSkewed', match: { role: 'oss' } });
      const error = await failure(subject.put('0', 'a.bin', bytes), 'permission_denied');
      assert.match(error.hint ?? '', /clock/);
    });
  });

  describe('offline tasks', () => {
    const urls = (count: number, from = 0) =>
      Array.from({ length: count }, (_, index) => `https://files.example/${from + index}.bin`);
    const magnet = (digit: string) => `magnet:?xt=urn:btih:${digit.repeat(40).toUpperCase()}&dn=x`;
    const all = () => everyItem((page) => subject.run('offline.list', page, call), 7);

    it('are listed also where one tells less of itself', async () => {
      const task = { info_hash: 'a'.repeat(40), name: 'a' };
      const tasks = [task, { ...task, info_hash: 'b'.repeat(40), percentDone: '100' }, { ...task, status: '-1' }];
      const body = JSON.stringify({ state: true, code: 0, message: '', data: [{ page: 1, page_count: 1, tasks }] });
      pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'offline.list' } });
      const { items } = await subject.run('offline.list', FIRST_PAGE, call);
      assert.deepEqual(
        items.map(({ state }) => state),
        ['RUNNING', 'SUCCEEDED', 'FAILED'],
      );
    });

    it('takes 115 links in one call, refuses more, and gives a result for each of 200', async () => {
      const { urlsMax } = subject.driver.offline ?? assert.fail();
      assert.equal(urlsMax, 115);
      await failure(subject.run('offline.add', urls(116), null, call), 'invalid_argument');
      const first = await subject.run('offline.add', urls(115), null, call);
      const second = await subject.run('offline.add', urls(85, 115), null, call);
      assert.deepEqual(
        [...first, ...second].map(({ url, task, error }) => [url, task?.state, error]),
        urls(200).map((url) => [url, 'PENDING', null]),
      );
      assert.equal(pan115.fake.count('offline.add'), 2);
      assert.equal((await all()).length, 200);
    });

    it('judges each link by itself, of whatever kind', async () => {
      const kinds = [
        'ftp://files.example/a',
        magnet('a'),
        'ed2k://|file|a|1|x|/',
        'gopher://x',
        'https://files.example/b',
      ];
      const results = await subject.run('offline.add', kinds, null, call);
      assert.deepEqual(
        results.map(({ error }) => error?.providerCode ?? null),
        [null, null, null, '10004', null],
      );
      assert.equal(results[1]?.task?.ref, 'a'.repeat(40));
    });

    it('leads from a link that is a task already to the task, also when it is the only one', async () => {
      const [made] = await subject.run('offline.add', [magnet('b')], null, call);
      await subject.run('offline.add', urls(3), null, call);
      for (const links of [[magnet('b')], [magnet('b'), 'https://files.example/new'], [urls(1)[0] ?? '']]) {
        const [result] = await subject.run('offline.add', links, null, call);
        assert.equal(result?.error?.category, 'already_exists');
        assert.ok(result.error.existingRef);
        if (links[0] === magnet('b')) assert.equal(result.error.existingRef, made?.task?.ref);
      }
    });

    it('says that the allowance is used up of the links that it was used up by', async () => {
      Object.assign(pan115.user.options, { offlineQuota: 2 });
      const results = await subject.run('offline.add', urls(3), null, call);
      assert.deepEqual(
        results.map(({ error }) => error?.category ?? null),
        [null, null, 'quota_exceeded'],
      );
      const { total, used, remaining, packages } = await subject.run('offline.allowance', call);
      assert.deepEqual([total, used, remaining], [2, 2, 0]);
      assert.equal(packages.length, 2);
      assert.equal(packages[0]?.expiresAt, null);
      Object.assign(pan115.user.options, { offlineQuota: 9 });
      assert.ok((await subject.run('offline.allowance', call)).packages[0]?.expiresAt);
    });

    it('goes into the folder that was asked for, and tells what it brought', async () => {
      const folder = pan115.fake.seedFolder(pan115.user, '/下载');
      const [result] = await subject.run('offline.add', urls(1), folder.id, call);
      const ref = result?.task?.ref ?? '';
      pan115.fake.offlineProgress(pan115.user, ref, 42.5);
      const [running] = await all();
      assert.deepEqual([running?.state, running?.percentDone, running?.entryRef], ['RUNNING', 42.5, null]);
      pan115.fake.offlineProgress(pan115.user, ref, 100);
      const [done] = await all();
      assert.equal(done?.state, 'SUCCEEDED');
      const entry = await subject.run('stat', done.entryRef ?? '', call);
      assert.deepEqual([entry.name, entry.parentRef, done.parentRef], ['0.bin', folder.id, folder.id]);
      pan115.fake.offlineProgress(pan115.user, ref, 50, true);
      assert.ok((await all())[0]?.failure);
      await failure(subject.run('offline.add', urls(1), 'no such folder', call), 'not_found');
    });

    it('cancels with and without what was brought', async () => {
      for (const [deleteFiles, left] of [
        [false, 1],
        [true, 0],
      ] as const) {
        const [result] = await subject.run('offline.add', [`https://files.example/${deleteFiles}`], null, call);
        const ref = result?.task?.ref ?? '';
        pan115.fake.offlineProgress(pan115.user, ref, 100);
        await subject.run('offline.cancel', ref, { deleteFiles }, call);
        assert.equal(paths().filter((path) => path === `/${deleteFiles}`).length, left);
        assert.deepEqual(await all(), []);
      }
    });

    for (const [scope, tasks, files] of [
      ['SUCCEEDED', ['failed', 'running'], ['/done']],
      ['ALL', [], ['/done']],
      ['FAILED', ['done', 'running'], ['/done']],
      ['RUNNING', ['done', 'failed'], ['/done']],
      ['SUCCEEDED_WITH_FILES', ['failed', 'running'], []],
      ['ALL_WITH_FILES', [], []],
    ] as const) {
      it(`clears ${scope}`, async () => {
        const added = await subject.run(
          'offline.add',
          ['done', 'failed', 'running'].map((name) => `https://files.example/${name}`),
          null,
          call,
        );
        const refs = added.map(({ task }) => task?.ref ?? '');
        pan115.fake.offlineProgress(pan115.user, refs[0] ?? '', 100);
        pan115.fake.offlineProgress(pan115.user, refs[1] ?? '', 5, true);
        pan115.fake.offlineProgress(pan115.user, refs[2] ?? '', 50);
        await subject.run('offline.clear', scope, call);
        assert.deepEqual((await all()).map(({ name }) => name).toSorted(), tasks);
        assert.deepEqual(paths(), files);
      });
    }

    it('reads a torrent and brings the files of it that are wanted', async () => {
      const files = [
        { path: 'film.mkv', size: 5000 },
        { path: 'sample.mkv', size: 10 },
      ];
      const ref = seed('/a.torrent', 'd8:announce', { torrent: { name: 'Film', files } });
      const torrent = await subject.run('offline.readTorrent', ref, call);
      assert.deepEqual(
        torrent.files.map(({ index, path, sizeBytes, preselected }) => [index, path, sizeBytes, preselected]),
        [
          [0, 'film.mkv', 5000, true],
          [1, 'sample.mkv', 10, false],
        ],
      );
      const task = await subject.run('offline.addTorrent', ref, null, null, call);
      assert.equal(task.ref, torrent.taskRef);
      assert.equal(last('offline.bt')?.form.wanted, '0');
      await failure(subject.run('offline.addTorrent', ref, [7], null, call), 'invalid_argument');
      await failure(subject.run('offline.addTorrent', ref, [], null, call), 'invalid_argument');
      await failure(subject.run('offline.readTorrent', seed('/b.torrent'), call), 'not_found');
    });
  });

  describe('films', () => {
    const media = { durationSeconds: 61.5, width: 1920, height: 1080, transcoded: true };

    it('have a playlist of the quality asked for', async () => {
      const ref = seed('/a.mkv', 'film', media);
      assert.match((await subject.run('media.playlist', ref, null, call)).url, /\/4\.m3u8/);
      for (const quality of ['高清', 'hd', '2'])
        assert.match((await subject.run('media.playlist', ref, quality, call)).url, /\/2\.m3u8/);
      await failure(subject.run('media.playlist', ref, '8K', call), 'invalid_argument');
      await failure(subject.run('media.playlist', seed('/a.txt'), null, call), 'unsupported');
    });

    it('of which 115 has nothing at all to play are files all the same', async () => {
      const ref = seed('/a.mkv', 'film');
      const body = JSON.stringify({ state: true, code: 0, message: '', data: [] });
      pan115.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'video.play' }, times: 2 });
      const { width, height } = await subject.run('media.info', ref, call);
      assert.deepEqual([width, height], [null, null]);
      await failure(subject.run('media.playlist', ref, null, call), 'invalid_argument');
    });

    it('that are not ready say so, and are asked for', async () => {
      const ref = seed('/a.mkv', 'film', { ...media, transcoded: false });
      const error = await failure(subject.run('media.playlist', ref, null, call), 'unavailable');
      assert.match(error.hint ?? '', /transcodeFile/);
      assert.equal(pan115.fake.count('video.play'), 1);
      assert.deepEqual(await subject.run('media.info', ref, call), {
        durationSeconds: 61.5,
        width: null,
        height: null,
      });
      await subject.run('media.transcode', ref, 'vip_push', call);
      assert.equal(pan115.fake.entryAt(pan115.user, '/a.mkv')?.media.pushed, 'vip_push');
      await failure(subject.run('media.transcode', ref, '1080p', call), 'invalid_argument');
    });

    it('tell how long and how large they are', async () => {
      assert.deepEqual(await subject.run('media.info', seed('/a.mkv', 'film', media), call), {
        durationSeconds: 61.5,
        width: 1920,
        height: 1080,
      });
      assert.equal((await subject.run('media.info', seed('/a.txt'), call)).durationSeconds, null);
    });

    it('have subtitles, or none', async () => {
      const subtitles = [{ language: 'zh', title: '中文', type: 'srt' }];
      const [subtitle] = await subject.run('media.subtitles', seed('/a.mkv', 'film', { ...media, subtitles }), call);
      assert.deepEqual([subtitle?.language, subtitle?.name, subtitle?.format], ['zh', '中文', 'srt']);
      assert.deepEqual(await subject.run('media.subtitles', seed('/b.mkv', 'film', media), call), []);
    });

    it('remember how far they were watched', async () => {
      const ref = seed('/a.mkv', 'film', media);
      assert.equal(await subject.run('media.progress', ref, call), null);
      await subject.run('media.saveProgress', ref, { positionSeconds: 30.4, finished: false }, call);
      const progress = await subject.run('media.progress', ref, call);
      assert.equal(progress?.positionSeconds, 30);
      assert.ok(progress.at);
      assert.equal(last('video.history.save')?.form.watch_end, '0');
    });
  });
});
