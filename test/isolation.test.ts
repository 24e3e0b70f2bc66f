import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { isEnumType } from 'graphql';
import type { DriveDefinition } from '../src/drives/driver.ts';
import { local } from '../src/drives/local/drive.ts';
import { DRIVES, type DriveServices } from '../src/drives/registry.ts';
import { decodeEntryId, encodeEntryId, encodeGlobalId } from '../src/graph/ids.ts';
import { schema } from '../src/graph/schema.ts';
import { addMs } from '../src/lib/clock.ts';
import { newId } from '../src/lib/ids.ts';
import { DeviceLink } from '../src/storage/entities/linking.ts';
import { OfflineTask } from '../src/storage/entities/offline-task.ts';
import { Share } from '../src/storage/entities/share.ts';
import { startTestApp, type TestApp } from './support/app.ts';
import { type PutFile, putFile } from './support/files.ts';
import { type Person, registerUser } from './support/people.ts';
import {
  argumentsWith,
  type Field,
  fieldsOf,
  identifiedTypes,
  type Leaf,
  leavesOf,
  nodeTypes,
  type Request,
  ROOTS,
  requestFor,
} from './support/schema-walk.ts';
import { openSse, type Result } from './support/transports.ts';

/** How each type that has an id gets an object of a person, and what that person's file is. A new type adds a line here. */
const SAMPLES: Readonly<Record<string, (app: TestApp, person: Person, file: PutFile) => Promise<string>>> = {
  User: async (_app, { userId }) => encodeGlobalId('User', userId),
  CloudAccount: async (_app, { accountId }) => accountId,
  Folder: async (_app, { accountRowId }) => encodeEntryId('FOLDER', accountRowId, accountRowId),
  File: async (_app, _person, { id }) => id,
  Transfer: (app, person) =>
    made(app, person, 'uploadText(input: { parent: $parent, name: "text", content: "x" })', 'UploadText', 'transfer'),
  TransferBatch: (app, person) =>
    made(
      app,
      person,
      'uploadBatch(input: { items: [{ text: { parent: $parent, name: "batch", content: "x" } }] })',
      'UploadBatch',
      'batch',
    ),
  DirectLink: (app, person, { id }) =>
    made(app, person, `createDirectLink(input: { file: { id: "${id}" } })`, 'CreateDirectLink', 'link'),
  ApiKey: (app, person) =>
    made(app, person, 'createApiKey(input: { name: "key", scopes: [READ] })', 'CreateApiKey', 'apiKey'),
  DeviceLink: async ({ app }, { userId }) => {
    const id = newId();
    const now = new Date();
    await app.storage.fork().insert(DeviceLink, {
      ...{ id, userId, provider: 'BAIDU', label: null, shared: false, state: 'PENDING', userCode: 'private' },
      ...{ verificationUrl: 'https://pan.example/', qrContent: 'private', sealedState: null, intervalMs: 1e9 },
      ...{ pollAt: addMs(now, 1e9), expiresAt: addMs(now, 1e9), accountId: null, createdAt: now },
    });
    return encodeGlobalId('DeviceLink', id);
  },
  Share: async ({ app }, { userId, accountRowId }, { id: fileId }) => {
    const id = newId();
    const entryRefs = [decodeEntryId(fileId)?.ref ?? ''];
    await app.storage.fork().insert(Share, {
      ...{ id, userId, accountId: accountRowId, ref: 'share', url: 'https://pan.example/s/private', entryRefs },
      ...{ sealedPassword: null, remark: 'private', createdAt: new Date(), expiresAt: null, cancelledAt: null },
    });
    return encodeGlobalId('Share', `${accountRowId}/share`);
  },
  MediaList: async (_app, { accountRowId }) => encodeGlobalId('MediaList', `${accountRowId}/list`),
  OfflineTask: async ({ app }, { userId, accountRowId }) => {
    const now = new Date();
    await app.storage.fork().insert(OfflineTask, {
      ...{ id: newId(), userId, accountId: accountRowId, ref: newId(), sealedUrl: null, name: 'private' },
      ...{ state: 'FAILED', progress: 0, sizeBytes: null, entryRef: null, parentRef: null, failure: null },
      ...{ addedAt: now, updatedAt: now, checkedAt: now },
    });
    const row = await app.storage.fork().findOneOrFail(OfflineTask, { userId }, { orderBy: { id: 'desc' } });
    return encodeGlobalId('OfflineTask', `${accountRowId}/${row.ref}`);
  },
  UserSession: async (app, { token }) => {
    const { data } = await app.graphql('{ viewer { sessions { nodes { id } } } }', {}, token);
    return data.viewer.sessions.nodes[0].id;
  },
};

/** The built-in drive, with one list of films in each. */
const withMediaLists: DriveDefinition<DriveServices> = {
  ...local,
  create: (account, services) => {
    const list = { ref: 'list', name: 'private', fileCount: 0, createdAt: null, modifiedAt: null };
    return {
      ...local.create(account, services),
      media: {
        lists: async () => ({ items: [list], nextCursor: null, totalCount: null }),
        listFiles: async () => ({ items: [], nextCursor: null, totalCount: null }),
      },
    };
  },
};

/** Types with an id that no field takes, or with that of something else. */
const WITHOUT_SAMPLE: ReadonlySet<string> = new Set(['AuditRecord', 'CancelOfflineTaskResult']);

/** Runs a mutation of a person; gives the id of what it made. */
async function made(app: TestApp, person: Person, call: string, name: string, field: string): Promise<string> {
  const parent = call.includes('$parent') ? '($parent: EntryRef!)' : '';
  const document = `mutation ${parent} { made: ${call} { ... on ${name}Payload { ${field} { id } } ... on UserError { message } } }`;
  const variables = { parent: { path: { accountId: person.accountId, path: '/' } } };
  const answer = await app.graphql(document, parent ? variables : {}, person.token);
  const id = answer.data?.made?.[field]?.id;
  assert.ok(id, JSON.stringify(answer));
  return id;
}

/** An id that names nothing. */
const unknownId = (type: string): string => {
  if (type === 'File' || type === 'Folder') return encodeEntryId(type === 'File' ? 'FILE' : 'FOLDER', newId(), newId());
  return encodeGlobalId(type, newId());
};

const MALFORMED = ['nonsense', '', encodeGlobalId('Folder', 'x'), encodeGlobalId('CloudAccount', '\0'), '\ud800'];

const isIdLeaf = ({ type }: Leaf): boolean => type === 'ID';
/** Fields by which a person is told about their own objects by id, with each place of an id in their arguments. */
const PLACES = fieldsOf(schema).flatMap((field) =>
  leavesOf(field)
    .filter(isIdLeaf)
    .map((leaf) => ({ field, leaf, title: `${field.parent}.${field.name}(${leaf.path.join('.')})` })),
);

describe('isolation of users', { timeout: 170_000 }, () => {
  let app: TestApp;
  let admin: Person;
  let owner: Person;
  let stranger: Person;
  let ownersFile: PutFile;
  let strangersFile: PutFile;
  let strangersUrl: string;
  const owned = new Map<string, string>();

  before(async () => {
    const drives = [withMediaLists, ...DRIVES.filter(({ id }) => id !== 'LOCAL')];
    app = await startTestApp({ drives, settings: { OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8' } });
    admin = await registerUser(app);
    owner = await registerUser(app);
    stranger = await registerUser(app);
    ownersFile = await putFile(app, owner, 'private.txt', Buffer.from('private'));
    strangersFile = await putFile(app, stranger, 'file.txt', Buffer.from('x'));
    const { data } = await app.graphql(
      'mutation ($file: EntryRef!) { createDirectLink(input: { file: $file }) { ... on CreateDirectLinkPayload { link { url } } } }',
      { file: strangersFile.file },
      stranger.token,
    );
    strangersUrl = data.createDirectLink.link.url;
    for (const [type, sample] of Object.entries(SAMPLES)) owned.set(type, await sample(app, owner, ownersFile));
  });
  after(() => app.close());

  it('is tested with an object of every type that has an id', () => {
    assert.deepEqual(
      identifiedTypes(schema)
        .map(({ name }) => name)
        .filter((name) => !(name in SAMPLES) && !WITHOUT_SAMPLE.has(name)),
      [],
      'add how to make one to SAMPLES',
    );
  });

  it('can reach every field that takes an id', () => {
    const reachable = new Set([...ROOTS, ...nodeTypes(schema).map(({ name }) => name)]);
    assert.deepEqual(
      PLACES.filter(({ field }) => !reachable.has(field.parent)).map(({ title }) => title),
      [],
    );
    assert.ok(PLACES.length > 30, `${PLACES.length} places`);
  });

  describe('nodes', () => {
    for (const { name } of nodeTypes(schema)) {
      it(`a ${name} is found again by its id, by its owner only`, async () => {
        const id = owned.get(name);
        const ask = (person: Person | null) =>
          app.graphql(
            'query ($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id]) { id } }',
            { id },
            person?.token,
          );
        assert.deepEqual((await ask(owner)).data, { node: { __typename: name, id }, nodes: [{ id }] });
        assert.deepEqual((await ask(stranger)).data, { node: null, nodes: [null] });
        if (name !== 'User') assert.deepEqual((await ask(admin)).data, { node: null, nodes: [null] });
        assert.equal((await ask(null)).errors?.[0]?.extensions?.code, 'UNAUTHENTICATED');
      });
    }
  });

  describe("another's ids are as good as unknown ones", () => {
    for (const { field, leaf, title } of PLACES) {
      it(title, async () => {
        const before = await ownersThings();
        for (const [who, types] of [
          [stranger, [...owned.keys()]],
          // Users, and what belongs to them as persons, are an administrator's to see.
          [
            admin,
            [
              'CloudAccount',
              'Folder',
              'File',
              'Transfer',
              'DirectLink',
              'DeviceLink',
              'Share',
              'MediaList',
              'OfflineTask',
            ],
          ],
        ] as const) {
          for (const type of types) {
            const id = owned.get(type) ?? '';
            const unknown = await answerTo(who, field, leaf, unknownId(type));
            assertRefused(unknown, `${type}, unknown`);
            assert.deepEqual(await answerTo(who, field, leaf, id), unknown, `${type} of another`);
          }
          const unknown = await answerTo(who, field, leaf, unknownId('Folder'));
          for (const malformed of MALFORMED) {
            assert.deepEqual(await answerTo(who, field, leaf, malformed), unknown, JSON.stringify(malformed));
          }
        }
        assert.deepEqual(await ownersThings(), before);
      });
    }
  });

  describe("paths in another's account are as good as in an unknown one", () => {
    for (const { field, leaf, title } of PLACES.filter(({ leaf }) => leaf.path.at(-2) === 'path')) {
      it(title, async () => {
        for (const path of ['/', '/private.txt', '/nothing', '/../x', 'x']) {
          const sample = (other: Leaf): unknown => (other.name === 'path' ? path : sampleFor(stranger)(other));
          const unknown = await answerTo(stranger, field, leaf, unknownId('CloudAccount'), sample);
          assert.deepEqual(await answerTo(stranger, field, leaf, owner.accountId, sample), unknown, path);
          assert.deepEqual(await answerTo(stranger, field, leaf, 'nonsense', sample), unknown, path);
        }
      });
    }
  });

  /** What a person's own values would be for whatever else a field needs. */
  const sampleFor =
    (person: Person) =>
    ({ path, name, type }: Leaf): unknown => {
      if (type === 'ID' && name === 'accountId') return person.accountId;
      if (type === 'ID' && (path.includes('entries') || path.includes('file'))) return strangersFile.id;
      if (type === 'ID') return encodeEntryId('FOLDER', person.accountRowId, person.accountRowId);
      if (type === 'Upload') return new File(['x'], 'upload.txt');
      if (type === 'Boolean') return false;
      if (type === 'Int' || type === 'Float' || type === 'ByteCount') return 1;
      if (type === 'DateTime') return '2026-11-20T08:00:00Z';
      if (name === 'url') return strangersUrl;
      if (type === 'String') return name === 'path' ? '/' : 'text';
      const named = schema.getType(type);
      assert.ok(isEnumType(named), `a sample for the scalar ${type} is missing here`);
      return named.getValues()[0]?.name;
    };

  /** The answer to a field with an id at a place, with that id taken out of it. */
  async function answerTo(
    person: Person,
    field: Field,
    leaf: Leaf,
    id: string,
    sample = sampleFor(person),
  ): Promise<Result> {
    const nodeId = ROOTS.has(field.parent) ? undefined : await SAMPLES[field.parent]?.(app, person, strangersFile);
    const request = requestFor(field, argumentsWith(field, leaf, id, sample), nodeId);
    const result = field.parent === 'Subscription' ? await firstOf(person, request) : await send(person, request);
    const text = JSON.stringify({ data: result.data, errors: result.errors })
      .replaceAll(JSON.stringify(id), '"<id>"')
      // A batch is made, though each of its items is refused.
      .replace(/("TransferBatch"[^{}]*"id":)"[^"]+"/, '$1"<batch>"');
    return JSON.parse(text) as Result;
  }

  async function firstOf(person: Person, request: Request): Promise<Result> {
    for await (const result of openSse(app.url, { ...request, token: person.token })) return result;
    return {};
  }

  async function send(person: Person, { query, variables }: Request): Promise<Result> {
    const file = fileIn(variables);
    if (!file) return (await app.graphql(query, variables, person.token)) as Result;
    const form = new FormData();
    form.set('operations', JSON.stringify({ query, variables }));
    form.set('map', JSON.stringify({ 0: ['variables.input.file'] }));
    form.set('0', file);
    const headers = { authorization: `Bearer ${person.token}` };
    const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form });
    return (await response.json()) as Result;
  }

  const fileIn = ({ input }: Request['variables']): File | null => {
    const file = (input as { file?: unknown } | undefined)?.file;
    return file instanceof File ? file : null;
  };

  /** Nothing was given and nothing was done: there is no such thing, or no right to the field at all. */
  function assertRefused({ data, errors }: Result, message: string): void {
    const text = JSON.stringify(data ?? null);
    const codes = [...text.matchAll(/"code":"(\w+)"/g)].map(([, code]) => code);
    const told = [...codes, ...(errors ?? []).map(({ extensions }) => extensions?.code)];
    const isNothing = /^\{"\w+":(null|\[null\])\}$|"edges":\[\],"nodes":\[\]/.test(text);
    assert.ok(
      isNothing || (told.length > 0 && told.every((code) => code === 'NOT_FOUND' || code === 'PERMISSION_DENIED')),
      `${message}: ${text} ${JSON.stringify(errors)}`,
    );
  }

  /** All that the owner sees of their own. */
  async function ownersThings(): Promise<unknown> {
    const { data, errors } = await app.graphql(
      `{ viewer { username role disabledAt
           accounts { nodes { label status entries(recursive: true) { nodes { id path revision } } recycleBin { nodes { id } } } }
           transfers { nodes { id state } } sessions { nodes { id } } apiKeys { nodes { id } } downloadAllowance { limit used } } }`,
      {},
      owner.token,
    );
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  }
});
