import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase, skipReason } from '../support/services.ts';
import { planOf } from './jobs.ts';
import { type CrashReport, type CrashRun, crashTransfers } from './transfers.ts';

const TIMEOUT = { timeout: 170_000 };
const seedOf = (t: { diagnostic(message: string): void }): number => {
  const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`CRASH_SEED=${seed}`);
  return seed;
};

/** A drive may refuse again and again, whatever is retried; not so often. */
function checkFailures({ failures }: CrashReport): void {
  assert.ok(failures.length <= 3, failures.join('\n'));
}

test(
  'a server that is killed again and again, before clouds that fail, loses and doubles no file',
  TIMEOUT,
  async (t) => {
    const seed = seedOf(t);
    const report = await crashTransfers({ transfers: 16, kills: 3, seed, faultRate: 0.05, bytesMax: 1024 * 1024 });
    t.diagnostic(JSON.stringify(report));
    assert.ok(report.kills >= 2, 'it was killed while files came in');
    checkFailures(report);
  },
);

// Each kill costs the time of a lease, so there is one, and few files.
test('nor does one on PostgreSQL', { ...TIMEOUT, skip: await skipReason('PostgreSQL') }, async (t) => {
  const database = await createTestDatabase();
  t.after(() => database.drop());
  const run = { transfers: 8, kills: 1, seed: seedOf(t), faultRate: 0.05, bytesMax: 300_000 };
  const report = await crashTransfers({ ...run, databaseUrl: database.url });
  t.diagnostic(JSON.stringify(report));
  assert.equal(report.kills, 1);
  checkFailures(report);
});

test('nor does one whose connections to the database end again and again', {
  ...TIMEOUT,
  skip: await skipReason('PostgreSQL'),
}, async (t) => {
  const database = await createTestDatabase();
  t.after(() => database.drop());
  const run = { transfers: 8, kills: 4, seed: seedOf(t), faultRate: 0, bytesMax: 300_000, blow: 'DISCONNECT' } as const;
  const report = await crashTransfers({ ...run, databaseUrl: database.url });
  t.diagnostic(JSON.stringify(report));
  assert.ok(report.kills >= 2, 'its connections ended while files came in');
  assert.deepEqual(report.failures, []);
});

test('the same seed gives the same story', TIMEOUT, async () => {
  const run: CrashRun = {
    ...{ transfers: 6, kills: 2, seed: 4, faultRate: 0.15, bytesMax: 100_000, concurrency: 1 },
    kinds: ['upload', 'url', 'copy', 'move', 'twin'],
  };
  const [first, second] = [await crashTransfers(run), await crashTransfers(run)];
  assert.deepEqual(first.story, second.story);
  assert.ok(first.kills > 0 && first.story.faults.length > 0, JSON.stringify(first.story));
  const drives = ['LOCAL', 'BAIDU'];
  const sizesOf = (seed: number) =>
    planOf({ ...run, seed }, drives, new Set()).jobs.map(({ files }) => [...files][0]?.[1].length);
  assert.notDeepEqual(sizesOf(4), sizesOf(5), 'another seed gives another');
});
