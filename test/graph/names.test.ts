import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { isEnumType } from 'graphql';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { schema } from '../../src/graph/schema.ts';
import { newId } from '../../src/lib/ids.ts';
import { entryNameFault, parsePath } from '../../src/lib/names.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type PutFile, putFile } from '../support/files.ts';
import { type Person, registerUser } from '../support/people.ts';
import {
  argumentsWith,
  fieldsOf,
  type Leaf,
  leavesOf,
  type Request,
  ROOTS,
  requestFor,
} from '../support/schema-walk.ts';

/** What has led others out of a folder, or made one name look like another. */
const TRICKS = [
  ...[
    '..',
    '.',
    '/',
    '\\',
    '//',
    '/..',
    '../',
    '..\\',
    '....//',
    '..;/',
    '~',
    '~root',
    'C:',
    'file:///etc',
    '/etc/passwd',
  ],
  ...['%2e%2e', '%2E%2e%2f', '%252e%252e%252f', '%2f', '%5c', '%00', '%c0%ae%c0%ae', '\\u002e', '&#46;', '..%2f'],
  ...['\0', '\u0001', '\n', '\r\n', '\u007f', '\u0085', '\u202e', '\u200b', '\ufeff', '\ud800', '\udc00'],
  ...['．．', '．', '。。', '‥', '․․', '／', '＼', '⁄', '∕', '⧵', '\u2025/', '．．／'],
  ...[' ', '\t', 'a', 'b.txt', 'CON', 'nul.txt', '-rf', "'; drop table users; --", '$HOME', '<script>', '文件', '🙂'],
  ...['x'.repeat(300), '文'.repeat(86), `${'a/'.repeat(3000)}`],
];

const trick = fc.array(fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...TRICKS) }, fc.string({ unit: 'binary' })), {
  minLength: 1,
  maxLength: 4,
});

const isNameOrPath = ({ name, type }: Leaf): boolean => type === 'String' && (name === 'name' || name === 'path');

/** Each name and path in the arguments of every mutation, and of the fields that look something up. */
const PLACES = fieldsOf(schema)
  .filter(({ parent }) => ROOTS.has(parent) || parent === 'CloudAccount')
  .flatMap((field) =>
    leavesOf(field)
      .filter(isNameOrPath)
      .map((leaf) => ({ field, leaf, title: `${field.parent}.${field.name}(${leaf.path.join('.')})` })),
  );

/** Names of what is no entry: they have rules of their own. */
const OTHER_NAMES: ReadonlySet<string> = new Set([
  'Mutation.createApiKey(input.name)',
  'Mutation.linkWithCredentials(input.values.name)',
]);

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

describe('names and paths from clients', { timeout: 170_000 }, () => {
  let app: TestApp;
  let person: Person;
  let neighbour: Person;
  let file: PutFile;
  /** Every name that was sent, as far as it can be one. */
  const sent = new Set<string>();

  before(async () => {
    app = await startTestApp();
    await registerUser(app);
    person = await registerUser(app);
    neighbour = await registerUser(app);
    await putFile(app, neighbour, 'private.txt', Buffer.from('private'));
  });
  after(() => app.close());

  it('stand in many places', () => {
    const titles = PLACES.map(({ title }) => title);
    for (const mutation of [
      'createFolder',
      'renameEntry',
      'renameEntries',
      'moveEntries',
      'copyEntries',
      'deleteEntries',
    ]) {
      assert.ok(
        titles.some((title) => title.startsWith(`Mutation.${mutation}`)),
        mutation,
      );
    }
  });

  for (const { field, leaf, title } of PLACES) {
    it(`${title} takes them as they are, or refuses them`, async () => {
      await fc.assert(
        fc.asyncProperty(trick, fc.constantFrom('', '/', '/sub/'), async (parts, prefix) => {
          const value = leaf.name === 'path' ? prefix + parts.join('') : parts.join('');
          const inPath = leaf.name === 'path' ? parsePath(value) : { segments: [value] };
          const names = 'segments' in inPath ? inPath.segments : [];
          for (const name of names) sent.add(name);
          file = await putFile(app, person, `file ${newId()}`, Buffer.from('x'));

          const request = requestFor(field, argumentsWith(field, leaf, value, sample), person.accountId);
          const { data, errors } = await send(request);
          for (const error of errors ?? []) {
            assert.notEqual(error.extensions?.code, 'INTERNAL_SERVER_ERROR', JSON.stringify([value, error]));
          }
          const isFaulty = 'fault' in inPath || names.some((name) => entryNameFault(name) !== null);
          if (isFaulty && !OTHER_NAMES.has(title)) assertRefused({ data, errors }, value);
        }),
        { numRuns: 20 },
      );
    });
  }

  it('have led nowhere', async () => {
    const faults = (await namesOf(person)).filter((name) => entryNameFault(name) !== null);
    assert.deepEqual(faults, []);
    const strange = (await namesOf(person)).filter((name) => !isKnown(name));
    assert.deepEqual(strange, [], 'a name became another');
    assert.deepEqual(await namesOf(neighbour), ['private.txt']);
    for (const entry of await readdir(app.dataDir)) {
      assert.match(entry, /^(panql\.sqlite.*|blobs|spool(\.id)?|outbox|[a-z-]*keys?(\.\w+)?)$/);
    }
  });

  const isKnown = (name: string): boolean =>
    sent.has(name) || /^(file |text|upload)/.test(name) || sent.has(name.replace(/ \(\d+\)(?=(\.[^.]*)?$)/, ''));

  /** What is right for whatever else a field needs. */
  const sample = ({ path, name, type }: Leaf): unknown => {
    if (type === 'ID' && name === 'accountId') return person.accountId;
    if (type === 'ID' && (path.includes('entries') || path.includes('entry') || path.includes('file'))) return file.id;
    if (type === 'ID') return encodeEntryId('FOLDER', person.accountRowId, person.accountRowId);
    if (type === 'Upload') return new File(['x'], 'upload.txt');
    if (type === 'Int' || type === 'Float' || type === 'ByteCount') return 1;
    if (type === 'Boolean') return false;
    if (type === 'String') return name === 'path' ? '/' : 'text';
    const named = schema.getType(type);
    return isEnumType(named) ? named.getValues()[0]?.name : null;
  };

  async function send({ query, variables }: Request): Promise<Answer> {
    const upload = (variables.input as { file?: unknown } | undefined)?.file;
    if (!(upload instanceof File)) return app.graphql<Answer>(query, variables, person.token);
    const form = new FormData();
    form.set('operations', JSON.stringify({ query, variables }));
    form.set('map', JSON.stringify({ 0: ['variables.input.file'] }));
    form.set('0', upload);
    const headers = { authorization: `Bearer ${person.token}` };
    return (await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form })).json();
  }

  function assertRefused({ data, errors }: Answer, value: string): void {
    const codes = [...JSON.stringify(data ?? null).matchAll(/"code":"(\w+)"/g)].map(([, code]) => code);
    const told = [...codes, ...(errors ?? []).map(({ extensions }: Answer) => extensions?.code)];
    assert.ok(told.length > 0, `${JSON.stringify(value)} was taken: ${JSON.stringify(data)}`);
    for (const code of told) {
      assert.ok(['INVALID_INPUT', 'PERMISSION_DENIED', 'NOT_FOUND', 'UNSUPPORTED'].includes(code), `${value}: ${code}`);
    }
  }

  async function namesOf({ accountRowId, userId }: Person): Promise<string[]> {
    const names: string[] = [];
    const { driver, run } = await app.app.services.accounts.openForUser(userId, accountRowId);
    let cursor: string | null = null;
    do {
      const page: Answer = await run(
        'listRecursive',
        driver.rootRef,
        { cursor, limit: 1000 },
        { signal: new AbortController().signal },
      );
      names.push(...page.items.map(({ name }: Answer) => name));
      cursor = page.nextCursor;
    } while (cursor !== null);
    return names;
  }
});
