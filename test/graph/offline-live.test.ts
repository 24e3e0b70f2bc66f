import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { decodeIdOf, encodeGlobalId } from '../../src/graph/ids.ts';
import { POLL_MAX_MS, POLL_MIN_MS, WATCH_MS } from '../../src/services/offline/follower.ts';
import type { Viewer } from '../../src/services/viewer.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { OfflineTask } from '../../src/storage/entities/offline-task.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { linkAccount, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { openSse } from '../support/transports.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const TASK = 'id name state percentDone entry { name }';
const LISTEN = `subscription ($id: ID!) { offlineTaskUpdated(accountId: $id) { ${TASK} } }`;

describe('offline tasks, live', { timeout: 120_000 }, () => {
  let app: TestApp;
  let dataDir: string;
  let admin: Person;
  let person: Person;
  let accountId: string;
  let rowId: string;
  const clock = new ManualClock();
  const drive = memoryDrive({ id: 'PAN115', acts: ['offline'], timeless: true });
  let links = 0;

  const start = (): Promise<TestApp> => startTestApp({ drives: [local, drive.definition], clock, dataDir });
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'panql-test-'));
    app = await start();
    admin = await registerUser(app);
    person = await registerUser(app);
    drive.put('/film.mkv');
  });
  after(async () => {
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  beforeEach(async () => {
    drive.mend();
    drive.offline.tasks.clear();
    await app.app.storage.fork().nativeDelete(OfflineTask, {}); // Those of other tests are over.
    await link();
  });

  async function link(more: object = {}, owner = person): Promise<void> {
    rowId = (await linkAccount(app, owner.userId, { provider: 'PAN115', ...more })).id;
    accountId = encodeGlobalId('CloudAccount', rowId);
  }
  async function begin(who = person): Promise<Answer> {
    links += 1;
    const input = { accountId, urls: [`https://files.example/${links}.bin`] };
    const { data } = await app.graphql(
      `mutation ($input: AddOfflineTasksInput!) { addOfflineTasks(input: $input) { ... on AddOfflineTasksPayload { results { task { ${TASK} } } } } }`,
      { input },
      who.token,
    );
    return data.addOfflineTasks.results[0].task;
  }
  const refOf = (task: Answer): string => decodeIdOf(task.id, 'OfflineTask')?.slice(rowId.length + 1) ?? '';
  /** What is due after a while is asked about. */
  async function pass(milliseconds = POLL_MIN_MS): Promise<void> {
    clock.advance(milliseconds);
    await app.app.services.offlineFollower.look();
  }
  /** Gives the next task that a subscriber is told of; null when the subscription has ended. */
  function listen(who = person): { readonly next: () => Promise<Answer>; readonly end: () => Promise<unknown> } {
    const stream = openSse(app.url, { query: LISTEN, variables: { id: accountId }, token: who.token });
    return {
      next: async () => {
        const { value, done } = await stream.next();
        return done ? null : (value.data?.offlineTaskUpdated ?? value.errors?.[0]?.extensions?.code);
      },
      end: () => stream.return(undefined),
    };
  }

  it('are told as they are, the unfinished ones first, then as they change, up to what came of them', async () => {
    const running = await begin();
    const failed = await begin();
    drive.offline.change(refOf(failed), { state: 'FAILED' });
    const { next, end } = listen();
    assert.deepEqual(await next(), running);
    assert.deepEqual(await next(), { ...failed, state: 'FAILED' });
    drive.offline.change(refOf(running), { percentDone: 40 });
    await pass();
    assert.deepEqual(await next(), { ...running, percentDone: 40 });
    const { data } = await app.graphql(
      'query ($ref: EntryRef!) { entry(ref: $ref) { id } }',
      { ref: { path: { accountId, path: '/film.mkv' } } },
      person.token,
    );
    const entryRef = decodeIdOf(data.entry.id, 'File')?.slice(rowId.length + 1) ?? '';
    drive.offline.change(refOf(running), { state: 'SUCCEEDED', percentDone: 100, entryRef });
    await pass();
    const done = { ...running, state: 'SUCCEEDED', percentDone: 100, entry: { name: 'film.mkv' } };
    assert.deepEqual(await next(), done);
    await end();
  });

  it('that are begun later are told too, also when they were begun elsewhere', async () => {
    const first = await begin();
    const { next, end } = listen();
    assert.equal((await next()).id, first.id);
    const second = await begin();
    assert.deepEqual(await next(), second);
    const task = drive.offline.tasks.get(refOf(second)) ?? assert.fail();
    drive.offline.tasks.set('elsewhere', { ...task, ref: 'elsewhere', name: 'from the app' });
    await pass();
    assert.equal((await next()).name, 'from the app');
    await end();
  });

  it('of which others who use a shared account began some are not told to them', async () => {
    await link({ shared: true }, admin);
    const stranger = await registerUser(app);
    const mine = await begin(person);
    const { next, end } = listen(person);
    assert.deepEqual(await next(), mine);
    const theirs = await begin(stranger);
    for (const task of [theirs, mine]) drive.offline.change(refOf(task), { percentDone: 10 });
    await pass();
    assert.deepEqual(await next(), { ...mine, percentDone: 10 });
    for (const task of [theirs, mine]) drive.offline.change(refOf(task), { percentDone: 20 });
    await pass();
    assert.deepEqual(await next(), { ...mine, percentDone: 20 }, 'and nothing in between');
    await end();
  });

  it('end with the right to see the account', async () => {
    await link({ shared: true }, admin);
    await begin();
    const { next } = listen();
    await next();
    await app.app.storage.fork().nativeUpdate(Account, { id: rowId }, { shared: false });
    await app.app.events.publish('account.changed', { accountId: rowId });
    assert.equal(await next(), null);
  });

  it('are refused where there are none, or the account is another’s', async () => {
    const stranger = await registerUser(app);
    assert.equal(await listen(stranger).next(), 'NOT_FOUND');
    accountId = person.accountId;
    assert.equal(await listen().next(), 'UNSUPPORTED');
    await link({ status: 'NEEDS_REAUTHORIZATION' });
    assert.equal(await listen().next(), 'REAUTHORIZATION_REQUIRED');
    await link();
    drive.fail('offline.list', new DriveError('blocked', 'Risk control.', { provider: 'PAN115' }));
    assert.equal(await listen().next(), 'PROVIDER_FAILED');
  });

  it('are asked about no more when nobody looks on and nobody here began one', async () => {
    drive.offline.tasks.set('elsewhere', {
      ...{ ref: 'elsewhere', name: 'from the app', url: null, state: 'RUNNING', percentDone: 0, sizeBytes: null },
      ...{ addedAt: null, updatedAt: null, entryRef: null, parentRef: null, filesRef: null, failure: null },
    });
    // Not over the network: when the server learns that a client is gone is not for a test to know.
    const ending = new AbortController();
    const viewer: Viewer = {
      ...{ userId: person.userId, role: 'USER', grantId: 'a session', grant: 'session' },
      ...{ scopes: new Set(), expiresAt: null },
    };
    const stream = await app.app.services.offlineTasks.follow(viewer, rowId, ending.signal);
    assert.equal((await stream.next()).value?.name, 'from the app');
    drive.calls.length = 0;
    await pass();
    assert.ok(drive.calls.includes('offline.list'));
    ending.abort();
    assert.ok((await stream.next()).done);
    await pass(WATCH_MS);
    await pass(WATCH_MS);
    drive.calls.length = 0;
    await pass(POLL_MAX_MS);
    assert.ok(!drive.calls.includes('offline.list'));
  });

  it('are followed on by the next process', async () => {
    const task = await begin();
    await app.close();
    drive.offline.change(refOf(task), { state: 'FAILED', failure: { providerCode: null, message: 'No source.' } });
    app = await start();
    await pass();
    const { data } = await app.graphql(
      'query ($id: ID!) { node(id: $id) { ... on OfflineTask { state error { message } } } }',
      { id: task.id },
      person.token,
    );
    assert.deepEqual(data.node, { state: 'FAILED', error: { message: 'No source.' } });
  });
});
