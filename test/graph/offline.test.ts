import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { decodeIdOf, encodeGlobalId } from '../../src/graph/ids.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { OfflineTask } from '../../src/storage/entities/offline-task.ts';
import { AuditRecord } from '../../src/storage/entities/operations.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { linkAccount, type MemoryDrive, memoryDrive } from '../support/memory-drive.ts';
import { createApiKey, type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const ERROR =
  '__typename ... on UserError { code message retryable } ... on UnsupportedError { ability } ... on ProviderError { providerCode } ... on InvalidInputError { issues { path } }';
const TASK = `id name url state percentDone size addedAt updatedAt account { id } entry { id name } error { ${ERROR} }`;
const DOCUMENTS = {
  add: `mutation ($input: AddOfflineTasksInput!) { result: addOfflineTasks(input: $input) { ... on AddOfflineTasksPayload { results { url task { ${TASK} } error { ${ERROR} } } } ${ERROR} } }`,
  cancel: `mutation ($input: CancelOfflineTasksInput!) { result: cancelOfflineTasks(input: $input) { ... on CancelOfflineTasksPayload { results { id error { ${ERROR} } } } ${ERROR} } }`,
  clear: `mutation ($input: ClearOfflineTasksInput!) { result: clearOfflineTasks(input: $input) { ... on ClearOfflineTasksPayload { ok } ${ERROR} } }`,
  retry: `mutation ($input: RetryOfflineTaskInput!) { result: retryOfflineTask(input: $input) { ... on RetryOfflineTaskPayload { task { ${TASK} } } ${ERROR} } }`,
} as const;
const LIST = `query ($id: ID!, $first: Int, $after: String) {
  node(id: $id) { ... on CloudAccount { offlineTasks(first: $first, after: $after) { nodes { ${TASK} } totalCount pageInfo { hasNextPage endCursor } } } }
}`;
const NODE = `query ($id: ID!) { node(id: $id) { ... on OfflineTask { ${TASK} } } }`;
const ALLOWANCE = `query ($id: ID!) { node(id: $id) { ... on CloudAccount { offlineAllowance { total used remaining packages { name total used remaining expiresAt } } } } }`;

describe('offline tasks', { timeout: 120_000 }, () => {
  let app: TestApp;
  let person: Person;
  let stranger: Person;
  let admin: Person;
  const clock = new ManualClock();
  /** Lists its tasks and can do all with them, as 115. */
  const full = memoryDrive({ id: 'PAN115', acts: ['offline'], timeless: true });
  /** Takes one web link at a time and follows a task by its id only, as 123pan. */
  const bare = memoryDrive({
    id: 'PAN123',
    acts: ['offline'],
    offlineActs: ['add', 'stat'],
    offline: { urlsMax: 1, schemes: ['http', 'https'] },
    timeless: true,
  });
  /** Has none. */
  const none = memoryDrive({ id: 'BAIDU' });
  const ids = new Map<MemoryDrive, string>();
  let links = 0;

  before(async () => {
    app = await startTestApp({ drives: [local, full.definition, bare.definition, none.definition], clock });
    await app.app.services.offlineFollower.close(); // Nobody asks here but the tests.
    admin = await registerUser(app);
    person = await registerUser(app);
    stranger = await registerUser(app);
    for (const drive of [full, bare, none]) {
      drive.put('/downloads/', '/file.txt');
      ids.set(drive, await link(drive, person));
    }
  });
  after(() => app.close());
  beforeEach(() => {
    for (const drive of [full, bare, none]) {
      drive.mend();
      drive.calls.length = 0;
      drive.offline.added.length = 0;
      drive.offline.refusals.clear();
    }
  });

  const link = async (drive: MemoryDrive, owner: Person, more: object = {}): Promise<string> =>
    encodeGlobalId(
      'CloudAccount',
      (await linkAccount(app, owner.userId, { provider: drive.definition.id, ...more })).id,
    );
  const idOf = (drive: MemoryDrive): string => ids.get(drive) ?? '';
  const rowIdOf = (accountId: string): string => decodeIdOf(accountId, 'CloudAccount') ?? '';
  const refOf = (taskId: string): string => decodeIdOf(taskId, 'OfflineTask')?.split('/').slice(1).join('/') ?? '';
  const newLink = (): string => {
    links += 1;
    return `https://files.example/${links}.bin`;
  };
  const ask = (document: string, variables: object, who = person): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(document, variables, who.token);
  async function act(name: keyof typeof DOCUMENTS, input: object, who = person): Promise<Answer> {
    const answer = await ask(DOCUMENTS[name], { input }, who);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data.result;
  }
  async function add(drive: MemoryDrive, urls: readonly string[], more: object = {}, who = person): Promise<Answer[]> {
    const result = await act('add', { accountId: idOf(drive), urls, ...more }, who);
    assert.equal(result.__typename, 'AddOfflineTasksPayload', JSON.stringify(result));
    return result.results;
  }
  async function begin(drive: MemoryDrive, more: object = {}, who = person): Promise<Answer> {
    const [{ task, error }] = await add(drive, [newLink()], more, who);
    assert.equal(error, null, JSON.stringify(error));
    return task;
  }
  const node = async (id: string, who = person): Promise<Answer> => (await ask(NODE, { id }, who)).data.node;
  async function list(drive: MemoryDrive, more: object = {}, who = person): Promise<Answer> {
    const answer = await ask(LIST, { id: idOf(drive), ...more }, who);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data.node.offlineTasks;
  }
  const broken = (provider = 'PAN115') =>
    new DriveError('unavailable', 'The provider is down.', { provider, retryable: false, persistent: true });
  const rowsOf = (drive: MemoryDrive): Promise<OfflineTask[]> =>
    app.app.storage.fork().find(OfflineTask, { accountId: rowIdOf(idOf(drive)) });

  describe('are begun', () => {
    it('in as many acts as the drive needs, each link with its result, in their order', async () => {
      const urls = Array.from({ length: 200 }, newLink);
      const results = await add(full, urls);
      assert.deepEqual(
        results.map(({ url, task, error }) => [url, task?.url, task?.state, error]),
        urls.map((url) => [url, url, 'RUNNING', null]),
      );
      assert.equal(new Set(results.map(({ task }) => task.id)).size, 200);
      assert.equal(full.offline.added.length, 67);
      assert.deepEqual(full.offline.added.flat(), urls);
    });

    it('also where some links are refused, by us or by the provider', async () => {
      const [good, refused, last] = [newLink(), newLink(), newLink()];
      const init = { provider: 'PAN115', providerCode: '10004' } as const;
      full.offline.refusals.set(refused, new DriveError('unexpected', 'The link is invalid.', init));
      const magnet = 'magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&dn=A+film';
      const results = await add(full, [good, 'file:///etc/passwd', refused, ` ${last} `, `${good}\nx`, magnet]);
      assert.deepEqual(
        results.map(({ url, task, error }) => [url, task?.state ?? null, error?.code ?? null]),
        [
          [good, 'RUNNING', null],
          ['file:///etc/passwd', null, 'INVALID_INPUT'],
          [refused, null, 'PROVIDER_FAILED'],
          [` ${last} `, 'RUNNING', null],
          [`${good}\nx`, null, 'INVALID_INPUT'],
          [magnet, 'RUNNING', null],
        ],
      );
      assert.deepEqual(results[1].error.issues, [{ path: ['input', 'urls', '1'] }]);
      assert.equal(results[2].error.providerCode, '10004');
      assert.deepEqual(full.offline.added.flat(), [good, refused, last, magnet]);
    });

    it('by the kinds of link that the provider takes', async () => {
      const results = await add(bare, ['ftp://files.example/a', newLink()]);
      assert.deepEqual(
        results.map(({ error }) => error?.code ?? null),
        ['UNSUPPORTED', null],
      );
      assert.equal(bare.offline.added.length, 1);
    });

    it('once for a link that is given twice', async () => {
      const url = newLink();
      const [one, two] = await add(full, [url, url]);
      assert.deepEqual(one, two);
      assert.deepEqual(full.offline.added, [[url]]);
    });

    it('in the folder that is named, by its id or its path', async () => {
      const destination = { path: { accountId: idOf(full), path: '/downloads' } };
      await begin(full, { destination });
      const folder = await ask('query ($ref: EntryRef!) { entry(ref: $ref) { id } }', { ref: destination });
      await begin(full, { destination: { id: folder.data.entry.id } });
      await begin(full);
      const [byPath, byId, without] = full.offline.folders.slice(-3);
      assert.match(byPath ?? '', /downloads/);
      assert.deepEqual([byId, without], [byPath, null]);
    });

    it('in no other folder: nothing is begun where the destination is none', async () => {
      for (const [destination, code] of [
        [{ path: { accountId: idOf(full), path: '/file.txt' } }, 'INVALID_INPUT'],
        [{ path: { accountId: idOf(full), path: '/nowhere' } }, 'NOT_FOUND'],
        [{ path: { accountId: idOf(bare), path: '/downloads' } }, 'NOT_FOUND'],
        [{ path: { accountId: person.accountId, path: '/' } }, 'NOT_FOUND'],
      ] as const) {
        const result = await act('add', { accountId: idOf(full), urls: [newLink()], destination });
        assert.equal(result.code, code, JSON.stringify(destination));
      }
      assert.deepEqual(full.offline.added, []);
    });

    it('from 1 link to 500', async () => {
      for (const urls of [[], Array.from({ length: 501 }, () => 'https://files.example/')]) {
        const result = await act('add', { accountId: idOf(full), urls });
        assert.deepEqual([result.code, result.issues], ['INVALID_INPUT', [{ path: ['input', 'urls'] }]]);
      }
    });

    it('once for each idempotency key, and the answer is told again as its tasks are then', async () => {
      const idempotencyKey = randomUUID();
      const urls = [newLink(), 'nonsense', newLink()];
      const first = await add(full, urls, { idempotencyKey });
      full.offline.change(refOf(first[2].task.id), { percentDone: 50 });
      await list(full);
      const again = await add(full, urls, { idempotencyKey });
      assert.equal(full.offline.added.length, 1);
      assert.deepEqual(
        again.map(({ url, task, error }) => [url, task?.id, task?.percentDone, error?.code]),
        [
          [urls[0], first[0].task.id, 0, undefined],
          ['nonsense', undefined, undefined, 'INVALID_INPUT'],
          [urls[2], first[2].task.id, 50, undefined],
        ],
      );
      const other = await act('add', { accountId: idOf(full), urls: [newLink()], idempotencyKey });
      assert.equal(other.code, 'CONFLICT');
    });

    it('twenty times at once with one key, once', async () => {
      const input = { accountId: idOf(full), urls: [newLink()], idempotencyKey: randomUUID() };
      const results = await Promise.all(Array.from({ length: 20 }, () => act('add', input)));
      assert.equal(new Set(results.map(({ results: [{ task }] }) => task.id)).size, 1);
      assert.equal(full.offline.added.length, 1);
    });

    it('and a link that is a task already gives that task', async () => {
      const task = await begin(full);
      full.offline.change(refOf(task.id), { state: 'SUCCEEDED', percentDone: 100 });
      const [again] = await add(full, [task.url]);
      assert.deepEqual([again.task.id, again.task.state, again.error], [task.id, 'SUCCEEDED', null]);
    });

    it('not a second time where the answer was lost: the list of the provider tells', async () => {
      full.lose('offline.add', broken());
      const urls = [newLink(), newLink()];
      const results = await add(full, urls);
      assert.deepEqual(
        results.map(({ task, error }) => [task?.url, error]),
        urls.map((url) => [url, null]),
      );
      assert.equal(full.offline.added.length, 1);
      assert.equal([...full.offline.tasks.values()].filter(({ url }) => urls.includes(url ?? '')).length, 2);
    });

    it('not at all where the act failed, and then it is said so, to be tried again', async () => {
      full.fail('offline.add', broken());
      const [{ task, error }] = await add(full, [newLink()]);
      assert.deepEqual([task, error.code, error.retryable], [null, 'PROVIDER_FAILED', true]);
      assert.ok(full.calls.includes('offline.list'));
    });

    it('perhaps, where the answer was lost and the provider lists nothing: said so, and not to be tried again', async () => {
      bare.lose('offline.add', broken('PAN123'));
      const [{ task, error }] = await add(bare, [newLink()]);
      assert.deepEqual([task, error.code, error.retryable], [null, 'PROVIDER_FAILED', false]);
      assert.match(error.message, /cannot be told/);
    });

    it('no further when the provider asks to slow down: what was begun stays', async () => {
      const throttled = new DriveError('rate_limited', 'Too many requests.', {
        provider: 'PAN123',
        retryAfterMs: 60_000,
      });
      bare.fail('offline.add', throttled, 1);
      const results = await add(bare, [newLink(), newLink(), newLink()]);
      assert.deepEqual(
        results.map(({ task, error }) => [task?.state, error?.code]),
        [
          ['RUNNING', undefined],
          [undefined, 'RATE_LIMITED'],
          [undefined, 'RATE_LIMITED'],
        ],
      );
      assert.equal(bare.calls.filter((call) => call === 'offline.add').length, 2);
    });

    it('past a link on which the drive breaks', async () => {
      bare.fail('offline.add', new TypeError('a bug of the driver'), 1);
      const results = await add(bare, [newLink(), newLink()]);
      assert.deepEqual(
        results.map(({ error }) => error?.code ?? null),
        [null, 'UNAVAILABLE'],
      );
      assert.doesNotMatch(JSON.stringify(results), /bug of the driver/);
    });

    it('and are on record, without their links', async () => {
      await add(full, ['https://user:word-canary@files.example/secret']);
      const [record] = await app.app.storage
        .fork()
        .find(AuditRecord, { action: 'offline.add' }, { orderBy: { sequence: 'desc' }, limit: 1 });
      assert.deepEqual(record?.detail, { tasks: 1, failed: 0 });
      const kept = JSON.stringify(await rowsOf(full));
      assert.doesNotMatch(kept + app.logLines.join(''), /word-canary/);
    });
  });

  describe('where the provider cannot', () => {
    it('are refused, naming the ability, before anything is sent', async () => {
      const input = {
        accountId: idOf(none),
        urls: [newLink()],
        destination: { path: { accountId: idOf(none), path: '/' } },
      };
      const added = await act('add', input);
      assert.deepEqual([added.code, added.ability], ['UNSUPPORTED', 'OFFLINE_ADD']);
      const cleared = await act('clear', { accountId: idOf(none), scope: 'ALL' });
      assert.deepEqual([cleared.code, cleared.ability], ['UNSUPPORTED', 'OFFLINE_CLEAR']);
      for (const document of [LIST, ALLOWANCE]) {
        const { errors } = await ask(document, { id: idOf(none) });
        assert.equal(errors?.[0]?.extensions?.code, 'UNSUPPORTED');
      }
      assert.deepEqual(none.calls, []);
      const task = await begin(bare);
      bare.calls.length = 0;
      const { results } = await act('cancel', { ids: [task.id] });
      assert.deepEqual([results[0].error.code, results[0].error.ability], ['UNSUPPORTED', 'OFFLINE_CANCEL']);
      assert.deepEqual(bare.calls, []);
    });
  });

  describe('are listed', () => {
    it('as the provider lists them, also those begun elsewhere, on pages of any size', async () => {
      full.offline.tasks.clear();
      const [first, second] = [await begin(full), await begin(full)];
      const elsewhere = { ref: 'elsewhere', url: null, name: 'from the app', state: 'FAILED' as const };
      const failure = { providerCode: '-1', message: 'No source.' };
      const task = full.offline.tasks.get(refOf(first.id)) ?? assert.fail();
      full.offline.tasks.set('elsewhere', { ...task, ...elsewhere, failure });
      const page = await list(full, { first: 2 });
      assert.deepEqual(
        page.nodes.map(({ name, state, error }: Answer) => [name, state, error?.message ?? null, error?.providerCode]),
        [
          ['from the app', 'FAILED', 'No source.', '-1'],
          [second.name, 'RUNNING', null, undefined],
        ],
      );
      assert.deepEqual([page.totalCount, page.pageInfo.hasNextPage], [3, true]);
      const rest = await list(full, { first: 2, after: page.pageInfo.endCursor });
      assert.deepEqual(
        rest.nodes.map(({ id }: Answer) => id),
        [first.id],
      );
      assert.equal((await node(page.nodes[0].id)).name, 'from the app');
    });

    it('as they were begun here where the provider lists none, with what it tells of each', async () => {
      const [first, second] = [await begin(bare), await begin(bare)];
      assert.equal(first.name, first.url.split('/').at(-1));
      bare.offline.change(refOf(first.id), { percentDone: 30 });
      clock.advance(5_000);
      const { nodes } = await list(bare, { first: 2 });
      assert.deepEqual(
        nodes.map(({ id, url, percentDone }: Answer) => [id, url, percentDone]),
        [
          [second.id, second.url, 0],
          [first.id, first.url, 30],
        ],
      );
      bare.calls.length = 0;
      assert.equal((await node(first.id)).percentDone, 30);
      assert.deepEqual(bare.calls, [], 'what was just told is not asked again');
    });

    it('as they last were, while a provider that lists none is down', async () => {
      const task = await begin(bare);
      clock.advance(5_000);
      bare.fail('offline.stat', broken('PAN123'));
      assert.equal((await node(task.id)).state, 'RUNNING');
    });

    it('not as none, while a provider that lists them is down', async () => {
      full.fail('offline.list', broken());
      const { data, errors } = await ask(LIST, { id: idOf(full) });
      assert.equal(data.node, null);
      assert.equal(errors?.[0]?.extensions?.code, 'PROVIDER_FAILED');
    });

    it('to nobody else', async () => {
      for (const drive of [full, bare]) {
        const task = await begin(drive);
        for (const who of [stranger, admin]) {
          assert.equal(await node(task.id, who), null);
          assert.equal((await ask(LIST, { id: idOf(drive) }, who)).data.node, null);
          const { results } = await act('cancel', { ids: [task.id] }, who);
          assert.equal(results[0].error.code, 'NOT_FOUND');
          assert.equal((await act('retry', { id: task.id }, who)).code, 'NOT_FOUND');
          assert.equal((await act('clear', { accountId: idOf(drive), scope: 'ALL' }, who)).code, 'NOT_FOUND');
          assert.equal((await act('add', { accountId: idOf(drive), urls: [newLink()] }, who)).code, 'NOT_FOUND');
        }
      }
    });

    it('to a key with the right to read only, and then not changed', async () => {
      const { secret } = await createApiKey(app, person.token, ['READ']);
      const reader = { ...person, token: secret };
      assert.ok((await list(full, {}, reader)).nodes.length > 0);
      const answer = await ask(DOCUMENTS.add, { input: { accountId: idOf(full), urls: [newLink()] } }, reader);
      const told = answer.data?.result?.code ?? answer.errors?.[0]?.extensions?.code;
      assert.equal(told, 'PERMISSION_DENIED');
    });

    it('with what came of them', async () => {
      const task = await begin(full);
      full.put('/downloads/film.mkv');
      const entry = await ask('query ($ref: EntryRef!) { entry(ref: $ref) { id } }', {
        ref: { path: { accountId: idOf(full), path: '/downloads/film.mkv' } },
      });
      const entryRef = decodeIdOf(entry.data.entry.id, 'File')?.split('/').slice(1).join('/') ?? null;
      full.offline.change(refOf(task.id), { state: 'SUCCEEDED', percentDone: 100, entryRef, sizeBytes: 1 });
      clock.advance(5_000);
      const done = await node(task.id);
      assert.deepEqual([done.state, done.percentDone, done.size], ['SUCCEEDED', 100, 1]);
      assert.deepEqual(done.entry, { id: entry.data.entry.id, name: 'film.mkv' });
    });
  });

  describe('the allowance', () => {
    it('is told with its packages', async () => {
      const expiresAt = new Date('2027-01-01T00:00:00Z');
      const packages = [{ name: 'VIP', total: 10, used: 3, remaining: 7, expiresAt }];
      full.offline.allowance = { total: 10, used: 3, remaining: 7, packages };
      const { data } = await ask(ALLOWANCE, { id: idOf(full) });
      assert.deepEqual(data.node.offlineAllowance, {
        ...{ total: 10, used: 3, remaining: 7 },
        packages: [{ ...packages[0], expiresAt: expiresAt.toISOString() }],
      });
    });
  });

  describe('are ended', () => {
    it('each by itself, with their files or without, in their order', async () => {
      const [first, second] = [await begin(full), await begin(full)];
      const gone = encodeGlobalId('OfflineTask', `${rowIdOf(idOf(full))}/gone`);
      full.offline.cancelled.length = 0;
      const { results } = await act('cancel', { ids: [first.id, gone, 'nonsense', second.id], deleteFiles: true });
      assert.deepEqual(
        results.map(({ id, error }: Answer) => [id, error?.code ?? null]),
        [
          [first.id, null],
          [gone, 'NOT_FOUND'],
          ['nonsense', 'NOT_FOUND'],
          [second.id, null],
        ],
      );
      assert.deepEqual(
        full.offline.cancelled,
        [first, second].map(({ id }) => ({ ref: refOf(id), deleteFiles: true })),
      );
      assert.equal(await node(first.id), null);
      const third = await begin(full);
      await act('cancel', { ids: [third.id] });
      assert.equal(full.offline.cancelled.at(-1)?.deleteFiles, false);
    });

    it('also when they are over already, at the provider', async () => {
      const task = await begin(full);
      full.offline.tasks.delete(refOf(task.id));
      const { results } = await act('cancel', { ids: [task.id] });
      assert.equal(results[0].error, null);
    });

    it('and what fails goes on, with the reason', async () => {
      const task = await begin(full);
      full.fail('offline.cancel', broken());
      const { results } = await act('cancel', { ids: [task.id] });
      assert.equal(results[0].error.code, 'PROVIDER_FAILED');
      assert.equal((await node(task.id)).state, 'RUNNING');
    });

    it('from 1 to 100 at once', async () => {
      for (const list of [[], Array.from({ length: 101 }, () => 'x')]) {
        assert.equal((await act('cancel', { ids: list })).code, 'INVALID_INPUT');
      }
    });
  });

  describe('are cleared away', () => {
    for (const [scope, left] of [
      ['SUCCEEDED', ['FAILED', 'RUNNING']],
      ['FAILED', ['RUNNING', 'SUCCEEDED']],
      ['RUNNING', ['FAILED', 'SUCCEEDED']],
      ['ALL', []],
      ['SUCCEEDED_WITH_FILES', ['FAILED', 'RUNNING']],
      ['ALL_WITH_FILES', []],
    ] as const) {
      it(`by ${scope}`, async () => {
        full.offline.tasks.clear();
        const tasks = [await begin(full), await begin(full), await begin(full)];
        full.offline.change(refOf(tasks[0].id), { state: 'SUCCEEDED' });
        full.offline.change(refOf(tasks[1].id), { state: 'FAILED' });
        await list(full);
        assert.deepEqual(await act('clear', { accountId: idOf(full), scope }), {
          __typename: 'ClearOfflineTasksPayload',
          ok: true,
        });
        assert.equal(full.offline.cleared.at(-1), scope);
        const told = (await list(full)).nodes.map(({ state }: Answer) => state).toSorted();
        assert.deepEqual(told, left);
        const refs = tasks.map(({ id }) => refOf(id));
        const kept = (await rowsOf(full)).filter(({ ref }) => refs.includes(ref));
        assert.deepEqual(kept.map(({ state }) => state).toSorted(), left);
      });
    }
  });

  describe('are tried again', () => {
    it('when they failed: with the same link and folder, past the failed one', async () => {
      const destination = { path: { accountId: idOf(full), path: '/downloads' } };
      const task = await begin(full, { destination });
      full.offline.change(refOf(task.id), { state: 'FAILED', failure: { providerCode: '-1', message: 'No source.' } });
      clock.advance(5_000);
      const input = { id: task.id, idempotencyKey: randomUUID() };
      const { task: again } = await act('retry', input);
      assert.deepEqual([again.url, again.state, again.error], [task.url, 'RUNNING', null]);
      assert.equal(full.offline.folders.at(-1), full.offline.folders.at(-2));
      assert.ok(!full.offline.tasks.has(refOf(task.id)));
      const begun = full.offline.added.length;
      assert.equal((await act('retry', input)).task.id, again.id);
      assert.equal(full.offline.added.length, begun);
    });

    it('where the provider lists none, and cannot end the failed one', async () => {
      const task = await begin(bare);
      bare.offline.change(refOf(task.id), { state: 'FAILED' });
      bare.offline.tasks.set(refOf(task.id), {
        ...(bare.offline.tasks.get(refOf(task.id)) ?? assert.fail()),
        url: null,
      });
      clock.advance(5_000);
      const input = { id: task.id, idempotencyKey: randomUUID() };
      const { task: again } = await act('retry', input);
      assert.deepEqual([again.url, again.state], [task.url, 'RUNNING']);
      assert.equal(await node(task.id), null);
      assert.equal((await act('retry', input)).task.id, again.id);
      assert.equal((await act('retry', { id: task.id })).code, 'NOT_FOUND');
    });

    it('not while they run, and not without their link', async () => {
      const task = await begin(full);
      assert.equal((await act('retry', { id: task.id })).code, 'CONFLICT');
      full.offline.tasks.set('linkless', {
        ...(full.offline.tasks.get(refOf(task.id)) ?? assert.fail()),
        ...{ ref: 'linkless', url: null, state: 'FAILED' },
      });
      const linkless = encodeGlobalId('OfflineTask', `${rowIdOf(idOf(full))}/linkless`);
      assert.equal((await act('retry', { id: linkless })).code, 'CONFLICT');
    });

    it('and stay known when that fails', async () => {
      const task = await begin(full);
      full.offline.change(refOf(task.id), { state: 'FAILED' });
      clock.advance(5_000);
      await node(task.id);
      full.fail('offline.add', new DriveError('quota_exceeded', 'No tasks are left.', { provider: 'PAN115' }));
      assert.equal((await act('retry', { id: task.id })).code, 'STORAGE_FULL');
      full.mend();
      assert.equal((await node(task.id)).url, task.url);
      assert.equal((await act('retry', { id: task.id })).task.state, 'RUNNING');
    });
  });

  describe('of a shared account', () => {
    let shared: string;
    before(async () => {
      shared = await link(full, admin, { shared: true });
    });
    const tasksOf = async (who: Person): Promise<string[]> =>
      (await ask(LIST, { id: shared }, who)).data.node.offlineTasks.nodes.map(({ id }: Answer) => id);

    it('are those of each who began them, and all of who manages it', async () => {
      full.offline.tasks.clear();
      const mine = await begin(full, { accountId: shared });
      const others = await begin(full, { accountId: shared }, stranger);
      assert.deepEqual(await tasksOf(person), [mine.id]);
      assert.deepEqual(await tasksOf(stranger), [others.id]);
      assert.deepEqual((await tasksOf(admin)).toSorted(), [mine.id, others.id].toSorted());
      assert.equal(await node(others.id), null);
      assert.equal((await act('cancel', { ids: [others.id] })).results[0].error.code, 'NOT_FOUND');
      assert.equal((await act('cancel', { ids: [mine.id] })).results[0].error, null);
    });

    it('are not told to who adds the same link', async () => {
      const others = await begin(full, { accountId: shared }, stranger);
      const { results } = await act('add', { accountId: shared, urls: [others.url] });
      assert.deepEqual([results[0].task, results[0].error.code], [null, 'ALREADY_EXISTS']);
      assert.deepEqual(await node(others.id, stranger), others);
    });

    it('are cleared away by who manages it only', async () => {
      assert.equal((await act('clear', { accountId: shared, scope: 'ALL' })).code, 'PERMISSION_DENIED');
      assert.equal((await act('clear', { accountId: shared, scope: 'ALL' }, admin)).ok, true);
    });
  });

  it('are forgotten with their account', async () => {
    const accountId = await link(full, person);
    await begin(full, { accountId });
    const result = await ask('mutation ($input: UnlinkAccountInput!) { unlinkAccount(input: $input) { __typename } }', {
      input: { accountId },
    });
    assert.equal(result.data.unlinkAccount.__typename, 'UnlinkAccountPayload', JSON.stringify(result));
    const em = app.app.storage.fork();
    assert.equal(await em.count(OfflineTask, { accountId: rowIdOf(accountId) }), 0);
    assert.equal(await em.count(Account, { id: rowIdOf(accountId) }), 0);
  });
});
