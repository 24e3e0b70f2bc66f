import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type BaiduFixture, openBaiduFixture } from '../../../test/conformance/fixtures/baidu.ts';
import { bytesOf, call, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';
import type { DriveEntry, Page } from '../driver.ts';
import { RATES } from './rates.ts';

const MIB = 1024 * 1024;
const ROOT = '/apps/demo';

describe('where Baidu does not do as it was told', { timeout: 120_000 }, () => {
  let baidu: BaiduFixture;
  let subject: Subject;

  beforeEach(async () => {
    baidu = await openBaiduFixture({ rates: { task: RATES.task ?? {} } });
    subject = new Subject(baidu);
  });
  afterEach(() => baidu.close());

  const refOf = (path: string): string => baidu.fake.entryAt(baidu.user, `${ROOT}${path}`)?.fsId ?? '';
  const seed = (path: string, content: string | number = 'content'): string =>
    baidu.fake.seedFile(baidu.user, `${ROOT}${path}`, content).fsId;
  const contentOf = (path: string): string | undefined => baidu.fake.bytesAt(baidu.user, `${ROOT}${path}`)?.toString();
  const requests = (endpoint: string) => baidu.fake.requests.filter((request) => request.endpoint === endpoint);

  describe('changing', () => {
    const move = (path: string, onConflict: 'FAIL' | 'REPLACE' = 'FAIL') =>
      subject.run('move', refOf(path), refOf('/to'), { onConflict }, call);
    beforeEach(() => baidu.fake.seedFolder(baidu.user, `${ROOT}/to`));

    it('one task of an account is done before the next is begun', async () => {
      baidu.fake.settings.adaptiveItems = 0;
      const names = ['/a.txt', '/b.txt', '/c.txt', '/d.txt'];
      for (const name of names) seed(name);
      const moved = await Promise.all(names.map((name) => move(name)));
      assert.deepEqual(
        moved.map(({ path }) => path),
        names.map((name) => `/to${name}`),
      );
      assert.equal(requests('move').length, names.length, 'none is refused for another');
    });

    it('waits longer for a task of another program than for a refusal like others', async () => {
      const ref = seed('/a.txt');
      const busy = baidu.fake.faults.inject({ kind: 'errno', errno: 111, match: { endpoint: 'delete' }, times: 9 });
      await subject.run('remove', ref, {}, call);
      assert.equal(busy.hits, 9);
      baidu.fake.faults.inject({ kind: 'errno', errno: 111, match: { endpoint: 'delete' }, times: 99 });
      await failure(subject.run('remove', seed('/b.txt'), {}, call), 'unavailable');
    });

    it('renews the token when the gateway says 111, and does not wait for a task', async () => {
      const ref = seed('/a.txt');
      const body = '{"error_code":111,"error_msg":"Access token expired","request_id":1}';
      baidu.fake.faults.inject({ kind: 'status', status: 401, body, match: { endpoint: 'delete' } });
      await subject.run('remove', ref, {}, call);
      assert.equal(baidu.fake.refreshes, 1);
    });

    it('looks by itself whether it is done, when it may not ask about tasks', async () => {
      Object.assign(baidu.fake.settings, { adaptiveItems: 0, taskQueries: false });
      seed('/a.txt');
      assert.equal((await move('/a.txt')).path, '/to/a.txt');
      assert.equal((await subject.run('rename', refOf('/to/a.txt'), 'b.txt', {}, call)).path, '/to/b.txt');
      const copies = ['FAIL', 'RENAME', 'REPLACE'] as const;
      for (const onConflict of copies) {
        const parent = onConflict === 'FAIL' ? '/' : refOf('/to');
        const source = onConflict === 'REPLACE' ? refOf('/b.txt') : refOf('/to/b.txt');
        const copy = await subject.run('copy', source, parent, { onConflict }, call);
        assert.notEqual(copy.ref, source);
      }
      await subject.run('remove', refOf('/b.txt'), {}, call);
      assert.equal(refOf('/b.txt'), '');
    });

    it('does not take for done what was not', async () => {
      const ref = seed('/a.txt');
      const body = `{"errno":0,"info":[{"errno":0,"path":"${ROOT}/a.txt"}],"request_id":1}`;
      for (const endpoint of ['rename', 'move'])
        baidu.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint } });
      await failure(subject.run('rename', ref, 'b.txt', {}, call), 'unavailable');
      await failure(move('/a.txt'), 'unavailable');
    });

    it('finds what has the name, by whatever number Baidu says that something has', async () => {
      baidu.fake.settings.takenErrno = -30;
      seed('/a.txt');
      const there = seed('/to/a.txt');
      for (const adaptiveItems of [20, 0]) {
        baidu.fake.settings.adaptiveItems = adaptiveItems;
        assert.equal((await failure(move('/a.txt'), 'already_exists')).existingRef, there);
      }
    });

    it('replaces a file also where it is not overwritten', async () => {
      baidu.fake.settings.syncMoveOverwriteFails = true;
      seed('/a.txt', 'new');
      seed('/to/a.txt', 'old');
      assert.equal((await move('/a.txt', 'REPLACE')).path, '/to/a.txt');
      assert.equal(contentOf('/to/a.txt'), 'new');
      assert.deepEqual(await subject.names(refOf('/to')), ['a.txt'], 'the old one is away');
    });

    it('puts the old file back when nothing comes in its place', async () => {
      baidu.fake.settings.syncMoveOverwriteFails = true;
      seed('/a.txt', 'new');
      const old = seed('/to/a.txt', 'old');
      baidu.fake.faults.inject({ kind: 'errno', errno: 31070, match: { endpoint: 'move' }, skip: 1, times: 9 });
      await failure(move('/a.txt', 'REPLACE'), 'unavailable');
      assert.deepEqual([refOf('/to/a.txt'), contentOf('/a.txt')], [old, 'new']);
    });
  });

  describe('uploading', () => {
    const bytes = bytesOf(9 * MIB, 'lapses');
    const isStored = (): boolean => baidu.fake.bytesAt(baidu.user, `${ROOT}/a.bin`)?.equals(bytes) ?? false;

    for (const [what, status, body] of [
      ['other bytes are said to have arrived', 200, `{"md5":"${'0'.repeat(32)}","request_id":1}`],
      ['parameters that are right are refused', 400, '{"error_code":2,"error_msg":"param error"}'],
      ['the slice is said to be missing', 400, '{"error_code":31363,"error_msg":"block miss in superfile2"}'],
      ['the server fails', 500, '{"errno":-9999}'],
    ] as const) {
      it(`sends a slice again when ${what}`, async () => {
        const match = { endpoint: 'superfile2' };
        const lapse = baidu.fake.faults.inject({ kind: 'status', status, body, match, skip: 1 });
        await subject.put('/', 'a.bin', bytes);
        assert.deepEqual([lapse.hits, requests('superfile2').length, isStored()], [1, 4, true]);
        assert.equal(requests('precreate').length, 1);
      });
    }

    it('makes the file once more when parameters that are right are refused', async () => {
      baidu.fake.faults.inject({ kind: 'errno', errno: 2, match: { endpoint: 'create' } });
      await subject.put('/', 'a.bin', bytes, 'RENAME');
      assert.deepEqual([requests('create').length, isStored()], [2, true]);
    });

    for (const errno of [31081, 31190, 31352, 31355, 31363]) {
      it(`has all announced anew, without its hashes, when ${errno} says that slices are lost; once`, async () => {
        baidu.fake.faults.inject({ kind: 'errno', errno, match: { endpoint: 'create' }, times: 2 });
        const send = async (anew: boolean) => {
          const plan = { ...subject.plan('/', 'a.bin', bytes), ...(anew ? { anew } : {}) };
          const session = await subject.begin(plan);
          const receipts = await subject.putSlices(plan, session, bytes, [0, 1, 2]);
          return subject.run('upload.complete', plan, session, receipts, call);
        };
        await failure(send(false), 'not_found');
        await failure(send(true), 'corrupted');
        const [first, second] = requests('precreate').map(({ form }) => 'content-md5' in form || 'slice-md5' in form);
        assert.deepEqual([first, second], [true, false]);
      });
    }

    it('sends only the slices that are asked for', async () => {
      baidu.fake.settings.knownSlices = true;
      await subject.put('/', 'first.bin', bytes.subarray(0, 4 * MIB));
      await subject.put('/', 'a.bin', bytes);
      assert.equal(isStored(), true);
      assert.deepEqual(
        requests('superfile2').map(({ query }) => query.partseq),
        ['0', '1', '2'],
      );
    });
  });

  describe('downloading', () => {
    for (const [what, endpoint, status, body] of [
      ['expired', 'dlink', 403, '{"error_code":31360,"error_msg":"url expire"}'],
      ['is held for altered', 'dlink', 403, '{"error_code":31362,"error_msg":"sign error"}'],
      ['was used too often', 'dlink', 403, '{"error_code":31326,"error_msg":"anti-leech"}'],
      ['is refused by the content host', 'download', 403, '{"hitcode":109}'],
      ['expired at the content host', 'download', 403, ''],
    ] as const) {
      it(`asks for another link, once, when the one that it has ${what}`, async () => {
        const ref = seed('/a.txt');
        const lapse = { kind: 'status', status, body, match: { endpoint } } as const;
        baidu.fake.faults.inject(lapse);
        assert.equal(String(await subject.content(ref)), 'content');
        assert.equal(requests('filemetas').length, 2);
        baidu.fake.faults.inject({ ...lapse, times: 9 });
        await assert.rejects(subject.run('read', ref, null, call));
        assert.equal(requests('filemetas').length, 4);
        assert.equal(baidu.fake.refreshes, 0);
      });
    }
  });

  describe('looking up', () => {
    it('ends a search whose pages are all the first one', async () => {
      baidu.fake.settings.searchPages = false;
      for (let index = 0; index < 501; index += 1) seed(`/s/find ${index}.txt`, 1);
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page: Page<DriveEntry> = await subject.run(
          'searchByName',
          { query: 'find' },
          { cursor, limit: 100 },
          call,
        );
        seen.push(...page.items.map(({ ref }) => ref));
        cursor = page.nextCursor;
      } while (cursor !== null && seen.length < 2000);
      assert.deepEqual([seen.length, new Set(seen).size], [500, 500]);
    });

    it('tells the space also where the application may not ask what takes it', async () => {
      baidu.fake.faults.inject({ kind: 'errno', errno: 20013, match: { endpoint: 'categoryinfo' } });
      const usage = await subject.run('usage', call);
      assert.equal(usage.byCategory, null);
      assert.ok(usage.totalBytes);
    });

    it('renews the token when Baidu has words of its own for that', async () => {
      const body = '{"errno":31023,"errmsg":"Invalid Bduss","request_id":"1"}';
      baidu.fake.faults.inject({ kind: 'status', status: 200, body, match: { endpoint: 'uinfo' } });
      await subject.run('profile', call);
      assert.equal(baidu.fake.refreshes, 1);
    });

    it('asks for nothing else of the account while the calls of the application are used up', async () => {
      baidu.fake.faults.inject({ kind: 'errno', errno: 20012, match: { endpoint: 'list' } });
      await failure(subject.run('list', '/', {}, FIRST_PAGE, call), 'rate_limited');
      const error = await failure(subject.run('profile', call), 'rate_limited');
      assert.ok((error.retryAfterMs ?? 0) > 60_000);
      assert.equal(requests('uinfo').length, 0);
    });
  });
});
