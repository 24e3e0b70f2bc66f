/**
 * A large file on its way to 115 through a server that is killed, a storage that fails, and credentials that run out:
 *   npm run test:crash:pan115              300 MiB in parts of 10 MiB
 *   CRASH_MIB=1000 npm run test:crash:pan115
 * The servers are real ones; behind them is the imitation of 115 and its storage.
 */
import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Pan115Fake, startPan115Fake } from '../../src/drives/pan115/fake/index.ts';
import { ServerProcess } from '../support/process.ts';

export interface Pan115Crash {
  readonly bytes: number;
  readonly partBytes: number;
}

export interface Pan115CrashReport {
  /** In the file. */
  readonly parts: number;
  /** That came to the storage, those that came twice counted twice. */
  readonly partsReceived: number;
  readonly kills: number;
  /** Times that 115 was asked for credentials of the storage. */
  readonly credentials: number;
  /** Of the file at 115 and of what was sent. */
  readonly sha256: string;
}

const MIB = 1024 * 1024;
const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
/** How often the state of the transfer is looked at, in milliseconds. */
const LOOK_MS = 100;

/** @throws AssertionError when the file at 115 is not the one that was sent, or is there twice. */
export async function crashPan115Upload({ bytes, partBytes }: Pan115Crash): Promise<Pan115CrashReport> {
  const dataDir = await mkdtemp(join(tmpdir(), 'panql-crash-'));
  const fake = await startPan115Fake();
  const user = fake.createUser();
  const parts = Math.ceil(bytes / partBytes);
  let server = startServer(dataDir, fake, partBytes);
  try {
    const troubles = trouble(fake, parts);
    const client = new Client(await server.url());
    const accountId = await client.link(fake.grant(user));
    const sent = createHash('sha256');
    const transferId = await client.upload(accountId, bytes, (chunk) => sent.update(chunk));

    await troubles.killPart;
    server.child.kill('SIGKILL');
    await server.exited;
    troubles.release();
    server = startServer(dataDir, fake, partBytes);
    client.url = await server.url();
    await client.succeeded(transferId);

    const stored = fake.bytesAt(user, '/large.bin') ?? assert.fail('the file is not there');
    const sha256 = createHash('sha256').update(stored).digest('hex');
    assert.equal(sha256, sent.digest('hex'), 'the bytes are others');
    assert.deepEqual(fake.paths(user), ['/large.bin'], 'the file is there once');
    assert.deepEqual(fake.violations, []);
    assert.equal(troubles.struck(), 3, 'all that was to happen has happened');
    assert.equal(fake.count('resume'), 1, '115 was asked to go on');
    return { parts, partsReceived: fake.partsReceived, kills: 1, credentials: fake.count('get_token'), sha256 };
  } finally {
    server.child.kill('SIGKILL');
    await server.exited;
    await fake.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** One part fails, the server dies with one under way, and the credentials run out, in this order. */
function trouble(fake: Pan115Fake, parts: number) {
  const at = (share: number): string => String(Math.max(1, Math.floor(parts * share)));
  const isPart = (share: number) => ({
    endpoint: 'oss.part',
    when: ({ query }: { readonly query: URLSearchParams }) => query.get('partNumber') === at(share),
  });
  const arrived = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const failed = fake.faults.inject({ kind: 'oss', status: 500, code: 'InternalError', match: isPart(0.25) });
  const held = fake.faults.inject({
    kind: 'slow',
    until: released.promise,
    match: {
      ...isPart(0.5),
      when: (call) => {
        const isIt = isPart(0.5).when(call);
        if (isIt) arrived.resolve();
        return isIt;
      },
    },
  });
  let expired = 0;
  // Never strikes: it looks at what comes, and lets the credentials run out just before that part is judged.
  fake.faults.inject({
    kind: 'hang',
    match: {
      endpoint: 'oss.part',
      when: (call) => {
        if (expired === 0 && isPart(0.75).when(call)) {
          expired = 1;
          fake.expireCredentials();
        }
        return false;
      },
    },
  });
  return {
    killPart: arrived.promise,
    release: () => released.resolve(),
    struck: () => failed.hits + held.hits + expired,
  };
}

const startServer = (dataDir: string, fake: Pan115Fake, partBytes: number): ServerProcess =>
  new ServerProcess(MAIN, {
    NODE_ENV: 'test',
    DATA_DIR: dataDir,
    PAN115_PASSPORT_URL: fake.urls.passport,
    PAN115_QRCODE_URL: fake.urls.qrcode,
    PAN115_API_URL: fake.urls.api,
    PAN115_OSS_URL: fake.urls.oss,
    PAN115_PART_BYTES: String(partBytes),
    OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
  });

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

class Client {
  url: string;
  #token = '';

  constructor(url: string) {
    this.url = url;
  }

  async link({ accessToken, refreshToken }: { readonly accessToken: string; readonly refreshToken: string }) {
    const register = `mutation { register(input: { username: "crash", password: "a long enough secret" }) {
      ... on RegisterPayload { session { accessToken } } ... on UserError { message } } }`;
    this.#token = (await this.#ask(register)).register.session.accessToken;
    const upsert = `mutation ($input: UpsertAccountTokensInput!) { upsertAccountTokens(input: $input) {
      ... on UpsertAccountTokensPayload { account { root { id } } } ... on UserError { message } } }`;
    const input = { provider: 'PAN115', accessToken, refreshToken, expiresInSeconds: 7200 };
    return (await this.#ask(upsert, { input })).upsertAccountTokens.account.root.id as string;
  }

  async upload(parentId: string, size: number, onChunk: (chunk: Buffer) => void): Promise<string> {
    const start = `mutation ($input: StartUploadInput!) { startUpload(input: $input) {
      ... on StartUploadPayload { uploadUrl transfer { id } } ... on UserError { message } } }`;
    const input = { parent: { id: parentId }, name: 'large.bin', size };
    const { uploadUrl, transfer } = (await this.#ask(start, { input })).startUpload;
    const cipher = createCipheriv('aes-256-ctr', createHash('sha256').update('large').digest(), Buffer.alloc(16));
    for (let offset = 0; offset < size; ) {
      const chunk = cipher.update(Buffer.alloc(Math.min(8 * MIB, size - offset)));
      onChunk(chunk);
      const response = await fetch(uploadUrl, {
        method: 'PATCH',
        headers: {
          'tus-resumable': '1.0.0',
          'upload-offset': String(offset),
          'content-type': 'application/offset+octet-stream',
        },
        body: new Uint8Array(chunk),
      });
      assert.equal(response.status, 204);
      offset += chunk.length;
    }
    return transfer.id;
  }

  async succeeded(id: string): Promise<void> {
    const look = 'query ($id: ID!) { node(id: $id) { ... on Transfer { state error { code message } } } }';
    for (;;) {
      const { node } = await this.#ask(look, { id });
      if (node.state === 'SUCCEEDED') return;
      assert.ok(node.state !== 'FAILED' && node.state !== 'CANCELLED', JSON.stringify(node));
      await delay(LOOK_MS);
    }
  }

  async #ask(query: string, variables: object = {}): Promise<Answer> {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as Answer;
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  }
}

if (import.meta.main) {
  const run = { bytes: Number(process.env.CRASH_MIB ?? 300) * MIB, partBytes: 10 * MIB };
  process.stdout.write(`crash test of an upload to 115: ${JSON.stringify(run)}\n`);
  process.stdout.write(`held: ${JSON.stringify(await crashPan115Upload(run))}\n`);
}
