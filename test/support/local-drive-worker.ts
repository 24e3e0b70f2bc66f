/**
 * Works on a built-in drive without a pause, until it is killed: files come, are copied, replaced and deleted for ever.
 * Prints a line after each. Arguments: the data folder, the account, a number that makes this run's bytes its own.
 */
import { createHash, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { local } from '../../src/drives/local/drive.ts';
import { sweepLocalDrives } from '../../src/drives/local/sweep.ts';
import { openDrive } from '../../src/drives/open.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { BlobStore } from '../../src/storage/blobs/store.ts';
import { openStorage } from '../../src/storage/orm.ts';

const [folder = '', id = '', run = ''] = process.argv.slice(2);
const storage = await openStorage({
  url: new Secret(`sqlite:${join(folder, 'test.sqlite')}`),
  log: createLog({ level: 'silent' }),
});
const services = {
  storage,
  blobs: new BlobStore(join(folder, 'blobs'), storage, systemClock),
  clock: systemClock,
  announce: () => {},
};
const { run: act } = openDrive(local, { id, settings: {} }, services);
const call = { signal: new AbortController().signal };
const done = (what: string): boolean => process.stdout.write(`${what}\n`);

for (let round = 0; ; round += 1) {
  const bytes = Buffer.from(`run ${run}, bytes ${round % 5}`);
  const path = join(folder, randomUUID());
  await writeFile(path, bytes);
  const SHA256 = createHash('sha256').update(bytes).digest('hex');
  const plan = { parentRef: id, name: `file ${round % 3}.txt`, sizeBytes: bytes.length, hashes: { SHA256 } };
  const file = { path, sizeBytes: bytes.length, hashes: { SHA256 } };
  const entry = await act('adopt', { ...plan, onConflict: 'REPLACE' }, file, call);
  done('adopted');
  const target = await act('createFolder', id, `folder ${run} ${round}`, call);
  await act('copy', entry.ref, target.ref, { onConflict: 'FAIL' }, call);
  done('copied');
  const twin = await act('copy', target.ref, id, { onConflict: 'RENAME' }, call);
  await act('removePermanently', target.ref, {}, call);
  done('deleted');
  await act('removePermanently', twin.ref, {}, call);
  await sweepLocalDrives(services, { unreferencedMs: 0, strayMs: 0 });
  done('swept');
}
