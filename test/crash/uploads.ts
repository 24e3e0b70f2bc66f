/**
 * Kills the real server again and again while clients upload, and looks at what is left:
 *   npm run test:crash:uploads                 50 uploads, 25 kills
 *   CRASH_SEED=7 npm run test:crash:uploads    the same sizes and moments as a run before
 *   CRASH_UPLOADS=200 CRASH_KILLS=60 …     more of them
 *   CRASH_DATABASE_URL=postgres://… …      on an empty PostgreSQL database, where leases must run out first: slower
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../demo/process.ts';
import { Hub } from '../../src/events/hub.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { BlobStore } from '../../src/storage/blobs/store.ts';
import { Transfer } from '../../src/storage/entities/transfer.ts';
import { openStorage } from '../../src/storage/orm.ts';
import { openTransfers } from '../../src/transfers/open.ts';
import { KilledServer, killOften, RETRY_MS, randomFrom } from './killed-server.ts';

export interface CrashRun {
  readonly uploads: number;
  readonly kills: number;
  readonly seed: number;
  /** Largest file, in bytes. */
  readonly bytesMax: number;
  /** Default SQLite. */
  readonly databaseUrl?: string | undefined;
}

export interface CrashReport {
  readonly kills: number;
  /** Requests that met a dead server. */
  readonly broken: number;
  /** Uploads that went on behind bytes which a killed server had acknowledged. */
  readonly resumed: number;
}

/** Uploads at one time, as an app on a phone has. */
const CONCURRENCY = 6;

/** @throws AssertionError when a promise is broken: a lost, doubled or half file, or something left behind. */
export async function crashUploads(run: CrashRun): Promise<CrashReport> {
  const random = randomFrom(run.seed);
  const dataDir = await mkdtemp(join(tmpdir(), 'panql-crash-'));
  const databaseUrl = run.databaseUrl ?? `sqlite:${join(dataDir, 'panql.sqlite')}`;
  const server = new KilledServer(dataDir, databaseUrl, await freePort());
  try {
    await server.start();
    const person = await register(server);
    const files = Array.from({ length: run.uploads }, (_, index) => makeFile(index, random, run.bytesMax));
    const work = new Work(server, person, files, run.kills);
    await Promise.all([work.uploadAll(), killOften(server, random, run.kills, work.isDone)]);

    await work.verify();
    await server.stop();
    await verifyNothingLeft(dataDir, databaseUrl, files);
    return { kills: server.kills, broken: work.broken, resumed: work.resumed };
  } catch (error) {
    throw new Error(`seed ${run.seed}: a promise is broken. The server said last:\n${server.output}`, { cause: error });
  } finally {
    server.kill();
    await rm(dataDir, { recursive: true, force: true });
  }
}

interface Person {
  readonly token: string;
  /** Global id of the root folder. */
  readonly root: string;
}

interface CrashFile {
  readonly name: string;
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly chunkBytes: number;
  /** Before each chunk, as a line takes its time. */
  readonly pauseMs: number;
  readonly promisesHash: boolean;
}

function makeFile(index: number, random: () => number, bytesMax: number): CrashFile {
  // Many small ones, some empty, few large ones.
  const size = Math.floor(random() ** 3 * bytesMax) - 200;
  const bytes = Buffer.alloc(Math.max(0, size));
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  return {
    name: `file-${index}`,
    bytes,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    chunkBytes: Math.max(1, Math.ceil(bytes.length / (1 + Math.floor(random() * 8)))),
    pauseMs: random() * 120,
    promisesHash: random() < 0.5,
  };
}

/** The clients, and what they know. */
class Work {
  broken = 0;
  resumed = 0;
  readonly #server: KilledServer;
  readonly #person: Person;
  readonly #files: readonly CrashFile[];
  readonly #kills: number;
  #done = false;

  constructor(server: KilledServer, person: Person, files: readonly CrashFile[], kills: number) {
    this.#server = server;
    this.#person = person;
    this.#files = files;
    this.#kills = kills;
  }

  readonly isDone = (): boolean => this.#done;

  async uploadAll(): Promise<void> {
    const next = this.#files.entries();
    const client = async (): Promise<void> => {
      for (const [index, file] of next) {
        // Spread over the kills: otherwise all would be done before the second one.
        while (this.#server.kills < Math.floor((index * this.#kills) / this.#files.length)) await delay(RETRY_MS);
        await this.#upload(file);
        await this.#verifyNoHalf();
      }
    };
    try {
      await Promise.all(Array.from({ length: CONCURRENCY }, client));
    } finally {
      this.#done = true;
    }
  }

  /** Every file once, with its bytes; every transfer at its end, but those whose beginning nobody was told of. */
  async verify(): Promise<void> {
    const listed = await this.#list();
    assert.deepEqual(
      [...listed.keys()].toSorted(),
      this.#files.map(({ name }) => name).toSorted(),
      'each file is there once, and no other',
    );
    for (const file of this.#files) {
      const { id } = listed.get(file.name) ?? { id: '' };
      const { ticket } = await this.#ask(
        'createDownloadTicket',
        'CreateDownloadTicketInput',
        { file: { id } },
        'ticket { url }',
      );
      const bytes = Buffer.from(await (await fetch(ticket.url)).arrayBuffer());
      assert.ok(bytes.equals(file.bytes), `${file.name} has other bytes than were sent`);
    }
  }

  async #upload(file: CrashFile): Promise<void> {
    for (;;) {
      const hashes = file.promisesHash ? [{ algorithm: 'SHA256', value: file.sha256 }] : [];
      const input = { parent: { id: this.#person.root }, name: file.name, size: file.bytes.length, hashes };
      const payload = 'uploadUrl transfer { id state }';
      const started = await this.#ask('startUpload', 'StartUploadInput', input, payload);
      // An earlier try began it, and the answer was lost; a file of no bytes needs no more.
      if (started.code === 'ALREADY_EXISTS') return;
      assert.ok(started.transfer, JSON.stringify(started));
      if (await this.#send(file, started.uploadUrl, started.transfer.id)) return;
    }
  }

  /** False: the upload is gone, cleanly, and is to be begun anew. */
  async #send(file: CrashFile, url: string | null, id: string): Promise<boolean> {
    if (url !== null) {
      for (let offset = 0; offset < file.bytes.length; ) {
        await delay(file.pauseMs);
        const sent = await this.#patch(url, offset, file.bytes.subarray(offset, offset + file.chunkBytes));
        if (sent !== null) offset = sent;
        else {
          const told = await this.#offset(url);
          if (told === null) return false;
          assert.ok(told >= offset, `${file.name}: ${offset} bytes were acknowledged, and only ${told} are there`);
          if (told > 0) this.resumed += 1;
          offset = told;
        }
      }
    }
    const state = await this.#finalState(id);
    // Two beginnings of one file, of which the client knows one: the other may have been first.
    return state !== 'CANCELLED';
  }

  async #patch(url: string, offset: number, bytes: Buffer): Promise<number | null> {
    const headers = {
      'tus-resumable': '1.0.0',
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
    };
    const response = await this.#try(url, { method: 'PATCH', headers, body: new Uint8Array(bytes) });
    return response?.status === 204 ? Number(response.headers.get('upload-offset')) : null;
  }

  async #offset(url: string): Promise<number | null> {
    for (;;) {
      const response = await this.#try(url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
      if (response?.status === 200) return Number(response.headers.get('upload-offset'));
      if (response?.status === 404 || response?.status === 410) return null;
      await delay(RETRY_MS);
    }
  }

  async #finalState(id: string): Promise<string> {
    for (;;) {
      const query = 'query ($id: ID!) { node(id: $id) { ... on Transfer { state error { code message } } } }';
      const { node } = await this.#query(query, { id });
      if (node.state === 'SUCCEEDED') return node.state;
      assert.ok(node.state !== 'FAILED', JSON.stringify(node));
      if (node.state === 'CANCELLED') return node.state;
      await delay(RETRY_MS);
    }
  }

  /** At no moment is a file seen that has not all its bytes. */
  async #verifyNoHalf(): Promise<void> {
    const listed = await this.#list();
    for (const { name, bytes } of this.#files) {
      const size = listed.get(name)?.size;
      assert.ok(size === undefined || size === bytes.length, `${name} is seen with ${size} of ${bytes.length} bytes`);
    }
  }

  async #list(): Promise<ReadonlyMap<string, { readonly id: string; readonly size: number }>> {
    const query = `query ($id: ID!, $after: String) { node(id: $id) { ... on Folder { children(first: 100, after: $after) {
      nodes { id name size } pageInfo { hasNextPage endCursor } } } } }`;
    const listed = new Map<string, { id: string; size: number }>();
    for (let after: string | null = null; ; ) {
      const { node } = await this.#query(query, { id: this.#person.root, after });
      for (const { id, name, size } of node.children.nodes) {
        assert.ok(!listed.has(name), `${name} is there twice`);
        listed.set(name, { id, size });
      }
      if (!node.children.pageInfo.hasNextPage) return listed;
      after = node.children.pageInfo.endCursor;
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  async #ask(mutation: string, type: string, input: object, payload: string): Promise<any> {
    const name = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Payload`;
    const query = `mutation ($input: ${type}!) { result: ${mutation}(input: $input) { ... on ${name} { ${payload} } ... on UserError { code message } } }`;
    return (await this.#query(query, { input })).result;
  }

  /** Asks until there is an answer. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  async #query(query: string, variables: object): Promise<any> {
    for (;;) {
      const response = await this.#try(`${this.#server.url}/graphql`, post({ query, variables }, this.#person.token));
      const answer = await response?.json().catch(() => null);
      if (answer?.data && !answer.errors) return answer.data;
      if (answer) assert.fail(JSON.stringify(answer));
      await delay(RETRY_MS);
    }
  }

  async #try(url: string, init: RequestInit): Promise<Response | null> {
    try {
      return await fetch(url, init);
    } catch {
      this.broken += 1;
      await delay(RETRY_MS);
      return null; // The server died, or is not yet up.
    }
  }
}

const post = (body: object, token?: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
  body: JSON.stringify(body),
});

async function register({ url }: KilledServer): Promise<Person> {
  const query = `mutation { register(input: { username: "crash", password: "a long enough secret" }) {
    ... on RegisterPayload { session { accessToken } user { accounts(first: 1) { nodes { root { id } } } } }
    ... on UserError { message } } }`;
  const answer = await (await fetch(`${url}/graphql`, post({ query }))).json();
  const { session, user } = answer.data.register;
  return { token: session.accessToken, root: user.accounts.nodes[0].root.id };
}

/** Once everything has had its time, the disk holds each content once and nothing else. */
async function verifyNothingLeft(dataDir: string, databaseUrl: string, files: readonly CrashFile[]): Promise<void> {
  const log = createLog({ level: 'silent' });
  const storage = await openStorage({ url: new Secret(databaseUrl), log });
  const events = await Hub.open(log);
  try {
    const openDrive = async (): Promise<never> => assert.fail('nothing is to be sent');
    const uploadExpiryMs = 3_600_000;
    const works = await openTransfers({ storage, events, clock: systemClock, log, dataDir, uploadExpiryMs, openDrive });
    // What waits for bytes that nobody will send has expired, and every file of the spool is old.
    await storage.fork().nativeUpdate(Transfer, { state: 'WAITING' }, { expiresAt: new Date(0) });
    const spool = join(dataDir, 'spool');
    for (const name of await readdir(spool)) await utimes(join(spool, name), 0, 0);
    await works.sweep();
    assert.deepEqual(await readdir(spool), [], 'the spool is empty');

    const blobs = join(dataDir, 'blobs');
    await new BlobStore(blobs, storage, systemClock).sweep({ unreferencedMs: 0, strayMs: 0 });
    const names = (await readdir(blobs, { recursive: true })).map((path) => path.slice(path.lastIndexOf('/') + 1));
    const kept = names.filter((name) => /^[0-9a-f]{64}$/.test(name)).toSorted();
    assert.deepEqual(kept, [...new Set(files.map(({ sha256 }) => sha256))].toSorted(), 'each content is kept once');
  } finally {
    await events.close();
    await storage.close();
  }
}

if (import.meta.main) {
  const setting = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
  const run: CrashRun = {
    uploads: setting('CRASH_UPLOADS', 50),
    kills: setting('CRASH_KILLS', 25),
    seed: setting('CRASH_SEED', Math.floor(Math.random() * 2 ** 31)),
    bytesMax: 24 * 1024 * 1024,
    databaseUrl: process.env.CRASH_DATABASE_URL,
  };
  const { databaseUrl: _secret, ...shown } = run;
  process.stdout.write(`crash test of uploads: ${JSON.stringify(shown)}\n`);
  process.stdout.write(`held: ${JSON.stringify(await crashUploads(run))}\n`);
}
