import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { byteDrive } from '../support/byte-drive.ts';
import { linkAccount } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { control, settled, untilChanged } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const begin = (field: 'copyEntries' | 'moveEntries', input: string, payload: string): string =>
  `mutation ($input: ${input}!) { result: ${field}(input: $input) {
    ... on ${payload} { results { transfer { id } error { code message } } } } }`;
const COPY = begin('copyEntries', 'CopyEntriesInput', 'CopyEntriesPayload');
const MOVE = begin('moveEntries', 'MoveEntriesInput', 'MoveEntriesPayload');
const DETAIL = `query ($id: ID!) { node(id: $id) { ... on Transfer {
  id state bytesTotal bytesDone itemCounts { total succeeded failed cancelled } error { code message }
  items(first: 100) { nodes { id itemPath state itemOf { id } error { code } } } } } }`;

describe('items of a folder that is copied', { timeout: 60_000 }, () => {
  let app: TestApp;
  let person: Person;
  let from: ReturnType<typeof byteDrive>;
  let to: ReturnType<typeof byteDrive>;
  let source: string;
  let target: string;

  beforeEach(async () => {
    from = byteDrive();
    to = byteDrive({ id: 'BAIDU' });
    app = await startTestApp({ drives: [local, from.definition, to.definition] });
    person = await registerUser(app);
    source = (await linkAccount(app, person.userId)).id;
    target = (await linkAccount(app, person.userId, { provider: 'BAIDU' })).id;
  });
  afterEach(() => app.close());

  const ask = async (document: string, variables: object, who = person): Promise<Answer> => {
    const { data, errors } = await app.graphql(document, variables, who.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  };
  /** A tree of these files; begins to bring it over. Gives the id of its transfer. */
  const bring = async (document: string, tree: Record<string, string>): Promise<string> => {
    for (const [path, text] of Object.entries(tree)) from.account(source).put(`top/${path}`, text);
    const top = [...from.account(source).nodes.values()].find(({ entry }) => entry.name === 'top');
    const entries = [{ id: encodeEntryId('FOLDER', source, top?.entry.ref ?? '') }];
    const destination = { id: encodeEntryId('FOLDER', target, 'root') };
    const [result] = (await ask(document, { input: { entries, destination } })).result.results;
    assert.equal(result.error, null, JSON.stringify(result.error));
    return result.transfer.id;
  };
  const look = async (id: string): Promise<Answer> => (await ask(DETAIL, { id })).node;
  const ended = async (id: string): Promise<Answer> => {
    await settled(app, person, id);
    return look(id);
  };
  const item = async (tree: string, path: string): Promise<Answer> =>
    (await look(tree)).items.nodes.find(({ itemPath }: Answer) => itemPath === path);
  /** When the tree is as wanted. */
  const until = (tree: string, isWanted: (row: Answer) => boolean): Promise<Answer> =>
    untilChanged(app, () => look(tree), isWanted);
  /** Holds the sending of a file of that name; gives when it has begun, and lets it go on. */
  const hold = (name: string) => {
    const begun = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    to.behaviour.before = (act, _account, at) => {
      if (act !== 'upload.putSlice' || at !== name) return undefined;
      begun.resolve();
      return held.promise;
    };
    return { begun: begun.promise, release: () => held.resolve() };
  };
  const refuse = (...names: string[]): void => {
    to.behaviour.before = (act, _account, name) => {
      if (act === 'upload.begin' && names.includes(name))
        throw new DriveError('permission_denied', 'Not this one.', { provider: 'BAIDU' });
      return undefined;
    };
  };

  test('one is cancelled while it is sent: the others go on, and the whole tells that it is left out', async () => {
    const { begun } = hold('two.txt');
    const id = await bring(COPY, { 'one.txt': '1', 'two.txt': '22', 'deep/three.txt': '333' });
    await begun;
    const two = await item(id, 'two.txt');
    assert.deepEqual([two.state, two.itemOf], ['RUNNING', { id }]);
    const { transfer } = await control(app, person, 'cancel', two.id);
    assert.equal(transfer.state, 'CANCELLED');
    const row = await ended(id);
    assert.deepEqual([row.state, row.error], ['SUCCEEDED', null]);
    assert.deepEqual(row.itemCounts, { total: 4, succeeded: 3, failed: 0, cancelled: 1 });
    assert.deepEqual([row.bytesTotal, row.bytesDone], [4, 4], 'its bytes are no part of the whole any more');
    assert.equal((await item(id, 'two.txt')).state, 'CANCELLED');
    assert.deepEqual(Object.keys(to.account(target).tree()), [
      '/top/',
      '/top/deep/',
      '/top/deep/three.txt',
      '/top/one.txt',
    ]);
    assert.equal(to.sessions.size, 0, 'its session at the provider was ended');
    assert.equal((await control(app, person, 'cancel', two.id)).code, 'CONFLICT');
    assert.equal((await control(app, person, 'retry', two.id)).code, 'CONFLICT');
  });

  test('what is left out of a move stays at its source, with the folders that it is in', async () => {
    const { begun } = hold('kept.txt');
    const id = await bring(MOVE, { 'deep/kept.txt': 'kept', 'deep/gone.txt': 'gone', 'other/gone.txt': 'gone' });
    await begun;
    await control(app, person, 'cancel', (await item(id, 'deep/kept.txt')).id);
    const row = await ended(id);
    assert.deepEqual([row.state, row.error], ['SUCCEEDED', null], JSON.stringify(row.error));
    assert.deepEqual(row.itemCounts, { total: 5, succeeded: 4, failed: 0, cancelled: 1 });
    assert.deepEqual(from.account(source).tree(), { '/top/': '', '/top/deep/': '', '/top/deep/kept.txt': 'kept' });
    assert.deepEqual(Object.keys(to.account(target).tree()).toSorted(), [
      '/top/',
      '/top/deep/',
      '/top/deep/gone.txt',
      '/top/other/',
      '/top/other/gone.txt',
    ]);
  });

  test('an empty folder that is left out of a move is not removed', async () => {
    const begun = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    to.behaviour.before = (act, _account, name) => {
      if (act !== 'createFolder' || name !== 'empty') return undefined;
      begun.resolve();
      return held.promise;
    };
    const id = await bring(MOVE, { 'empty/': '', 'gone.txt': 'gone' });
    await begun.promise;
    await control(app, person, 'cancel', (await item(id, 'empty')).id);
    held.resolve();
    const row = await ended(id);
    assert.deepEqual([row.state, row.itemCounts.cancelled], ['SUCCEEDED', 1]);
    assert.deepEqual(from.account(source).tree(), { '/top/': '', '/top/empty/': '' });
  });

  test('one is paused: the others go on, the whole waits for it, and ends when it is resumed', async () => {
    const { begun, release } = hold('two.txt');
    const id = await bring(COPY, { 'one.txt': '1', 'two.txt': '22' });
    await begun;
    const { id: two } = await item(id, 'two.txt');
    assert.equal((await control(app, person, 'pause', two)).transfer.state, 'PAUSED');
    release();
    const waiting = await until(id, ({ itemCounts }) => itemCounts.succeeded === 1);
    assert.equal(waiting.state, 'RUNNING');
    assert.equal((await control(app, person, 'pause', id)).transfer.state, 'PAUSED');
    const early = await control(app, person, 'resume', two);
    assert.deepEqual([early.code, /folder is PAUSED/.test(early.message)], ['CONFLICT', true], early.message);
    assert.equal((await control(app, person, 'resume', id)).transfer.state, 'QUEUED');
    const row = await ended(id);
    assert.deepEqual(row.itemCounts, { total: 2, succeeded: 2, failed: 0, cancelled: 0 });
    assert.deepEqual([row.state, to.account(target).tree()['/top/two.txt']], ['SUCCEEDED', '22']);
  });

  test('one that is resumed alone ends the whole that waited for it', async () => {
    const { begun, release } = hold('two.txt');
    const id = await bring(COPY, { 'one.txt': '1', 'two.txt': '22' });
    await begun;
    const { id: two } = await item(id, 'two.txt');
    await control(app, person, 'pause', two);
    release();
    await until(id, ({ itemCounts }) => itemCounts.succeeded === 1);
    assert.equal((await control(app, person, 'resume', two)).transfer.state, 'QUEUED');
    const row = await ended(id);
    assert.deepEqual([row.state, row.itemCounts.succeeded], ['SUCCEEDED', 2]);
  });

  test('of two that failed one is retried: the whole goes on for it, and still tells of the other', async () => {
    refuse('two.txt', 'three.txt');
    const id = await bring(MOVE, { 'one.txt': '1', 'two.txt': '22', 'three.txt': '333' });
    const failed = await ended(id);
    assert.deepEqual(failed.itemCounts, { total: 3, succeeded: 1, failed: 2, cancelled: 0 });
    refuse('three.txt');
    const two = await item(id, 'two.txt');
    assert.equal((await control(app, person, 'retry', two.id)).transfer.state, 'QUEUED');
    const again = await ended(id);
    assert.deepEqual([again.state, again.error.code], ['FAILED', 'UNAVAILABLE']);
    assert.match(again.error.message, /^1 of 3 items/);
    assert.deepEqual(again.itemCounts, { total: 3, succeeded: 2, failed: 1, cancelled: 0 });
    assert.deepEqual(from.account(source).tree(), { '/top/': '', '/top/three.txt': '333' });

    refuse();
    await control(app, person, 'retry', (await item(id, 'three.txt')).id);
    const whole = await ended(id);
    assert.deepEqual([whole.state, whole.error, whole.itemCounts.succeeded], ['SUCCEEDED', null, 3]);
    assert.deepEqual([from.account(source).tree(), whole.bytesDone], [{}, 6]);
  });

  test('when all of them are cancelled, so is the whole', async () => {
    const { begun } = hold('only.txt');
    const id = await bring(MOVE, { 'only.txt': 'x' });
    await begun;
    await control(app, person, 'cancel', (await item(id, 'only.txt')).id);
    const row = await ended(id);
    assert.deepEqual([row.state, row.itemCounts.cancelled], ['CANCELLED', 1]);
    assert.deepEqual(from.account(source).tree(), { '/top/': '', '/top/only.txt': 'x' });
  });

  test('who follows the whole is told of an item that its owner cancels, and a replay tells it too', async () => {
    const { begun } = hold('two.txt');
    const id = await bring(COPY, { 'one.txt': '1', 'two.txt': '22' });
    await begun;
    await control(app, person, 'cancel', (await item(id, 'two.txt')).id);
    await ended(id);
    const told: Answer[] = [];
    const viewer = { userId: person.userId, scopes: null } as never;
    for await (const { transfer } of app.app.services.transfers.events(viewer, '0', new AbortController().signal)) {
      told.push(transfer);
      if (transfer.state === 'SUCCEEDED') break;
    }
    assert.deepEqual(
      told.map(({ revision }) => revision),
      told.map(({ revision }) => revision).toSorted((left: number, right: number) => left - right),
    );
    assert.equal(new Set(told.map(({ id: each }) => each)).size, 1);
    assert.equal(told.at(-1)?.bytesTotal, 1);
  });

  test('those of another user are not there, and nothing happens to them', async () => {
    const { begun, release } = hold('two.txt');
    const id = await bring(COPY, { 'two.txt': '22' });
    await begun;
    const { id: two } = await item(id, 'two.txt');
    const other = await registerUser(app);
    for (const action of ['pause', 'resume', 'cancel', 'retry'] as const) {
      assert.equal((await control(app, other, action, two)).code, 'NOT_FOUND', action);
    }
    assert.equal((await control(app, person, 'resume', two)).code, 'CONFLICT', 'it is not paused');
    release();
    assert.equal((await ended(id)).state, 'SUCCEEDED');
  });
});
