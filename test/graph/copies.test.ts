import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId, encodeGlobalId } from '../../src/graph/ids.ts';
import { Transfer } from '../../src/storage/entities/transfer.ts';
import { BULK } from '../../src/transfers/queue.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { byteDrive } from '../support/byte-drive.ts';
import { linkAccount } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { bytesOf, control, rootOf, settled, untilChanged, uploadText } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const RESULTS = `results { sourceId entry { id name } transfer { id kind state } error { __typename code message } }`;
const COPY = `mutation ($input: CopyEntriesInput!) { result: copyEntries(input: $input) { __typename ... on CopyEntriesPayload { ${RESULTS} } ... on UserError { code message } } }`;
const MOVE = `mutation ($input: MoveEntriesInput!) { result: moveEntries(input: $input) { __typename ... on MoveEntriesPayload { ${RESULTS} } ... on UserError { code message } } }`;
const DETAIL = `query ($id: ID!) { node(id: $id) { ... on Transfer {
  kind state route routeReason verification bytesTotal bytesDone estimatedSecondsLeft entry { name } source { name }
  itemCounts { total succeeded failed cancelled } error { code message retryable }
  items(first: 100) { nodes { id name itemPath state error { code } } } } } }`;

describe('copies and moves between drives', () => {
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
    cloud = byteDrive({ id: 'BAIDU', hashes: ['MD5'], instantHashes: ['MD5'], pageMax: 3 });
    app = await startTestApp({ drives: [local, net.definition, cloud.definition] });
    person = await registerUser(app);
    a = (await linkAccount(app, person.userId)).id;
    b = (await linkAccount(app, person.userId)).id;
    c = (await linkAccount(app, person.userId, { provider: 'BAIDU' })).id;
  });
  afterEach(() => app.close());

  const file = (accountId: string, ref: string) => ({ id: encodeEntryId('FILE', accountId, ref) });
  const folder = (accountId: string, ref = 'root') => ({ id: encodeEntryId('FOLDER', accountId, ref) });
  const ask = async (document: string, variables: object, who = person): Promise<Answer> => {
    const { data, errors } = await app.graphql(document, variables, who.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  };
  const run = async (document: string, input: object, who = person): Promise<Answer> =>
    (await ask(document, { input }, who)).result.results[0];
  const ended = async (result: Answer): Promise<Answer> => {
    assert.equal(result.error, null, JSON.stringify(result.error));
    await settled(app, person, result.transfer.id);
    return (await ask(DETAIL, { id: result.transfer.id })).node;
  };

  test('a file is copied into another drive, and told by which route and what was compared', async () => {
    const ref = net.account(a).put('note.txt', 'hello');
    const row = await ended(await run(COPY, { entries: [file(a, ref)], destination: folder(c) }));
    assert.deepEqual([row.kind, row.state, row.route, row.verification], ['COPY', 'SUCCEEDED', 'SLICED', 'MD5']);
    assert.match(row.routeReason, /slices/);
    assert.deepEqual([row.source.name, row.entry.name, row.bytesDone], ['note.txt', 'note.txt', 5]);
    assert.deepEqual(cloud.account(c).tree(), { '/note.txt': 'hello' });
    assert.deepEqual(net.account(a).tree(), { '/note.txt': 'hello' });
  });

  test('one provider copies between its accounts, and nothing passes this server', async () => {
    const ref = net.account(a).put('note.txt', 'hello');
    const row = await ended(await run(COPY, { entries: [file(a, ref)], destination: folder(b) }));
    assert.deepEqual([row.state, row.route, row.verification], ['SUCCEEDED', 'SERVER_SIDE', 'MD5']);
    assert.equal(net.calls.includes('read'), false);
    assert.deepEqual(net.account(b).tree(), { '/note.txt': 'hello' });
  });

  test('bytes that the drive has already are found by the hash that the source tells', async () => {
    const ref = net.account(a).put('note.txt', 'known');
    cloud.account('somebody').put('elsewhere.txt', 'known');
    const row = await ended(await run(COPY, { entries: [file(a, ref)], destination: folder(c) }));
    assert.deepEqual([row.state, row.route], ['SUCCEEDED', 'INSTANT']);
    assert.equal(net.calls.includes('read'), false);
    assert.deepEqual(cloud.account(c).tree(), { '/note.txt': 'known' });
  });

  test('to and from the built-in drive', async () => {
    const uploaded = await uploadText(app, person, { name: 'mine.txt', content: 'my text' });
    const entries = [{ id: uploaded.transfer.entry.id }];
    const out = await ended(await run(COPY, { entries, destination: folder(a) }));
    assert.deepEqual(
      [out.state, out.route, net.account(a).tree()],
      ['SUCCEEDED', 'SLICED', { '/mine.txt': 'my text' }],
    );
    const ref = net.account(a).put('theirs.txt', 'their text');
    const into = await ended(await run(COPY, { entries: [file(a, ref)], destination: rootOf(person) }));
    assert.deepEqual([into.state, into.route, into.verification], ['SUCCEEDED', 'STREAMED', 'SHA256']);
    assert.equal((await bytesOf(app, person, '/theirs.txt'))?.toString(), 'their text');
  });

  test('a move removes its source when the copy is there', async () => {
    const ref = net.account(a).put('note.txt', 'hello');
    const row = await ended(await run(MOVE, { entries: [file(a, ref)], destination: folder(c) }));
    assert.deepEqual([row.kind, row.state, row.verification], ['MOVE', 'SUCCEEDED', 'MD5']);
    assert.deepEqual([net.account(a).tree(), cloud.account(c).tree()], [{}, { '/note.txt': 'hello' }]);
  });

  test('a drive that takes a file and loses it costs nobody the source', async () => {
    const ref = net.account(a).put('note.txt', 'hello');
    cloud.behaviour.before = (act) => {
      const made = cloud.account(c).nodes;
      if (act === 'stat') for (const [key, { bytes }] of made) if (bytes) made.delete(key);
      return undefined;
    };
    const { transfer } = await run(MOVE, { entries: [file(a, ref)], destination: folder(c) });
    const waits = await untilFailure(transfer.id);
    assert.equal(waits.error.code, 'INTEGRITY');
    assert.deepEqual(net.account(a).tree(), { '/note.txt': 'hello' });
  });

  test('a source that changed while it was moved stays, and the failure says so', async () => {
    const ref = net.account(a).put('note.txt', 'hello');
    cloud.behaviour.after = () => void net.account(a).put('note.txt', 'other');
    const row = await ended(await run(MOVE, { entries: [file(a, ref)], destination: folder(c) }));
    assert.deepEqual([row.state, row.error.code, row.entry.name], ['FAILED', 'CONFLICT', 'note.txt']);
    assert.deepEqual(
      [net.account(a).tree(), cloud.account(c).tree()],
      [{ '/note.txt': 'other' }, { '/note.txt': 'hello' }],
    );
  });

  const TREE = { 'top/one.txt': '1', 'top/two.txt': '22', 'top/deep/er/three.txt': '333', 'top/empty/': '' };
  const putTree = (): string => {
    for (const [path, text] of Object.entries(TREE)) net.account(a).put(path, text);
    return [...net.account(a).nodes.values()].find(({ entry }) => entry.name === 'top')?.entry.ref ?? '';
  };
  const COPIED = {
    '/top/': '',
    '/top/deep/': '',
    '/top/deep/er/': '',
    '/top/deep/er/three.txt': '333',
    '/top/empty/': '',
    '/top/one.txt': '1',
    '/top/two.txt': '22',
  };

  test('a folder is copied with all that is in it, empty folders too, as one transfer with its items', async () => {
    const ref = putTree();
    const row = await ended(await run(COPY, { entries: [folder(a, ref)], destination: folder(c) }));
    assert.deepEqual([row.state, row.itemCounts], ['SUCCEEDED', { total: 6, succeeded: 6, failed: 0, cancelled: 0 }]);
    assert.deepEqual([row.bytesTotal, row.bytesDone], [6, 6]);
    assert.deepEqual(cloud.account(c).tree(), COPIED);
    const paths = row.items.nodes.map(({ itemPath }: Answer) => itemPath);
    assert.deepEqual(paths.toSorted(), ['deep', 'deep/er', 'deep/er/three.txt', 'empty', 'one.txt', 'two.txt']);
    const listed = await ask('{ viewer { transfers(first: 10) { nodes { id } } } }', {});
    assert.equal(listed.viewer.transfers.nodes.length, 1, 'the parts are no transfers of their own in lists');
  });

  test('of a folder, the events are those of the whole, replayed in full', async () => {
    const ref = putTree();
    const row = await ended(await run(COPY, { entries: [folder(a, ref)], destination: folder(c) }));
    const seen: Answer[] = [];
    const stop = new AbortController();
    const viewer = { userId: person.userId, scopes: null } as never;
    for await (const { transfer } of app.app.services.transfers.events(viewer, '0', stop.signal)) {
      seen.push(transfer);
      if (transfer.state === 'SUCCEEDED') break;
    }
    assert.deepEqual([...new Set(seen.map(({ name }) => name))], ['top']);
    assert.deepEqual([seen.at(0)?.state, seen.at(-1)?.state, row.state], ['QUEUED', 'SUCCEEDED', 'SUCCEEDED']);
  });

  test('a folder is moved with all that is in it, and nothing of it stays', async () => {
    const ref = putTree();
    const row = await ended(await run(MOVE, { entries: [folder(a, ref)], destination: folder(c) }));
    assert.equal(row.state, 'SUCCEEDED', JSON.stringify(row.error));
    assert.deepEqual([net.account(a).tree(), cloud.account(c).tree()], [{}, COPIED]);
  });

  test('an item that fails is told, the others go on, and a retry tries it again', async () => {
    const ref = putTree();
    cloud.behaviour.before = (act, _account, name) => {
      if (act === 'upload.begin' && name === 'two.txt')
        throw new DriveError('permission_denied', 'Not this one.', { provider: 'BAIDU' });
      return undefined;
    };
    const begun = await run(MOVE, { entries: [folder(a, ref)], destination: folder(c) });
    const row = await ended(begun);
    assert.deepEqual([row.state, row.error.retryable], ['FAILED', true]);
    assert.deepEqual(row.itemCounts, { total: 6, succeeded: 5, failed: 1, cancelled: 0 });
    assert.deepEqual(
      row.items.nodes.filter(({ error }: Answer) => error).map(({ name, error }: Answer) => [name, error.code]),
      [['two.txt', 'PERMISSION_DENIED']],
    );
    assert.equal(net.account(a).tree()['/top/two.txt'], '22', 'its source is where it was');
    cloud.behaviour.before = () => undefined;
    await control(app, person, 'retry', begun.transfer.id);
    const again = await ended(begun);
    assert.deepEqual([again.state, again.itemCounts.succeeded], ['SUCCEEDED', 6]);
    assert.deepEqual([net.account(a).tree(), cloud.account(c).tree()], [{}, COPIED]);
  });

  test('cancelling a folder ends its items, and leaves neither files in the spool nor sessions', async () => {
    const ref = putTree();
    const held = Promise.withResolvers<void>();
    cloud.behaviour.before = (act) => {
      if (act !== 'upload.putSlice') return undefined;
      held.resolve();
      return new Promise(() => {});
    };
    const begun = await run(COPY, { entries: [folder(a, ref)], destination: folder(c) });
    await held.promise;
    const cancelled = await control(app, person, 'cancel', begun.transfer.id);
    assert.equal(cancelled.transfer.state, 'CANCELLED');
    const row = (await ask(DETAIL, { id: begun.transfer.id })).node;
    const states = new Set(row.items.nodes.map(({ state }: Answer) => state));
    assert.deepEqual(
      [...states].filter((state) => state !== 'SUCCEEDED'),
      ['CANCELLED'],
    );
    assert.ok(cloud.calls.includes('upload.abort'));
    const part = await control(app, person, 'retry', row.items.nodes[0].id);
    assert.equal(part.code, 'CONFLICT', 'a part goes on only with its whole');
  });

  test('what has the name is kept, replaced, skipped or told, as is asked for', async () => {
    const ref = net.account(a).put('note.txt', 'new');
    cloud.account(c).put('note.txt', 'old');
    const copy = (onConflict?: string) => run(COPY, { entries: [file(a, ref)], destination: folder(c), onConflict });
    assert.equal((await copy()).error.code, 'ALREADY_EXISTS');
    const skipped = await copy('SKIP');
    assert.deepEqual([skipped.transfer, skipped.entry.name, skipped.error], [null, 'note.txt', null]);
    await ended(await copy('RENAME'));
    assert.deepEqual(cloud.account(c).tree(), { '/note.txt': 'old', '/note (2).txt': 'new' });
    await ended(await copy('REPLACE'));
    assert.equal(cloud.account(c).tree()['/note.txt'], 'new');
  });

  test('the same request with the same key is one transfer', async () => {
    const ref = net.account(a).put('note.txt', 'hello');
    const input = { entries: [file(a, ref)], destination: folder(c), idempotencyKey: 'once' };
    const [first, second] = await Promise.all([run(COPY, input), run(COPY, input)]);
    assert.equal(first.transfer.id, second.transfer.id);
    await ended(first);
    assert.equal((await run(COPY, input)).transfer.id, first.transfer.id);
  });

  test('of a long list each is one of many, so that what is asked for alone comes first', async () => {
    const listed = async (count: number): Promise<number[]> => {
      const names = Array.from({ length: count }, (_, index) => `of-${count}-${index}`);
      const entries = names.map((name) => file(a, net.account(a).put(name, name)));
      const { results } = (await ask(COPY, { input: { entries, destination: folder(c) } })).result;
      for (const result of results) assert.equal((await ended(result)).state, 'SUCCEEDED');
      const rows = await app.app.storage.fork().find(Transfer, { name: { $in: names } });
      return [...new Set(rows.map(({ priority }) => priority))];
    };
    assert.deepEqual([await listed(11), await listed(2)], [[BULK], [0]]);
  });

  test('another user finds neither the entries nor the transfer', async () => {
    const other = await registerUser(app);
    const ref = net.account(a).put('note.txt', 'hello');
    const theirs = await run(COPY, { entries: [file(a, ref)], destination: rootOf(other) }, other);
    assert.equal(theirs.error.code, 'NOT_FOUND');
    const own = await run(COPY, { entries: [file(a, ref)], destination: folder(c) });
    await ended(own);
    assert.equal((await ask(DETAIL, { id: own.transfer.id }, other)).node, null);
  });

  test('a transfer waits while its account must be authorized again, and goes on by itself', async () => {
    const ref = net.account(a).put('note.txt', 'hello');
    const em = app.app.storage.fork();
    const status = (to: string) => em.execute('update accounts set status = ? where id = ?', [to, c]);
    cloud.behaviour.before = (act) => {
      if (act !== 'upload.begin') return undefined;
      cloud.behaviour.before = () => undefined;
      return status('NEEDS_REAUTHORIZATION').then(() => {
        throw new DriveError('unauthenticated', 'The token was revoked.', { provider: 'BAIDU' });
      });
    };
    const begun = await run(COPY, { entries: [file(a, ref)], destination: folder(c) });
    const waits = await untilFailure(begun.transfer.id);
    assert.deepEqual([waits.state, waits.error.code], ['QUEUED', 'REAUTHORIZATION_REQUIRED']);
    await status('ACTIVE');
    await app.app.events.publish('account.changed', { accountId: c });
    const row = await ended(begun);
    assert.deepEqual([row.state, cloud.account(c).tree()], ['SUCCEEDED', { '/note.txt': 'hello' }]);
    const again = await ask('query ($id: ID!) { node(id: $id) { ... on Transfer { attempts } } }', begun.transfer);
    assert.equal(again.node.attempts, 1, 'the wait is no try');
  });

  /** The transfer as soon as it shows a failure. */
  const untilFailure = (id: string): Promise<Answer> =>
    untilChanged(
      app,
      async () => (await ask(DETAIL, { id })).node,
      ({ error }) => error,
    );

  test('bad input is told where it is', async () => {
    const ref = net.account(a).put('note.txt', 'hello');
    const none = await ask(COPY, { input: { entries: [], destination: folder(c) } });
    assert.equal(none.result.code, 'INVALID_INPUT');
    const intoFile = await ask(COPY, { input: { entries: [file(a, ref)], destination: file(a, ref) } });
    assert.equal(intoFile.result.code, 'INVALID_INPUT');
    const nowhere = await ask(COPY, {
      input: {
        entries: [file(a, ref)],
        destination: { path: { accountId: encodeGlobalId('CloudAccount', c), path: '/no' } },
      },
    });
    assert.equal(nowhere.result.code, 'NOT_FOUND');
    const root = await run(COPY, { entries: [folder(a)], destination: folder(c) });
    assert.equal(root.error.code, 'UNSUPPORTED');
    const stale = await run(MOVE, { entries: [file(a, ref)], ifRevisions: ['old'], destination: folder(c) });
    assert.equal(stale.error.code, 'CONFLICT');
  });
});
