import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { newId } from '../../src/lib/ids.ts';
import { IdempotencyRecord } from '../../src/storage/entities/operations.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { type PutFile, putFile } from '../support/files.ts';
import { createApiKey, type Person, registerUser } from '../support/people.ts';
import { openSse } from '../support/transports.ts';

const ERROR = `__typename ... on UserError { code message }
  ... on InvalidInputError { issues { path message } } ... on AlreadyExistsError { existing { id name } }`;
const RENAME = `mutation ($input: RenameEntriesInput!) { renameEntries(input: $input) {
  ... on RenameEntriesPayload { results { sourceId entry { id name path revision } error { ${ERROR} } } } ${ERROR} } }`;

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

for (const database of DATABASES) {
  describe(`renaming many entries on ${database.dialect}`, { skip: database.skip, timeout: 120_000 }, () => {
    let opened: TestStorage;
    let app: TestApp;
    let person: Person;
    let stranger: Person;

    before(async () => {
      opened = await database.open();
      await opened.storage.close(); // The server opens it itself.
      app = await startTestApp({ settings: { DATABASE_URL: opened.url } });
      person = await registerUser(app);
      stranger = await registerUser(app);
    });
    after(async () => {
      await app.close();
      await opened.close();
    });

    const rename = async (
      entries: readonly object[],
      { token = person.token, ...more }: { readonly token?: string; readonly idempotencyKey?: string } = {},
    ): Promise<Answer> => {
      const { data, errors } = await app.graphql(RENAME, { input: { entries, ...more } }, token);
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data.renameEntries;
    };
    /** Files with names of which each test has its own. */
    async function files(...names: readonly string[]): Promise<{ tag: string; of: (name: string) => PutFile }> {
      const tag = randomUUID();
      const made = new Map<string, PutFile>();
      for (const name of names) made.set(name, await putFile(app, person, `${tag} ${name}`, Buffer.from(name)));
      return { tag, of: (name) => made.get(name) ?? assert.fail(name) };
    }
    async function namesOf(tag: string): Promise<string[]> {
      const { data } = await app.graphql(
        'query ($id: ID!) { node(id: $id) { ... on CloudAccount { root { children(first: 100) { nodes { name } } } } } }',
        { id: person.accountId },
        person.token,
      );
      const names = data.node.root.children.nodes.map(({ name }: Answer) => name);
      return names.flatMap((name: string) => (name.startsWith(tag) ? [name.slice(tag.length + 1)] : [])).toSorted();
    }
    const told = ({ results }: Answer): string[] =>
      results.map(({ entry, error }: Answer) => error?.code ?? entry.name);

    it('gives one result for each, in the order asked, and one failure never stops the others', async () => {
      const { tag, of } = await files('a', 'b', 'c');
      const unknown = encodeEntryId('FILE', person.accountRowId, newId());
      const path = { accountId: person.accountId, path: `/${tag} b` };
      const answer = await rename([
        { entry: of('c').file, name: `${tag} 3` },
        { entry: { id: unknown }, name: 'x' },
        { entry: of('a').file, name: 'no/name' },
        { entry: { path }, name: `${tag} 2` },
        { entry: { path: { ...path, path: '/../escape' } }, name: 'x' },
        { entry: { id: 'no id at all' }, name: 'x' },
        { entry: { path: { ...path, path: '/' } }, name: 'x' },
      ]);
      assert.deepEqual(told(answer), [
        `${tag} 3`,
        'NOT_FOUND',
        'INVALID_INPUT',
        `${tag} 2`,
        'INVALID_INPUT',
        'NOT_FOUND',
        'INVALID_INPUT',
      ]);
      const { results } = answer;
      assert.deepEqual(results[2].error.issues[0].path, ['input', 'entries', '2', 'name']);
      assert.deepEqual(results[4].error.issues[0].path, ['input', 'entries', '4', 'entry', 'path', 'path']);
      assert.equal(results[0].entry.id, of('c').id);
      assert.deepEqual(
        results.slice(0, 4).map(({ sourceId }: Answer) => sourceId),
        [of('c').id, unknown, of('a').id, of('b').id],
      );
      assert.deepEqual(await namesOf(tag), ['2', '3', 'a']);
    });

    it('is refused when it is empty, or longer than 100', async () => {
      const { of } = await files('a');
      for (const length of [0, 101]) {
        const { code, issues } = await rename(Array(length).fill({ entry: of('a').file, name: 'x' }));
        assert.deepEqual([code, issues[0].path], ['INVALID_INPUT', ['input', 'entries']]);
      }
    });

    it('frees a name before it is given to another, whatever their order', async () => {
      for (const order of [[0, 1, 2] as const, [2, 1, 0] as const, [1, 0, 2] as const]) {
        const { tag, of } = await files('1', '2', '3');
        const steps = ['1', '2', '3'].map((name) => ({ entry: of(name).file, name: `${tag} ${Number(name) + 1}` }));
        const entries = order.map((at) => steps[at] ?? assert.fail());
        assert.deepEqual(
          told(await rename(entries)),
          entries.map(({ name }) => name),
        );
        assert.deepEqual(await namesOf(tag), ['2', '3', '4']);
      }
    });

    it('lets nobody exchange names, and says who has them', async () => {
      const { tag, of } = await files('a', 'b', 'c');
      const { results } = await rename([
        { entry: of('a').file, name: `${tag} b` },
        { entry: of('b').file, name: `${tag} a` },
        { entry: of('c').file, name: `${tag} d` },
      ]);
      assert.deepEqual(
        results.map(({ error }: Answer) => error?.existing.id ?? null),
        [of('b').id, of('a').id, null],
      );
      assert.deepEqual(await namesOf(tag), ['a', 'b', 'd']);
    });

    it('gives a name that two want to the first, and renames an entry once', async () => {
      const { tag, of } = await files('a', 'b');
      const path = { accountId: person.accountId, path: `/${tag} a` };
      const answer = await rename([
        { entry: of('a').file, name: `${tag} x` },
        { entry: of('b').file, name: `${tag} X` },
        { entry: { path }, name: `${tag} y` },
      ]);
      assert.deepEqual(told(answer), [`${tag} x`, 'ALREADY_EXISTS', 'INVALID_INPUT']);
      assert.deepEqual(answer.results[2].error.issues[0].path, ['input', 'entries', '2', 'entry']);
      assert.deepEqual(await namesOf(tag), ['b', 'x']);
    });

    it('compares each revision', async () => {
      const { tag, of } = await files('a', 'b');
      const entries = [
        { entry: of('a').file, name: `${tag} 1`, ifRevision: '7' },
        { entry: of('b').file, name: `${tag} 2`, ifRevision: of('b').entry.revision },
      ];
      assert.deepEqual(told(await rename(entries)), ['CONFLICT', `${tag} 2`]);
      assert.deepEqual(await namesOf(tag), ['2', 'a']);
    });

    it('tells the paths that entries have when all is done', async () => {
      const { data } = await app.graphql(
        `mutation ($parent: EntryRef!, $name: String!) { createFolder(input: { parent: $parent, name: $name }) {
          ... on CreateFolderPayload { folder { id } } } }`,
        { parent: { path: { accountId: person.accountId, path: '/' } }, name: `${randomUUID()} before` },
        person.token,
      );
      const { id } = data.createFolder.folder;
      const { data: inner } = await app.graphql(
        `mutation ($id: ID!) { createFolder(input: { parent: { id: $id }, name: "in" }) {
          ... on CreateFolderPayload { folder { id } } } }`,
        { id },
        person.token,
      );
      const name = `${randomUUID()} after`;
      const { results } = await rename([
        { entry: { id: inner.createFolder.folder.id }, name: 'inside' },
        { entry: { id }, name },
      ]);
      assert.deepEqual(
        results.map(({ entry }: Answer) => entry.path),
        [`/${name}/inside`, `/${name}`],
      );
    });

    it("is not for a stranger, nor for a key that may only read, nor of a stranger's entries", async () => {
      const { tag, of } = await files('a', 'b');
      const theirs = await putFile(app, stranger, `${tag} theirs`, Buffer.from('x'));
      const entries = [
        { entry: of('a').file, name: 'stolen' },
        { entry: { path: { accountId: person.accountId, path: `/${tag} b` } }, name: 'stolen' },
        { entry: theirs.file, name: `${tag} mine` },
      ];
      const asStranger = await rename(entries, { token: stranger.token });
      assert.deepEqual(told(asStranger), ['NOT_FOUND', 'NOT_FOUND', `${tag} mine`]);
      const { secret } = await createApiKey(app, person.token, ['READ']);
      const entry = of('a').file;
      assert.equal((await rename([{ entry, name: 'x' }], { token: secret })).code, 'PERMISSION_DENIED');
      assert.deepEqual(await namesOf(tag), ['a', 'b']);
    });

    it('gives a repeat with the same key the same answer, and one effect', async () => {
      const { tag, of } = await files('a', 'b');
      const idempotencyKey = randomUUID();
      const path = { accountId: person.accountId, path: `/${tag} a` };
      const entries = [
        { entry: { path }, name: `${tag} b` },
        { entry: of('b').file, name: `${tag} c` },
        { entry: of('b').file, name: `${tag} d` },
      ];
      const answers = await Promise.all(Array.from({ length: 20 }, () => rename(entries, { idempotencyKey })));
      assert.deepEqual(told(answers[0]), [`${tag} b`, `${tag} c`, 'INVALID_INPUT']);
      for (const answer of [...answers, await rename(entries, { idempotencyKey })]) {
        assert.deepEqual(answer, answers[0]);
      }
      assert.deepEqual(await namesOf(tag), ['b', 'c']);
      const [first] = entries;
      assert.equal((await rename([first ?? {}], { idempotencyKey })).code, 'CONFLICT');
    });

    it('goes on where a process died: by what paths led to before, and without a conflict with itself', async () => {
      const { tag, of } = await files('a', 'b');
      const idempotencyKey = randomUUID();
      const entries = [
        { entry: { path: { accountId: person.accountId, path: `/${tag} a` } }, name: `${tag} b`, ifRevision: '1' },
        { entry: of('b').file, name: `${tag} c`, ifRevision: '1' },
      ];
      const first = await rename(entries, { idempotencyKey });
      assert.deepEqual(told(first), [`${tag} b`, `${tag} c`]);
      // As it was when all was done, and nothing of it kept but what was found before.
      const kind = 'FILE';
      const sources = [{ accountId: person.accountRowId, ref: of('a').entry.ref, kind }, null];
      const record = { answer: { parts: [{ sources, done: [] }] }, pendingUntil: new Date(0) };
      const { userId } = person;
      await app.app.storage.fork().nativeUpdate(IdempotencyRecord, { userId, key: idempotencyKey }, record);
      assert.deepEqual(await rename(entries, { idempotencyKey }), first);
      assert.deepEqual(await namesOf(tag), ['b', 'c']);
    });

    it('is told to who watches the folder, and stands in the journal', async () => {
      const { tag, of } = await files('a', 'b');
      const folderId = encodeEntryId('FOLDER', person.accountRowId, person.accountRowId);
      const query = 'subscription ($folderId: ID!) { entryChanged(folderId: $folderId) { kind path } }';
      const stream = openSse(app.url, { query, variables: { folderId }, token: person.token });
      await stream.next();
      await rename([
        { entry: of('a').file, name: `${tag} 1` },
        { entry: of('b').file, name: `${tag} 2` },
      ]);
      for (const name of ['1', '2']) {
        const { data } = (await stream.next()).value;
        assert.deepEqual(data.entryChanged, { kind: 'MOVED', path: `/${tag} ${name}` });
      }
      await stream.return(undefined);
    });

    it('T1: no name of a list leads out of its folder, whatever stands beside it', async () => {
      const { tag, of } = await files('a', 'b', 'c');
      const tricks = [
        '..',
        '../b',
        '..\\b',
        '/etc/passwd',
        'a/../../b',
        '\0',
        '．．',
        '',
        '.',
        'x\u202e',
        'y'.repeat(256),
      ];
      for (const trick of tricks) {
        const answer = await rename([
          { entry: of('a').file, name: `${tag} a` },
          { entry: of('b').file, name: trick },
          { entry: of('c').file, name: `${tag} c` },
        ]);
        assert.deepEqual(told(answer), [`${tag} a`, 'INVALID_INPUT', `${tag} c`], JSON.stringify(trick));
      }
      for (const escaped of ['%2e%2e%2fb', '..%2f', '~', '$HOME']) {
        const [plain] = told(await rename([{ entry: of('b').file, name: `${tag} ${escaped}` }]));
        assert.equal(plain, `${tag} ${escaped}`, 'it is a name like any other');
        const { data } = await app.graphql(
          'query ($id: ID!) { node(id: $id) { ... on File { path parent { path } } } }',
          { id: of('b').id },
          person.token,
        );
        assert.deepEqual(data.node, { path: `/${tag} ${escaped}`, parent: { path: '/' } });
      }
      assert.equal((await namesOf(tag)).length, 3);
    });
  });
}
