import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { sweepLocalDrives } from '../../src/drives/local/sweep.ts';
import { createLog } from '../../src/lib/log.ts';
import { nameOf } from '../../src/storage/blobs/name.ts';
import { openS3 } from '../../src/storage/blobs/s3.ts';
import { BlobStore } from '../../src/storage/blobs/store.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { purgeFile, putFile } from '../support/files.ts';
import { type Person, registerUser } from '../support/people.ts';
import { ServerProcess, temporaryFolder } from '../support/process.ts';
import { S3_KEYS, type S3Server, startS3Server } from '../support/s3-server.ts';
import { bytesOf, namesOf, patch, settled, startUpload } from '../support/uploads.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const MIB = 1024 * 1024;

describe('a server with its files in an S3 store', { timeout: 120_000 }, () => {
  let store: S3Server;
  let app: TestApp;
  let person: Person;

  before(async () => {
    store = await startS3Server();
    app = await startTestApp({ settings: { ...store.settings, LOG_LEVEL: 'trace' } });
    person = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await store[Symbol.asyncDispose]();
  });

  it('keeps what is uploaded there and nothing here, and gives ranges of it', async () => {
    const bytes = randomBytes(20 * MIB);
    const { entry } = await upload('film.mkv', bytes);
    assert.deepEqual([...store.objects.values()][0]?.bytes, bytes);
    assert.deepEqual(
      (await readdir(app.dataDir, { recursive: true })).filter((name) => /\.part$|[0-9a-f]{64}/.test(name)),
      [],
    );

    const url = await ticket(entry.id);
    const whole = await fetch(url);
    assert.equal(whole.status, 200);
    assert.deepEqual(Buffer.from(await whole.arrayBuffer()), bytes);
    const range = await fetch(url, { headers: { range: 'bytes=9000000-9000099' } });
    assert.equal(range.status, 206);
    assert.deepEqual(Buffer.from(await range.arrayBuffer()), bytes.subarray(9_000_000, 9_000_100));
  });

  it('goes on with an upload when the store was away for a while, and shows nothing before', async () => {
    let refused = 0;
    store.intercept = ({ operation }) => {
      if (operation !== 'PutObject' || refused >= 5) return null;
      refused += 1;
      return { status: 500, code: 'InternalError' };
    };
    const done = upload('late.bin', randomBytes(100));
    while (refused < 5) assert.ok(!(await namesOf(app, person)).includes('late.bin'));
    const { attempts } = await done;
    store.intercept = null;
    assert.ok(attempts > 1, `${attempts} attempts`);
    assert.ok((await namesOf(app, person)).includes('late.bin'));
  });

  it('is not ready while the store does not answer, and says so in the log, once', async () => {
    const status = async (path: string): Promise<number> => (await fetch(`${app.url}${path}`)).status;
    assert.equal(await status('/health/ready'), 200);
    store.intercept = () => ({ status: 503, code: 'SlowDown' });
    for (let times = 0; times < 2; times += 1) assert.equal(await status('/health/ready'), 503);
    assert.equal(await status('/health/live'), 200);
    store.intercept = () => new Promise(() => {}); // It hangs.
    assert.equal(await status('/health/ready'), 503);
    store.intercept = null;
    assert.equal(await status('/health/ready'), 200);
    const said = app.logLines.filter((line) => line.includes('the store of files does not answer'));
    assert.equal(said.length, 1);
  });

  it('tells a downloader that the store does not answer, or that bytes are lost, and never gives others', async () => {
    const bytes = randomBytes(1000);
    const before = new Set(store.objects.keys());
    const file = await putFile(app, person, 'precious.bin', bytes);
    const url = await ticket(file.id);
    store.intercept = ({ operation }) => (operation === 'GetObject' ? { status: 403, code: 'AccessDenied' } : null);
    assert.equal((await fetch(url)).status, 503);
    store.intercept = null;
    const key = [...store.objects.keys()].find((name) => !before.has(name)) ?? '';
    const object = store.objects.get(key);
    assert.ok(object);
    store.objects.set(key, { ...object, bytes: bytes.subarray(0, 999) });
    assert.ok((await fetch(url)).status >= 500);
    store.objects.delete(key);
    assert.ok((await fetch(url)).status >= 500);
    await putFile(app, person, 'again.bin', bytes); // Whoever brings them again mends it for all.
    assert.deepEqual(await bytesOf(app, person, '/precious.bin'), bytes);
  });

  it('removes from the store what is deleted for ever, after the time of grace', async () => {
    const before = store.objects.size;
    const file = await putFile(app, person, 'gone.bin', randomBytes(1000));
    assert.equal(store.objects.size, before + 1);
    await purgeFile(app, person, file);
    const { blobStore } = loadConfig(store.settings);
    assert.ok(blobStore);
    const log = createLog({ level: 'silent' });
    const objects = await openS3({ ...blobStore, log });
    const clock = { now: () => new Date(Date.now() + 2 * 3_600_000) };
    const { storage } = app.app;
    const blobs = new BlobStore(join(app.dataDir, 'blobs'), storage, clock, { objects, log });
    await sweepLocalDrives({ storage, blobs, clock });
    objects.close();
    assert.equal(store.objects.size, before);
  });

  it('says in no log line what its keys are', () => {
    const told = app.logLines.join();
    assert.ok(!told.includes(S3_KEYS.secretAccessKey));
    assert.ok(!told.includes('AWS4-HMAC'));
  });

  it('takes over a folder that was copied key by key, and gives it back the same way', async (t) => {
    const dataDir = await temporaryFolder(t);
    const first = await startTestApp({ dataDir });
    const owner = await registerUser(first);
    const [old, recent] = [randomBytes(5000), randomBytes(6000)];
    await putFile(first, owner, 'old.bin', old);
    await first.close();

    // aws s3 sync DATA_DIR/blobs s3://bucket --exclude 'incoming/*'
    const folder = join(dataDir, 'blobs');
    const bucket = await startS3Server();
    t.after(() => bucket[Symbol.asyncDispose]());
    for (const path of await readdir(folder, { recursive: true })) {
      if (nameOf(path)) {
        bucket.objects.set(path, { bytes: await readFile(join(folder, path)), etag: '"x"', modifiedAt: new Date() });
      }
    }
    await cp(folder, join(dataDir, 'moved'), { recursive: true });
    await rm(folder, { recursive: true });
    const second = await startTestApp({ dataDir, settings: bucket.settings });
    assert.deepEqual(await bytesOf(second, owner, '/old.bin'), old);
    await putFile(second, owner, 'recent.bin', recent);
    await putFile(second, owner, 'old again.bin', old);
    await second.close();

    // aws s3 sync s3://bucket DATA_DIR/blobs
    for (const [key, { bytes }] of bucket.objects) {
      await mkdir(dirname(join(folder, key)), { recursive: true });
      await writeFile(join(folder, key), bytes);
    }
    const third = await startTestApp({ dataDir });
    t.after(() => third.close());
    for (const [path, bytes] of [
      ['/old.bin', old],
      ['/old again.bin', old],
      ['/recent.bin', recent],
    ] as const) {
      assert.deepEqual(await bytesOf(third, owner, path), bytes);
    }
    await putFile(third, owner, 'recent again.bin', recent);
    assert.deepEqual(await bytesOf(third, owner, '/recent again.bin'), recent);
  });

  it('is backed up with what is here, and says how the bucket is', async (t) => {
    const target = join(await temporaryFolder(t), 'backup');
    const told = async (settings: Readonly<Record<string, string>>): Promise<string> => {
      const child = spawn(process.execPath, [MAIN, 'backup', target], {
        env: { PATH: process.env.PATH, DATA_DIR: app.dataDir, ...store.settings, ...settings },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      return (await Promise.all([text(child.stdout), text(child.stderr)])).join('');
    };
    assert.match(
      await told({}),
      /The backup is in .*no files of the built-in drives.*aws s3 sync s3:\/\/panql-test\/ /s,
    );
    assert.ok((await readdir(target)).includes('panql.sqlite'));
    assert.match(await told({ DATABASE_URL: 'postgres://localhost/panql' }), /pg_dump.*spool\.id.*aws s3 sync/s);
  });

  it('does not start without a store that it can use, and says what to do', async (t) => {
    for (const [settings, words] of [
      [{ BLOB_STORE_SECRET_ACCESS_KEY: 'wrong-canary' }, /SignatureDoesNotMatch.*BLOB_STORE_SECRET_ACCESS_KEY/],
      [{ BLOB_STORE_URL: store.storeUrl.replace('panql-test', 'panql-other') }, /no such bucket/],
      [{ BLOB_STORE_URL: 's3://panql?endpoint=http://127.0.0.1:1' }, /Start the store/],
    ] as const) {
      const server = new ServerProcess(MAIN, { DATA_DIR: await temporaryFolder(t), ...store.settings, ...settings });
      const { code } = await server.exited;
      assert.equal(code, 1);
      assert.match(server.stderr, words);
      assert.doesNotMatch(server.stderr, /canary|at .*\.ts/);
    }
  });

  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  async function upload(name: string, bytes: Buffer): Promise<any> {
    const started = await startUpload(app, person, { name, size: bytes.length });
    const { status } = await patch(started.uploadUrl, 0, bytes);
    assert.equal(status, 204);
    const transfer = await settled(app, person, started.transfer.id);
    assert.equal(transfer.state, 'SUCCEEDED', JSON.stringify(transfer));
    return transfer;
  }

  async function ticket(id: string): Promise<string> {
    const document = `mutation ($id: ID!) { createDownloadTicket(input: { file: { id: $id } }) {
      __typename ... on CreateDownloadTicketPayload { ticket { url } } ... on UserError { message } } }`;
    const { data } = await app.graphql(document, { id }, person.token);
    assert.ok(data?.createDownloadTicket.ticket, JSON.stringify(data));
    return data.createDownloadTicket.ticket.url;
  }
});
