import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, type Client, ERROR, TRANSFER } from './client.ts';
import type { CrashCloud } from './clouds.ts';
import type { FaultPlan } from './fault-proxy.ts';
import { isFromDrive, type Job } from './jobs.ts';
import type { Web } from './web.ts';

/** How often a transfer that failed for a reason which may pass is retried by hand. */
const RETRIES = 3;
/** How often a job asks how its transfer is, in milliseconds. */
const LOOK_MS = 250;

export interface Outcome {
  readonly job: Job;
  readonly succeeded: boolean;
  readonly reason: string | null;
}

export interface WorkParts {
  readonly client: Client;
  readonly clouds: readonly CrashCloud[];
  readonly web: Web;
  readonly importDir: string;
  readonly seed: number;
  /** Jobs that are under way at one time. */
  readonly concurrency: number;
  readonly plan: FaultPlan;
  readonly jobs: readonly Job[];
  readonly log?: ((line: string) => void) | undefined;
}

/** The jobs, and what came of them. */
export class Work {
  /** In the order in which they ended. */
  readonly outcomes: Outcome[] = [];
  readonly #parts: WorkParts;

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  /** Puts in place what will be copied and fetched, and what has the name of a twin. */
  async prepare(): Promise<void> {
    const { client, jobs, web, importDir } = this.#parts;
    await client.folder('LOCAL', '/', 'sources');
    for (const job of jobs) {
      for (const [path, bytes] of job.files) {
        if (job.kind === 'url') web.files.set(path, bytes);
        if (job.kind === 'import') await writeFile(join(importDir, job.name), bytes);
        if (job.kind === 'twin') await this.#put(job.target, path, bytes);
        if (isFromDrive(job)) await this.#put(job.source, `/sources${path}`, bytes);
      }
    }
  }

  async doAll(): Promise<void> {
    const { jobs, concurrency, plan, log } = this.#parts;
    const next = jobs.values();
    const worker = async (): Promise<void> => {
      for (const job of next) {
        if (concurrency === 1) plan.job = job.name;
        const outcome = await this.#do(job);
        this.outcomes.push(outcome);
        log?.(`${this.outcomes.length}/${jobs.length} ${job.name} to ${job.target}: ${outcome.reason ?? 'there'}`);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
  }

  /** Each file that is told to be there is there once, with its bytes; of those that failed there is none. */
  async verify(): Promise<void> {
    for (const drive of this.#parts.client.drives) {
      const outcomes = this.outcomes.filter(({ job }) => job.target === drive);
      const failedTrees = outcomes.filter(({ job, succeeded }) => !succeeded && job.kind === 'tree');
      const partial = new Set(failedTrees.map(({ job }) => job.name)); // Its files that came stay, and are told of.
      const names = (await this.#names(drive, '/')).filter((name) => name.startsWith('job-') && !partial.has(name));
      const expected = outcomes.flatMap(namesAfter);
      const ends = outcomes.map(({ job, reason }) => `${job.name}: ${reason ?? 'there'}`).join('; ');
      assert.deepEqual(names.toSorted(), expected.toSorted(), `${drive} has ${names}, and was told of ${ends}`);
      for (const { job, succeeded } of outcomes) if (succeeded) await this.#verifyFiles(job);
    }
    for (const { job, succeeded } of this.outcomes) await this.#verifySource(job, succeeded);
  }

  async #verifyFiles({ kind, name, target, files }: Job): Promise<void> {
    for (const [path, bytes] of files) {
      for (const at of kind === 'twin' ? [path, `${path} (2)`] : [path]) {
        const held = await this.#bytesAt(target, at);
        assert.ok(held?.equals(bytes), `${target}: ${at} has other bytes, or is not there`);
      }
    }
    if (kind !== 'tree') return;
    assert.deepEqual((await this.#names(target, `/${name}`)).toSorted(), ['a', 'b', 'sub']);
    assert.deepEqual((await this.#names(target, `/${name}/sub`)).toSorted(), ['c', 'd']);
  }

  /** What was moved is no more where it was; what was to be, or was copied, is there. */
  async #verifySource(job: Job, succeeded: boolean): Promise<void> {
    if (!isFromDrive(job)) return;
    for (const [path, bytes] of job.files) {
      const held = await this.#bytesAt(job.source, `/sources${path}`);
      if (job.kind === 'move' && succeeded) assert.equal(held, null, `${job.source}: ${path} was moved, and is there`);
      else assert.ok(held?.equals(bytes), `${job.source}: the source ${path} is gone, or another`);
    }
  }

  async #do(job: Job): Promise<Outcome> {
    for (let tries = 0; ; tries += 1) {
      const begun = await this.#begin(job);
      if (begun.error) {
        if (!begun.error.retryable || tries >= RETRIES) return failed(job, begun.error);
        await delay(1_000);
      } else if (begun.transfer === null) return { job, succeeded: true, reason: null };
      else return this.#follow(job, begun.transfer);
    }
  }

  /** Asks for the job, with its key: however often it is asked, it is begun once. */
  async #begin(job: Job): Promise<{ readonly transfer: Answer; readonly error: Answer }> {
    const { client, web, importDir, seed } = this.#parts;
    const parent = client.at(job.target, '/');
    const [bytes = Buffer.alloc(0)] = job.files.values();
    const common = { parent, name: job.name, idempotencyKey: `${seed}-${job.name}` };
    switch (job.kind) {
      case 'upload': {
        const started = await client.ask('startUpload', { ...common, size: bytes.length }, `uploadUrl ${TRANSFER}`);
        if (started.uploadUrl) await client.send(started.uploadUrl, bytes);
        return begun(started);
      }
      case 'text':
        return begun(await client.ask('uploadText', { ...common, content: bytes.toString() }, TRANSFER));
      case 'url':
        return begun(await client.ask('uploadFromUrl', { ...common, url: `${web.url}/${job.name}` }, TRANSFER));
      case 'import': {
        const path = join(importDir, job.name);
        return begun(await client.ask('importServerFile', { ...common, path }, TRANSFER));
      }
      default: {
        const input = {
          entries: [client.at(job.source, `/sources/${job.name}`)],
          destination: parent,
          idempotencyKey: common.idempotencyKey,
          ...(job.kind === 'twin' ? { onConflict: 'RENAME' } : {}),
        };
        const mutation = job.kind === 'move' ? 'moveEntries' : 'copyEntries';
        const copied = await client.ask(mutation, input, `results { entry { id } ${TRANSFER} error { ${ERROR} } }`);
        const [result] = copied.results ?? [{ transfer: null, error: copied }];
        return { transfer: result.transfer, error: result.error };
      }
    }
  }

  /** To its end; what failed for a reason that may pass is retried some times. */
  async #follow(job: Job, { id }: Answer): Promise<Outcome> {
    const { client } = this.#parts;
    for (let retries = 0; ; ) {
      const node = await client.transfer(id);
      if (node.state === 'SUCCEEDED') return { job, succeeded: true, reason: null };
      if (node.state === 'CANCELLED') return failed(job, node.error ?? { code: 'CANCELLED', message: '' });
      if (node.state === 'FAILED') {
        if (!node.error.retryable || retries >= RETRIES) return failed(job, node.error);
        retries += 1;
        await client.query(`mutation ($id: ID!) { retryTransfer(input: { id: $id }) { ${ERROR} } }`, { id });
      }
      await delay(LOOK_MS);
    }
  }

  async #put(drive: string, path: string, bytes: Buffer): Promise<void> {
    const cloud = this.#cloud(drive);
    if (cloud) cloud.seed(path, bytes);
    else await this.#parts.client.put(path, bytes);
  }

  #names(drive: string, path: string): Promise<readonly string[]> | readonly string[] {
    return this.#cloud(drive)?.namesIn?.(path) ?? this.#parts.client.names(drive, path);
  }

  /** Of a cloud what it really has; of the built-in drive what is downloaded. */
  async #bytesAt(drive: string, path: string): Promise<Buffer | null> {
    const cloud = this.#cloud(drive);
    return cloud ? cloud.bytesAt(path) : this.#parts.client.bytesAt(drive, path);
  }

  #cloud(drive: string): CrashCloud | undefined {
    return this.#parts.clouds.find(({ provider }) => provider === drive);
  }
}

/** What is there under the names of a job. */
function namesAfter({ job: { kind, name }, succeeded }: Outcome): readonly string[] {
  if (kind === 'twin') return succeeded ? [name, `${name} (2)`] : [name];
  return succeeded ? [name] : [];
}

const failed = (job: Job, { code, message }: Answer): Outcome => ({
  job,
  succeeded: false,
  reason: `${code}: ${message}`,
});

const begun = (answer: Answer): { readonly transfer: Answer; readonly error: Answer } =>
  answer.transfer ? { transfer: answer.transfer, error: null } : { transfer: null, error: answer };
