import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isInputObjectType, isNonNullType } from 'graphql';
import { local } from '../../src/drives/local/drive.ts';
import { decodeIdOf, encodeGlobalId } from '../../src/graph/ids.ts';
import { schema } from '../../src/graph/schema.ts';
import { User } from '../../src/storage/entities/identity.ts';
import { LocalChange } from '../../src/storage/entities/local-drive.ts';
import { Transfer } from '../../src/storage/entities/transfer.ts';
import { TransferBatch } from '../../src/storage/entities/transfer-batch.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Loopback, startLoopback } from '../support/loopback.ts';
import { linkAccount, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { selectionOf } from '../support/schema-walk.ts';
import { rootOf, settled, uploadText } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const TIMES = 20;
/** How many things of each kind were done: see {@link Bench.effects}. */
type Effects = Readonly<Record<string, number>>;

/** A user, and what the mutations need. */
interface Owner {
  readonly person: Person;
  /** Global id of an account that has shares and offline tasks, with `/a.txt` in it. */
  readonly cloudId: string;
  /** A new file of the root of the built-in drive. */
  file(): Promise<{ readonly id: string }>;
  /** A new folder there. */
  folder(): Promise<{ readonly id: string }>;
  /** Of a file that can be fetched. */
  readonly url: string;
  /** Of a file of the server. */
  readonly path: string;
  /** A direct link of somebody else's. */
  link(): Promise<string>;
  /** The path of a new torrent file of the cloud account. */
  torrent(): string;
  /** An offline task of the cloud account that failed. */
  failedTask(): Promise<string>;
}

/** An input, each time another one of which the effects are as many. */
type Sample = (owner: Owner) => Promise<object> | object;

const name = (): string => `${randomUUID()}.txt`;

/** What to repeat of each mutation that takes a key; one that is missing here fails a test. */
const SAMPLES: Readonly<Record<string, Sample>> = {
  createFolder: ({ person }) => ({ parent: rootOf(person), name: name() }),
  renameEntries: async (owner) => ({
    entries: [
      { entry: await owner.file(), name: name() },
      { entry: await owner.file(), name: name() },
    ],
  }),
  moveEntries: async (owner) => ({ entries: [await owner.file()], destination: await owner.folder() }),
  copyEntries: async (owner) => ({
    entries: [await owner.file(), await owner.file()],
    destination: await owner.folder(),
    onConflict: 'RENAME',
  }),
  deleteEntries: async (owner) => ({ entries: [await owner.file(), await owner.folder()] }),
  startUpload: ({ person }) => ({ parent: rootOf(person), name: name(), size: 10 }),
  uploadText: ({ person }) => ({ parent: rootOf(person), name: name(), content: 'text', onConflict: 'RENAME' }),
  uploadFile: ({ person }) => ({ parent: rootOf(person), name: name(), file: null, onConflict: 'RENAME' }),
  saveDirectLink: async (owner) => ({
    url: await owner.link(),
    parent: rootOf(owner.person),
    name: name(),
    onConflict: 'RENAME',
  }),
  uploadFromUrl: ({ person, url }) => ({ parent: rootOf(person), name: name(), url, onConflict: 'RENAME' }),
  importServerFile: ({ person, path }) => ({ parent: rootOf(person), name: name(), path, onConflict: 'RENAME' }),
  uploadBatch: ({ person, url, path }) => ({
    items: [
      { text: { parent: rootOf(person), name: name(), content: 'text' } },
      { url: { parent: rootOf(person), name: name(), url } },
      { serverFile: { parent: rootOf(person), name: name(), path } },
    ],
  }),
  createShare: ({ cloudId }) => ({
    entries: [{ path: { accountId: cloudId, path: '/a.txt' } }],
    days: 7,
    remark: name(),
  }),
  saveShare: ({ cloudId }) => ({
    url: `https://shares.example/${name()}`,
    password: 'right',
    parent: { path: { accountId: cloudId, path: '/' } },
  }),
  addOfflineTasks: ({ cloudId }) => ({ accountId: cloudId, urls: [`https://files.example/${name()}`] }),
  addOfflineTorrent: ({ cloudId, torrent }) => ({ file: { path: { accountId: cloudId, path: torrent() } } }),
  retryOfflineTask: async (owner) => ({ id: await owner.failedTask() }),
};

/** The mutations whose input has the field. */
const KEYED = Object.values(schema.getMutationType()?.getFields() ?? {}).filter(({ args }) => {
  const type = args.find((arg) => arg.name === 'input')?.type;
  const input = type && isNonNullType(type) ? type.ofType : type;
  return isInputObjectType(input) && 'idempotencyKey' in input.getFields();
});

describe('a mutation that is repeated with its key', { timeout: 120_000 }, () => {
  let app: TestApp;
  let owner: Owner;
  let other: Owner;
  let folder: string;
  let web: Loopback;
  const cloud = memoryDrive({ id: 'PAN123', acts: ['shares', 'offline', 'createFolder'] });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'panql-repeats-'));
    await writeFile(join(folder, 'file'), 'of the server');
    web = await startLoopback((_request, response) => response.end('of the web'));
    app = await startTestApp({
      drives: [local, cloud.definition],
      settings: { LOG_LEVEL: 'error', IMPORT_DIRS: folder, OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8' },
    });
    cloud.put('/a.txt');
    [owner, other] = [await newOwner(), await newOwner()];
  });
  after(async () => {
    await app.close();
    await web[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function newOwner(): Promise<Owner> {
    const person = await registerUser(app);
    await app.app.storage.fork().nativeUpdate(User, { id: person.userId }, { role: 'ADMIN' });
    const account = await linkAccount(app, person.userId, { provider: 'PAN123' });
    const stranger = await registerUser(app);
    const made = async (mutation: string, payload: string, input: object, who: Person): Promise<Answer> => {
      const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`;
      const { data, errors } = await app.graphql(
        `mutation ($input: ${type}Input!) { result: ${mutation}(input: $input) { ... on ${type}Payload { ${payload} } ... on UserError { message } } }`,
        { input },
        who.token,
      );
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data.result;
    };
    const newFile = async (who: Person): Promise<{ id: string }> => {
      const { transfer } = await uploadText(app, who, { name: name(), content: randomUUID() });
      return { id: (await settled(app, who, transfer.id)).entry.id };
    };
    return {
      person,
      cloudId: encodeGlobalId('CloudAccount', account.id),
      url: `${web.url}/file`,
      path: join(folder, 'file'),
      file: () => newFile(person),
      folder: async () => {
        const { folder } = await made(
          'createFolder',
          'folder { id }',
          { parent: rootOf(person), name: name() },
          person,
        );
        return { id: folder.id };
      },
      link: async () => {
        const { link } = await made('createDirectLink', 'link { url }', { file: await newFile(stranger) }, stranger);
        return link.url;
      },
      torrent: () => {
        const torrent = `${name()}.torrent`;
        cloud.put(`/${torrent}`);
        cloud.offline.holdTorrent(torrent);
        return `/${torrent}`;
      },
      failedTask: async () => {
        const input = {
          accountId: encodeGlobalId('CloudAccount', account.id),
          urls: [`https://files.example/${name()}`],
        };
        const { results } = await made('addOfflineTasks', 'results { task { id } }', input, person);
        const { id } = results[0].task;
        cloud.offline.change(decodeIdOf(id, 'OfflineTask')?.slice(account.id.length + 1) ?? '', { state: 'FAILED' });
        return id;
      },
    };
  }

  /** Sends it as a client does, a file by multipart. */
  async function send(mutation: string, input: object, { person }: Owner): Promise<Answer> {
    const field = KEYED.find((one) => one.name === mutation);
    assert.ok(field);
    const query = `mutation ($input: ${field.args[0]?.type}) { result: ${mutation}(input: $input) ${selectionOf(field.type, 3)} }`;
    if (!('file' in input) || input.file !== null) {
      const { data, errors } = await app.graphql(query, { input }, person.token);
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data.result;
    }
    const form = new FormData();
    form.set('operations', JSON.stringify({ query, variables: { input } }));
    form.set('map', JSON.stringify({ 0: ['variables.input.file'] }));
    form.set('0', new Blob(['bytes']), 'file.txt');
    const headers = { authorization: `Bearer ${person.token}`, 'x-graphql-yoga-csrf': '1' };
    const answer: Answer = await (await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form })).json();
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data.result;
  }

  /** What the user's mutations have done so far, when nothing is under way any more. */
  async function effects({ person }: Owner): Promise<Effects> {
    const { userId, accountRowId } = person;
    const em = app.app.storage.fork();
    const running = await em.find(Transfer, { userId, state: { $in: ['QUEUED', 'RUNNING'] } });
    for (const { id } of running) await settled(app, person, encodeGlobalId('Transfer', id));
    const counted = new Map<string, number>();
    for (const act of cloud.calls.filter((one) => WRITING.test(one))) counted.set(act, (counted.get(act) ?? 0) + 1);
    return {
      ...Object.fromEntries(counted),
      transfers: await em.count(Transfer, { userId }),
      batches: await em.count(TransferBatch, { userId }),
      changes: await em.count(LocalChange, { accountId: accountRowId }),
    };
  }
  const WRITING = /create|add|save|move|remove/;

  for (const { name: mutation } of KEYED) {
    const sample = SAMPLES[mutation];
    it(`${mutation} has one effect and one answer, ${TIMES} times at once`, async () => {
      assert.ok(sample, 'say in SAMPLES what to repeat');
      // What it does once, without a key.
      const first = await sample(owner);
      const before = await effects(owner);
      assertDone(await send(mutation, first, owner));
      const once = difference(before, await effects(owner));
      assert.ok(
        Object.values(once).some((count) => count > 0),
        'it has an effect that is seen here',
      );

      const input = { ...(await sample(owner)), idempotencyKey: randomUUID() };
      const unrepeated = await effects(owner);
      const answers = await Promise.all(Array.from({ length: TIMES }, () => send(mutation, input, owner)));
      answers.push(await send(mutation, input, owner));
      assertDone(answers[0]);
      const [ids, ...others] = answers.map(idsIn);
      for (const repeated of others) assert.deepEqual(repeated, ids);
      assert.deepEqual(difference(unrepeated, await effects(owner)), once);

      // The key is taken for another input, and free for another user.
      const another = { ...(await sample(owner)), idempotencyKey: input.idempotencyKey };
      const refused = await send(mutation, another, owner);
      assert.equal(refused.code, 'CONFLICT', JSON.stringify(refused));
      const theirInput = { ...(await sample(other)), idempotencyKey: input.idempotencyKey };
      const theirsBefore = await effects(other);
      assertDone(await send(mutation, theirInput, other));
      assert.deepEqual(difference(theirsBefore, await effects(other)), once);
    });
  }

  it('each mutation of the table takes a key', () => {
    assert.deepEqual(
      Object.keys(SAMPLES).filter((mutation) => !KEYED.some((field) => field.name === mutation)),
      [],
    );
  });

  it('a key that was used for one operation is not taken for another', async () => {
    const idempotencyKey = randomUUID();
    const input = { parent: rootOf(owner.person), name: name(), idempotencyKey };
    assertDone(await send('createFolder', input, owner));
    const refused = await send('uploadText', { ...input, content: 'text' }, owner);
    assert.equal(refused.code, 'CONFLICT', JSON.stringify(refused));
  });

  it('an operation that failed is done when it is repeated', async () => {
    const input = {
      parent: { path: { accountId: owner.person.accountId, path: '/later' } },
      idempotencyKey: randomUUID(),
    };
    assert.equal((await send('createFolder', { ...input, name: 'in' }, owner)).code, 'NOT_FOUND');
    assertDone(await send('createFolder', { parent: rootOf(owner.person), name: 'later' }, owner));
    assertDone(await send('createFolder', { ...input, name: 'in' }, owner));
  });
});

/** A payload, and no item in it that failed. */
function assertDone(answer: Answer): void {
  assert.match(answer.__typename, /Payload$/, JSON.stringify(answer));
  for (const item of answer.results ?? answer.batch?.items ?? [])
    assert.equal(item.error ?? null, null, JSON.stringify(item));
}

const difference = (before: Effects, now: Effects): Effects =>
  Object.fromEntries(Object.entries(now).map(([what, count]) => [what, count - (before[what] ?? 0)]));

/** What stays the same of an answer while its transfers go on: which objects it is about. */
function idsIn(answer: Answer): string[] {
  if (answer === null || typeof answer !== 'object') return [];
  return Object.entries(answer)
    .filter(([field]) => field !== 'entry' || answer.state === undefined) // Of a transfer, it comes with its end.
    .flatMap(([field, value]) => (field === 'id' ? [String(value)] : idsIn(value)));
}
