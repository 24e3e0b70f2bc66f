/**
 * Kills the real server again and again while files are brought in on every way and to every drive, with the clouds behind
 * faults: of their requests some are throttled, refused, lost, cut or late. Then it looks at what is there.
 *   npm run test:crash                     200 transfers, 20 kills, 5 % faults
 *   CRASH_SEED=7 npm run test:crash        the same transfers, sizes, moments and faults as a run before (see story.ts)
 *   CRASH_CONCURRENCY=1 …                  one at a time: then the same seed gives the same story to the last request
 *   CRASH_TRANSFERS=50 CRASH_KILLS=5 …     fewer of them
 *   CRASH_DATABASE_URL=postgres://… …      on an empty PostgreSQL database, where leases must run out first: slower
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../demo/process.ts';
import { Client } from './client.ts';
import { startCrashClouds } from './clouds.ts';
import { newFaultPlan } from './fault-proxy.ts';
import { type JobsPlan, planOf } from './jobs.ts';
import { KilledServer, Killer } from './killed-server.ts';
import { verifyNothingLeft } from './leftovers.ts';
import { type Story, storyOf } from './story.ts';
import { startWeb } from './web.ts';
import { type Outcome, Work } from './work.ts';

export interface CrashRun extends JobsPlan {
  /** Of the requests to clouds and other servers, from 0 to 1. */
  readonly faultRate: number;
  /** Jobs that are under way at one time; default 8. */
  readonly concurrency?: number;
  /** What befalls the server: it is killed, or (on PostgreSQL) loses all its connections to the database. Default KILL. */
  readonly blow?: 'KILL' | 'DISCONNECT';
  /** Default SQLite. */
  readonly databaseUrl?: string | undefined;
  readonly log?: (line: string) => void;
}

export interface CrashReport {
  readonly kills: number;
  /** Uploads that a provider was left with, whose beginning nobody heard of: they end by its own limit. */
  readonly unfinished: number;
  /** Requests that met a dead server. */
  readonly broken: number;
  readonly faults: Readonly<Record<string, number>>;
  /** By kind and drive, how many succeeded and how many failed. */
  readonly outcomes: Readonly<Record<string, string>>;
  /** Why some failed. */
  readonly failures: readonly string[];
  readonly story: Story;
}

const CONCURRENCY = 8;

/** @throws AssertionError when a promise is broken: a lost, doubled or other file, or something left behind. */
export async function crashTransfers(run: CrashRun): Promise<CrashReport> {
  const plan = newFaultPlan(run.seed);
  const folder = await mkdtemp(join(tmpdir(), 'panql-crash-'));
  const [dataDir, importDir] = [join(folder, 'data'), join(folder, 'import')];
  await mkdir(importDir);
  const databaseUrl = run.databaseUrl ?? `sqlite:${join(dataDir, 'panql.sqlite')}`;
  const clouds = await startCrashClouds(plan);
  const web = await startWeb(plan);
  const server = new KilledServer(dataDir, databaseUrl, await freePort(), {
    IMPORT_DIRS: importDir,
    OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
    ...Object.assign({}, ...clouds.map(({ settings }) => settings)),
  });
  await mkdir(dataDir);
  const client = new Client(server);
  try {
    await server.start();
    await client.register();
    for (const { provider, link } of clouds) await client.link(provider, link);
    const listless = new Set(clouds.flatMap(({ provider, namesIn }) => (namesIn ? [provider] : [])));
    const { jobs, kills } = planOf(run, client.drives, listless);
    const { concurrency = CONCURRENCY, seed, log } = run;
    const work = new Work({ client, clouds, web, importDir, seed, concurrency, plan, jobs, log });
    await work.prepare();
    const kill = async (): Promise<void> => {
      server.kill();
      await server.start();
    };
    const blow = run.blow === 'DISCONNECT' ? () => disconnectAll(databaseUrl) : kill;
    const killer = new Killer(blow, kills, () => work.outcomes.length);
    plan.rate = run.faultRate;
    plan.killer = killer;
    client.killer = killer;
    await Promise.race([work.doAll(), killer.failed]);
    plan.rate = 0;
    plan.killer = null;
    client.killer = null;
    await killer.settled();
    await work.verify();
    await server.stop();
    await verifyNothingLeft(dataDir, databaseUrl);
    const lost = killer.struck.length + (plan.counts.get('lost') ?? 0) + (plan.counts.get('cut') ?? 0);
    const unfinished = clouds.reduce((sum, cloud) => sum + (cloud.unfinished?.() ?? 0), 0);
    assert.ok(unfinished <= lost, `${unfinished} uploads are left open, and ${lost} answers were lost`);
    for (const { provider, violations } of clouds) {
      assert.deepEqual(violations(), [], `${provider} was asked for what its documents forbid`);
    }
    return {
      kills: killer.struck.length,
      unfinished,
      broken: client.broken,
      faults: Object.fromEntries(plan.counts),
      outcomes: countOutcomes(work.outcomes),
      failures: work.outcomes.flatMap(({ job, reason }) =>
        reason === null ? [] : [`${job.name} to ${job.target}: ${reason}`],
      ),
      story: storyOf(jobs, plan, killer, work.outcomes),
    };
  } catch (error) {
    // At once: what is closed below may wait for those who still ask.
    process.stderr.write(`${error}\n`);
    throw new Error(`seed ${run.seed}: a promise is broken. The server said last:\n${server.output}`, { cause: error });
  } finally {
    client.isClosed = true;
    server.kill();
    await web.close();
    await Promise.all(clouds.map((cloud) => cloud.close()));
    await rm(folder, { recursive: true, force: true });
  }
}

/** Ends every connection to a database, as its server does when it is restarted. */
async function disconnectAll(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`);
  } finally {
    await client.end();
  }
}

function countOutcomes(all: readonly Outcome[]): Record<string, string> {
  const counts: Record<string, string> = {};
  for (const [key, some] of Map.groupBy(all, ({ job }) => `${job.kind} to ${job.target}`)) {
    const succeeded = some.filter((one) => one.succeeded).length;
    counts[key] = `${succeeded} there, ${some.length - succeeded} failed`;
  }
  return counts;
}

if (import.meta.main) {
  const setting = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
  const run: CrashRun = {
    transfers: setting('CRASH_TRANSFERS', 200),
    kills: setting('CRASH_KILLS', 20),
    seed: setting('CRASH_SEED', Math.floor(Math.random() * 2 ** 31)),
    faultRate: setting('CRASH_FAULTS', 0.05),
    concurrency: setting('CRASH_CONCURRENCY', CONCURRENCY),
    bytesMax: 12 * 1024 * 1024,
    databaseUrl: process.env.CRASH_DATABASE_URL,
    log: (line) => process.stdout.write(`${line}\n`),
  };
  const { log: _log, databaseUrl: _secret, ...shown } = run;
  process.stdout.write(`crash test of transfers: ${JSON.stringify(shown)}\n`);
  process.stdout.write(`held: ${JSON.stringify(await crashTransfers(run), null, 2)}\n`);
}
