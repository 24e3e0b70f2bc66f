import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { ServerProcess, temporaryFolder } from '../support/process.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import { createTestDatabase, skipReason, type TestDatabase } from '../support/services.ts';
import { patch, tus } from '../support/uploads.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const MIB = 1024 * 1024;

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const newKey = (): string => `k1:${randomBytes(32).toString('base64')}`;
const KEYS = { JWT_KEYS: newKey(), VAULT_KEYS: newKey() };

interface Host {
  readonly server: ServerProcess;
  readonly url: string;
  readonly dataDir: string;
}

describe('two hosts without a shared folder', { skip: await skipReason('PostgreSQL'), timeout: 170_000 }, () => {
  let database: TestDatabase;
  let db: pg.Client;
  let store: S3Server;
  let first: Host;
  let second: Host;
  let token = '';
  let root = '';
  const cleaning: (() => Promise<void>)[] = [];

  async function startHost(dataDir: string): Promise<Host> {
    const server = new ServerProcess(MAIN, {
      ...store.settings,
      DATA_DIR: dataDir,
      DATABASE_URL: database.url,
      ...KEYS,
    });
    cleaning.push(async () => {
      server.child.kill('SIGKILL');
      await server.exited;
    });
    return { server, url: await server.url(), dataDir };
  }

  before(async () => {
    database = await createTestDatabase();
    store = await startS3Server();
    db = new pg.Client({ connectionString: database.url });
    const folders = { after: (task: () => Promise<void>) => void cleaning.push(task) };
    first = await startHost(await temporaryFolder(folders));
    second = await startHost(await temporaryFolder(folders));
    await db.connect();
    const registered = await ask(
      first,
      `mutation { result: register(input: { username: "alice", password: "correct horse battery staple" }) {
        ... on RegisterPayload { session { accessToken } } } }`,
    );
    token = registered.session.accessToken;
    const { rows } = await db.query("select id from accounts where provider = 'LOCAL'");
    root = encodeEntryId('FOLDER', rows[0].id, rows[0].id);
  });
  after(async () => {
    for (const clean of cleaning) await clean();
    await db.end();
    await store[Symbol.asyncDispose]();
    await database.drop();
  });

  async function ask(host: Host, query: string, variables: object = {}): Promise<Answer> {
    const response = await fetch(`${host.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { data: Answer; errors?: unknown };
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.result;
  }

  /** Gives the transfer's id, and the path of its upload URL at each host. */
  async function begin(name: string, size: number, host = first): Promise<{ id: string; path: string }> {
    const { transfer, uploadUrl } = await ask(
      host,
      `mutation ($input: StartUploadInput!) { result: startUpload(input: $input) {
        ... on StartUploadPayload { transfer { id } uploadUrl } ... on UserError { message } } }`,
      { input: { parent: { id: root }, name, size } },
    );
    return { id: transfer.id, path: new URL(uploadUrl).pathname };
  }

  async function ended(host: Host, id: string): Promise<Answer> {
    for (;;) {
      const query = `query ($id: ID!) { result: node(id: $id) { ... on Transfer { state error { code message } entry { id } } } }`;
      const transfer = await ask(host, query, { id });
      if (['SUCCEEDED', 'FAILED', 'CANCELLED'].includes(transfer.state)) return transfer;
      await pause(50);
    }
  }

  async function download(host: Host, id: string): Promise<Buffer> {
    const { ticket } = await ask(
      host,
      `mutation ($id: ID!) { result: createDownloadTicket(input: { file: { id: $id } }) {
        ... on CreateDownloadTicketPayload { ticket { url } } ... on UserError { message } } }`,
      { id },
    );
    const { pathname } = new URL(ticket.url);
    const response = await fetch(host.url + pathname);
    assert.equal(response.status, 200);
    return Buffer.from(await response.arrayBuffer());
  }

  const offsetAt = async (host: Host, path: string): Promise<number | null> => {
    const { status, headers } = await tus('HEAD', host.url + path);
    return status === 200 ? Number(headers.get('upload-offset')) : null;
  };

  it('share the files: what comes in at one is read and deleted at the other', async () => {
    const bytes = randomBytes(9 * MIB);
    const { id, path } = await begin('film.mkv', bytes.length);
    assert.equal((await patch(first.url + path, 0, bytes)).status, 204);
    const { state, entry } = await ended(second, id);
    assert.equal(state, 'SUCCEEDED');
    assert.deepEqual(await download(second, entry.id), bytes);
    for (const { dataDir } of [first, second]) assert.deepEqual(await readdir(join(dataDir, 'spool')), []);

    const [deleted] = (
      await ask(
        second,
        `mutation ($id: ID!) { result: deleteEntries(input: { entries: [{ id: $id }], permanently: true }) {
          ... on DeleteEntriesPayload { results { error { message } } } } }`,
        { id: entry.id },
      )
    ).results;
    assert.equal(deleted.error, null);
    const { rows } = await db.query('select reference_count, unreferenced_at from blobs');
    assert.equal(rows[0].reference_count, 0);
    assert.equal(store.objects.size, 1); // For whoever reads it just now; the sweep of an hour later is tested apart.
  });

  it('an upload goes on where its bytes are, and from its first byte elsewhere when that host is killed', async () => {
    const bytes = randomBytes(3 * MIB);
    const { id, path } = await begin('half.bin', bytes.length);
    assert.equal((await patch(first.url + path, 0, bytes.subarray(0, MIB))).status, 204);
    const astray = await tus('HEAD', second.url + path);
    assert.equal(astray.status, 503);
    assert.equal((await patch(second.url + path, MIB, bytes.subarray(MIB))).status, 503);
    assert.equal(await offsetAt(first, path), MIB);

    first.server.child.kill('SIGKILL');
    await first.server.exited;
    assert.equal(await offsetAt(second, path), null, 'it may come back at once');
    await db.query("update spools set seen_at = seen_at - interval '40 seconds' where host <> ''"); // And the time goes by.
    let offset: number | null = null;
    while (offset === null) offset = await offsetAt(second, path);
    assert.equal(offset, 0);
    assert.equal((await patch(second.url + path, 0, bytes)).status, 204);
    const { state, entry } = await ended(second, id);
    assert.equal(state, 'SUCCEEDED');
    assert.deepEqual(await download(second, entry.id), bytes);
    first = await startHost(first.dataDir);
  });

  it('bytes that came whole wait for their host, and are kept when it is started again', async () => {
    const bytes = randomBytes(2 * MIB);
    const { id, path } = await begin('whole.bin', bytes.length);
    store.intercept = ({ operation }) => (operation === 'PutObject' ? new Promise(() => {}) : null);
    const before = store.calls.length;
    assert.equal((await patch(first.url + path, 0, bytes)).status, 204);
    while (!store.calls.slice(before).some(({ operation }) => operation === 'PutObject')) await pause(20);
    first.server.child.kill('SIGKILL'); // In the middle of bringing them to the store.
    await first.server.exited;
    store.intercept = null;
    // Its lease and its sign of life run out; the other host leaves it alone all the same.
    await db.query("update transfers set lease_until = now() - interval '1 second' where state = 'RUNNING'");
    await db.query("update spools set seen_at = seen_at - interval '2 minutes'");
    // What is abandoned is taken first: the other host has passed it over when it has done something else.
    const small = await begin('small.bin', 1, second);
    assert.equal((await patch(second.url + small.path, 0, Buffer.from('x'))).status, 204);
    assert.equal((await ended(second, small.id)).state, 'SUCCEEDED');
    const { rows } = await db.query('select state, attempts from transfers where name = $1', ['whole.bin']);
    assert.deepEqual(rows, [{ state: 'RUNNING', attempts: 1 }]);

    first = await startHost(first.dataDir);
    const { state, entry } = await ended(second, id);
    assert.equal(state, 'SUCCEEDED');
    assert.deepEqual(await download(second, entry.id), bytes);
  });
});
