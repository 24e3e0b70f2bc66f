import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { linkAccount, type MemoryDrive, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { createTestDatabase, skipReason } from '../support/services.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const noPostgres = await skipReason('PostgreSQL');

const ROOT = `query ($id: ID!, $maxAge: Int) { node(id: $id) { ... on CloudAccount { root {
  children(maxAgeSeconds: $maxAge) { fetchedAt nodes { id name path parent { id } } } } } } }`;

describe('what a provider told', { timeout: 120_000 }, () => {
  const clock = new ManualClock();
  let drive: MemoryDrive;
  let app: TestApp;
  let admin: Person;
  let person: Person;
  let rowId: string;
  let id: string;

  before(async () => {
    drive = memoryDrive({ acts: ['statMany', 'createFolder'] });
    drive.put('/a.txt', '/docs/');
    // So long that no slow machine makes the difference.
    app = await startTestApp({ drives: [local, drive.definition], clock, settings: { LIST_CACHE_SECONDS: '60' } });
    admin = await registerUser(app);
    person = await registerUser(app);
  });
  after(() => app.close());
  beforeEach(async () => {
    rowId = (await linkAccount(app, person.userId)).id;
    id = encodeGlobalId('CloudAccount', rowId);
    drive.calls.length = 0;
  });

  const ask = (document: string, variables: object, who = person): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(document, variables, who.token);
  const list = async (more: object = {}, who = person): Promise<Answer> => {
    const { data, errors } = await ask(ROOT, { id, ...more }, who);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.node.root.children;
  };
  const lists = (): number => drive.calls.filter((act) => act === 'list').length;

  it('is given again for a short while, and says since when it is known', async () => {
    const readAt = clock.now().toISOString();
    const first = await list();
    clock.advance(3_000);
    const second = await list();
    assert.deepEqual([first.fetchedAt, second.fetchedAt, lists()], [readAt, readAt, 1]);
    const fresh = await list({ maxAge: 0 });
    assert.deepEqual([fresh.fetchedAt, lists()], [clock.now().toISOString(), 2]);
    assert.deepEqual((await list()).fetchedAt, fresh.fetchedAt);
    const { errors } = await ask(ROOT, { id, maxAge: -1 });
    assert.equal(errors?.[0]?.extensions?.code, 'INVALID_INPUT');
  });

  it('is old after an own change', async () => {
    await list();
    const { data } = await ask(`mutation ($input: CreateFolderInput!) { createFolder(input: $input) { __typename } }`, {
      input: { parent: { path: { accountId: id, path: '/' } }, name: `new ${rowId}` },
    });
    assert.equal(data.createFolder.__typename, 'CreateFolderPayload');
    assert.ok((await list()).nodes.some(({ name }: Answer) => name === `new ${rowId}`));
    assert.equal(lists(), 2);
  });

  it('is old when another process, an offline task or the account itself says so', async () => {
    const { events } = app.app;
    await list();
    await events.publish('account.written', { accountId: rowId });
    await list();
    await events.publish('offlineTask.changed', { accountId: rowId, taskId: 'task' });
    await list();
    await events.publish('account.changed', { accountId: rowId });
    await list();
    assert.equal(lists(), 4);
  });

  it('is shared by those who share the account, and by nobody else', async () => {
    await list();
    const { data } = await ask(ROOT, { id }, admin);
    assert.equal(data.node, null);
    rowId = (await linkAccount(app, person.userId, { shared: true })).id;
    id = encodeGlobalId('CloudAccount', rowId);
    drive.calls.length = 0;
    await list();
    assert.equal((await list({}, admin)).nodes.length > 0, true);
    assert.equal(lists(), 1);
  });

  it('comes by one call for equal reads under way, however fresh it is to be', async () => {
    const fresh = 'children(maxAgeSeconds: 0) { nodes { name } }';
    const { data } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount { root { one: ${fresh} other: ${fresh} } } } }`,
      { id },
    );
    const { one, other } = data.node.root;
    assert.deepEqual([one.nodes.length > 0, one], [true, other]);
    assert.equal(lists(), 1);
  });

  it('costs one call for a page with paths and parents, and one for the facts of 100 files', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `/many/${index}.txt`);
    drive.put(...names);
    const { data } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount { entry(path: "/many") { ... on Folder {
        children(first: 100) { nodes { id name path parent { id name } } } } } } } }`,
      { id },
    );
    const { nodes } = data.node.entry.children;
    assert.equal(nodes.length, 100);
    assert.ok(nodes.every(({ path, parent, name }: Answer) => parent.name === 'many' && path === `/many/${name}`));
    assert.deepEqual(drive.calls, ['stat', 'list', 'list'], 'two to walk to the folder, one for the page');

    drive.calls.length = 0;
    const ids = nodes.map((node: Answer) => node.id);
    const found = await ask('query ($ids: [ID!]!) { nodes(ids: $ids) { ... on File { name size parent { id } } } }', {
      ids,
    });
    assert.equal(found.data.nodes.filter(({ size }: Answer) => size === 1).length, 100);
    assert.deepEqual(
      drive.calls.filter((act) => act !== 'statMany'),
      [],
    );
    assert.ok(drive.calls.length <= 2, `${drive.calls}: one for the files, one for their folder`);
  });

  it('is old in every process when one changed something', { skip: noPostgres }, async () => {
    const database = await createTestDatabase();
    const settings = { DATABASE_URL: database.url, LIST_CACHE_SECONDS: '60' };
    const start = () => startTestApp({ drives: [local, drive.definition], settings, dataDir: app.dataDir });
    const [one, other] = [await start(), await start()];
    try {
      const reader = await registerUser(one);
      const account = await linkAccount(one, reader.userId);
      const read = async (): Promise<string[]> => {
        const variables = { id: encodeGlobalId('CloudAccount', account.id) };
        const { data } = await one.graphql<Answer>(ROOT, variables, reader.token);
        return data.node.root.children.nodes.map(({ name }: Answer) => name);
      };
      assert.ok(!(await read()).includes('from elsewhere'));
      const heard = one.app.events.subscribe('account.written');
      const made = await other.graphql<Answer>(
        'mutation ($input: CreateFolderInput!) { createFolder(input: $input) { __typename } }',
        {
          input: {
            parent: { path: { accountId: encodeGlobalId('CloudAccount', account.id), path: '/' } },
            name: 'from elsewhere',
          },
        },
        reader.token,
      );
      assert.equal(made.data.createFolder.__typename, 'CreateFolderPayload', JSON.stringify(made));
      assert.deepEqual((await heard.next()).value, { accountId: account.id });
      await heard.return?.();
      assert.ok((await read()).includes('from elsewhere'));
    } finally {
      await one.close();
      await other.close();
      await database.drop();
    }
  });

  it('is as now on the built-in drive', async () => {
    const { data } = await ask(ROOT, { id: person.accountId });
    assert.equal(data.node.root.children.fetchedAt, null);
  });
});
