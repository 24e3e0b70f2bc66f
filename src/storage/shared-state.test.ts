import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DATABASES } from '../../test/support/databases.ts';
import { createLog } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import { SharedStateRow } from './entities/operations.ts';
import { createPostgresState, sweepSharedStates } from './shared-state.ts';

for (const { dialect, skip, open } of DATABASES) {
  it(`texts that nobody needs any more are swept (${dialect})`, { skip }, async () => {
    const { storage, url, close } = await open();
    try {
      const em = storage.fork();
      await em.insert(SharedStateRow, { key: 'old', value: 'x', expiresAt: new Date(Date.now() - 3_600_000) });
      if (dialect === 'postgres') {
        const state = createPostgresState(new Secret(url), createLog({ level: 'silent' }));
        assert.equal((await state.read('old')).value, null);
        assert.equal(await state.replace('new', null, 'y', 3_600_000), true);
        await state.close();
      }
      await sweepSharedStates(storage);
      const left = await storage.fork().find(SharedStateRow, {});
      assert.deepEqual(
        left.map(({ key }) => key),
        dialect === 'postgres' ? ['new'] : ['old'], // SQLite has one process, which keeps them in memory.
      );
    } finally {
      await close();
    }
  });
}
