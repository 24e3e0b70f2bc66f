import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId, encodeGlobalId } from '../../src/graph/ids.ts';
import { newId } from '../../src/lib/ids.ts';
import { IdempotencyRecord } from '../../src/storage/entities/operations.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { putFile } from '../support/files.ts';
import { linkAccount, type MemoryDrive, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

const ERROR = `__typename ... on UserError { code message retryable }
  ... on InvalidInputError { issues { path message } }
  ... on AlreadyExistsError { existing { id name } }
  ... on UnsupportedError { ability }`;
const RESULTS = `results { sourceId entry { id name path revision } error { ${ERROR} } }`;
const DOCUMENTS = {
  createFolder: `mutation ($input: CreateFolderInput!) {
    createFolder(input: $input) { ... on CreateFolderPayload { folder { id name path parent { path } } } ${ERROR} } }`,
  renameEntry: `mutation ($input: RenameEntryInput!) {
    renameEntry(input: $input) { ... on RenameEntryPayload { entry { id name path revision } } ${ERROR} } }`,
  moveEntries: `mutation ($input: MoveEntriesInput!) {
    moveEntries(input: $input) { ... on MoveEntriesPayload { ${RESULTS} } ${ERROR} } }`,
  copyEntries: `mutation ($input: CopyEntriesInput!) {
    copyEntries(input: $input) { ... on CopyEntriesPayload { ${RESULTS} } ${ERROR} } }`,
  deleteEntries: `mutation ($input: DeleteEntriesInput!) {
    deleteEntries(input: $input) { ... on DeleteEntriesPayload { ${RESULTS} } ${ERROR} } }`,
  restoreEntries: `mutation ($input: RestoreEntriesInput!) {
    restoreEntries(input: $input) { ... on RestoreEntriesPayload { ${RESULTS} } ${ERROR} } }`,
  purgeEntries: `mutation ($input: PurgeEntriesInput!) {
    purgeEntries(input: $input) { ... on PurgeEntriesPayload { ${RESULTS} } ${ERROR} } }`,
  emptyRecycleBin: `mutation ($input: EmptyRecycleBinInput!) {
    emptyRecycleBin(input: $input) { ... on EmptyRecycleBinPayload { ok } ${ERROR} } }`,
} as const;

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

for (const database of DATABASES) {
  describe(`editing entries on ${database.dialect}`, { skip: database.skip, timeout: 120_000 }, () => {
    let opened: TestStorage;
    let app: TestApp;
    let person: Person;
    let remote: MemoryDrive;

    before(async () => {
      opened = await database.open();
      await opened.storage.close(); // The server opens it itself.
      remote = memoryDrive({ acts: ['createFolder', 'move', 'remove'] });
      const drives = [local, remote.definition];
      app = await startTestApp({ settings: { DATABASE_URL: opened.url }, drives });
      person = await registerUser(app);
    });
    after(async () => {
      await app.close();
      await opened.close();
    });

    async function change(mutation: keyof typeof DOCUMENTS, input: object, who = person): Promise<Answer> {
      const { data, errors } = await app.graphql(DOCUMENTS[mutation], { input }, who.token);
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data[mutation];
    }
    const at = (path: string, who = person): object => ({ path: { accountId: who.accountId, path } });
    async function folder(name = `folder ${randomUUID()}`, parent = at('/')): Promise<Answer> {
      const { folder: made, ...rest } = await change('createFolder', { parent, name });
      assert.ok(made, JSON.stringify(rest));
      return made;
    }
    async function names(path: string): Promise<string[]> {
      const { data } = await app.graphql(
        `query ($ref: EntryRef!) { entry(ref: $ref) { ... on Folder { children(first: 100) { nodes { name } } } } }`,
        { ref: at(path) },
        person.token,
      );
      return data.entry.children.nodes.map(({ name }: Answer) => name);
    }

    describe('createFolder', () => {
      it('makes a folder where it is asked to, by id or by path', async () => {
        const made = await folder();
        assert.equal(made.path, `/${made.name}`);
        assert.equal(made.parent.path, '/');
        const inner = await folder('内 部', { id: made.id });
        assert.equal(inner.path, `/${made.name}/内 部`);
        assert.equal((await folder('deeper', at(inner.path))).path, `${inner.path}/deeper`);
      });

      it('tells what has the name already, whatever its case', async () => {
        const made = await folder();
        const again = await change('createFolder', { parent: at('/'), name: made.name.toUpperCase() });
        assert.equal(again.code, 'ALREADY_EXISTS');
        assert.deepEqual(again.existing, { id: made.id, name: made.name });
      });

      it('refuses a parent that is a file', async () => {
        const file = await putFile(app, person, `${randomUUID()}.txt`, Buffer.from('x'));
        const { code, issues } = await change('createFolder', { parent: file.file, name: 'a' });
        assert.equal(code, 'INVALID_INPUT');
        assert.deepEqual(issues[0].path, ['input', 'parent']);
      });

      it('gives 20 repeats at the same time one folder and one answer', async () => {
        const input = { parent: at('/'), name: `once ${randomUUID()}`, idempotencyKey: randomUUID() };
        const answers = await Promise.all(Array.from({ length: 20 }, () => change('createFolder', input)));
        assert.equal(new Set(answers.map(({ folder: made }) => made.id)).size, 1);
        assert.deepEqual(
          (await names('/')).filter((name) => name.startsWith(input.name)),
          [input.name],
        );
        assert.deepEqual(await change('createFolder', input), answers[0]);
        const other = await change('createFolder', { ...input, name: 'another' });
        assert.equal(other.code, 'CONFLICT');
      });
    });

    describe('renameEntry', () => {
      it('keeps the id and changes the revision', async () => {
        const made = await folder();
        const name = `renamed ${randomUUID()}`;
        const { entry } = await change('renameEntry', { entry: { id: made.id }, name });
        assert.equal(entry.id, made.id);
        assert.equal(entry.path, `/${name}`);
      });

      it('refuses when the revision is another', async () => {
        const made = await folder();
        const first = await change('renameEntry', {
          entry: { id: made.id },
          name: `1 ${randomUUID()}`,
          ifRevision: '1',
        });
        const second = await change('renameEntry', {
          entry: { id: made.id },
          name: `2 ${randomUUID()}`,
          ifRevision: '1',
        });
        assert.equal(first.entry.revision, '2');
        assert.equal(second.code, 'CONFLICT');
      });

      it('lets one of many who rename at the same time with the same revision succeed', async () => {
        const made = await folder();
        const answers = await Promise.all(
          Array.from({ length: 10 }, (_, index) =>
            change('renameEntry', { entry: { id: made.id }, name: `${index} ${made.name}`, ifRevision: '1' }),
          ),
        );
        assert.equal(answers.filter(({ entry }) => entry).length, 1);
        assert.ok(answers.every(({ entry, code }) => entry || code === 'CONFLICT'));
      });
    });

    describe('lists', () => {
      it('give one result for each item, in the order asked, and one failure never stops the others', async () => {
        const [target, first, second] = [await folder(), await folder(), await folder()];
        const unknown = encodeEntryId('FILE', person.accountRowId, newId());
        const { results } = await change('moveEntries', {
          entries: [
            { id: first.id },
            { id: unknown },
            at('/nothing here'),
            at('/../escape'),
            { id: 'no id at all' },
            at(second.path),
            at('/'),
          ],
          destination: { id: target.id },
        });
        assert.deepEqual(
          results.map(({ entry, error }: Answer) => entry?.path ?? error.code),
          [
            `${target.path}/${first.name}`,
            'NOT_FOUND',
            'NOT_FOUND',
            'INVALID_INPUT',
            'NOT_FOUND',
            `${target.path}/${second.name}`,
            'INVALID_INPUT',
          ],
        );
        assert.deepEqual(
          results.slice(0, 6).map(({ sourceId }: Answer) => sourceId),
          [first.id, unknown, null, null, 'no id at all', second.id],
        );
        assert.deepEqual(results[3].error.issues[0].path, ['input', 'entries', '3', 'path', 'path']);
      });

      it('are refused when empty, or longer than 100', async () => {
        const target = await folder();
        for (const length of [0, 101]) {
          const { code, issues } = await change('deleteEntries', { entries: Array(length).fill({ id: target.id }) });
          assert.equal(code, 'INVALID_INPUT');
          assert.deepEqual(issues[0].path, ['input', 'entries']);
        }
      });

      it('are refused as a whole when there is no destination, or it is a file', async () => {
        const [source, file] = [await folder(), await putFile(app, person, randomUUID(), Buffer.from('x'))];
        const entries = [{ id: source.id }];
        assert.equal((await change('moveEntries', { entries, destination: at('/nowhere') })).code, 'NOT_FOUND');
        assert.equal((await change('copyEntries', { entries, destination: file.file })).code, 'INVALID_INPUT');
        assert.ok((await names('/')).includes(source.name), 'nothing was moved');
      });

      it('honour the policy for names that are taken', async () => {
        const target = await folder();
        const name = `${randomUUID()}.txt`;
        const original = await putFile(app, person, name, Buffer.from('one'));
        const copy = async (onConflict?: string): Promise<Answer> =>
          (await change('copyEntries', { entries: [original.file], destination: { id: target.id }, onConflict }))
            .results[0];
        const first = await copy();
        assert.equal(first.entry.name, name);
        assert.equal((await copy()).error.code, 'ALREADY_EXISTS');
        assert.equal((await copy('FAIL')).error.existing.id, first.entry.id);
        assert.equal((await copy('RENAME')).entry.name, name.replace('.txt', ' (2).txt'));
        assert.equal((await copy('SKIP')).entry.id, first.entry.id);
        assert.equal((await copy('REPLACE')).entry.id, first.entry.id);
        assert.equal((await names(target.path)).length, 2);
      });

      it('compare revisions place by place', async () => {
        const [target, first, second] = [await folder(), await folder(), await folder()];
        const { results } = await change('moveEntries', {
          entries: [{ id: first.id }, { id: second.id }],
          ifRevisions: ['7', null],
          destination: { id: target.id },
        });
        assert.equal(results[0].error.code, 'CONFLICT');
        assert.equal(results[1].entry.name, second.name);
        const short = await change('deleteEntries', {
          entries: [{ id: first.id }, { id: second.id }],
          ifRevisions: ['1'],
        });
        assert.equal(short.code, 'INVALID_INPUT');
      });

      it('give a repeat with the same key the same answer, failures too', async () => {
        const [target, source] = [await folder(), await folder()];
        const input = {
          entries: [{ id: source.id }, at('/nothing'), at('/./a')],
          destination: { id: target.id },
          onConflict: 'RENAME',
          idempotencyKey: randomUUID(),
        };
        const answers = await Promise.all(Array.from({ length: 20 }, () => change('copyEntries', input)));
        for (const answer of answers) assert.deepEqual(answer, answers[0]);
        assert.deepEqual(await change('copyEntries', input), answers[0]);
        assert.equal((await names(target.path)).length, 1);
        assert.equal((await change('moveEntries', input)).code, 'CONFLICT', 'the key was for a copy');
        assert.equal((await change('copyEntries', { ...input, onConflict: 'FAIL' })).code, 'CONFLICT');
      });
    });

    describe('the recycle bin', () => {
      const bin = async (): Promise<Answer[]> => {
        const { data } = await app.graphql(
          `query ($id: ID!) { node(id: $id) { ... on CloudAccount { recycleBin { nodes { id name deletedAt } } } } }`,
          { id: person.accountId },
          person.token,
        );
        return data.node.recycleBin.nodes;
      };
      const remove = async (id: string, more: object = {}): Promise<Answer> =>
        (await change('deleteEntries', { entries: [{ id }], ...more })).results[0];

      it('takes what is deleted, and gives it back', async () => {
        const made = await folder();
        const deleted = await remove(made.id);
        assert.deepEqual(deleted, { sourceId: made.id, entry: null, error: null });
        assert.ok(!(await names('/')).includes(made.name));
        const [trashed] = (await bin()).filter(({ id }) => id === made.id);
        assert.ok(trashed.deletedAt);
        assert.equal((await remove(made.id)).error.code, 'NOT_FOUND');

        const { results } = await change('restoreEntries', { ids: [made.id, 'nonsense'] });
        assert.equal(results[0].entry.path, `/${made.name}`);
        assert.equal(results[0].sourceId, made.id);
        assert.equal(results[1].error.code, 'NOT_FOUND');
        assert.ok((await names('/')).includes(made.name));
      });

      it('a list that is empty or too long is named as the input names it', async () => {
        for (const mutation of ['restoreEntries', 'purgeEntries'] as const) {
          for (const ids of [[], Array.from({ length: 101 }, () => 'x')]) {
            assert.deepEqual((await change(mutation, { ids })).issues[0].path, ['input', 'ids']);
          }
        }
      });

      it('lets go for ever', async () => {
        const [purged, past, emptied] = [await folder(), await folder(), await folder()];
        await remove(purged.id);
        const { results } = await change('purgeEntries', { ids: [purged.id, purged.id] });
        assert.equal(results[0].error, null);
        assert.equal(results[1].error.code, 'NOT_FOUND');
        assert.equal((await change('restoreEntries', { ids: [purged.id] })).results[0].error.code, 'NOT_FOUND');

        await remove(past.id, { permanently: true });
        assert.ok(!(await bin()).some(({ id }) => id === past.id));

        await remove(emptied.id);
        assert.deepEqual(await change('emptyRecycleBin', { accountId: person.accountId }), {
          __typename: 'EmptyRecycleBinPayload',
          ok: true,
        });
        assert.deepEqual(await bin(), []);
      });

      it('answers a deletion that is repeated with its key as the first time', async () => {
        const made = await folder();
        const input = { entries: [{ id: made.id }], idempotencyKey: randomUUID() };
        const first = await change('deleteEntries', input);
        assert.equal(first.results[0].error, null);
        assert.deepEqual(await change('deleteEntries', input), first);
      });
    });

    describe('on a drive that can do little', () => {
      const link = async (): Promise<{ id: string; rowId: string; at(path: string): object }> => {
        const { id: rowId } = await linkAccount(app, person.userId);
        const id = encodeGlobalId('CloudAccount', rowId);
        return { id, rowId, at: (path) => ({ path: { accountId: id, path } }) };
      };

      it('is refused what it cannot do, naming the ability', async () => {
        const account = await link();
        remote.put('/a.txt', '/b/');
        remote.calls.length = 0;
        const copied = await change('copyEntries', { entries: [account.at('/a.txt')], destination: account.at('/b') });
        assert.equal(copied.results[0].error.ability, 'COPY');
        const renamed = await change('renameEntry', { entry: account.at('/a.txt'), name: 'c' });
        assert.equal(renamed.ability, 'RENAME');
        assert.equal((await change('emptyRecycleBin', { accountId: account.id })).ability, 'RECYCLE_PURGE');
        assert.deepEqual([...new Set(remote.calls)], ['stat', 'list'], 'nothing was tried');
      });

      it('cannot exchange entries with another drive yet', async () => {
        const account = await link();
        const source = await folder();
        const input = { entries: [{ id: source.id }, at('/none')], destination: account.at('/') };
        const { results } = await change('moveEntries', input);
        assert.equal(results[0].error.code, 'UNSUPPORTED');
        assert.equal(results[1].error.code, 'NOT_FOUND');
        assert.ok((await names('/')).includes(source.name));
      });

      it('tells a failure of the provider with each item that it hits, and of a bug only that it was logged', async () => {
        const account = await link();
        remote.put('/x.txt', '/y.txt', '/into/');
        const fault = new DriveError('rate_limited', 'Too fast.', { provider: 'NETDISK', retryAfterMs: 60_000 });
        remote.fail('move', fault, 1);
        const input = { entries: [account.at('/x.txt'), account.at('/y.txt')], destination: account.at('/into') };
        const { results } = await change('moveEntries', input);
        assert.equal(results[0].entry.path, '/into/x.txt');
        assert.deepEqual(results[1].error, {
          __typename: 'RateLimitedError',
          code: 'RATE_LIMITED',
          message: 'Too fast.',
          retryable: true,
        });
        remote.fail('move', new Error('password=hunter2'));
        const broken = await change('moveEntries', {
          entries: [account.at('/y.txt')],
          destination: account.at('/into'),
        });
        assert.equal(broken.results[0].error.code, 'UNAVAILABLE');
        assert.doesNotMatch(JSON.stringify(broken), /hunter2/);
        remote.mend();
      });

      it('is finished even when the client goes away, and the key brings the answer', async () => {
        const account = await link();
        remote.put('/leaving.txt', '/away/');
        const input = {
          entries: [account.at('/leaving.txt')],
          destination: account.at('/away'),
          idempotencyKey: randomUUID(),
        };
        const leaving = new AbortController();
        const request = fetch(`${app.url}/graphql`, {
          method: 'POST',
          signal: leaving.signal,
          headers: { 'content-type': 'application/json', authorization: `Bearer ${person.token}` },
          body: JSON.stringify({ query: DOCUMENTS.moveEntries, variables: { input } }),
        });
        leaving.abort();
        await assert.rejects(request);
        const { results } = await change('moveEntries', input);
        assert.equal(results[0].entry.path, '/away/leaving.txt');
      });
    });

    describe('repeated after a process died before it could store the answer', () => {
      /** Makes the record look as a dead process leaves it, and asks again. */
      async function afterCrash(
        mutation: keyof typeof DOCUMENTS,
        input: object,
        left: object | null = null,
      ): Promise<[Answer, Answer]> {
        const key = randomUUID();
        const first = await change(mutation, { ...input, idempotencyKey: key });
        const gone = { answer: left, pendingUntil: new Date(0) };
        await app.app.storage.fork().nativeUpdate(IdempotencyRecord, { userId: person.userId, key }, gone);
        return [first, await change(mutation, { ...input, idempotencyKey: key })];
      }

      it('finds what was made', async () => {
        const [folder1, folder2] = await afterCrash('createFolder', { parent: at('/'), name: `crash ${randomUUID()}` });
        assert.ok(folder1.folder.id);
        assert.deepEqual(folder2, folder1);
        const [source, target] = [await folder(), await folder()];
        const input = { entries: [{ id: source.id }], destination: { id: target.id } };
        const [copied, copiedAgain] = await afterCrash('copyEntries', input);
        assert.ok(copied.results[0].entry.id);
        assert.deepEqual(copiedAgain, copied);
        const [moved, movedAgain] = await afterCrash('moveEntries', { ...input, onConflict: 'RENAME' });
        assert.deepEqual(movedAgain, moved);
        assert.equal((await names(target.path)).length, 2);
      });

      it('finds the copy that was made under the next free name', async () => {
        const [source, target] = [await folder(), await folder()];
        const input = { entries: [{ id: source.id }], destination: { id: target.id }, onConflict: 'RENAME' };
        await change('copyEntries', input);
        const left = { parts: [], claim: `${source.name} (2)` };
        const [copied, copiedAgain] = await afterCrash('copyEntries', input, left);
        assert.equal(copied.results[0].entry.name, left.claim);
        assert.deepEqual(copiedAgain, copied);
        assert.equal((await names(target.path)).length, 2);
        // The one that died had not asked yet.
        const [third, fourth] = await afterCrash('copyEntries', input, { parts: [], claim: `${source.name} (4)` });
        assert.deepEqual(
          [third, fourth].map(({ results }) => results[0].entry.name),
          [`${source.name} (3)`, `${source.name} (4)`],
        );
      });

      it('takes what is deleted as deleted', async () => {
        const made = await folder();
        const [first, second] = await afterCrash('deleteEntries', { entries: [{ id: made.id }] });
        assert.equal(first.results[0].error, null);
        assert.deepEqual(second, first);
      });

      it('does not take what was there before for its own', async () => {
        const made = await folder();
        const [first, second] = await afterCrash('createFolder', { parent: at('/'), name: made.name });
        assert.equal(first.code, 'ALREADY_EXISTS');
        assert.equal(second.code, 'ALREADY_EXISTS');
      });
    });

    it('shows what an earlier mutation of the same operation changed', async () => {
      const made = await folder();
      const { data } = await app.graphql(
        `mutation ($first: CreateFolderInput!, $rename: RenameEntryInput!, $second: CreateFolderInput!) {
          first: createFolder(input: $first) { ... on CreateFolderPayload { folder { parent { name } } } }
          rename: renameEntry(input: $rename) { __typename }
          second: createFolder(input: $second) { ... on CreateFolderPayload { folder { parent { name } } } }
        }`,
        {
          first: { parent: { id: made.id }, name: 'one' },
          rename: { entry: { id: made.id }, name: `new ${made.name}` },
          second: { parent: { id: made.id }, name: 'two' },
        },
        person.token,
      );
      assert.equal(data.first.folder.parent.name, made.name);
      assert.equal(data.second.folder.parent.name, `new ${made.name}`);
    });
  });
}
