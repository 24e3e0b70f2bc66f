import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type BaiduFixture, openBaiduFixture } from '../../../test/conformance/fixtures/baidu.ts';
import { call, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';
import type { DriveEntry, Page } from '../driver.ts';

const ROOT = '/apps/demo';

describe('lists of films and sounds at Baidu', { timeout: 60_000 }, () => {
  let baidu: BaiduFixture;
  let subject: Subject;

  beforeEach(async () => {
    baidu = await openBaiduFixture();
    subject = new Subject(baidu);
  });
  afterEach(() => baidu.close());

  const film = (path: string) => baidu.fake.seedFile(baidu.user, path, 'film', { durationMs: 1 });

  it('are told with their names and numbers, page by page', async () => {
    assert.deepEqual((await subject.run('media.lists', FIRST_PAGE, call)).items, []);
    const file = film(`${ROOT}/a.mp4`);
    const refs = Array.from({ length: 45 }, (_, index) => baidu.fake.seedPlaylist(baidu.user, `list ${index}`, [file]));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof lists>> = await lists(cursor);
      assert.ok(page.items.length <= 7);
      seen.push(...page.items.map(({ ref }) => ref));
      cursor = page.nextCursor;
    } while (cursor !== null);
    assert.deepEqual(seen, refs);
    const [first] = (await lists(null)).items;
    assert.deepEqual([first?.name, first?.fileCount], ['list 0', 1]);
    assert.ok(first?.createdAt);
  });
  const lists = (cursor: string | null) => subject.run('media.lists', { cursor, limit: 7 }, call);

  it('have their files in their order, those outside of the drive and those that are gone left out', async () => {
    const files = Array.from({ length: 25 }, (_, index) => film(`${ROOT}/${(index * 7) % 25}.mp4`));
    const outside = film('/private/x.mp4');
    const gone = film(`${ROOT}/gone.mp4`);
    const ref = baidu.fake.seedPlaylist(baidu.user, 'all', [outside, ...files, gone]);
    baidu.fake.removeEntry(baidu.user, `${ROOT}/gone.mp4`);
    const seen: DriveEntry[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<DriveEntry> = await subject.run('media.listFiles', ref, { cursor, limit: 6 }, call);
      seen.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor !== null);
    assert.deepEqual(
      seen.map((entry) => entry.ref),
      files.map(({ fsId }) => fsId),
    );
    assert.deepEqual([seen[0]?.category, seen[0]?.sizeBytes], ['VIDEO', 4]);
    assert.equal(baidu.fake.count('playlist-files') > 0, true);
  });

  it('are not found when they are none', async () => {
    const error = await failure(subject.run('media.listFiles', '1', FIRST_PAGE, call), 'not_found');
    assert.equal(error.providerCode, '50002');
  });
});
