import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { byteDrive } from '../support/byte-drive.ts';
import { linkAccount } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';
import { openSse } from '../support/transports.ts';
import { settled, untilChanged, uploadText } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const COPY = `mutation ($input: CopyEntriesInput!) { copyEntries(input: $input) {
  ... on CopyEntriesPayload { results { transfer { id } error { code message } } } } }`;
const FIELDS =
  'state phase route bytesTotal bytesDone phases { phase bytesDone bytesTotal bytesPerSecond estimatedSecondsLeft }';
const DETAIL = `query ($id: ID!) { node(id: $id) { ... on Transfer { ${FIELDS} } } }`;
const FOLLOW = `subscription ($id: ID!) { transferUpdated(id: $id) { ${FIELDS} } }`;

describe('what is told of the phases of a transfer', { timeout: 60_000 }, () => {
  let app: TestApp;
  let person: Person;
  let from: ReturnType<typeof byteDrive>;
  let to: ReturnType<typeof byteDrive>;
  let source: string;
  let target: string;

  beforeEach(async () => {
    from = byteDrive({ copiesAcross: true, hashes: ['MD5'] });
    to = byteDrive({ id: 'BAIDU', hashes: ['MD5'], instantHashes: ['MD5'], sliceBytes: 4 });
    app = await startTestApp({ drives: [local, from.definition, to.definition] });
    person = await registerUser(app);
    source = (await linkAccount(app, person.userId)).id;
    target = (await linkAccount(app, person.userId, { provider: 'BAIDU' })).id;
  });
  afterEach(() => app.close());

  const ask = async (document: string, variables: object): Promise<Answer> => {
    const { data, errors } = await app.graphql(document, variables, person.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  };
  const copy = async (kind: 'FILE' | 'FOLDER', ref: string, into = target): Promise<string> => {
    const entries = [{ id: encodeEntryId(kind, source, ref) }];
    const destination = { id: encodeEntryId('FOLDER', into, 'root') };
    const [result] = (await ask(COPY, { input: { entries, destination } })).copyEntries.results;
    assert.equal(result.error, null, JSON.stringify(result.error));
    return result.transfer.id;
  };
  const look = async (id: string): Promise<Answer> => (await ask(DETAIL, { id })).node;
  const bars = ({ phases }: Answer): string[] =>
    phases.map(({ phase, bytesDone, bytesTotal }: Answer) => `${phase} ${bytesDone}/${bytesTotal}`);
  /** Does that with the slice of this number, of whatever file. */
  const atSlice = (number: number, act: () => Promise<void> | undefined): void => {
    let slices = 0;
    to.behaviour.before = (at) => {
      if (at !== 'upload.putSlice') return undefined;
      slices += 1;
      return slices === number ? act() : undefined;
    };
  };

  test('what came in and what went out are two bars, also for who asks later', async () => {
    const begun = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    atSlice(3, () => {
      begun.resolve();
      return held.promise;
    });
    const id = await copy('FILE', from.account(source).put('film.mkv', '0123456789'));
    await begun.promise;
    // Two slices go at once: the receipt of the second may be on its way.
    const row = await untilChanged(
      app,
      () => look(id),
      (each) => bars(each)[2] === 'SENDING 8/10',
    );
    assert.deepEqual(bars(row).slice(0, 2), ['RECEIVING 10/10', 'HASHING 10/10']);
    assert.deepEqual([row.phase, row.bytesDone], ['SENDING', 8], 'the phase that it is in is told as before');
    held.resolve();
    await settled(app, person, id);
    assert.deepEqual(bars(await look(id)), ['RECEIVING 10/10', 'HASHING 10/10', 'SENDING 10/10']);
  });

  test('after a failure they stay, with what the drive had got', async () => {
    atSlice(2, () => {
      throw new DriveError('permission_denied', 'No more.', { provider: 'BAIDU' });
    });
    const id = await copy('FILE', from.account(source).put('film.mkv', '0123456789'));
    await settled(app, person, id);
    const row = await look(id);
    assert.deepEqual([row.state, row.phase], ['FAILED', null]);
    assert.deepEqual(bars(row), ['RECEIVING 10/10', 'HASHING 10/10', 'SENDING 4/10']);
  });

  test('no bar is shown for bytes that do not pass', async () => {
    const other = (await linkAccount(app, person.userId)).id;
    const ref = from.account(source).put('film.mkv', '0123456789');
    const across = await copy('FILE', ref, other);
    await settled(app, person, across);
    assert.deepEqual([(await look(across)).route, bars(await look(across))], ['SERVER_SIDE', []]);
    to.account('somebody').put('same.mkv', '0123456789');
    const hit = await copy('FILE', ref);
    await settled(app, person, hit);
    assert.deepEqual([(await look(hit)).route, bars(await look(hit))], ['INSTANT', []]);
    // From a client the bytes come in before their hash is known.
    const parent = { id: encodeEntryId('FOLDER', target, 'root') };
    const sent = await uploadText(app, person, { parent, name: 'own.txt', content: '0123456789' });
    await settled(app, person, sent.transfer.id);
    const row = await look(sent.transfer.id);
    assert.deepEqual([row.route, bars(row)], ['INSTANT', ['RECEIVING 10/10', 'HASHING 10/10']]);
  });

  test('a folder tells the sums of its items, live, and without what takes a shortcut', async () => {
    to.account('somebody').put('known', 'known already');
    for (const [name, text] of Object.entries({ 'a.bin': 'aaaaaaaa', known: 'known already', 'z.bin': 'zzzzzzzz' })) {
      from.account(source).put(`top/${name}`, text);
    }
    const held = Promise.withResolvers<void>();
    to.behaviour.before = (act, _account, name) =>
      act === 'upload.complete' && name === 'z.bin' ? held.promise : undefined;
    const top = [...from.account(source).nodes.values()].find(({ entry }) => entry.name === 'top');
    const id = await copy('FOLDER', top?.entry.ref ?? '');
    const seen: string[][] = [];
    const following = (async () => {
      for await (const { data } of openSse(app.url, { query: FOLLOW, variables: { id }, token: person.token })) {
        seen.push(bars(data.transferUpdated));
      }
    })();
    await untilChanged(
      app,
      () => look(id),
      (row) => bars(row).join() === 'RECEIVING 16/16,SENDING 16/16',
    );
    assert.equal((await look(id)).state, 'RUNNING');
    held.resolve();
    await following;
    assert.deepEqual(seen.at(-1), ['RECEIVING 16/16', 'SENDING 16/16']);
    const row = await look(id);
    assert.deepEqual([row.state, row.bytesTotal, row.bytesDone], ['SUCCEEDED', 29, 29]);
  });
});
