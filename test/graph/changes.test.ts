import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DriveDefinition } from '../../src/drives/driver.ts';
import { local } from '../../src/drives/local/drive.ts';
import { createRoot } from '../../src/drives/local/root.ts';
import { decodeGlobalId, encodeEntryId, encodeGlobalId } from '../../src/graph/ids.ts';
import { newId } from '../../src/lib/ids.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { putFile } from '../support/files.ts';
import { linkAccount, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { ask, openSse, type Result, TRANSPORTS } from '../support/transports.ts';

const WATCH = `subscription ($folderId: ID!) { entryChanged(folderId: $folderId) {
  kind path at entryId entry { id name path parent { name } } } }`;
const ACCOUNT = 'subscription ($accountId: ID!) { accountUpdated(accountId: $accountId) { id label root { id } } }';

describe('changes', { timeout: 60_000 }, () => {
  let app: TestApp;
  let person: Person;
  let other: Person;

  before(async () => {
    app = await startTestApp();
    person = await registerUser(app);
    other = await registerUser(app);
  });
  after(() => app.close());

  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  type Answer = any;

  const change = async (mutation: string, type: string, input: object, who = person): Promise<Answer> => {
    const folder = mutation === 'createFolder' ? '... on CreateFolderPayload { folder { id } }' : '';
    const document = `mutation ($input: ${type}!) { ${mutation}(input: $input) {
      __typename ${folder} ... on UserError { message } } }`;
    return (await app.graphql<Answer>(document, { input }, who.token)).data[mutation];
  };
  const makeFolder = async (name: string, parent: object = at('/')): Promise<string> =>
    (await change('createFolder', 'CreateFolderInput', { parent, name })).folder.id;
  const at = (path: string, who = person): object => ({ path: { accountId: who.accountId, path } });
  const watch = (query: string, variables: object, who = person): AsyncGenerator<Result> =>
    openSse(app.url, { query, variables, token: who.token });
  const next = async (stream: AsyncGenerator<Result>): Promise<Answer> => {
    const { value, done } = await stream.next();
    assert.ok(!done, 'the stream ended');
    assert.equal(value.errors, undefined, JSON.stringify(value.errors));
    return value.data;
  };

  it('of a folder are told live, after the folder itself', async () => {
    const folderId = await makeFolder('watched');
    const elsewhere = await makeFolder('elsewhere');
    const stream = watch(WATCH, { folderId });
    const { entryChanged: first } = await next(stream);
    assert.equal(first.kind, 'MODIFIED');
    assert.equal(first.entryId, folderId);
    assert.equal(first.entry.path, '/watched');

    await makeFolder('not here', { id: elsewhere });
    const child = await makeFolder('child', { id: folderId });
    const { entryChanged: created } = await next(stream);
    assert.deepEqual(
      { ...created, at: null },
      {
        kind: 'CREATED',
        path: '/watched/child',
        at: null,
        entryId: child,
        entry: { id: child, name: 'child', path: '/watched/child', parent: { name: 'watched' } },
      },
    );
    await change('renameEntry', 'RenameEntryInput', { entry: { id: child }, name: 'renamed' });
    const { entryChanged: renamed } = await next(stream);
    assert.deepEqual([renamed.kind, renamed.entry.name], ['MOVED', 'renamed']);
    await change('renameEntry', 'RenameEntryInput', { entry: { id: folderId }, name: 'watched too' });
    await change('moveEntries', 'MoveEntriesInput', { entries: [{ id: child }], destination: { id: elsewhere } });
    const { entryChanged: left } = await next(stream);
    assert.deepEqual([left.kind, left.path, left.entry.parent.name], ['MOVED', '/elsewhere/renamed', 'elsewhere']);
    await change('moveEntries', 'MoveEntriesInput', { entries: [{ id: child }], destination: { id: folderId } });
    await next(stream);
    await change('deleteEntries', 'DeleteEntriesInput', { entries: [{ id: child }] });
    const { entryChanged: deleted } = await next(stream);
    assert.deepEqual([deleted.kind, deleted.entryId, deleted.entry], ['DELETED', child, null]);
    await stream.return(undefined);
  });

  it('are listed after a cursor, which stays good at the end', async () => {
    const { token } = await registerUser(app, 'reader');
    const feed = async (after: string | null): Promise<Answer> => {
      const { data } = await app.graphql<Answer>(
        `query ($after: String) { viewer { accounts { nodes { id changes(after: $after, first: 2) {
           complete nodes { kind path } pageInfo { hasNextPage endCursor } } } } } }`,
        { after },
        token,
      );
      return data.viewer.accounts.nodes[0];
    };
    const { id } = await feed(null);
    const make = (name: string): Promise<unknown> =>
      app.graphql(
        'mutation ($input: CreateFolderInput!) { createFolder(input: $input) { __typename } }',
        { input: { parent: { path: { accountId: id, path: '/' } }, name } },
        token,
      );
    for (const name of ['1', '2', '3']) await make(name);
    const first = (await feed(null)).changes;
    assert.equal(first.complete, true);
    assert.deepEqual(first.nodes, [
      { kind: 'CREATED', path: '/1' },
      { kind: 'CREATED', path: '/2' },
    ]);
    const second = (await feed(first.pageInfo.endCursor)).changes;
    assert.deepEqual(second.nodes, [{ kind: 'CREATED', path: '/3' }]);
    assert.equal(second.pageInfo.hasNextPage, false);
    assert.deepEqual((await feed(second.pageInfo.endCursor)).changes.nodes, []);
    await make('4');
    assert.deepEqual((await feed(second.pageInfo.endCursor)).changes.nodes, [{ kind: 'CREATED', path: '/4' }]);
  });

  it('are refused for folders that are unknown, of another, or files, over every transport', async () => {
    const file = await putFile(app, person, 'no folder', Buffer.from('x'));
    const root = (account: string): string => encodeEntryId('FOLDER', account, account);
    const cases: [string, string][] = [
      [root(other.accountRowId), 'NOT_FOUND'],
      [root(newId()), 'NOT_FOUND'],
      ['nonsense', 'NOT_FOUND'],
      [file.id, 'INVALID_INPUT'],
    ];
    for (const transport of TRANSPORTS.filter((name) => name !== 'http')) {
      for (const [folderId, code] of cases) {
        const [result] = await ask(transport, app.url, { query: WATCH, variables: { folderId }, token: person.token });
        assert.equal(result?.errors?.[0]?.extensions?.code, code, `${transport} ${folderId}`);
      }
    }
  });

  it('of one user are never told to another', async () => {
    const stream = watch(WATCH, { folderId: encodeEntryId('FOLDER', other.accountRowId, other.accountRowId) }, other);
    await next(stream);
    await makeFolder('a secret');
    await change('createFolder', 'CreateFolderInput', { parent: at('/', other), name: 'mine' }, other);
    assert.equal((await next(stream)).entryChanged.path, '/mine');
    await stream.return(undefined);
  });

  it('of an account are told live, after the account itself', async () => {
    const stream = watch(ACCOUNT, { accountId: person.accountId });
    assert.equal((await next(stream)).accountUpdated.id, person.accountId);
    await change('updateAccount', 'UpdateAccountInput', { accountId: person.accountId, label: 'first' });
    assert.equal((await next(stream)).accountUpdated.label, 'first');
    await change('updateAccount', 'UpdateAccountInput', { accountId: other.accountId, label: 'x' }, other);
    await change('updateAccount', 'UpdateAccountInput', { accountId: person.accountId, label: 'second' });
    assert.equal((await next(stream)).accountUpdated.label, 'second');
    await stream.return(undefined);
    for (const accountId of [other.accountId, encodeGlobalId('CloudAccount', newId()), 'nonsense']) {
      const [refused] = await ask('sse', app.url, { query: ACCOUNT, variables: { accountId }, token: person.token });
      assert.equal(refused?.errors?.[0]?.extensions?.code, 'NOT_FOUND');
    }
  });

  it('end when the account is no longer to be seen', async () => {
    const rowId = await shareDrive();
    const folder = watch(WATCH, { folderId: encodeEntryId('FOLDER', rowId, rowId) }, other);
    const account = watch(ACCOUNT, { accountId: encodeGlobalId('CloudAccount', rowId) }, other);
    await next(folder);
    await next(account);
    await app.app.storage.fork().nativeUpdate(Account, { id: rowId }, { shared: false });
    await app.app.events.publish('account.changed', { accountId: rowId });
    assert.deepEqual(await folder.next(), { done: true, value: undefined });
    assert.deepEqual(await account.next(), { done: true, value: undefined });
  });

  it('are no longer told once the right ended, even if that was not announced', async () => {
    const rowId = await shareDrive();
    const folderId = encodeEntryId('FOLDER', rowId, rowId);
    const folder = watch(WATCH, { folderId }, other);
    await next(folder);
    await app.app.storage.fork().nativeUpdate(Account, { id: rowId }, { shared: false });
    await makeFolder('secret', { id: folderId });
    assert.deepEqual(await folder.next(), { done: true, value: undefined });
  });

  it('that a slow reader lost are told by the folder itself', async () => {
    const { services, events } = app.app;
    const viewer = await services.identity.authenticate(person.token);
    assert.ok(viewer);
    const folder = { accountId: person.accountRowId, ref: person.accountRowId };
    const leaving = new AbortController();
    const stream = await services.changes.watchFolder(viewer, folder, leaving.signal);
    await stream.next();
    const announce = (index: number): Promise<void> =>
      events.publish('entry.changed', {
        ...{ accountId: folder.accountId, folderRefs: [folder.ref], kind: 'CREATED', entryRef: `${index}` },
        ...{ entryKind: 'FILE', path: null, at: new Date().toISOString() },
      });
    const read = async (): Promise<string | undefined> => (await stream.next()).value?.entryRef;
    for (let index = 0; index < 256; index += 1) await announce(index);
    for (let index = 0; index < 256; index += 1) assert.equal(await read(), `${index}`);
    for (let index = 0; index < 300; index += 1) await announce(index);
    assert.equal(await read(), folder.ref);
    assert.equal(await read(), '44');
    for (let index = 45; index < 300; index += 1) assert.equal(await read(), `${index}`);
    leaving.abort();
    assert.equal((await stream.next()).done, true);
  });

  it('are no ability of a drive that neither tells nor lists', async () => {
    const { definition } = memoryDrive();
    const unlisted: DriveDefinition = {
      ...definition,
      create: (...args) => {
        const { list: _, ...driver } = definition.create(...args);
        return driver;
      },
    };
    const server = await startTestApp({ drives: [local, unlisted] });
    try {
      const owner = await registerUser(server);
      const { id } = await linkAccount(server, owner.userId);
      const { data, errors } = await server.graphql<Answer>(
        'query ($id: ID!) { node(id: $id) { ... on CloudAccount { abilities changes { complete } } } }',
        { id: encodeGlobalId('CloudAccount', id) },
        owner.token,
      );
      assert.ok(data === null || !data.node?.abilities.includes('CHANGES'));
      assert.deepEqual(
        [errors?.[0]?.extensions?.code, /CHANGES/.test(errors?.[0]?.message ?? '')],
        ['UNSUPPORTED', true],
      );
    } finally {
      await server.close();
    }
  });

  it('of a provider’s folder are told live when they are made here', async () => {
    const drive = memoryDrive({ acts: ['createFolder', 'move', 'remove', 'statMany'] });
    drive.put('/a.txt', '/docs/deep/b.txt');
    const server = await startTestApp({ drives: [local, drive.definition] });
    try {
      const owner = await registerUser(server);
      const id = encodeGlobalId('CloudAccount', (await linkAccount(server, owner.userId)).id);
      const run = async (document: string, variables: object): Promise<Answer> => {
        const { data, errors } = await server.graphql<Answer>(document, variables, owner.token);
        assert.equal(errors, undefined, JSON.stringify(errors));
        return data;
      };
      const { node } = await run(
        'query ($id: ID!) { node(id: $id) { ... on CloudAccount { root { id children { nodes { id name } } } } } }',
        { id },
      );
      const idOf = (name: string): string => node.root.children.nodes.find((one: Answer) => one.name === name).id;
      const stream = openSse(server.url, { query: WATCH, variables: { folderId: node.root.id }, token: owner.token });
      assert.equal((await next(stream)).entryChanged.entryId, node.root.id);

      const created = await run(
        'mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ... on CreateFolderPayload { folder { id } } } }',
        { input: { parent: { id: node.root.id }, name: 'new' } },
      );
      const told = (await next(stream)).entryChanged;
      assert.deepEqual([told.kind, told.entryId, told.path], ['CREATED', created.createFolder.folder.id, '/new']);
      const remove = (entry: object): Promise<Answer> =>
        run(
          'mutation ($input: DeleteEntriesInput!) { deleteEntries(input: $input) { ... on DeleteEntriesPayload { results { error { message } } } } }',
          { input: { entries: [entry] } },
        );
      await remove({ id: idOf('a.txt') });
      const gone = (await next(stream)).entryChanged;
      assert.deepEqual([gone.kind, gone.entryId, gone.entry], ['DELETED', idOf('a.txt'), null]);

      // Nobody has listed the folder that it leaves, so this one is only said to be different.
      await run(
        'mutation ($input: MoveEntriesInput!) { moveEntries(input: $input) { ... on MoveEntriesPayload { results { error { message } } } } }',
        {
          input: {
            entries: [{ id: encodeEntryId('FOLDER', decodeGlobalId(id)?.id ?? '', 'ref/deep:3') }],
            destination: { id: idOf('docs') },
          },
        },
      );
      const vague = (await next(stream)).entryChanged;
      assert.deepEqual([vague.kind, vague.entryId], ['MODIFIED', node.root.id]);
      await stream.return(undefined);
    } finally {
      await server.close();
    }
  });

  /** A built-in drive that everybody may use; gives the row of its account. */
  async function shareDrive(): Promise<string> {
    const { id } = await linkAccount(app, person.userId, { provider: 'LOCAL', shared: true });
    await app.app.storage.transaction((em) => createRoot(em, id, new Date()));
    return id;
  }
});
