import assert from 'node:assert/strict';
import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Hub } from '../../src/events/hub.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { Transfer } from '../../src/storage/entities/transfer.ts';
import { openStorage } from '../../src/storage/orm.ts';
import { openTransfers } from '../../src/transfers/open.ts';

/** Once everything has had its time, the spool is empty, and no transfer at its end holds a session at a provider. */
export async function verifyNothingLeft(dataDir: string, databaseUrl: string): Promise<void> {
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
