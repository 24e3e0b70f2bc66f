import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../lib/clock.ts';
import { newId } from '../../lib/ids.ts';
import { createLog } from '../../lib/log.ts';
import { Secret } from '../../lib/secret.ts';
import { BlobStore } from '../../storage/blobs/store.ts';
import { openStorage, type Storage } from '../../storage/orm.ts';
import { createRoot } from './root.ts';
import { sweepLocalDrives } from './sweep.ts';

const WORKER = fileURLToPath(new URL('../../../test/support/local-drive-worker.ts', import.meta.url));
/** After how many lines of the worker it is killed: in the middle of whatever comes next. */
const KILL_AFTER = [1, 2, 3, 4, 7, 10, 13];

it('a drive whose process is killed at any moment has every byte that it shows, and forgets the rest', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'panql-crash-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const accountId = newId();
  await withStorage(folder, (storage) => storage.transaction((em) => createRoot(em, accountId, new Date())));

  for (const [index, lines] of KILL_AFTER.entries()) {
    await killAfter(spawn(process.execPath, [WORKER, folder, accountId, String(index)]), lines);
    await withStorage(folder, async (storage) => {
      await assertWhole(storage, folder);
      const blobs = new BlobStore(join(folder, 'blobs'), storage, systemClock);
      // From long ahead, so that everything forgotten is old enough.
      const clock = { now: () => new Date(Date.now() + 3_600_000) };
      await sweepLocalDrives({ storage, blobs, clock }, { unreferencedMs: -3_600_000, strayMs: -3_600_000 });
      await assertWhole(storage, folder);
      await assertNothingForgotten(storage, folder);
    });
  }
});

/** Each live file has its bytes, and each blob counts the entries that refer to it. */
async function assertWhole(storage: Storage, folder: string): Promise<void> {
  const rows = await storage.fork().execute<{ sha256: string; counted: number; found: number }[]>(
    `select e.blob_hash as sha256, max(b.reference_count) as counted, count(*) as found
     from local_entries e left join blobs b on b.sha256 = e.blob_hash where e.blob_hash is not null group by e.blob_hash`,
  );
  assert.ok(rows.length > 0);
  for (const { sha256, counted, found } of rows) {
    assert.equal(counted, found, 'references are counted right');
    const bytes = await readFile(join(folder, 'blobs', sha256.slice(0, 2), sha256.slice(2, 4), sha256));
    assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256);
  }
}

/** No bytes without an entry, and no entry that nobody can see or delete. */
async function assertNothingForgotten(storage: Storage, folder: string): Promise<void> {
  const em = storage.fork();
  const blobs = await em.execute<{ sha256: string }[]>('select sha256 from blobs order by sha256');
  const files = (await readdir(join(folder, 'blobs'), { recursive: true })).filter((name) => name.length > 60);
  assert.deepEqual(
    files.map((name) => name.slice(-64)).toSorted(),
    blobs.map(({ sha256 }) => sha256),
  );
  assert.deepEqual(await em.execute('select id from local_entries where hidden_by is not null'), []);
  assert.deepEqual(await em.execute('select sha256 from blobs where reference_count <= 0'), []);
}

async function killAfter(worker: ChildProcess, lines: number): Promise<void> {
  assert.ok(worker.stdout && worker.stderr);
  let complaint = '';
  worker.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  const exit = once(worker, 'exit');
  let seen = 0;
  for await (const _line of createInterface({ input: worker.stdout })) {
    seen += 1;
    if (seen >= lines) worker.kill('SIGKILL');
  }
  const [, signal] = await exit;
  assert.equal(signal, 'SIGKILL', complaint);
}

async function withStorage(folder: string, work: (storage: Storage) => Promise<void>): Promise<void> {
  const url = new Secret(`sqlite:${join(folder, 'test.sqlite')}`);
  const storage = await openStorage({ url, log: createLog({ level: 'silent' }) });
  try {
    await work(storage);
  } finally {
    await storage.close();
  }
}
