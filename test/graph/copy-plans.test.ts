import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { byteDrive } from '../support/byte-drive.ts';
import { linkAccount } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const PLAN = `query ($entries: [EntryRef!]!, $destination: EntryRef!, $onConflict: ConflictPolicy, $first: Int,
    $after: String, $onlyProblems: Boolean) {
  planCopy(entries: $entries, destination: $destination, onConflict: $onConflict) {
    route fallback routeReason bytesThroughServer providerCalls conflict { name } error { code } source { name }
    complete incompleteBecause
    totals { files folders bytes filesOfUnknownSize bytesThroughServer filesWithoutHash conflicts impossible
      routes { route files bytes } }
    parts(first: $first, after: $after, onlyProblems: $onlyProblems) {
      edges { cursor } pageInfo { hasNextPage endCursor }
      nodes { path isFolder size route fallback bytesThroughServer conflictsWith error { code message } } } } }`;

describe('the plan of a copy', { timeout: 60_000 }, () => {
  let app: TestApp;
  let person: Person;
  let net: ReturnType<typeof byteDrive>;
  let cloud: ReturnType<typeof byteDrive>;
  /** Accounts: two at one provider, one at another. */
  let a: string;
  let b: string;
  let c: string;

  beforeEach(async () => {
    net = byteDrive({ hashes: ['MD5'], copiesAcross: true });
    const checkName = (name: string): void => {
      if (name.includes(':'))
        throw new DriveError('invalid_argument', 'takes no colon in a name.', { provider: 'BAIDU' });
    };
    const capabilities = { fileBytesMax: 20, caseSensitive: false, nameBytesMax: 40, checkName };
    cloud = byteDrive({ id: 'BAIDU', hashes: ['MD5'], instantHashes: ['MD5'], pageMax: 3, capabilities });
    app = await startTestApp({ drives: [local, net.definition, cloud.definition] });
    person = await registerUser(app);
    a = (await linkAccount(app, person.userId)).id;
    b = (await linkAccount(app, person.userId)).id;
    c = (await linkAccount(app, person.userId, { provider: 'BAIDU' })).id;
  });
  afterEach(() => app.close());

  const file = (accountId: string, ref: string) => ({ id: encodeEntryId('FILE', accountId, ref) });
  const folder = (accountId: string, ref = 'root') => ({ id: encodeEntryId('FOLDER', accountId, ref) });
  const ask = async (variables: object, who = person): Promise<Answer> => {
    const { data, errors } = await app.graphql(PLAN, variables, who.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.planCopy;
  };
  const put = (tree: Record<string, string>, accountId = a, drive = net): string => {
    for (const [path, text] of Object.entries(tree)) drive.account(accountId).put(`top/${path}`, text);
    return [...drive.account(accountId).nodes.values()].find(({ entry }) => entry.name === 'top')?.entry.ref ?? '';
  };
  const TREE = { 'one.txt': '1', 'two.txt': '22', 'deep/er/three.txt': '333', 'empty/': '' };

  test('says before what a copy takes, what is in the way, and what cannot work', async () => {
    const entries = [
      file(a, net.account(a).put('plain.bin', 'abc')),
      file(a, net.account(a).put('taken.txt', 'x')),
      file(a, 'nothing'),
      file(a, net.account(a).put('with:colon', 'x')),
    ];
    cloud.account(c).put('taken.txt', 'y');
    const before = cloud.account(c).tree();
    const [plain, taken, nothing, colon] = await ask({ entries, destination: folder(c) });
    assert.deepEqual([plain.route, plain.fallback, plain.bytesThroughServer], ['INSTANT', 'SLICED', 3]);
    assert.deepEqual([plain.complete, plain.totals.files, plain.totals.bytes, plain.parts.nodes], [true, 1, 3, []]);
    assert.deepEqual([taken.conflict.name, taken.error.code], ['taken.txt', 'ALREADY_EXISTS']);
    assert.deepEqual([nothing.source, nothing.error.code, nothing.totals], [null, 'NOT_FOUND', null]);
    assert.equal(colon.error.code, 'INVALID_INPUT');
    const [across] = await ask({ entries: entries.slice(0, 1), destination: folder(b) });
    assert.deepEqual([across.route, across.bytesThroughServer, across.providerCalls], ['SERVER_SIDE', 0, 1]);
    assert.deepEqual(cloud.account(c).tree(), before, 'nothing was changed to find out');
  });

  test('reads a folder, and tells the sums of all that is in it', async () => {
    const entries = [folder(a, put(TREE))];
    const [tree] = await ask({ entries, destination: folder(c) });
    assert.deepEqual([tree.error, tree.route, tree.complete, tree.incompleteBecause], [null, null, true, null]);
    assert.deepEqual(tree.totals, {
      files: 3,
      folders: 3,
      bytes: 6,
      filesOfUnknownSize: 0,
      bytesThroughServer: 6,
      filesWithoutHash: 0,
      conflicts: 0,
      impossible: 0,
      routes: [{ route: 'INSTANT', files: 3, bytes: 6 }],
    });
    assert.equal(tree.bytesThroughServer, 6);
    assert.deepEqual(
      tree.parts.nodes.map(({ path, isFolder, size, route, fallback }: Answer) => [
        path,
        isFolder,
        size,
        route,
        fallback,
      ]),
      [
        ['one.txt', false, 1, 'INSTANT', 'SLICED'],
        ['two.txt', false, 2, 'INSTANT', 'SLICED'],
        ['deep', true, null, null, null],
        ['empty', true, null, null, null],
        ['deep/er', true, null, null, null],
        ['deep/er/three.txt', false, 3, 'INSTANT', 'SLICED'],
      ],
    );
    assert.deepEqual(cloud.account(c).tree(), {});
    const [across] = await ask({ entries, destination: folder(b) });
    assert.deepEqual([across.bytesThroughServer, across.totals.routes[0].route], [0, 'SERVER_SIDE']);
    assert.equal(across.providerCalls, 4 + 4 + 3, 'four folders listed and made, three files copied');
  });

  test('tells of each entry of a folder that would fail', async () => {
    const entries = [
      folder(
        a,
        put({
          'Twin.txt': 'x',
          'twin.TXT': 'y',
          'a:b': 'x',
          'big.bin': 'x'.repeat(21),
          [`${'n'.repeat(41)}`]: 'x',
          'fine.txt': 'x',
          'bad:folder/inside.txt': 'x',
        }),
      ),
    ];
    const [{ totals, parts }] = await ask({ entries, destination: folder(c), onlyProblems: true });
    assert.deepEqual([totals.files, totals.folders, totals.conflicts, totals.impossible], [6, 1, 1, 5]);
    assert.deepEqual(
      parts.nodes.map(({ path, conflictsWith, error }: Answer) => [path.slice(0, 10), conflictsWith, error.code]),
      [
        ['twin.TXT', 'Twin.txt', 'ALREADY_EXISTS'],
        ['a:b', null, 'INVALID_INPUT'],
        ['big.bin', null, 'TOO_LARGE'],
        ['n'.repeat(10), null, 'INVALID_INPUT'],
        ['bad:folder', null, 'INVALID_INPUT'],
      ],
    );
  });

  test('says of how many files the bytes must come only because their source tells no hash', async () => {
    const bare = byteDrive({ hashes: [] });
    const other = await startTestApp({ drives: [local, bare.definition, cloud.definition] });
    try {
      const owner = await registerUser(other);
      const from = (await linkAccount(other, owner.userId)).id;
      const to = (await linkAccount(other, owner.userId, { provider: 'BAIDU' })).id;
      const entries = [folder(from, put(TREE, from, bare))];
      const { data } = await other.graphql(PLAN, { entries, destination: folder(to) }, owner.token);
      const [{ totals }] = data.planCopy;
      assert.deepEqual([totals.filesWithoutHash, totals.routes], [3, [{ route: 'SLICED', files: 3, bytes: 6 }]]);
    } finally {
      await other.close();
    }
  });

  test('gives the parts of a folder in pages', async () => {
    const entries = [folder(a, put(Object.fromEntries(Array.from({ length: 7 }, (_, at) => [`f${at}`, 'x']))))];
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const [{ parts }]: Answer = await ask({ entries, destination: folder(c), first: 3, after });
      seen.push(...parts.nodes.map(({ path }: Answer) => path));
      if (!parts.pageInfo.hasNextPage) break;
      after = parts.pageInfo.endCursor;
    }
    assert.deepEqual(seen, ['f0', 'f1', 'f2', 'f3', 'f4', 'f5', 'f6']);
    const { errors } = await app.graphql(PLAN, { entries, destination: folder(c), after: 'x' }, person.token);
    assert.equal(errors?.[0]?.extensions?.code, 'INVALID_INPUT');
  });

  test('goes on past a folder that cannot be read, and says so', async () => {
    const entries = [folder(a, put({ 'closed/secret.txt': 'x', 'open/one.txt': '1' }))];
    net.behaviour.before = (act) => {
      if (act === 'list') throw new DriveError('permission_denied', 'Closed.', { provider: 'NETDISK' });
      return undefined;
    };
    const [none] = await ask({ entries, destination: folder(c) });
    assert.deepEqual([none.error.code, none.totals], ['PERMISSION_DENIED', null]);
    net.behaviour.before = (act, _account, name) => {
      if (act === 'list' && name === 'closed')
        throw new DriveError('permission_denied', 'Closed.', { provider: 'NETDISK' });
      return undefined;
    };
    const [tree] = await ask({ entries, destination: folder(c) });
    assert.deepEqual([tree.complete, tree.incompleteBecause, tree.bytesThroughServer], [false, 'UNREADABLE', null]);
    assert.deepEqual([tree.totals.files, tree.totals.bytesThroughServer, tree.totals.impossible], [1, 1, 1]);
    const closed = tree.parts.nodes.find(({ path }: Answer) => path === 'closed');
    assert.equal(closed.error.code, 'PERMISSION_DENIED');
  });

  test("reads nothing of what is in the way, nor of another user's", async () => {
    const entries = [folder(a, put(TREE))];
    cloud.account(c).put('top/');
    const listed = () => net.calls.filter((act) => act === 'list').length;
    const before = listed();
    const [taken] = await ask({ entries, destination: folder(c) });
    assert.deepEqual([taken.error.code, taken.conflict.name, taken.totals], ['ALREADY_EXISTS', 'top', null]);
    const [stays] = await ask({ entries, destination: folder(c), onConflict: 'SKIP' });
    assert.deepEqual([stays.error, stays.totals, stays.bytesThroughServer], [null, null, 0]);
    const other = await registerUser(app);
    const into = (await linkAccount(app, other.userId, { provider: 'BAIDU' })).id;
    const [theirs] = await ask({ entries, destination: folder(into) }, other);
    assert.deepEqual([theirs.error.code, theirs.source], ['NOT_FOUND', null]);
    assert.equal(listed(), before);
    const [renamed] = await ask({ entries, destination: folder(c), onConflict: 'RENAME' });
    assert.deepEqual([renamed.error, renamed.totals.files], [null, 3]);
  });
});
