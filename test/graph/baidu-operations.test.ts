import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { type BaiduFake, startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { systemTimer, type Timer } from '../../src/lib/timer.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { FastTimer } from '../support/fast-timer.ts';
import { startLoopback } from '../support/loopback.ts';
import { type Person, registerUser } from '../support/people.ts';
import { patch, settled, startUpload } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const MIB = 1024 * 1024;
const ROOT = '/apps/demo';
const ERROR = '... on UserError { code message } ... on UnsupportedError { ability }';
const SCHEMA = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');

/** One server before the netdisk's imitation, and an account of its own there. */
interface Place {
  readonly fake: BaiduFake;
  readonly app: TestApp;
  readonly person: Person;
  readonly user: ReturnType<BaiduFake['createUser']>;
  readonly accountId: string;
}

interface Row {
  /** As the operation was called before there was this API. */
  readonly op: string;
  /** What answers it now. */
  readonly here: string;
  /** With the calls of Baidu's own page. */
  readonly web?: true;
  /** A field of the schema without which there is nothing to test yet. */
  readonly needs?: string;
  run(place: Place): Promise<void>;
}

/** Waits for Baidu's tasks end at once; the imitation counts looks, not time. */
const impatient: Timer = { ...systemTimer, after: (_delayMs, task) => systemTimer.after(0, task) };

const FILES: Readonly<Record<string, string | number>> = {
  '/report.pdf': 'a report',
  '/picture.jpg': 'a picture',
  '/film.mp4': 'a film',
  '/seeds.torrent': 'a torrent',
  '/资料/inner.pdf': 'an inner report',
};

const at = ({ accountId }: Place, path: string): object => ({ path: { accountId, path } });

/** The answer of an operation without errors. */
async function ask({ app, person }: Place, document: string, variables: object = {}): Promise<Answer> {
  const answer: GraphqlAnswer<Answer> = await app.graphql(document, variables, person.token);
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  return answer.data;
}

/** The payload of a mutation, or its error. */
async function mutate(place: Place, field: string, input: object, selection: string): Promise<Answer> {
  const name = `${field[0]?.toUpperCase()}${field.slice(1)}`;
  const document = `mutation ($input: ${name}Input!) { result: ${field}(input: $input) {
    ... on ${name}Payload { ${selection} } ${ERROR} } }`;
  return (await ask(place, document, { input })).result;
}

const account = async (place: Place, selection: string): Promise<Answer> =>
  (
    await ask(place, `query ($id: ID!) { node(id: $id) { ... on CloudAccount { ${selection} } } }`, {
      id: place.accountId,
    })
  ).node;

const namesOf = (connection: Answer): string[] => connection.nodes.map(({ name }: Answer) => name).toSorted();

const entry = async (place: Place, path: string, selection: string): Promise<Answer> =>
  (await ask(place, `query ($ref: EntryRef!) { entry(ref: $ref) { id ${selection} } }`, { ref: at(place, path) }))
    .entry;

async function newFile(place: Place, name: string): Promise<string> {
  const { transfer } = await mutate(
    place,
    'uploadText',
    { parent: at(place, '/'), name, content: `${name} ${randomBytes(8).toString('hex')}` },
    'transfer { id }',
  );
  const done = await settled(place.app, place.person, transfer.id);
  assert.equal(done.state, 'SUCCEEDED', JSON.stringify(done.error));
  return (await entry(place, `/${name}`, '')).id;
}

/** It cannot be done: the abilities say so, and the answer, for which Baidu is not asked. */
async function refuses(place: Place, ability: string, ask: () => Promise<Answer>): Promise<void> {
  const { abilities } = await account(place, 'abilities');
  assert.ok(!abilities.includes(ability), `${ability} is claimed`);
  const before = place.fake.requests.length;
  const answer = await ask();
  // A field's error has no ability beside its code.
  assert.deepEqual([answer.code, answer.ability ?? ability], ['UNSUPPORTED', ability], JSON.stringify(answer));
  assert.equal(place.fake.requests.length, before);
}

/** The code of the error that a field of an account gives. */
async function fieldCode(place: Place, selection: string): Promise<Answer> {
  const document = `query ($id: ID!) { node(id: $id) { ... on CloudAccount { ${selection} } } }`;
  const { errors } = await place.app.graphql(document, { id: place.accountId }, place.person.token);
  return { code: errors?.[0]?.extensions?.code };
}

const byCategory = (category: string) => async (place: Place, expected: readonly string[]) =>
  assert.deepEqual(
    namesOf((await account(place, `entries(category: ${category}) { nodes { name } }`)).entries),
    expected,
  );

const noneOf = (names: readonly string[]): void => {
  for (const name of names) assert.doesNotMatch(SCHEMA, new RegExp(`\\b${name}\\b`, 'i'));
};

const uploaded = async (place: Place, name: string, size: number): Promise<Answer> => {
  const bytes = randomBytes(size);
  const started = await startUpload(place.app, place.person, { parent: at(place, '/'), name, size });
  assert.equal((await patch(started.uploadUrl, 0, bytes)).status, 204);
  const done = await settled(place.app, place.person, started.transfer.id);
  assert.equal(done.state, 'SUCCEEDED', JSON.stringify(done.error));
  return { bytes, done };
};

const ROWS: readonly Row[] = [
  {
    op: 'quota',
    here: 'CloudAccount.storage',
    run: async (place) => {
      const { storage } = await account(place, 'storage { totalBytes usedBytes freeBytes }');
      assert.equal(storage.totalBytes - storage.usedBytes, storage.freeBytes);
    },
  },
  {
    op: 'quota_usage',
    here: 'CloudAccount.storage.byCategory',
    run: async (place) => {
      const { storage } = await account(place, 'storage { byCategory { category count bytes } }');
      assert.ok(storage.byCategory.find(({ category }: Answer) => category === 'DOCUMENT').count >= 2);
    },
  },
  {
    op: 'user_info',
    here: 'CloudAccount.profile',
    run: async (place) =>
      assert.deepEqual((await account(place, 'profile { name membership }')).profile, {
        name: 'ada',
        membership: 'super member',
      }),
  },
  {
    op: 'list_files',
    here: 'Folder.children',
    run: async (place) => {
      const { root } = await account(place, 'root { children(first: 100) { nodes { name } } }');
      for (const name of ['资料', 'report.pdf', 'film.mp4']) assert.ok(namesOf(root.children).includes(name), name);
    },
  },
  { op: 'list_images', here: 'entries(category: IMAGE)', run: (place) => byCategory('IMAGE')(place, ['picture.jpg']) },
  {
    op: 'list_docs',
    here: 'entries(category: DOCUMENT)',
    run: (place) => byCategory('DOCUMENT')(place, ['inner.pdf', 'report.pdf']),
  },
  { op: 'list_videos', here: 'entries(category: VIDEO)', run: (place) => byCategory('VIDEO')(place, ['film.mp4']) },
  {
    op: 'list_bt',
    here: 'entries(category: TORRENT)',
    run: (place) => byCategory('TORRENT')(place, ['seeds.torrent']),
  },
  {
    op: 'list_category',
    here: 'storage.byCategory, and entries(category:) below a folder',
    run: async (place) => {
      const { id } = await entry(place, '/资料', '');
      const { entries } = await account(place, `entries(category: DOCUMENT, folderId: "${id}") { nodes { name } }`);
      assert.deepEqual(namesOf(entries), ['inner.pdf']);
    },
  },
  {
    op: 'ai_category',
    here: 'File.category, as Baidu tells it',
    run: async (place) => assert.equal((await entry(place, '/film.mp4', '... on File { category }')).category, 'VIDEO'),
  },
  {
    op: 'list_all',
    here: 'entries(recursive: true)',
    run: async (place) => {
      const { entries } = await account(place, 'entries(recursive: true, first: 100) { nodes { name } }');
      assert.ok(namesOf(entries).includes('inner.pdf'));
    },
  },
  {
    op: 'file_metas',
    here: 'nodes(ids:), in one call to Baidu',
    run: async (place) => {
      const { root } = await account(place, 'root { children(first: 100) { nodes { id name } } }');
      const ids = root.children.nodes.map(({ id }: Answer) => id);
      const { nodes } = await ask(place, 'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Entry { name } } }', {
        ids,
      });
      assert.deepEqual(
        nodes.map(({ name }: Answer) => name),
        root.children.nodes.map(({ name }: Answer) => name),
      );
    },
  },
  {
    op: 'file_attr',
    here: 'File.*',
    run: async (place) => {
      const file = await entry(place, '/report.pdf', 'name path modifiedAt ... on File { size mimeType revision }');
      assert.deepEqual([file.path, file.size, file.mimeType], ['/report.pdf', 8, 'application/pdf']);
      assert.ok(file.modifiedAt && file.revision);
    },
  },
  {
    op: 'download_links',
    here: 'createDownloadTicket',
    run: async (place) => {
      const { ticket } = await mutate(
        place,
        'createDownloadTicket',
        { file: at(place, '/report.pdf') },
        'ticket { url }',
      );
      assert.equal(await (await fetch(ticket.url)).text(), 'a report');
    },
  },
  {
    op: 'search_filename',
    here: 'search(mode: NAME)',
    run: async (place) => {
      const query = `query ($ids: [ID!]) { search(query: "report", mode: NAME, accountIds: $ids) { nodes { name } } }`;
      assert.ok(namesOf((await ask(place, query, { ids: [place.accountId] })).search).includes('report.pdf'));
    },
  },
  {
    op: 'search_semantic',
    here: 'search(mode: SEMANTIC)',
    run: async (place) => {
      const query = `query ($ids: [ID!]) { search(query: "report", mode: SEMANTIC, accountIds: $ids) { nodes { name } } }`;
      assert.ok(namesOf((await ask(place, query, { ids: [place.accountId] })).search).includes('report.pdf'));
    },
  },
  {
    op: 'mkdir',
    here: 'createFolder',
    run: async (place) => {
      const { folder } = await mutate(
        place,
        'createFolder',
        { parent: at(place, '/'), name: 'made' },
        'folder { path }',
      );
      assert.equal(folder.path, '/made');
    },
  },
  {
    op: 'rename',
    here: 'renameEntry',
    run: async (place) => {
      const id = await newFile(place, 'old name.txt');
      const renamed = await mutate(place, 'renameEntry', { entry: { id }, name: 'new name.txt' }, 'entry { id path }');
      assert.deepEqual(renamed.entry, { id, path: '/new name.txt' });

      // In one list: a folder, what is in it, and a name that one gives up for another.
      const { user, fake } = place;
      for (const name of ['1.txt', '2.txt', 'deep/3.txt']) fake.seedFile(user, `${ROOT}/batch/${name}`, name);
      const before = fake.count('rename');
      const entries = Object.entries({
        '/batch': 'batch 2',
        '/batch/1.txt': '2.txt',
        '/batch/2.txt': '3.txt',
        '/batch/deep/3.txt': '4.txt',
      }).map(([path, name]) => ({ entry: at(place, path), name }));
      const { results } = await mutate(
        place,
        'renameEntries',
        { entries },
        'results { entry { path } error { code } }',
      );
      assert.deepEqual(
        results.map(({ entry: { path } }: Answer) => path),
        ['/batch 2', '/batch 2/2.txt', '/batch 2/3.txt', '/batch 2/deep/4.txt'],
      );
      assert.equal(fake.count('rename') - before, 3);
      const paths = fake.paths(user).filter((path) => path.startsWith(`${ROOT}/batch`));
      assert.deepEqual(
        paths.map((path) => path.slice(ROOT.length)),
        ['/batch 2', '/batch 2/2.txt', '/batch 2/3.txt', '/batch 2/deep', '/batch 2/deep/4.txt'],
      );
    },
  },
  {
    op: 'move',
    here: 'moveEntries',
    run: async (place) => {
      const entries = [{ id: await newFile(place, 'moved.txt') }];
      const { results } = await mutate(
        place,
        'moveEntries',
        { entries, destination: at(place, '/资料') },
        'results { entry { path } error { message } }',
      );
      assert.deepEqual(results, [{ entry: { path: '/资料/moved.txt' }, error: null }]);
    },
  },
  {
    op: 'copy',
    here: 'copyEntries',
    run: async (place) => {
      const entries = [{ id: await newFile(place, 'copied.txt') }];
      const { results } = await mutate(
        place,
        'copyEntries',
        { entries, destination: at(place, '/资料') },
        'results { entry { path } error { message } }',
      );
      assert.deepEqual(results, [{ entry: { path: '/资料/copied.txt' }, error: null }]);
      assert.ok((await entry(place, '/copied.txt', '')).id);
    },
  },
  {
    op: 'delete',
    here: 'deleteEntries',
    run: async (place) => {
      const entries = [{ id: await newFile(place, 'deleted.txt') }];
      const { results } = await mutate(place, 'deleteEntries', { entries }, 'results { error { message } }');
      assert.deepEqual(results, [{ error: null }]);
      assert.equal(await entry(place, '/deleted.txt', ''), null);
    },
  },
  {
    op: 'upload_local',
    here: 'startUpload and tus: the file comes from the client',
    run: async (place) => {
      const { done } = await uploaded(place, 'one slice.bin', MIB);
      assert.equal(done.route, 'SLICED');
    },
  },
  {
    op: 'upload_multipart_init',
    here: 'startUpload and tus: precreate',
    run: async (place) => void (await uploaded(place, 'many slices.bin', 5 * MIB)),
  },
  {
    op: 'upload_multipart_part',
    here: 'startUpload and tus: superfile2, each slice by its MD5',
    run: async (place) => void (await uploaded(place, 'many more slices.bin', 9 * MIB)),
  },
  {
    op: 'upload_multipart_finish',
    here: 'startUpload and tus: create; the same bytes again are there at once',
    run: async (place) => {
      const { bytes } = await uploaded(place, 'finished.bin', 5 * MIB);
      const input = { parent: at(place, '/'), name: 'twin.bin', size: bytes.length };
      const twin = await startUpload(place.app, place.person, input);
      await patch(twin.uploadUrl, 0, bytes);
      assert.equal((await settled(place.app, place.person, twin.transfer.id)).route, 'INSTANT');
    },
  },
  {
    op: 'upload_text',
    here: 'uploadText',
    run: async (place) => void (await newFile(place, 'note.txt')),
  },
  {
    op: 'upload_url',
    here: 'uploadFromUrl',
    needs: 'uploadFromUrl',
    run: async (place) => {
      await using source = await startLoopback((_request, response) => response.end('from elsewhere'));
      const input = { parent: at(place, '/'), name: 'fetched.txt', url: `${source.url}/a.txt` };
      const started = await mutate(place, 'uploadFromUrl', input, 'transfer { id }');
      const done = await settled(place.app, place.person, started.transfer.id);
      assert.equal(done.state, 'SUCCEEDED', JSON.stringify(done.error));
      assert.equal((await entry(place, '/fetched.txt', '... on File { size }')).size, 14);
    },
  },
  ...(['text', 'url'] as const).map((kind) => ({
    op: `upload_batch_${kind}`,
    here: `uploadBatch with items of ${kind}`,
    needs: 'uploadBatch',
    run: async (place: Place) => {
      await using source = await startLoopback((_request, response) => response.end('from elsewhere'));
      const items = [1, 2].map((number) => {
        const target = { parent: at(place, '/'), name: `batch ${kind} ${number}.txt` };
        return kind === 'text'
          ? { text: { ...target, content: `text ${number}` } }
          : { url: { ...target, url: `${source.url}/${number}` } };
      });
      const started = await mutate(place, 'uploadBatch', { items }, 'batch { __typename }');
      assert.ok(started.batch, JSON.stringify(started));
    },
  })),
  {
    op: 'upload_batch_local',
    here: 'as many startUpload as there are files, at one time',
    run: async (place) =>
      void (await Promise.all([1, 2, 3].map((number) => uploaded(place, `at one time ${number}.bin`, 1000)))),
  },
  {
    op: 'batch_submit',
    here: 'mutations of lists, with a result for each item',
    run: async (place) => {
      const entries = [{ id: await newFile(place, 'batch.txt') }, at(place, '/no such entry.txt')];
      const { results } = await mutate(place, 'deleteEntries', { entries }, 'results { error { __typename } }');
      assert.deepEqual(
        results.map(({ error }: Answer) => error?.__typename ?? null),
        [null, 'NotFoundError'],
      );
    },
  },
  {
    op: 'batch_status',
    here: 'Transfer.state, and the task of Baidu that a change waits for',
    run: async (place) => {
      const { done } = await uploaded(place, 'followed.bin', 1000);
      assert.equal(done.state, 'SUCCEEDED');
    },
  },
  {
    op: 'share_create',
    here: 'createShare',
    run: async (place) => {
      const input = { entries: [at(place, '/report.pdf')], days: 7, password: '12zx', remark: 'test' };
      const { share } = await mutate(place, 'createShare', input, 'share { url password remark active }');
      assert.deepEqual([share.password, share.remark, share.active], ['12zx', 'test', true]);
    },
  },
  {
    op: 'share_ticket',
    here: 'createShare(ticket:) passes on what somebody has; none can be asked for',
    run: async (place) => {
      const input = { entries: [at(place, '/report.pdf')], days: 1, ticket: 'an entitlement' };
      assert.ok((await mutate(place, 'createShare', input, 'share { id }')).share);
      const sent = place.fake.requests.findLast(({ endpoint }) => endpoint === 'share-set');
      assert.equal(sent?.form.ticket, 'an entitlement');
      noneOf(['shareTicket', 'createShareTicket']);
    },
  },
  {
    op: 'share_list',
    here: 'CloudAccount.shares: of those made here; all with BAIDU_UNVERIFIED',
    web: true,
    run: async (place) => {
      const input = { entries: [at(place, '/report.pdf')], days: 7 };
      const { share } = await mutate(place, 'createShare', input, 'share { id }');
      const { shares } = await account(place, 'shares { nodes { id active } }');
      assert.ok(shares.nodes.some(({ id, active }: Answer) => id === share.id && active));
    },
  },
  {
    op: 'share_cancel (off)',
    here: 'UnsupportedError',
    run: async (place) => {
      const input = { entries: [at(place, '/report.pdf')], days: 7 };
      const { share } = await mutate(place, 'createShare', input, 'share { id }');
      await refuses(place, 'SHARE_CANCEL', () => mutate(place, 'cancelShare', { id: share.id }, '__typename'));
    },
  },
  {
    op: 'share_cancel',
    here: 'cancelShare, with BAIDU_UNVERIFIED',
    web: true,
    run: async (place) => {
      const input = { entries: [at(place, '/report.pdf')], days: 7 };
      const { share } = await mutate(place, 'createShare', input, 'share { id }');
      assert.equal((await mutate(place, 'cancelShare', { id: share.id }, '__typename')).code, undefined);
      const { shares } = await account(place, 'shares { nodes { id } }');
      assert.ok(!shares.nodes.some(({ id }: Answer) => id === share.id));
    },
  },
  {
    op: 'share_update',
    here: 'UnsupportedError: no call does it',
    web: true,
    run: async (place) => {
      const input = { entries: [at(place, '/report.pdf')], days: 7 };
      const { share } = await mutate(place, 'createShare', input, 'share { id }');
      await refuses(place, 'SHARE_UPDATE', () => mutate(place, 'updateShare', { id: share.id, days: 1 }, '__typename'));
    },
  },
  {
    op: 'recycle_list (off)',
    here: 'UnsupportedError',
    run: (place) => refuses(place, 'RECYCLE_LIST', () => fieldCode(place, 'recycleBin { nodes { name } }')),
  },
  {
    op: 'recycle_list',
    here: 'CloudAccount.recycleBin, with BAIDU_UNVERIFIED',
    web: true,
    run: async (place) => {
      const id = await newFile(place, 'binned.txt');
      await mutate(place, 'deleteEntries', { entries: [{ id }] }, '__typename');
      assert.ok(namesOf((await account(place, 'recycleBin { nodes { name } }')).recycleBin).includes('binned.txt'));
    },
  },
  {
    op: 'recycle_restore',
    here: 'restoreEntries, with BAIDU_UNVERIFIED',
    web: true,
    run: async (place) => {
      const id = await newFile(place, 'back again.txt');
      await mutate(place, 'deleteEntries', { entries: [{ id }] }, '__typename');
      const { recycleBin } = await account(place, 'recycleBin { nodes { id name } }');
      const binned = recycleBin.nodes.find(({ name }: Answer) => name === 'back again.txt');
      const { results } = await mutate(
        place,
        'restoreEntries',
        { ids: [binned.id] },
        'results { entry { path } error { message } }',
      );
      assert.deepEqual(results, [{ entry: { path: '/back again.txt' }, error: null }]);
    },
  },
  {
    op: 'recycle_clear (off)',
    here: 'UnsupportedError',
    run: (place) =>
      refuses(place, 'RECYCLE_PURGE', () => mutate(place, 'emptyRecycleBin', { accountId: place.accountId }, 'ok')),
  },
  {
    op: 'recycle_clear',
    here: 'emptyRecycleBin, with BAIDU_UNVERIFIED',
    web: true,
    run: async (place) => {
      const id = await newFile(place, 'gone.txt');
      await mutate(place, 'deleteEntries', { entries: [{ id }] }, '__typename');
      assert.equal((await mutate(place, 'emptyRecycleBin', { accountId: place.accountId }, 'ok')).ok, true);
      assert.deepEqual((await account(place, 'recycleBin { nodes { name } }')).recycleBin.nodes, []);
    },
  },
  {
    op: 'offline_add',
    here: 'UnsupportedError: no interface since 2013',
    needs: 'addOfflineTasks',
    run: (place) => {
      const input = { accountId: place.accountId, urls: ['https://example.com/file.zip'] };
      return refuses(place, 'OFFLINE_ADD', () => mutate(place, 'addOfflineTasks', input, '__typename'));
    },
  },
  {
    op: 'offline_status',
    here: 'UnsupportedError',
    needs: 'offlineTasks',
    run: (place) => refuses(place, 'OFFLINE_LIST', () => fieldCode(place, 'offlineTasks { nodes { name } }')),
  },
  {
    op: 'offline_cancel',
    here: 'no task can be named, as none is ever given: the ability is absent',
    run: async (place) => assert.ok(!(await account(place, 'abilities')).abilities.includes('OFFLINE_CANCEL')),
  },
  {
    op: 'thumb_get',
    here: 'File.thumbnails',
    run: async (place) => {
      const { thumbnails } = await entry(place, '/picture.jpg', '... on File { thumbnails { url width } }');
      assert.ok(thumbnails.length > 0);
    },
  },
  {
    op: 'preview_get',
    here: 'File.preview',
    run: async (place) =>
      assert.ok((await entry(place, '/report.pdf', '... on File { preview { url expiresAt } }')).preview.url),
  },
  {
    op: 'media_playlist',
    here: 'File.media.playlistUrl, by way of this server',
    run: async (place) => {
      const { media } = await entry(place, '/film.mp4', '... on File { media { playlistUrl } }');
      assert.match(await (await fetch(media.playlistUrl)).text(), /^#EXTM3U/);
    },
  },
  {
    op: 'media_info',
    here: 'File.media',
    run: async (place) => {
      const { media } = await entry(place, '/film.mp4', '... on File { media { durationSeconds subtitles { url } } }');
      assert.deepEqual(media, { durationSeconds: 2.5, subtitles: [] });
    },
  },
  {
    op: 'ai_tags',
    here: 'nothing: no call gives tags, so the schema has none',
    run: async () => noneOf(['tags', 'aiTags']),
  },
  {
    op: 'captcha_verify',
    here: 'nothing: captchas are of the web page with its cookies',
    run: async () => noneOf(['captcha', 'verifyCaptcha']),
  },
  {
    op: 'change_diff',
    here: 'CloudAccount.changes, computed: Baidu has no feed',
    run: async (place) => {
      const { abilities, changes } = await account(place, 'abilities changes { computed complete comparedAt }');
      assert.ok(abilities.includes('CHANGES'));
      assert.deepEqual([changes.computed, changes.complete, typeof changes.comparedAt], [true, true, 'string']);
    },
  },
];

/** What the API before this one offered, and what it meant to. */
const OPERATIONS = [
  'quota list_files list_images list_docs list_videos list_bt list_category list_all file_metas download_links',
  'search_filename search_semantic mkdir delete move rename copy upload_local upload_url upload_text',
  'upload_batch_local upload_batch_url upload_batch_text share_create offline_add offline_status offline_cancel',
  'recycle_list recycle_restore recycle_clear share_list share_cancel share_update upload_multipart_init',
  'upload_multipart_part upload_multipart_finish thumb_get preview_get media_playlist media_info ai_category ai_tags',
  'file_attr change_diff share_ticket captcha_verify user_info quota_usage batch_submit batch_status',
].flatMap((line) => line.split(' '));

describe('every operation that there was for Baidu has its answer', { timeout: 180_000 }, () => {
  let fake: BaiduFake;
  let plain: Place;
  let web: Place;

  before(async () => {
    fake = await startBaiduFake({ settings: { webEndpoints: true } });
    [plain, web] = await Promise.all([open(false), open(true)]);
  });
  after(async () => {
    await Promise.all([plain.app.close(), web.app.close()]);
    await fake.close();
    assert.deepEqual(fake.violations, [], 'the driver did what the documents forbid');
  });

  async function open(unverified: boolean): Promise<Place> {
    const user = fake.createUser({ baiduName: 'ada', vipType: 2, shareGrant: true, searchGrant: true });
    for (const [path, content] of Object.entries(FILES))
      fake.seedFile(user, `${ROOT}${path}`, content, { durationMs: 2500 });
    const app = await startTestApp({
      driveTimer: impatient,
      requestWaits: new FastTimer(),
      settings: {
        BAIDU_CLIENT_ID: fake.app.clientId,
        BAIDU_CLIENT_SECRET: fake.app.clientSecret,
        BAIDU_APP_ID: fake.app.appId,
        BAIDU_APP_ROOT: ROOT,
        BAIDU_UNVERIFIED: String(unverified),
        BAIDU_OPENAPI_URL: fake.urls.openapi,
        BAIDU_PAN_URL: fake.urls.pan,
        BAIDU_PCS_URL: fake.urls.pcs,
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
      },
    });
    const person = await registerUser(app);
    const { data } = await app.graphql(
      `mutation ($token: String!) { upsertAccountTokens(input: { provider: BAIDU, accessToken: $token }) {
        ... on UpsertAccountTokensPayload { account { id } } ${ERROR} } }`,
      { token: fake.grant(user).accessToken },
      person.token,
    );
    return { fake, app, person, user, accountId: data.upsertAccountTokens.account.id };
  }

  for (const { op, here, web: needsWeb, needs, run } of ROWS) {
    const isMissing = needs !== undefined && !new RegExp(`^  ${needs}\\(`, 'm').test(SCHEMA);
    it(`${op}: ${here}`, { skip: isMissing ? `the schema has no ${needs} yet` : false }, () =>
      run(needsWeb ? web : plain),
    );
  }

  it('has a row for each', () => {
    assert.deepEqual(new Set(ROWS.map(({ op }) => op.split(' ')[0])), new Set(OPERATIONS));
  });
});
