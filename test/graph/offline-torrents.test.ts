import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { OfflineTask } from '../../src/storage/entities/offline-task.ts';
import { AuditRecord, IdempotencyRecord } from '../../src/storage/entities/operations.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { linkAccount, type MemoryDrive, memoryDrive } from '../support/memory-drive.ts';
import { createApiKey, type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const ERROR =
  '__typename ... on UserError { code message retryable } ... on UnsupportedError { ability } ... on InvalidInputError { issues { path } }';
const TASK = 'id name url state parent { path }';
const ADD = `mutation ($input: AddOfflineTorrentInput!) { result: addOfflineTorrent(input: $input) { ... on AddOfflineTorrentPayload { task { ${TASK} } } ${ERROR} } }`;
const LOOK =
  'query ($ref: EntryRef!) { entry(ref: $ref) { ... on File { torrent { name infoHash size files { index path size selected } } } } }';

describe('a torrent that lies on a drive', { timeout: 120_000 }, () => {
  let app: TestApp;
  let admin: Person;
  let person: Person;
  let stranger: Person;
  const clock = new ManualClock();
  const full = memoryDrive({ id: 'PAN115', acts: ['offline'] });
  /** Adds torrents and does not tell what it has. */
  const mute = memoryDrive({ id: 'NETDISK', acts: ['offline'], offlineActs: ['add', 'readTorrent', 'addTorrent'] });
  /** Takes links only, as 123pan. */
  const bare = memoryDrive({ id: 'PAN123', acts: ['offline'], offlineActs: ['add', 'stat'] });
  const drives = [full, mute, bare] as const;
  const ids = new Map<MemoryDrive, string>();
  let torrents = 0;

  before(async () => {
    app = await startTestApp({ drives: [local, ...drives.map(({ definition }) => definition)], clock });
    await app.app.services.offlineFollower.close(); // Nobody asks here but the tests.
    admin = await registerUser(app);
    person = await registerUser(app);
    stranger = await registerUser(app);
    for (const drive of drives) {
      drive.put('/downloads/', '/file.txt', '/broken.torrent');
      ids.set(drive, await link(drive, person));
    }
  });
  after(() => app.close());
  beforeEach(() => {
    for (const drive of drives) {
      drive.mend();
      drive.calls.length = 0;
      drive.offline.torrents.length = 0;
    }
  });

  const link = async (drive: MemoryDrive, owner: Person, more: object = {}): Promise<string> =>
    encodeGlobalId(
      'CloudAccount',
      (await linkAccount(app, owner.userId, { provider: drive.definition.id, ...more })).id,
    );
  const at = (drive: MemoryDrive, path: string, accountId = ids.get(drive) ?? ''): object => ({
    path: { accountId, path },
  });
  /** The path of a new torrent file. */
  function newTorrent(drive: MemoryDrive): string {
    torrents += 1;
    const name = `${torrents}.torrent`;
    drive.put(`/${name}`);
    drive.offline.holdTorrent(name);
    return `/${name}`;
  }
  async function add(input: object, who = person): Promise<Answer> {
    const { data, errors } = await app.graphql<Answer>(ADD, { input }, who.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.result;
  }
  async function begin(drive: MemoryDrive, path: string, more: object = {}, who = person): Promise<Answer> {
    const result = await add({ file: at(drive, path), ...more }, who);
    assert.equal(result.__typename, 'AddOfflineTorrentPayload', JSON.stringify(result));
    return result.task;
  }
  const look = async (ref: object, who = person): Promise<Answer> =>
    (await app.graphql<Answer>(LOOK, { ref }, who.token)).data.entry;
  const broken = (provider = 'PAN115') =>
    new DriveError('unavailable', 'The provider is down.', { provider, retryable: false, persistent: true });
  const rowOf = (name: string): Promise<OfflineTask | null> => app.app.storage.fork().findOne(OfflineTask, { name });

  describe('is looked into', () => {
    it('with one request to the provider', async () => {
      const path = newTorrent(full);
      assert.deepEqual(await look(at(full, path)), {
        torrent: {
          name: `Content of ${path.slice(1)}`,
          infoHash: full.offline.holdTorrent(path.slice(1)).taskRef,
          size: 5010,
          files: [
            { index: 0, path: 'film.mkv', size: 5000, selected: true },
            { index: 1, path: 'extras/sample.mkv', size: 10, selected: false },
          ],
        },
      });
      assert.deepEqual(
        full.calls.filter((act) => act.startsWith('offline.')),
        ['offline.readTorrent'],
      );
    });

    it('and is null where it is none, or the drive takes none: then nothing is asked', async () => {
      assert.deepEqual(await look(at(full, '/broken.torrent')), { torrent: null });
      full.calls.length = 0;
      assert.deepEqual(await look(at(full, '/file.txt')), { torrent: null });
      assert.deepEqual(await look(at(bare, newTorrent(bare))), { torrent: null });
      for (const { calls } of [full, bare]) assert.ok(!calls.some((act) => act.startsWith('offline.')));
    });

    it('and is no null where the provider is down', async () => {
      full.fail('offline.readTorrent', broken());
      const { errors } = await app.graphql<Answer>(LOOK, { ref: at(full, newTorrent(full)) }, person.token);
      assert.equal(errors?.[0]?.extensions?.code, 'PROVIDER_FAILED');
    });
  });

  describe('is downloaded', () => {
    it('in the files that are named, each once, into the folder that is named', async () => {
      const path = newTorrent(full);
      const task = await begin(full, path, { fileIndexes: [1, 0, 1], destination: at(full, '/downloads') });
      assert.deepEqual(
        { ...task, id: null },
        { id: null, name: `Content of ${path.slice(1)}`, url: null, state: 'RUNNING', parent: { path: '/downloads' } },
      );
      assert.deepEqual(
        full.offline.torrents.map(({ indexes }) => indexes),
        [[0, 1]],
      );
    });

    it('in those that the provider selects, where none are named', async () => {
      for (const more of [{}, { fileIndexes: null }]) await begin(full, newTorrent(full), more);
      assert.deepEqual(
        full.offline.torrents.map(({ indexes, parentRef }) => [indexes, parentRef]),
        [
          [null, null],
          [null, null],
        ],
      );
    });

    it('not where the torrent has no such file, or none is named', async () => {
      const file = at(full, newTorrent(full));
      for (const fileIndexes of [[], [2], [0, -1], Array.from({ length: 10_001 }, () => 0)]) {
        const result = await add({ file, fileIndexes });
        assert.deepEqual([result.code, result.issues], ['INVALID_INPUT', [{ path: ['input', 'fileIndexes'] }]]);
      }
      assert.ok(!full.calls.includes('offline.addTorrent'));
    });

    it('not where the file is no torrent, or the destination no folder of the account', async () => {
      const file = at(full, newTorrent(full));
      for (const [input, code, path] of [
        [{ file: at(full, '/broken.torrent') }, 'INVALID_INPUT', ['input', 'file']],
        [{ file: at(full, '/downloads') }, 'INVALID_INPUT', ['input', 'file']],
        [{ file: at(full, '/nowhere.torrent') }, 'NOT_FOUND', null],
        [{ file: { id: 'nonsense' } }, 'NOT_FOUND', null],
        [{ file, destination: at(full, '/file.txt') }, 'INVALID_INPUT', ['input', 'destination']],
        [{ file, destination: at(full, '/nowhere') }, 'NOT_FOUND', null],
        [{ file, destination: at(bare, '/downloads') }, 'NOT_FOUND', null],
      ] as const) {
        const result = await add(input);
        assert.deepEqual([result.code, result.issues?.[0].path ?? null], [code, path], JSON.stringify(input));
      }
      assert.ok(!full.calls.includes('offline.addTorrent'));
    });

    it('not where the drive cannot, which is said before anything is sent', async () => {
      const result = await add({ file: at(bare, newTorrent(bare)) });
      assert.deepEqual([result.code, result.ability], ['UNSUPPORTED', 'OFFLINE_TORRENT']);
      assert.deepEqual(bare.calls, []);
    });

    it('once for each idempotency key', async () => {
      const path = newTorrent(full);
      const more = { idempotencyKey: randomUUID() };
      const results = await Promise.all(Array.from({ length: 20 }, () => begin(full, path, more)));
      assert.equal(new Set(results.map(({ id }) => id)).size, 1);
      assert.equal(full.calls.filter((act) => act === 'offline.addTorrent').length, 1);
      assert.equal((await add({ file: at(full, path), fileIndexes: [0], ...more })).code, 'CONFLICT');
    });

    it('once when the server died before its answer: what it had begun is found', async () => {
      const path = newTorrent(full);
      const key = randomUUID();
      const { id } = await begin(full, path, { idempotencyKey: key });
      const gone = { answer: null, pendingUntil: new Date(0) };
      await app.app.storage.fork().nativeUpdate(IdempotencyRecord, { userId: person.userId, key }, gone);
      assert.equal((await begin(full, path, { idempotencyKey: key })).id, id);
      assert.equal(full.calls.filter((act) => act === 'offline.addTorrent').length, 1);
    });

    it('once: where it is a task already, that task is given', async () => {
      const path = newTorrent(full);
      const { id } = await begin(full, path);
      full.offline.change(full.offline.holdTorrent(path.slice(1)).taskRef, { state: 'SUCCEEDED', percentDone: 100 });
      const again = await begin(full, path, { fileIndexes: [1] });
      assert.deepEqual([again.id, again.state], [id, 'SUCCEEDED']);
    });

    it('and a task that was begun with a link keeps its link', async () => {
      const path = newTorrent(full);
      const { taskRef } = full.offline.holdTorrent(path.slice(1));
      const { id } = await begin(full, path);
      const url = `magnet:?xt=urn:btih:${taskRef}&dn=A+film`;
      full.offline.change(taskRef, { url });
      assert.deepEqual(
        [(await begin(full, path)).url, (await rowOf(`Content of ${path.slice(1)}`))?.ref],
        [url, taskRef],
      );
      full.offline.change(taskRef, { url: null });
      const again = await begin(full, path);
      assert.deepEqual([again.id, again.url], [id, url]);
    });

    it('once where the answer was lost: the list of the provider tells', async () => {
      full.lose('offline.addTorrent', broken());
      const path = newTorrent(full);
      assert.equal((await begin(full, path)).name, `Content of ${path.slice(1)}`);
      assert.equal(full.offline.torrents.length, 1);
      assert.equal((await rowOf(`Content of ${path.slice(1)}`))?.userId, person.userId);
    });

    it('not at all where the act failed, and then it is said so, to be tried again', async () => {
      full.fail('offline.addTorrent', broken());
      const path = newTorrent(full);
      const input = { file: at(full, path), idempotencyKey: randomUUID() };
      const { code, retryable } = await add(input);
      assert.deepEqual([code, retryable], ['PROVIDER_FAILED', true]);
      assert.equal(await rowOf(`Content of ${path.slice(1)}`), null);
      full.mend();
      assert.equal((await add(input)).task.state, 'RUNNING');
    });

    it('perhaps, where the answer was lost and the provider lists nothing: said so, and not to be tried again', async () => {
      mute.lose('offline.addTorrent', broken('NETDISK'));
      const { code, retryable, message } = await add({ file: at(mute, newTorrent(mute)) });
      assert.deepEqual([code, retryable], ['PROVIDER_FAILED', false]);
      assert.match(message, /cannot be told/);
    });

    it('and is on record', async () => {
      const path = newTorrent(full);
      await begin(full, path);
      const [record] = await app.app.storage
        .fork()
        .find(AuditRecord, { action: 'offline.add' }, { orderBy: { sequence: 'desc' }, limit: 1 });
      const { taskRef } = full.offline.holdTorrent(path.slice(1));
      assert.deepEqual([record?.userId, record?.detail], [person.userId, { taskRef, attached: false }]);
    });
  });

  describe('of somebody else', () => {
    it('is neither seen nor downloaded', async () => {
      const file = at(full, newTorrent(full));
      for (const who of [stranger, admin]) {
        assert.equal(await look(file, who), null);
        assert.equal((await add({ file }, who)).code, 'NOT_FOUND');
      }
      assert.deepEqual(full.calls, []);
    });

    it('is seen with the right to read only, and not downloaded', async () => {
      const file = at(full, newTorrent(full));
      const { secret } = await createApiKey(app, person.token, ['READ']);
      const reader = { ...person, token: secret };
      assert.ok((await look(file, reader)).torrent);
      const answer = await app.graphql<Answer>(ADD, { input: { file } }, secret);
      assert.equal(answer.data?.result?.code ?? answer.errors?.[0]?.extensions?.code, 'PERMISSION_DENIED');
    });

    it('on a shared account: the task of another is not told to who adds the same, but to who manages it', async () => {
      const shared = await link(full, admin, { shared: true });
      const file = at(full, newTorrent(full), shared);
      const { task } = await add({ file }, stranger);
      const refused = await add({ file });
      assert.deepEqual([refused.code, refused.task], ['ALREADY_EXISTS', undefined]);
      assert.equal((await add({ file }, stranger)).task.id, task.id);
      assert.equal((await add({ file }, admin)).task.id, task.id);
    });
  });
});
