import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { addMs } from '../../src/lib/clock.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { byteDrive } from '../support/byte-drive.ts';
import { putFile } from '../support/files.ts';
import { linkAccount } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { bytesOf, control, rootOf, settled, untilChanged } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const CREATE = `mutation ($input: CreateDirectLinkInput!) { createDirectLink(input: $input) {
  ... on CreateDirectLinkPayload { link { id url } } ... on UserError { message } } }`;
const REVOKE = 'mutation ($input: RevokeDirectLinkInput!) { revokeDirectLink(input: $input) { __typename } }';
const SAVE = `mutation ($input: SaveDirectLinkInput!) { saveDirectLink(input: $input) { __typename
  ... on SaveDirectLinkPayload { transfer { id kind state } } ... on UserError { code message } } }`;
const DETAIL = `query ($id: ID!) { node(id: $id) { ... on Transfer {
  kind state route verification bytesTotal source { name } entry { name } error { code message retryAt } } } }`;
const USED = '{ viewer { downloadAllowance { used } } }';

describe('a direct link saved into a drive of another kind', { timeout: 60_000 }, () => {
  let app: TestApp;
  let owner: Person;
  let saver: Person;
  let net: ReturnType<typeof byteDrive>;
  let cloud: ReturnType<typeof byteDrive>;
  /** The owner's account, and the saver's at another provider. */
  let theirs: string;
  let own: string;
  let now: Date;

  beforeEach(async () => {
    now = new Date();
    net = byteDrive({ hashes: ['MD5'] });
    cloud = byteDrive({ id: 'BAIDU', hashes: ['MD5'] });
    app = await startTestApp({
      drives: [local, net.definition, cloud.definition],
      settings: { DOWNLOAD_LIMIT: '2' },
      clock: { now: () => now },
    });
    await registerUser(app);
    owner = await registerUser(app);
    saver = await registerUser(app);
    theirs = (await linkAccount(app, owner.userId, { label: 'owner-canary' })).id;
    own = (await linkAccount(app, saver.userId, { provider: 'BAIDU' })).id;
  });
  afterEach(() => app.close());

  const ask = async (document: string, variables: object, who: Person): Promise<Answer> => {
    const { data, errors } = await app.graphql(document, variables, who.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  };
  const newLink = async (ref: string, more: object = {}): Promise<{ id: string; url: string }> => {
    const file = { id: encodeEntryId('FILE', theirs, ref) };
    return (await ask(CREATE, { input: { file, ...more } }, owner)).createDirectLink.link;
  };
  const into = (accountId: string) => ({ id: encodeEntryId('FOLDER', accountId, 'root') });
  const save = async (input: object): Promise<Answer> =>
    (await ask(SAVE, { input: { parent: into(own), ...input } }, saver)).saveDirectLink;
  const look = async (id: string): Promise<Answer> => (await ask(DETAIL, { id }, saver)).node;
  const ended = async (id: string): Promise<Answer> => {
    await settled(app, saver, id);
    return look(id);
  };
  const used = async (who: Person): Promise<number> => (await ask(USED, {}, who)).viewer.downloadAllowance.used;
  const until = (id: string, isWanted: (row: Answer) => boolean): Promise<Answer> =>
    untilChanged(app, () => look(id), isWanted);
  const untilFailure = (id: string): Promise<Answer> => until(id, ({ error }) => error);
  /** The first read of a file breaks off when it is let go. */
  const breakFirstRead = () => {
    const begun = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    net.behaviour.before = (act) => {
      if (act !== 'read') return undefined;
      net.behaviour.before = () => undefined;
      begun.resolve();
      return held.promise.then(() => {
        throw new DriveError('unavailable', 'The line broke.', { provider: 'NETDISK' });
      });
    };
    return { begun: begun.promise, release: () => held.resolve() };
  };

  test('is a transfer that reads by the right of the link, and counts as one visit of it', async () => {
    const { url } = await newLink(net.account(theirs).put('film.mkv', 'a film'));
    const { transfer } = await save({ url });
    const row = await ended(transfer.id);
    assert.deepEqual([row.kind, row.state, row.route, row.verification], ['COPY', 'SUCCEEDED', 'SLICED', 'MD5']);
    assert.deepEqual([row.bytesTotal, row.entry.name, row.source], [6, 'film.mkv', null]);
    assert.deepEqual(cloud.account(own).tree(), { '/film.mkv': 'a film' });
    assert.deepEqual([await used(owner), await used(saver)], [1, 0]);
    assert.equal((await ask(DETAIL, { id: transfer.id }, owner)).node, null, "it is the saver's alone");
  });

  test('comes from a built-in drive into a cloud, and from a cloud into the built-in drive', async () => {
    const { file } = await putFile(app, owner, 'mine.txt', Buffer.from('my text'));
    const link = (await ask(CREATE, { input: { file } }, owner)).createDirectLink.link;
    const out = await ended((await save({ url: link.url, name: 'named.txt' })).transfer.id);
    assert.deepEqual([out.state, cloud.account(own).tree()], ['SUCCEEDED', { '/named.txt': 'my text' }]);
    const { url } = await newLink(net.account(theirs).put('theirs.txt', 'their text'));
    const back = await ended((await save({ url, parent: rootOf(saver) })).transfer.id);
    assert.deepEqual([back.state, back.verification], ['SUCCEEDED', 'SHA256'], JSON.stringify(back.error));
    assert.equal((await bytesOf(app, saver, '/theirs.txt'))?.toString(), 'their text');
  });

  test('asks for the key of a link that has one, and for a link that works, before anything is begun', async () => {
    const ref = net.account(theirs).put('film.mkv', 'a film');
    const keyed = await newLink(ref, { key: 'open sesame' });
    assert.equal((await save({ url: keyed.url })).code, 'INVALID_INPUT');
    assert.equal((await save({ url: keyed.url, key: 'wrong one' })).code, 'PERMISSION_DENIED');
    const short = await newLink(ref, { lifetimeSeconds: 60 });
    const revoked = await newLink(ref);
    await ask(REVOKE, { input: { id: revoked.id } }, owner);
    now = addMs(now, 61_000);
    assert.equal((await save({ url: short.url })).code, 'NOT_FOUND');
    assert.equal((await save({ url: revoked.url })).code, 'NOT_FOUND');
    const right = { url: keyed.url, key: 'open sesame' };
    assert.equal((await save({ ...right, parent: into(theirs) })).code, 'NOT_FOUND', 'a folder of somebody else');
    assert.equal((await save({ ...right, name: 'a/b' })).code, 'INVALID_INPUT');
    assert.deepEqual([cloud.account(own).tree(), net.calls.includes('read')], [{}, false]);
    const { transfer } = await save(right);
    assert.equal((await ended(transfer.id)).state, 'SUCCEEDED');
  });

  for (const end of ['is withdrawn', 'expires', 'loses its file'] as const) {
    test(`that breaks off and whose link ${end} meanwhile gets nothing more`, async () => {
      const ref = net.account(theirs).put('film.mkv', 'a film');
      const { id, url } = await newLink(ref, { lifetimeSeconds: 600 });
      const { begun, release } = breakFirstRead();
      const { transfer } = await save({ url });
      await begun;
      if (end === 'is withdrawn') await ask(REVOKE, { input: { id } }, owner);
      if (end === 'loses its file') net.account(theirs).nodes.delete(ref);
      release();
      assert.equal((await untilFailure(transfer.id)).state, 'QUEUED');
      now = addMs(now, end === 'expires' ? 601_000 : 10_000); // When the next try is due.
      const row = await ended(transfer.id);
      assert.deepEqual([row.state, row.error.code], ['FAILED', 'NOT_FOUND']);
      assert.deepEqual(cloud.account(own).tree(), {});
      assert.equal((await control(app, saver, 'retry', transfer.id)).transfer.state, 'QUEUED');
      assert.equal((await ended(transfer.id)).error.code, 'NOT_FOUND');
    });
  }

  test('that breaks off goes on while its link works, and costs its owner no second visit', async () => {
    const { url } = await newLink(net.account(theirs).put('film.mkv', 'a film'));
    const { begun, release } = breakFirstRead();
    const { transfer } = await save({ url });
    await begun;
    release();
    await untilFailure(transfer.id);
    now = addMs(now, 10_000);
    assert.equal((await ended(transfer.id)).state, 'SUCCEEDED');
    assert.deepEqual([cloud.account(own).tree(), await used(owner)], [{ '/film.mkv': 'a film' }, 1]);
  });

  test('whose bytes are not those that the drive tells of is not saved', async () => {
    const ref = net.account(theirs).put('film.mkv', 'a film');
    const { url } = await newLink(ref);
    const { entry } = net.account(theirs).nodes.get(ref) ?? assert.fail();
    net.account(theirs).nodes.set(ref, { entry, bytes: Buffer.from('a lie!') });
    const { transfer } = await save({ url });
    await untilFailure(transfer.id);
    now = addMs(now, 10_000);
    const row = await ended(transfer.id);
    assert.deepEqual([row.state, row.error.code, cloud.account(own).tree()], ['FAILED', 'INTEGRITY', {}]);
  });

  test('waits until tomorrow when the owner of the link has no downloads left', async () => {
    const link = async (name: string) => (await newLink(net.account(theirs).put(name, name))).url;
    for (const name of ['one', 'two']) await ended((await save({ url: await link(name) })).transfer.id);
    const { transfer } = await save({ url: await link('three') });
    const row = await untilFailure(transfer.id);
    assert.deepEqual([row.state, row.error.code], ['QUEUED', 'RATE_LIMITED']);
    assert.ok(Date.parse(row.error.retryAt) > now.getTime());
    assert.deepEqual(cloud.account(own).tree(), { '/one': 'one', '/two': 'two' });
  });

  test('tells its saver nothing of the account that the file is in', async () => {
    const { url } = await newLink(net.account(theirs).put('film.mkv', 'a film'));
    const { begun, release } = breakFirstRead();
    const { transfer } = await save({ url });
    await begun;
    const em = app.app.storage.fork();
    await em.execute(`update accounts set status = 'NEEDS_REAUTHORIZATION' where id = ?`, [theirs]);
    await app.app.events.publish('account.changed', { accountId: theirs });
    release();
    await untilFailure(transfer.id);
    now = addMs(now, 10_000);
    const row = await until(transfer.id, ({ error }) => error.code === 'UNAVAILABLE');
    assert.match(row.error.message, /its owner has to look after it/);
    const [stored] = await em.execute<object[]>(`select * from transfers where name = 'film.mkv'`);
    assert.doesNotMatch(JSON.stringify(stored), new RegExp(`canary|${theirs}`));
  });

  test('is one transfer for one key, however often it is asked for', async () => {
    const { url } = await newLink(net.account(theirs).put('film.mkv', 'a film'));
    const input = { url, idempotencyKey: randomUUID() };
    const answers = await Promise.all(Array.from({ length: 10 }, () => save(input)));
    assert.equal(new Set(answers.map(({ transfer }) => transfer.id)).size, 1);
    assert.equal((await ended(answers[0].transfer.id)).state, 'SUCCEEDED');
    assert.deepEqual(cloud.account(own).tree(), { '/film.mkv': 'a film' });
    assert.equal((await save({ ...input, name: 'other' })).code, 'CONFLICT');
    assert.equal((await save({ url })).code, 'ALREADY_EXISTS');
    assert.equal((await save({ url, onConflict: 'SKIP' })).transfer.state, 'SUCCEEDED');
  });
});
