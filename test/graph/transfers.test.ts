import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { newId } from '../../src/lib/ids.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { type Person, registerUser } from '../support/people.ts';
import { openSse, RawSocket } from '../support/transports.ts';
import {
  bytesOf,
  control,
  namesOf,
  patch,
  settled,
  startUpload,
  TRANSFER,
  transferOf,
  tus,
  uploadText,
} from '../support/uploads.ts';

const MIB = 1024 * 1024;
const EVENTS = `subscription ($after: String) { transferEvents(after: $after) { cursor transfer { ${TRANSFER} } } }`;
const UPDATED = `subscription ($id: ID!) { transferUpdated(id: $id) { ${TRANSFER} } }`;

interface TransferEvent {
  readonly cursor: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  readonly transfer: any;
}

/** What the first test reads of a transfer. */
interface ToldTransfer {
  readonly state: string;
  readonly entry: { readonly name: string } | null;
}

/** The events of a person, until `isLast`. */
async function eventsUntil(
  app: TestApp,
  { token }: Person,
  after: string | null,
  isLast: (event: TransferEvent) => boolean,
): Promise<TransferEvent[]> {
  const events: TransferEvent[] = [];
  for await (const { data, errors } of openSse(app.url, { query: EVENTS, variables: { after }, token })) {
    assert.equal(errors, undefined, JSON.stringify(errors));
    events.push(data.transferEvents);
    if (isLast(data.transferEvents)) return events;
  }
  return events;
}

const ended = ({ transfer }: TransferEvent): boolean => transfer.state === 'SUCCEEDED';
const statesOf = (events: readonly TransferEvent[]): string[] =>
  events.map(({ transfer }) => transfer.state).filter((state, index, all) => state !== all[index - 1]);

for (const database of DATABASES) {
  describe(`transfers on ${database.dialect}`, { skip: database.skip, timeout: 120_000 }, () => {
    let opened: TestStorage;
    let dataDir: string;
    let server: TestApp;
    let person: Person;

    const start = () => startTestApp({ dataDir, settings: { DATABASE_URL: opened.url, LOG_LEVEL: 'info' } });

    before(async () => {
      opened = await database.open();
      await opened.storage.close(); // The server opens it itself.
      dataDir = await mkdtemp(join(tmpdir(), 'panql-transfers-'));
      server = await start();
      person = await registerUser(server);
    });
    after(async () => {
      await server.close();
      await opened.close();
      await rm(dataDir, { recursive: true, force: true });
    });

    /** Rights are tested with a person each, so that nobody else's events are in the way. */
    const somebody = (): Promise<Person> => registerUser(server);

    it('tells one transfer from its present state to its end, over WebSocket as over event streams', async () => {
      const { transfer, uploadUrl } = await startUpload(server, person, { name: 'told', size: 4 });
      const socket = await RawSocket.signedIn(server.url, person.token);
      socket.subscribe('1', UPDATED, { id: transfer.id });
      const next = async (): Promise<ToldTransfer | null> => {
        const { type, payload } = await socket.message();
        assert.ok(type === 'next' || type === 'complete', type);
        return type === 'next' ? (payload as { data: { transferUpdated: ToldTransfer } }).data.transferUpdated : null;
      };
      assert.equal((await next())?.state, 'WAITING');
      await patch(uploadUrl, 0, Buffer.from('told'));
      const seen: ToldTransfer[] = [];
      for (let told = await next(); told !== null; told = await next()) seen.push(told);
      assert.equal(seen.at(-1)?.state, 'SUCCEEDED');
      assert.equal(seen.at(-1)?.entry?.name, 'told');
      socket.close();
      assert.equal((await settled(server, person, transfer.id)).state, 'SUCCEEDED', 'told again to who comes late');
    });

    it("begins with the unfinished ones, and goes on live with every change of all of a user's transfers", async () => {
      const user = await somebody();
      const open = await startUpload(server, user, { name: 'open', size: 4 });
      const events = eventsUntil(server, user, null, ended);
      await patch(open.uploadUrl, 0, Buffer.from('open'));
      const told = await events;
      assert.equal(told.at(-1)?.transfer.entry.name, 'open');
      assert.ok(told.every(({ transfer }) => transfer.id === open.transfer.id));
    });

    it('replays every change behind a cursor, across connections and restarts of the server', async () => {
      const user = await somebody();
      const { transfer, uploadUrl } = await startUpload(server, user, { name: 'replayed', size: 8 });
      const [first] = await eventsUntil(server, user, null, () => true);
      assert.ok(first);
      await control(server, user, 'pause', transfer.id);
      await control(server, user, 'resume', transfer.id);
      await server.close();
      server = await start();
      const path = new URL(uploadUrl).pathname;
      await patch(server.url + path, 0, randomBytes(8));
      const all = await eventsUntil(server, user, first.cursor, ended);
      assert.deepEqual(statesOf(all), ['PAUSED', 'WAITING', 'QUEUED', 'RUNNING', 'SUCCEEDED']);
      const cursors = all.map(({ cursor }) => Number(cursor));
      assert.deepEqual(
        cursors,
        cursors.toSorted((left, right) => left - right),
      );
      for (const [index, { cursor }] of all.entries()) {
        if (index === all.length - 1) break;
        const rest = await eventsUntil(server, user, cursor, ended);
        assert.deepEqual(statesOf(rest), statesOf(all.slice(index + 1)), `behind ${cursor}`);
      }
    });

    it('tells progress at most ten times a second, however many requests bring the bytes', async () => {
      const user = await somebody();
      const bytes = randomBytes(256 * 1024);
      const count = 120;
      const { uploadUrl } = await startUpload(server, user, { name: 'slow', size: bytes.length * count });
      const events = openSse(server.url, { query: EVENTS, token: user.token });
      await events.next();
      const startedMs = performance.now();
      for (let index = 0; index < count; index += 1) await patch(uploadUrl, index * bytes.length, bytes);
      let progress = 0;
      for await (const { data } of events) {
        const { transfer } = data.transferEvents;
        if (transfer.state === 'WAITING') progress += 1;
        if (ended(data.transferEvents)) break;
      }
      // Counted, not timed: how late they arrive is up to the machine, how many there are is not.
      const seconds = (performance.now() - startedMs) / 1_000;
      assert.ok(progress <= 10 * seconds + 1, `${progress} events in ${seconds} s`);
    });

    it('delivers the end also to who reads nothing for long', async () => {
      const user = await somebody();
      const { uploadUrl } = await startUpload(server, user, { name: 'patient', size: 4 * MIB });
      const stream = openSse(server.url, { query: EVENTS, token: user.token });
      await stream.next();
      for (let offset = 0; offset < 4 * MIB; offset += MIB) await patch(uploadUrl, offset, randomBytes(MIB));
      for (let index = 0; index < 30; index += 1)
        await uploadText(server, user, { name: `note-${index}`, content: 'x' });
      const finished = new Set<string>();
      for await (const { data } of stream) {
        if (ended(data.transferEvents)) finished.add(data.transferEvents.transfer.name);
        if (finished.size === 31) break;
      }
      assert.ok(finished.has('patient'));
    });

    it('refuses a cursor that is none', async () => {
      for (const after of ['x', '-1', '1.5', '']) {
        const answers = [];
        for await (const answer of openSse(server.url, { query: EVENTS, variables: { after }, token: person.token }))
          answers.push(answer);
        assert.equal(answers[0]?.errors?.[0]?.extensions?.code, 'INVALID_INPUT', after);
      }
    });

    it('goes on with an upload after the server was restarted in the middle', async () => {
      const bytes = randomBytes(3 * MIB);
      const { transfer, uploadUrl } = await startUpload(server, person, { name: 'restarted', size: bytes.length });
      await patch(uploadUrl, 0, bytes.subarray(0, MIB));
      await server.close();
      server = await start();
      const url = server.url + new URL(uploadUrl).pathname;
      const head = await tus('HEAD', url);
      assert.equal(head.headers.get('upload-offset'), String(MIB));
      await patch(url, MIB, bytes.subarray(MIB));
      const done = await settled(server, person, transfer.id);
      assert.deepEqual([done.state, done.error], ['SUCCEEDED', null]);
      assert.deepEqual(await bytesOf(server, person, '/restarted'), bytes);
    });

    it('pauses, resumes and cancels an upload, and refuses what its state does not allow', async () => {
      const { transfer, uploadUrl } = await startUpload(server, person, { name: 'controlled', size: 10 });
      const act = async (action: Parameters<typeof control>[2]) => {
        const result = await control(server, person, action, transfer.id);
        return result.transfer?.state ?? result.code;
      };
      assert.equal(await act('resume'), 'CONFLICT');
      assert.equal(await act('retry'), 'CONFLICT');
      assert.equal(await act('pause'), 'PAUSED');
      assert.equal(await act('pause'), 'CONFLICT');
      assert.equal((await patch(uploadUrl, 0, randomBytes(10))).status, 423);
      assert.equal(await act('resume'), 'WAITING');
      assert.equal(await act('pause'), 'PAUSED');
      assert.equal(await act('cancel'), 'CANCELLED');
      for (const action of ['pause', 'resume', 'cancel', 'retry'] as const) assert.equal(await act(action), 'CONFLICT');
      assert.equal((await tus('HEAD', uploadUrl)).status, 410);
      assert.ok(!(await namesOf(server, person)).includes('controlled'));

      const done = await uploadText(server, person, { name: 'done', content: '' });
      for (const action of ['pause', 'resume', 'cancel', 'retry'] as const) {
        assert.equal((await control(server, person, action, done.transfer.id)).code, 'CONFLICT', action);
      }
    });

    it('retries a failed transfer whose bytes are here, once what stood in the way is gone', async () => {
      const { transfer, uploadUrl } = await startUpload(server, person, { name: 'retried', size: 5 });
      const { transfer: first } = await uploadText(server, person, { name: 'retried', content: 'first' });
      await patch(uploadUrl, 0, Buffer.from('later'));
      const failed = await settled(server, person, transfer.id);
      assert.deepEqual([failed.state, failed.error.code], ['FAILED', 'ALREADY_EXISTS']);
      assert.ok(new Date(failed.expiresAt) > new Date());
      await server.graphql(
        'mutation ($input: DeleteEntriesInput!) { deleteEntries(input: $input) { __typename } }',
        { input: { entries: [{ id: first.entry.id }] } },
        person.token,
      );
      assert.equal((await control(server, person, 'retry', transfer.id)).transfer.error, null);
      assert.equal((await settled(server, person, transfer.id)).state, 'SUCCEEDED');
      assert.deepEqual(await bytesOf(server, person, '/retried'), Buffer.from('later'));
    });

    it('does not retry a transfer whose bytes are gone, and says what to do', async () => {
      const hashes = [{ algorithm: 'MD5', value: '0'.repeat(32) }];
      const { transfer, uploadUrl } = await startUpload(server, person, { name: 'gone', size: 1, hashes });
      await patch(uploadUrl, 0, Buffer.from('x'));
      assert.equal((await settled(server, person, transfer.id)).state, 'FAILED');
      const refused = await control(server, person, 'retry', transfer.id);
      assert.equal(refused.code, 'CONFLICT');
      assert.match(refused.message, /upload the file again/i);
    });

    it("shows nobody another user's transfers, and lets nobody touch them", async () => {
      const owner = await somebody();
      const other = await somebody();
      const { transfer } = await startUpload(server, owner, { name: 'mine', size: 10 });
      assert.equal(await transferOf(server, other, transfer.id), null);
      const unknown = encodeGlobalId('Transfer', newId());
      for (const action of ['pause', 'resume', 'cancel', 'retry'] as const) {
        const foreign = await control(server, other, action, transfer.id);
        assert.deepEqual(foreign, await control(server, other, action, unknown), 'as one that does not exist');
        assert.equal(foreign.code, 'NOT_FOUND');
      }
      for (const id of [transfer.id, unknown, 'nonsense']) {
        const answers = [];
        for await (const answer of openSse(server.url, { query: UPDATED, variables: { id }, token: other.token }))
          answers.push(answer);
        assert.equal(answers[0]?.errors?.[0]?.extensions?.code, 'NOT_FOUND');
      }
      const own = eventsUntil(server, other, null, ended);
      await control(server, owner, 'pause', transfer.id);
      await uploadText(server, other, { name: 'theirs', content: '' });
      for (const event of await own) assert.equal(event.transfer.name, 'theirs');
      assert.equal((await transferOf(server, owner, transfer.id)).state, 'PAUSED');
    });

    it('lists the transfers of a user, the newest first, by state and page', async () => {
      const user = await somebody();
      const names = ['a', 'b', 'c', 'd', 'e'];
      for (const name of names) await startUpload(server, user, { name, size: 1 });
      await uploadText(server, user, { name: 'text', content: '' });
      const list = async (args: string) => {
        const query = `{ viewer { transfers${args} { nodes { name state } edges { cursor } pageInfo { hasNextPage endCursor } } } }`;
        const { data, errors } = await server.graphql(query, {}, user.token);
        return errors?.[0]?.extensions?.code ?? data.viewer.transfers;
      };
      const namesIn = ({ nodes }: { nodes: { name: string }[] }) => nodes.map(({ name }) => name);
      assert.deepEqual(namesIn(await list('')), ['text', 'e', 'd', 'c', 'b', 'a']);
      assert.deepEqual(namesIn(await list('(states: [WAITING])')), ['e', 'd', 'c', 'b', 'a']);
      assert.deepEqual(namesIn(await list('(states: [FAILED, CANCELLED])')), []);
      const seen = [];
      for (let after: string | null = null; ; ) {
        const page: Awaited<ReturnType<typeof list>> = await list(`(first: 2${after ? `, after: "${after}"` : ''})`);
        seen.push(...namesIn(page));
        if (!page.pageInfo.hasNextPage) break;
        after = page.pageInfo.endCursor;
      }
      assert.deepEqual(seen, ['text', 'e', 'd', 'c', 'b', 'a']);
      assert.equal(await list('(after: "nonsense")'), 'INVALID_INPUT');
      assert.equal(await list('(first: 101)'), 'INVALID_INPUT');
    });

    it('shows an administrator no transfers of others', async () => {
      const user = await somebody();
      await startUpload(server, user, { name: 'private', size: 1 });
      const id = encodeGlobalId('User', user.userId);
      const { data } = await server.graphql(
        'query ($id: ID!) { node(id: $id) { ... on User { username transfers { nodes { name } } } } }',
        { id },
        person.token,
      );
      assert.deepEqual(data.node, { username: user.username, transfers: { nodes: [] } });
    });
  });
}
