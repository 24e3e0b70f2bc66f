/**
 * Kills the real server again and again while files are brought in on every way and to every drive, with the clouds behind
 * faults: of their requests some are throttled, refused, lost, cut or late. Then it looks at what is there.
 *   npm run test:crash                     200 transfers, 20 kills, 5 % faults
 *   CRASH_SEED=7 npm run test:crash        the same transfers, sizes, moments and faults as a run before
 *   CRASH_TRANSFERS=50 CRASH_KILLS=5 …     fewer of them
 */
import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../demo/process.ts';
import { Hub } from '../../src/events/hub.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { Transfer } from '../../src/storage/entities/transfer.ts';
import { openStorage } from '../../src/storage/orm.ts';
import { openTransfers } from '../../src/transfers/open.ts';
import { type CrashCloud, startCrashClouds } from './clouds.ts';
import { type FaultPlan, newFaultPlan, startFaultProxy } from './fault-proxy.ts';
import { KilledServer, killOften, RETRY_MS, randomFrom } from './killed-server.ts';

export interface CrashRun {
  readonly transfers: number;
  readonly kills: number;
  readonly seed: number;
  /** Of the requests to clouds and other servers, from 0 to 1. */
  readonly faultRate: number;
  /** Largest file, in bytes. */
  readonly bytesMax: number;
  readonly log?: (line: string) => void;
}

export interface CrashReport {
  readonly kills: number;
  /** Requests that met a dead server. */
  readonly broken: number;
  readonly faults: Readonly<Record<string, number>>;
  /** By kind and drive, how many succeeded and how many failed. */
  readonly outcomes: Readonly<Record<string, string>>;
  /** Why some failed. */
  readonly failures: readonly string[];
}

const KINDS = ['upload', 'text', 'url', 'import', 'copy', 'tree'] as const;
type Kind = (typeof KINDS)[number];

/** Files of one run that are under way at one time. */
const CONCURRENCY = 8;
/** How often a transfer that failed for a reason which may pass is retried by hand. */
const RETRIES = 3;
/** How often a job asks how its transfer is, in milliseconds. */
const LOOK_MS = 250;

interface Job {
  readonly kind: Kind;
  readonly name: string;
  /** By path below the root of the target. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly target: string;
  /** Of a copy: the drive that it comes from. */
  readonly source: string;
}

interface Outcome {
  readonly job: Job;
  readonly succeeded: boolean;
  readonly reason: string | null;
}

/** @throws AssertionError when a promise is broken: a lost, doubled or other file, or something left behind. */
export async function crashTransfers(run: CrashRun): Promise<CrashReport> {
  const random = randomFrom(run.seed);
  const plan = newFaultPlan(run.seed);
  const folder = await mkdtemp(join(tmpdir(), 'panql-crash-'));
  const [dataDir, importDir] = [join(folder, 'data'), join(folder, 'import')];
  await mkdir(importDir);
  const databaseUrl = `sqlite:${join(dataDir, 'panql.sqlite')}`;
  const clouds = await startCrashClouds(plan);
  const web = await startWeb(plan);
  const server = new KilledServer(dataDir, databaseUrl, await freePort(), {
    IMPORT_DIRS: importDir,
    OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
    ...Object.assign({}, ...clouds.map(({ settings }) => settings)),
  });
  await mkdir(dataDir);
  try {
    await server.start();
    const drives = ['LOCAL', ...clouds.map(({ provider }) => provider)];
    const jobs = Array.from({ length: run.transfers }, (_, index) => makeJob(index, random, drives, run));
    const work = new Work({ server, clouds, web, importDir, run, jobs });
    await work.prepare();
    plan.rate = run.faultRate;
    await Promise.all([work.doAll(), killOften(server, random, run.kills, work.isDone, work.progress)]);
    plan.rate = 0;
    await work.verify();
    await server.stop();
    await verifyNothingLeft(dataDir, databaseUrl);
    for (const { provider, violations } of clouds) {
      assert.deepEqual(violations(), [], `${provider} was asked for what its documents forbid`);
    }
    return work.report(plan);
  } catch (error) {
    // At once: what is closed below may wait for those who still ask.
    process.stderr.write(`${error}\n`);
    throw new Error(`seed ${run.seed}: a promise is broken. The server said last:\n${server.output}`, { cause: error });
  } finally {
    server.kill();
    await web.close();
    await Promise.all(clouds.map((cloud) => cloud.close()));
    await rm(folder, { recursive: true, force: true });
  }
}

function makeJob(index: number, random: () => number, drives: readonly string[], { bytesMax, seed }: CrashRun): Job {
  // Each kind meets each drive, whatever their numbers.
  const kind = KINDS[index % KINDS.length] as Kind;
  const target = drives[(index + Math.floor(index / KINDS.length)) % drives.length] ?? '';
  const others = drives.filter((drive) => drive !== target);
  const source = others[Math.floor(random() * others.length)] ?? '';
  const name = `job-${index}-${kind}`;
  const bytes = (): Buffer => madeBytes(1 + Math.floor(random() ** 3 * bytesMax), `${seed}/${index}/${random()}`);
  if (kind !== 'tree') {
    const content = kind === 'text' ? Buffer.from(bytes().subarray(0, 40_000).toString('base64')) : bytes();
    return { kind, name, target, source, files: new Map([[`/${name}`, content]]) };
  }
  const files = ['a', 'b', 'sub/c', 'sub/d'].map((path) => [`/${name}/${path}`, bytes()] as const);
  return { kind, name, target, source, files: new Map(files) };
}

/** The same for the same text, and not like any others. */
function madeBytes(length: number, text: string): Buffer {
  const key = createHash('sha256').update(text).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

interface Web {
  readonly url: string;
  readonly files: Map<string, Buffer>;
  close(): Promise<void>;
}

/** Another server with files: it knows ranges and validators, and is behind the same faults. */
async function startWeb(plan: FaultPlan): Promise<Web> {
  const files = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const bytes = files.get(request.url ?? '');
    if (!bytes) return void response.writeHead(404).end();
    const etag = `"${createHash('sha256').update(bytes).digest('hex')}"`;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from === 0 || request.headers['if-range'] !== etag) return void response.writeHead(200, { etag }).end(bytes);
    const range = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(206, { etag, ...range }).end(bytes.subarray(from));
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const proxy = await startFaultProxy('web', `http://127.0.0.1:${(server.address() as AddressInfo).port}`, plan);
  return {
    url: proxy.url,
    files,
    close: async () => {
      await proxy.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

interface WorkParts {
  readonly server: KilledServer;
  readonly clouds: readonly CrashCloud[];
  readonly web: Web;
  readonly importDir: string;
  readonly run: CrashRun;
  readonly jobs: readonly Job[];
}

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const ERROR = '... on UserError { code message retryable }';
const TRANSFER = `transfer { id state error { ${ERROR} } }`;

/** The clients, and what they know. */
class Work {
  readonly #parts: WorkParts;
  readonly #accounts = new Map<string, string>();
  readonly #outcomes: Outcome[] = [];
  #token = '';
  #broken = 0;
  #done = false;

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  readonly isDone = (): boolean => this.#done;
  /** What part of the jobs has ended. */
  readonly progress = (): number => this.#outcomes.length / this.#parts.jobs.length;

  /** Registers, links each cloud, and puts in place what will be copied and fetched. */
  async prepare(): Promise<void> {
    const { clouds, jobs, web, importDir } = this.#parts;
    const { register } =
      await this.#query(`mutation { register(input: { username: "crash", password: "a long enough secret" }) {
      ... on RegisterPayload { session { accessToken } user { accounts(first: 1) { nodes { id } } } } } }`);
    this.#token = register.session.accessToken;
    this.#accounts.set('LOCAL', register.user.accounts.nodes[0].id);
    for (const { provider, link } of clouds) {
      const { linked } = await this.#query(link);
      assert.ok(linked.account, JSON.stringify(linked));
      this.#accounts.set(provider, linked.account.id);
    }
    await this.#folder('LOCAL', '/', 'sources');
    for (const job of jobs) {
      for (const [path, bytes] of job.files) {
        if (job.kind === 'url') web.files.set(path, bytes);
        if (job.kind === 'import') await writeFile(join(importDir, job.name), bytes);
        if (job.kind !== 'copy' && job.kind !== 'tree') continue;
        const cloud = clouds.find(({ provider }) => provider === job.source);
        if (cloud) cloud.seed(`/sources${path}`, bytes);
        else await this.#putLocal(`/sources${path}`, bytes);
      }
    }
  }

  async doAll(): Promise<void> {
    const { jobs, run } = this.#parts;
    const next = jobs.values();
    const client = async (): Promise<void> => {
      for (const job of next) {
        const outcome = await this.#do(job);
        this.#outcomes.push(outcome);
        run.log?.(`${this.#outcomes.length}/${jobs.length} ${job.name} to ${job.target}: ${outcome.reason ?? 'there'}`);
      }
    };
    try {
      await Promise.all(Array.from({ length: CONCURRENCY }, client));
    } finally {
      this.#done = true;
    }
  }

  /** Each file that is told to be there is there once, with its bytes; of those that failed there is none. */
  async verify(): Promise<void> {
    for (const drive of this.#accounts.keys()) {
      const outcomes = this.#outcomes.filter(({ job }) => job.target === drive);
      const expected = outcomes.filter(({ succeeded }) => succeeded).map(({ job }) => job.name);
      const failedTrees = outcomes.filter(({ job, succeeded }) => !succeeded && job.kind === 'tree');
      const partial = new Set(failedTrees.map(({ job }) => job.name)); // Its files that came stay, and are told of.
      const names = (await this.#names(drive, '/')).filter((name) => name.startsWith('job-') && !partial.has(name));
      assert.deepEqual(names.toSorted(), expected.toSorted(), `${drive}: each is there once, and no other`);
      for (const { job, succeeded } of outcomes) {
        if (!succeeded) continue;
        for (const [path, bytes] of job.files) {
          const held = await this.#bytesAt(drive, path);
          assert.ok(held?.equals(bytes), `${drive}: ${path} has other bytes, or is not there`);
        }
        if (job.kind !== 'tree') continue;
        assert.deepEqual((await this.#names(drive, `/${job.name}`)).toSorted(), ['a', 'b', 'sub']);
        assert.deepEqual((await this.#names(drive, `/${job.name}/sub`)).toSorted(), ['c', 'd']);
      }
    }
  }

  report({ counts }: FaultPlan): CrashReport {
    const outcomes: Record<string, string> = {};
    for (const [key, all] of Map.groupBy(this.#outcomes, ({ job }) => `${job.kind} to ${job.target}`)) {
      const succeeded = all.filter((one) => one.succeeded).length;
      outcomes[key] = `${succeeded} there, ${all.length - succeeded} failed`;
    }
    return {
      kills: this.#parts.server.kills,
      broken: this.#broken,
      faults: Object.fromEntries(counts),
      outcomes,
      failures: this.#outcomes.flatMap(({ job, reason }) =>
        reason === null ? [] : [`${job.name} to ${job.target}: ${reason}`],
      ),
    };
  }

  async #do(job: Job): Promise<Outcome> {
    for (let tries = 0; ; tries += 1) {
      const begun = await this.#begin(job);
      if (begun.error) {
        if (!begun.error.retryable || tries >= RETRIES) return this.#failed(job, begun.error);
        await delay(1_000);
      } else if (begun.transfer === null) return { job, succeeded: true, reason: null };
      else {
        const ended = await this.#follow(job, begun.transfer);
        if (ended !== 'gone') return ended;
      }
    }
  }

  readonly #failed = (job: Job, { code, message }: Answer): Outcome => ({
    job,
    succeeded: false,
    reason: `${code}: ${message}`,
  });

  /** Asks for the job, with its key: however often it is asked, it is begun once. */
  async #begin(job: Job): Promise<{ readonly transfer: Answer; readonly error: Answer }> {
    const { web, importDir, run } = this.#parts;
    const parent = this.#at(job.target, '/');
    const [bytes = Buffer.alloc(0)] = job.files.values();
    const common = { parent, name: job.name, idempotencyKey: `${run.seed}-${job.name}` };
    switch (job.kind) {
      case 'upload': {
        const started = await this.#ask('startUpload', { ...common, size: bytes.length }, `uploadUrl ${TRANSFER}`);
        if (started.uploadUrl) await this.#send(started.uploadUrl, bytes);
        return this.#begun(started);
      }
      case 'text':
        return this.#begun(await this.#ask('uploadText', { ...common, content: bytes.toString() }, TRANSFER));
      case 'url':
        return this.#begun(await this.#ask('uploadFromUrl', { ...common, url: `${web.url}/${job.name}` }, TRANSFER));
      case 'import':
        return this.#begun(
          await this.#ask('importServerFile', { ...common, path: join(importDir, job.name) }, TRANSFER),
        );
      default: {
        const input = {
          entries: [this.#at(job.source, `/sources/${job.name}`)],
          destination: parent,
          idempotencyKey: common.idempotencyKey,
        };
        const copied = await this.#ask('copyEntries', input, `results { entry { id } ${TRANSFER} error { ${ERROR} } }`);
        const [result] = copied.results ?? [{ transfer: null, error: copied }];
        return { transfer: result.transfer, error: result.error };
      }
    }
  }

  #begun(answer: Answer): { readonly transfer: Answer; readonly error: Answer } {
    return answer.transfer ? { transfer: answer.transfer, error: null } : { transfer: null, error: answer };
  }

  /** To its end; what failed for a reason that may pass is retried some times. */
  async #follow(job: Job, { id }: Answer): Promise<Outcome | 'gone'> {
    for (let retries = 0; ; ) {
      const { node } = await this.#query(
        `query ($id: ID!) { node(id: $id) { ... on Transfer { state error { ${ERROR} } } } }`,
        { id },
      );
      if (node.state === 'SUCCEEDED') return { job, succeeded: true, reason: null };
      if (node.state === 'CANCELLED') return this.#failed(job, node.error ?? { code: 'CANCELLED', message: '' });
      if (node.state === 'FAILED') {
        if (!node.error.retryable || retries >= RETRIES) return this.#failed(job, node.error);
        retries += 1;
        await this.#query(`mutation ($id: ID!) { retryTransfer(input: { id: $id }) { ${ERROR} } }`, { id });
      }
      await delay(LOOK_MS);
    }
  }

  /** By tus, behind what is there already. */
  async #send(url: string, bytes: Buffer): Promise<void> {
    const headers = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' };
    const chunk = Math.max(1, Math.ceil(bytes.length / 3));
    for (;;) {
      const told = await this.#try(url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
      if (told?.status === 404 || told?.status === 410) return; // Given up, cleanly: the transfer tells why.
      const offset = Number(told?.headers.get('upload-offset') ?? Number.NaN);
      if (offset === bytes.length) return;
      if (Number.isNaN(offset)) continue;
      const body = new Uint8Array(bytes.subarray(offset, offset + chunk));
      await this.#try(url, { method: 'PATCH', headers: { ...headers, 'upload-offset': String(offset) }, body });
    }
  }

  async #putLocal(path: string, bytes: Buffer): Promise<void> {
    const names = path.split('/').slice(1);
    for (const [index, name] of names.slice(0, -1).entries()) {
      await this.#folder('LOCAL', `/${names.slice(0, index).join('/')}`, name);
    }
    const parent = this.#at('LOCAL', `/${names.slice(0, -1).join('/')}`);
    const input = { parent, name: names.at(-1), size: bytes.length };
    const started = await this.#ask('startUpload', input, `uploadUrl ${TRANSFER}`);
    await this.#send(started.uploadUrl, bytes);
  }

  async #folder(drive: string, path: string, name: string): Promise<void> {
    const made = await this.#ask('createFolder', { parent: this.#at(drive, path), name }, 'folder { id }');
    assert.ok(made.folder || made.code === 'ALREADY_EXISTS', JSON.stringify(made));
  }

  async #names(drive: string, path: string): Promise<string[]> {
    const names: string[] = [];
    for (let after: string | null = null; ; ) {
      const { entry } = await this.#query(
        `query ($ref: EntryRef!, $after: String) { entry(ref: $ref) { ... on Folder { children(first: 100, after: $after) {
          nodes { name } pageInfo { hasNextPage endCursor } } } } }`,
        { ref: this.#at(drive, path), after },
      );
      assert.ok(entry, `${drive} has no ${path}`);
      names.push(...entry.children.nodes.map(({ name }: Answer) => name));
      if (!entry.children.pageInfo.hasNextPage) return names;
      after = entry.children.pageInfo.endCursor;
    }
  }

  /** Of a cloud what it really has; of the built-in drive what is downloaded. */
  async #bytesAt(drive: string, path: string): Promise<Buffer | null> {
    const cloud = this.#parts.clouds.find(({ provider }) => provider === drive);
    if (cloud) return cloud.bytesAt(path);
    const { ticket } = await this.#ask('createDownloadTicket', { file: this.#at(drive, path) }, 'ticket { url }');
    return ticket ? Buffer.from(await (await fetch(ticket.url)).arrayBuffer()) : null;
  }

  #at(drive: string, path: string): object {
    return { path: { accountId: this.#accounts.get(drive), path } };
  }

  async #ask(mutation: string, input: object, payload: string): Promise<Answer> {
    const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`;
    const query = `mutation ($input: ${type}Input!) { result: ${mutation}(input: $input) { ... on ${type}Payload { ${payload} } ${ERROR} } }`;
    return (await this.#query(query, { input })).result;
  }

  /** Asks until there is an answer. */
  async #query(query: string, variables: object = {}): Promise<Answer> {
    const headers = {
      'content-type': 'application/json',
      ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
    };
    for (;;) {
      const init = { method: 'POST', headers, body: JSON.stringify({ query, variables }) };
      const response = await this.#try(`${this.#parts.server.url}/graphql`, init);
      const answer = (await response?.json().catch(() => null)) as Answer;
      if (answer?.data && !answer.errors) return answer.data;
      const passing = answer?.errors?.every(({ extensions }: Answer) => extensions?.retryable === true);
      if (answer && !passing) assert.fail(`${query}: ${JSON.stringify(answer)}`);
      await delay(RETRY_MS);
    }
  }

  async #try(url: string, init: RequestInit): Promise<Response | null> {
    try {
      return await fetch(url, init);
    } catch {
      this.#broken += 1;
      await delay(RETRY_MS);
      return null; // The server died, or is not yet up.
    }
  }
}

/** Once everything has had its time, the spool is empty, and no transfer at its end holds a session at a provider. */
async function verifyNothingLeft(dataDir: string, databaseUrl: string): Promise<void> {
  const log = createLog({ level: 'silent' });
  const storage = await openStorage({ url: new Secret(databaseUrl), log });
  const events = await Hub.open(log);
  try {
    const unfinished = await storage.fork().count(Transfer, { state: { $nin: ['SUCCEEDED', 'FAILED', 'CANCELLED'] } });
    const openDrive = async (): Promise<never> => assert.fail('nothing is to be sent');
    const works = await openTransfers({
      storage,
      events,
      clock: systemClock,
      log,
      dataDir,
      uploadExpiryMs: 1,
      openDrive,
    });
    // What failed, and nobody retried in time; and files whose rows were never made, by now old.
    await storage.fork().nativeUpdate(Transfer, { state: 'FAILED' }, { expiresAt: new Date(0), driverSession: null });
    await storage.fork().nativeUpdate(Transfer, { state: 'WAITING' }, { expiresAt: new Date(0) });
    const spool = join(dataDir, 'spool');
    for (const name of await readdir(spool)) await utimes(join(spool, name), 0, 0);
    await works.sweep();
    assert.deepEqual(await readdir(spool), [], 'the spool is empty');
    assert.equal(unfinished, 0, 'every transfer has come to its end');
    const holding = await storage.fork().count(Transfer, { state: 'SUCCEEDED', driverSession: { $ne: null } });
    assert.equal(holding, 0, 'nothing that is done holds a session');
  } finally {
    await events.close();
    await storage.close();
  }
}

if (import.meta.main) {
  const setting = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
  const run: CrashRun = {
    transfers: setting('CRASH_TRANSFERS', 200),
    kills: setting('CRASH_KILLS', 20),
    seed: setting('CRASH_SEED', Math.floor(Math.random() * 2 ** 31)),
    faultRate: setting('CRASH_FAULTS', 0.05),
    bytesMax: 12 * 1024 * 1024,
    log: (line) => process.stdout.write(`${line}\n`),
  };
  const { log: _log, ...shown } = run;
  process.stdout.write(`crash test of transfers: ${JSON.stringify(shown)}\n`);
  process.stdout.write(`held: ${JSON.stringify(await crashTransfers(run), null, 2)}\n`);
}
