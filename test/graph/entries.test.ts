import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId, encodeGlobalId } from '../../src/graph/ids.ts';
import { newId } from '../../src/lib/ids.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { putFile } from '../support/files.ts';
import { linkAccount, type MemoryDrive, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

const CHILDREN = `query ($ref: EntryRef!, $first: Int, $after: String, $orderBy: EntryOrder, $kind: EntryKind) {
  entry(ref: $ref) {
    ... on Folder {
      children(first: $first, after: $after, orderBy: $orderBy, kind: $kind) {
        totalCount nodes { id name } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
}`;

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

/** The server looks by itself for transfers and sign-ins to go on with, at any moment: those statements are no request's. */
const isOfRequest = (sql: string): boolean => !/\b(transfers|device_links)\b/.test(sql);

const issuePath = (errors: GraphqlAnswer['errors']): unknown =>
  (errors?.[0]?.extensions?.issues as Answer | undefined)?.[0].path;

describe('entries', { timeout: 120_000 }, () => {
  let app: TestApp;
  let person: Person;
  const statements: string[] = [];
  const providers = new Map<string, MemoryDrive>();

  before(async () => {
    providers.set('NETDISK', memoryDrive({ pageMax: 4, pathless: true, acts: ['pathOf'] }));
    providers.set('PAN123', memoryDrive({ id: 'PAN123', acts: ['statMany', 'count', 'usage', 'media', 'changes'] }));
    const drives = [local, ...[...providers.values()].map(({ definition }) => definition)];
    app = await startTestApp({ drives, onQuery: (sql) => isOfRequest(sql) && statements.push(sql) });
    person = await registerUser(app);
  });
  after(() => app.close());
  beforeEach(() => {
    for (const provider of providers.values()) provider.mend();
  });

  const ask = (document: string, variables: object = {}): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(document, variables, person.token);
  async function data(document: string, variables: object = {}): Promise<Answer> {
    const answer = await ask(document, variables);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data;
  }
  const at = (path: string, accountId = person.accountId): object => ({ path: { accountId, path } });
  async function makeFolder(parent: object, name: string): Promise<string> {
    const made = await data(
      `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ... on CreateFolderPayload { folder { id } } } }`,
      { input: { parent, name } },
    );
    return made.createFolder.folder.id;
  }
  async function link(provider: 'NETDISK' | 'PAN123') {
    const drive = providers.get(provider);
    assert.ok(drive);
    const { id: rowId } = await linkAccount(app, person.userId, { provider });
    drive.calls.length = 0;
    return { drive, rowId, id: encodeGlobalId('CloudAccount', rowId) };
  }

  describe('of the built-in drive', () => {
    let folder: object;
    before(async () => {
      await makeFolder(at('/'), 'listed');
      folder = at('/listed');
      for (const name of ['b', 'a', 'Ä', 'c']) await makeFolder(folder, name);
    });

    it('are listed in pages, each item once', async () => {
      const names: string[] = [];
      let after: string | null = null;
      for (;;) {
        const { entry }: Answer = await data(CHILDREN, { ref: folder, first: 3, after });
        names.push(...entry.children.nodes.map(({ name }: Answer) => name));
        assert.equal(entry.children.totalCount, 4);
        assert.equal(entry.children.pageInfo.hasPreviousPage, after !== null);
        if (!entry.children.pageInfo.hasNextPage) break;
        after = entry.children.pageInfo.endCursor;
      }
      assert.deepEqual(names, ['a', 'b', 'c', 'Ä']);
    });

    it('keep their places when others come and go between two pages', async () => {
      await makeFolder(at('/'), 'moving');
      for (const name of ['1', '3', '5', '7']) await makeFolder(at('/moving'), name);
      const first = await data(CHILDREN, { ref: at('/moving'), first: 2 });
      await makeFolder(at('/moving'), '2');
      await data('mutation ($i: DeleteEntriesInput!) { deleteEntries(input: $i) { __typename } }', {
        i: { entries: [at('/moving/1'), at('/moving/3')] },
      });
      const after = first.entry.children.pageInfo.endCursor;
      const second = await data(CHILDREN, { ref: at('/moving'), first: 2, after });
      assert.deepEqual(
        second.entry.children.nodes.map(({ name }: Answer) => name),
        ['5', '7'],
      );
    });

    it('are sorted and filtered', async () => {
      const orderBy = { by: 'NAME', direction: 'DESC' };
      const { entry } = await data(CHILDREN, { ref: folder, orderBy, kind: 'FOLDER' });
      assert.deepEqual(
        entry.children.nodes.map(({ name }: Answer) => name),
        ['Ä', 'c', 'b', 'a'],
      );
      const files = await data(CHILDREN, { ref: folder, kind: 'FILE' });
      assert.deepEqual(files.entry.children.nodes, []);
      assert.equal(files.entry.children.totalCount, 0);
    });

    it('are refused for pages that are none', async () => {
      for (const [variables, at] of [
        [{ first: 0 }, 'first'],
        [{ first: 101 }, 'first'],
        [{ first: -1 }, 'first'],
        [{ after: 'nonsense' }, 'after'],
        [{ after: Buffer.from('["nonsense"]').toString('base64url') }, 'after'],
      ] as const) {
        const { errors } = await ask(CHILDREN, { ref: folder, ...variables });
        assert.equal(errors?.[0]?.extensions?.code, 'INVALID_INPUT');
        assert.deepEqual(issuePath(errors), [at]);
      }
    });

    it('cost the same number of statements however many they are, with parents, paths and accounts', async () => {
      await makeFolder(at('/'), 'many');
      for (let index = 0; index < 40; index += 1) await makeFolder(at('/many'), `${index}`);
      const count = async (first: number): Promise<number> => {
        statements.length = 0;
        const { entry } = await data(
          `query ($ref: EntryRef!, $first: Int) { entry(ref: $ref) { ... on Folder { children(first: $first) {
             totalCount nodes { id name path account { id label } parent { id name path parent { id } } } } } } }`,
          { ref: at('/many'), first },
        );
        assert.equal(entry.children.nodes.length, first);
        return statements.length;
      };
      const two = await count(2);
      assert.equal(await count(40), two);
      assert.ok(two < 25, `${two} statements`);
    });

    it('are found by many ids in one statement', async () => {
      const { entry } = await data(CHILDREN, { ref: at('/many'), first: 40 });
      const ids = entry.children.nodes.map(({ id }: Answer) => id);
      const count = async (wanted: string[]): Promise<number> => {
        statements.length = 0;
        const { nodes } = await data('query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }', { ids: wanted });
        assert.deepEqual(
          nodes.map(({ id }: Answer) => id),
          wanted,
        );
        return statements.length;
      };
      assert.equal(await count(ids), await count(ids.slice(0, 1)));
    });

    it('ask for a total, a path or a parent only where it is selected', async () => {
      statements.length = 0;
      await data('query ($ref: EntryRef!) { entry(ref: $ref) { ... on Folder { children { nodes { name } } } } }', {
        ref: folder,
      });
      assert.ok(!statements.some((sql) => /count\(/.test(sql)));
    });

    it('tell what is known of a file', async () => {
      await putFile(app, person, '电影.mp4', Buffer.from('film'));
      const { entry } = await data(
        `query ($ref: EntryRef!) { entry(ref: $ref) { __typename id name path size createdAt modifiedAt deletedAt revision
           account { id provider } parent { path }
           ... on File { mimeType category hashes { algorithm value } thumbnails { url } media { width } } } }`,
        { ref: at('/电影.mp4') },
      );
      assert.deepEqual(
        { ...entry, id: null, createdAt: null, modifiedAt: null },
        {
          __typename: 'File',
          id: null,
          name: '电影.mp4',
          path: '/电影.mp4',
          size: 4,
          createdAt: null,
          modifiedAt: null,
          deletedAt: null,
          revision: '1',
          account: { id: person.accountId, provider: 'LOCAL' },
          parent: { path: '/' },
          mimeType: 'video/mp4',
          category: 'VIDEO',
          hashes: entry.hashes,
          thumbnails: null,
          media: null,
        },
      );
      assert.ok(entry.hashes.some(({ algorithm }: Answer) => algorithm === 'SHA256'));
      const again = await data('query ($id: ID!) { node(id: $id) { id __typename } }', { id: entry.id });
      assert.deepEqual(again.node, { id: entry.id, __typename: 'File' });
    });

    it('are the same by id, by path and by the account', async () => {
      const { node, entry } = await data(
        `query ($id: ID!, $ref: EntryRef!) {
           entry(ref: $ref) { id }
           node(id: $id) { ... on CloudAccount { entry(path: "/listed/a") { id } root { id path parent { id } } } } }`,
        { id: person.accountId, ref: at('/listed/a') },
      );
      assert.equal(node.entry.id, entry.id);
      assert.equal(node.root.id, encodeEntryId('FOLDER', person.accountRowId, person.accountRowId));
      assert.deepEqual([node.root.path, node.root.parent], ['/', null]);
    });

    it('are listed at any depth, and by category', async () => {
      const { node } = await data(
        `query ($id: ID!, $folder: ID!) { node(id: $id) { ... on CloudAccount {
           all: entries(recursive: true, first: 100) { nodes { name } }
           below: entries(recursive: true, folderId: $folder) { nodes { name } }
           direct: entries(folderId: $folder) { nodes { name } }
           films: entries(category: VIDEO) { nodes { name } } } } }`,
        {
          id: person.accountId,
          folder: (await data(`query ($ref: EntryRef!) { entry(ref: $ref) { id } }`, { ref: folder })).entry.id,
        },
      );
      const names = (page: Answer): string[] => page.nodes.map(({ name }: Answer) => name);
      assert.ok(['listed', 'a', '电影.mp4'].every((name) => names(node.all).includes(name)));
      assert.deepEqual(names(node.below).toSorted(), ['a', 'b', 'c', 'Ä']);
      assert.deepEqual(names(node.direct), ['a', 'b', 'c', 'Ä']);
      assert.deepEqual(names(node.films), ['电影.mp4']);
    });

    it('are not there for what names nothing', async () => {
      const unknown = encodeEntryId('FOLDER', person.accountRowId, newId());
      const wrongKind = encodeEntryId('FILE', person.accountRowId, person.accountRowId);
      for (const id of [unknown, wrongKind, 'nonsense', '', encodeGlobalId('Folder', 'x'), encodeGlobalId('No', 'x')]) {
        assert.deepEqual(await data('query ($id: ID!) { node(id: $id) { id } }', { id }), { node: null }, id);
      }
      for (const ref of [{ id: unknown }, { id: 'nonsense' }, at('/none'), at('/listed/a/b/c'), at('/', 'nonsense')]) {
        assert.deepEqual(await data('query ($ref: EntryRef!) { entry(ref: $ref) { id } }', { ref }), { entry: null });
      }
      const { errors } = await ask('query ($ref: EntryRef!) { entry(ref: $ref) { id } }', { ref: at('/a/../b') });
      assert.deepEqual(issuePath(errors), ['ref', 'path', 'path']);
    });
  });

  describe('of a drive that has only lists', () => {
    it('are found by walking, page by page', async () => {
      const { drive, id } = await link('NETDISK');
      drive.put('/deep/1', '/deep/2', '/deep/3', '/deep/4', '/deep/5/', '/deep/5/found.txt');
      const { entry } = await data(
        'query ($ref: EntryRef!) { entry(ref: $ref) { name path parent { name parent { name parent { name } } } } }',
        { ref: at('/deep/5/found.txt', id) },
      );
      assert.equal(entry.name, 'found.txt');
      assert.equal(entry.path, '/deep/5/found.txt');
      assert.equal(entry.parent.parent.name, 'deep');
      assert.ok(drive.calls.filter((act) => act === 'list').length >= 4);
      assert.ok(drive.calls.includes('pathOf'));
    });

    it('have a cursor behind each, and no total', async () => {
      const { drive, id } = await link('NETDISK');
      for (let index = 0; index < 9; index += 1) drive.put(`/nine/${index}`);
      const all = await data(CHILDREN, { ref: at('/nine', id), first: 100 });
      assert.equal(all.entry.children.nodes.length, 9);
      assert.equal(all.entry.children.totalCount, null);
      for (const [index, { cursor }] of all.entry.children.edges.entries()) {
        const rest = await data(CHILDREN, { ref: at('/nine', id), after: cursor, first: 2 });
        assert.deepEqual(rest.entry.children.nodes, all.entry.children.nodes.slice(index + 1, index + 3));
      }
    });

    it('fail as a whole when a later page fails', async () => {
      const { drive, id } = await link('NETDISK');
      for (let index = 0; index < 9; index += 1) drive.put(`/nine/${index}`);
      const folder = await data('query ($ref: EntryRef!) { entry(ref: $ref) { id } }', { ref: at('/nine', id) });
      const fault = new DriveError('unavailable', 'The provider is down.', {
        provider: 'NETDISK',
        providerCode: '503',
        hint: 'Wait.',
        retryAfterMs: 5_000,
      });
      drive.fail('list', fault, 1);
      const { data: answer, errors } = await ask(CHILDREN, { ref: { id: folder.entry.id }, first: 9 });
      assert.deepEqual(answer, { entry: null });
      const { retryAt, ...extensions } = errors?.[0]?.extensions ?? {};
      assert.deepEqual(extensions, {
        code: 'PROVIDER_FAILED',
        retryable: true,
        provider: 'NETDISK',
        providerCode: '503',
        hint: 'Wait.',
      });
      assert.ok(Date.parse(String(retryAt)) > Date.now());
    });

    it('are refused what the provider cannot, before anything is asked', async () => {
      const { drive, id } = await link('NETDISK');
      for (const [field, ability] of [
        ['entries(recursive: true)', 'LIST_RECURSIVE'],
        ['entries(category: IMAGE)', 'LIST_BY_CATEGORY'],
        ['recycleBin', 'RECYCLE_LIST'],
      ]) {
        const { errors } = await ask(
          `query ($id: ID!) { node(id: $id) { ... on CloudAccount { ${field} { pageInfo { endCursor } } } } }`,
          { id },
        );
        assert.equal(errors?.[0]?.extensions?.code, 'UNSUPPORTED', field);
        assert.match(errors?.[0]?.message ?? '', new RegExp(ability ?? ''));
      }
      assert.deepEqual(drive.calls, []);
      const { errors } = await ask(CHILDREN, { ref: at('/', id), orderBy: { by: 'SIZE', direction: 'ASC' } });
      assert.equal(errors?.[0]?.extensions?.code, 'UNSUPPORTED');
    });
  });

  describe('of a provider', () => {
    it('are asked for once where many are wanted', async () => {
      const { drive, rowId } = await link('PAN123');
      drive.put('/one', '/two');
      const { data: listed } = await app.graphql<Answer>(
        CHILDREN,
        { ref: at('/', encodeGlobalId('CloudAccount', rowId)) },
        person.token,
      );
      const ids = listed?.entry.children.nodes.map(({ id }: Answer) => id);
      drive.calls.length = 0;
      await data('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids });
      assert.deepEqual(drive.calls, ['statMany']);
    });

    it('leave the rest of the answer whole when one field fails', async () => {
      const { drive, id } = await link('PAN123');
      drive.fail('usage', new DriveError('timeout', 'No answer.', { provider: 'PAN123' }));
      const { data: answer, errors } = await ask(
        'query ($id: ID!) { node(id: $id) { ... on CloudAccount { label storage { usedBytes } profile { name } root { name } } } }',
        { id },
      );
      assert.deepEqual(answer?.node, { label: 'Linked', storage: null, profile: null, root: { name: '' } });
      assert.deepEqual(errors?.[0]?.path, ['node', 'storage']);
      assert.equal(errors?.[0]?.extensions?.code, 'PROVIDER_FAILED');
      assert.equal(errors?.[0]?.extensions?.retryable, true);
      assert.equal(errors?.[0]?.extensions?.provider, 'PAN123');
    });

    it('show nothing of a bug', async () => {
      const { drive, id } = await link('PAN123');
      drive.fail('usage', new Error('token=hunter2'));
      const answer = await ask('query ($id: ID!) { node(id: $id) { ... on CloudAccount { storage { usedBytes } } } }', {
        id,
      });
      assert.equal(answer.errors?.[0]?.extensions?.code, 'INTERNAL_SERVER_ERROR');
      assert.doesNotMatch(JSON.stringify(answer), /hunter2/);
    });

    it('give pictures and media facts where the provider does, each only when asked for', async () => {
      const { drive, id } = await link('PAN123');
      drive.put('/clip.mkv');
      drive.calls.length = 0;
      const clip = (fields: string): Promise<Answer> =>
        data(`query ($ref: EntryRef!) { entry(ref: $ref) { ... on File { ${fields} } } }`, {
          ref: at('/clip.mkv', id),
        });
      const { entry } = await clip(
        'category thumbnails { url width height expiresAt } media { durationSeconds width height playlistUrl(quality: "720") }',
      );
      assert.equal(entry.category, 'VIDEO');
      assert.equal(entry.thumbnails[0].width, 64);
      assert.deepEqual(entry.media, {
        durationSeconds: 1.5,
        width: 640,
        height: 480,
        playlistUrl: entry.media.playlistUrl,
      });
      assert.match(entry.media.playlistUrl, /720$/);
      assert.equal(drive.calls.filter((act) => act === 'media.info').length, 1);
      drive.calls.length = 0;
      await clip('media { playlistUrl }');
      assert.ok(!drive.calls.includes('media.info'));
    });

    it('tell their number where it can be asked, and what changed', async () => {
      const { drive, id } = await link('PAN123');
      drive.put('/counted/a', '/counted/b');
      const { entry } = await data(CHILDREN, { ref: at('/counted', id), first: 1 });
      assert.equal(entry.children.totalCount, 2);
      const { node } = await data(
        `query ($id: ID!) { node(id: $id) { ... on CloudAccount { changes(first: 2) {
           complete nodes { kind path at entryId entry { id } } pageInfo { hasNextPage } } } } }`,
        { id },
      );
      assert.equal(node.changes.complete, false);
      assert.equal(node.changes.nodes[0].entryId, node.changes.nodes[0].entry.id);
      assert.equal(node.changes.pageInfo.hasNextPage, true);
    });
  });
});
