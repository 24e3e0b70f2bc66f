import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type BaiduFixture, openBaiduFixture } from '../../../test/conformance/fixtures/baidu.ts';
import { call, everyItem, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';

const ROOT = '/apps/demo';

describe("Baidu's page for its own people", { timeout: 60_000 }, () => {
  let baidu: BaiduFixture;
  let subject: Subject;

  beforeEach(async () => {
    baidu = await openBaiduFixture({ unverified: true });
    subject = new Subject(baidu);
  });
  afterEach(() => baidu.close());

  const seed = (path: string): string => baidu.fake.seedFile(baidu.user, path, `content of ${path}`).fsId;
  const share = (ref: string, password = 'ab12') =>
    subject.run('shares.create', [ref], { days: 7, password, remark: null, ticket: null }, call);

  it('is not asked unless the operator wants it', async () => {
    const closed = await openBaiduFixture();
    for (const act of ['recycleBin.list', 'shares.list', 'shares.cancel', 'shares.update'] as const) {
      assert.equal(
        (await failure(new Subject(closed).run(act as 'shares.list', FIRST_PAGE, call), 'unsupported')).operation,
        act,
      );
    }
    await closed.close();
    const share = { days: 1 };
    assert.equal(
      (await failure(subject.run('shares.update', 'x', share, call), 'unsupported')).ability,
      'SHARE_UPDATE',
    );
  });

  it('says that it is closed, where Baidu has closed it', async () => {
    baidu.fake.settings.webEndpoints = false;
    for (const acting of [
      subject.run('recycleBin.list', FIRST_PAGE, call),
      subject.run('shares.list', FIRST_PAGE, call),
    ])
      assert.equal((await failure(acting, 'unsupported')).providerCode, '3');
  });

  describe('the recycle bin', () => {
    it('neither shows nor empties what is not of the application', async () => {
      const own = seed(`${ROOT}/own.txt`);
      seed('/private/other.txt');
      baidu.fake.removeEntry(baidu.user, '/private/other.txt');
      await subject.run('remove', own, {}, call);
      const shown = await subject.run('recycleBin.list', FIRST_PAGE, call);
      assert.deepEqual(
        shown.items.map(({ name, path, deletedAt }) => [name, path, deletedAt]),
        [['own.txt', '/own.txt', null]],
      );
      await subject.run('recycleBin.empty', call);
      assert.deepEqual(baidu.fake.recycled(baidu.user), ['/private/other.txt']);
    });

    it('shows more than a page of the web page has, each once', async () => {
      for (let index = 0; index < 230; index += 1) {
        seed(`${ROOT}/${index}.txt`);
        baidu.fake.removeEntry(baidu.user, `${ROOT}/${index}.txt`);
      }
      for (const limit of [70, 100, 1000]) {
        const items = await everyItem((page) => subject.run('recycleBin.list', page, call), limit);
        assert.equal(items.length, 230);
        assert.equal(new Set(items.map(({ ref }) => ref)).size, 230);
      }
      await subject.run('recycleBin.empty', call);
      assert.deepEqual(baidu.fake.recycled(baidu.user), []);
    });
  });

  describe('own shares', () => {
    it('are listed by the name that the share service gave them, and ended', async () => {
      assert.deepEqual((await subject.run('shares.list', FIRST_PAGE, call)).items, [], 'an empty list comes as {}');
      const made = await share(seed(`${ROOT}/a.txt`));
      const other = await share(seed(`${ROOT}/b.txt`));
      const { items } = await subject.run('shares.list', FIRST_PAGE, call);
      assert.deepEqual(new Set(items.map(({ ref }) => ref)), new Set([made.ref, other.ref]));
      const listed = items.find(({ ref }) => ref === made.ref);
      assert.deepEqual([listed?.url, listed?.active, listed?.password], [made.url, true, null]);
      assert.ok(Math.abs((listed?.expiresAt?.getTime() ?? 0) - (made.expiresAt?.getTime() ?? 0)) < 10_000);
      await subject.run('shares.cancel', made.ref, call);
      assert.deepEqual(
        baidu.fake.shares.filter(({ cancelled }) => cancelled).map(({ shortUrl }) => shortUrl),
        [made.ref],
      );
      await failure(subject.run('shares.cancel', made.ref, call), 'not_found');
      await failure(subject.run('shares.cancel', 'no such share', call), 'not_found');
    });

    it('come in pages, those that ended too', async () => {
      const ref = seed(`${ROOT}/a.txt`);
      for (let index = 0; index < 105; index += 1) await share(ref);
      baidu.fake.clock.advance(8 * 86_400_000);
      for (const limit of [40, 100, 1000]) {
        const items = await everyItem((page) => subject.run('shares.list', page, call), limit);
        assert.equal(new Set(items.map((item) => item.ref)).size, 105);
        assert.ok(items.every(({ active }) => !active));
      }
    });
  });
});

describe('what others shared at Baidu', { timeout: 60_000 }, () => {
  let baidu: BaiduFixture;
  let sharer: Subject;
  let saver: Subject;
  let receiver: BaiduFixture['user'];

  beforeEach(async () => {
    baidu = await openBaiduFixture();
    sharer = new Subject(baidu);
    receiver = baidu.fake.createUser({ shareGrant: true });
    saver = new Subject({ ...baidu, drive: baidu.openAnother(receiver) });
  });
  afterEach(() => baidu.close());

  async function shared(password = 'ab12') {
    const file = baidu.fake.seedFile(baidu.user, `${ROOT}/a 1.txt`, 'shared').fsId;
    const folder = baidu.fake.seedFolder(baidu.user, `${ROOT}/d`).fsId;
    baidu.fake.seedFile(baidu.user, `${ROOT}/d/b.txt`, 'below');
    const options = { days: 7, password, remark: null, ticket: null };
    return sharer.run('shares.create', [file, folder], options, call);
  }
  const at = (path: string): string => String(baidu.fake.bytesAt(receiver, `${ROOT}${path}`));

  it('is saved with all below it, into the folder that is named', async () => {
    const { url } = await shared();
    const folder = await saver.newFolder();
    const saved = await saver.run('shares.save', url, 'ab12', folder.ref, call);
    assert.deepEqual(saved.map(({ name, kind, parentRef }) => [name, kind, parentRef]).toSorted(), [
      ['a 1.txt', 'FILE', folder.ref],
      ['d', 'FOLDER', folder.ref],
    ]);
    assert.deepEqual([at(`/${folder.name}/a 1.txt`), at(`/${folder.name}/d/b.txt`)], ['shared', 'below']);
  });

  it('is known by any of the forms of its link, the password in it or not', async () => {
    const { ref } = await shared();
    for (const url of [
      `https://pan.baidu.com/s/1${ref}?pwd=ab12`,
      `https://pan.baidu.com/share/init?surl=${ref}&pwd=ab12`,
      `https://yun.baidu.com/s/1${ref}?pwd=ab12`,
    ]) {
      const folder = await saver.newFolder();
      assert.equal((await saver.run('shares.save', url, null, folder.ref, call)).length, 2, url);
    }
    for (const url of [
      `https://pan.baidu.com.evil.example/s/1${ref}`,
      'https://pan.baidu.com/disk/main',
      `https://evil.example/s/1${ref}`,
    ])
      await failure(saver.run('shares.save', url, 'ab12', '/', call), 'invalid_argument');
    await failure(saver.run('shares.save', `https://pan.baidu.com/s/1${ref}`, null, '/', call), 'invalid_argument');
  });

  it('is not saved with a wrong password, over what is there, by its owner, or when it is over', async () => {
    const { url } = await shared();
    await failure(saver.run('shares.save', url, '0000', '/', call), 'permission_denied');
    const there = baidu.fake.seedFile(receiver, `${ROOT}/a 1.txt`, 'my own').fsId;
    assert.equal(
      (await failure(saver.run('shares.save', url, 'ab12', '/', call), 'already_exists')).existingRef,
      there,
    );
    assert.equal(at('/a 1.txt'), 'my own');
    const into = await sharer.newFolder();
    await failure(sharer.run('shares.save', url, 'ab12', into.ref, call), 'invalid_argument');
    baidu.fake.clock.advance(8 * 86_400_000);
    const folder = await saver.newFolder();
    await failure(saver.run('shares.save', url, 'ab12', folder.ref, call), 'not_found');
  });

  it('is not said to be saved when Baidu could not', async () => {
    const { url } = await shared();
    const folder = await saver.newFolder();
    // Another program puts the name there in between.
    const inBetween = baidu.fake.faults.inject({
      kind: 'slow',
      until: 0,
      match: {
        endpoint: 'share-transfer',
        when: () => {
          baidu.fake.seedFile(receiver, `${ROOT}/${folder.name}/a 1.txt`, 'in between');
          return true;
        },
      },
    });
    const error = await failure(saver.run('shares.save', url, 'ab12', folder.ref, call), 'unavailable');
    assert.equal(error.retryable, false);
    assert.equal(inBetween.hits, 1);
    assert.equal(at(`/${folder.name}/a 1.txt`), 'in between');
  });

  it('waits its turn while another task of the account runs', async () => {
    const { url } = await shared();
    const folder = await saver.newFolder();
    baidu.fake.faults.inject({ kind: 'errno', errno: 111, match: { endpoint: 'share-transfer' }, times: 1 });
    const saved = await saver.run('shares.save', url, 'ab12', folder.ref, call);
    assert.equal(saved.length, 2);
  });
});
