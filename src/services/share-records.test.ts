import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { DATABASES, type TestStorage } from '../../test/support/databases.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { DriveShare } from '../drives/contract/shares.ts';
import { addMs } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { Secret } from '../lib/secret.ts';
import type { Share } from '../storage/entities/share.ts';
import { Cipher, SealBrokenError } from '../vault/cipher.ts';
import { loadKeyRing } from '../vault/keyring.ts';
import { Vault } from '../vault/vault.ts';
import { ShareRecords } from './share-records.ts';

const DAY_MS = 24 * 3_600_000;

for (const { dialect, skip, open } of DATABASES) {
  describe(`records of shares on ${dialect}`, { skip }, () => {
    const clock = new ManualClock();
    let database: TestStorage;
    let records: ShareRecords;
    const owner = { userId: newId(), accountId: newId() };
    const share = (ref: string, more: Partial<DriveShare> = {}): DriveShare => ({
      ...{ ref, url: 'https://pan.example/s/1', password: 'word', remark: null },
      ...{ createdAt: null, expiresAt: null, active: true, ...more },
    });
    const add = (ref: string, more: Partial<DriveShare> = {}): Promise<Share> =>
      database.storage.transaction((em) => records.add(em, owner, share(ref, more), ['one', 'two']));
    const find = async (ref: string): Promise<Share | undefined> => (await records.find(owner, [ref])).get(ref);

    before(async () => {
      database = await open();
      const configured = new Secret(`k1:${randomBytes(32).toString('base64')}`);
      const ring = loadKeyRing({ name: 'VAULT_KEYS', configured, dataDir: '', environment: 'test' });
      records = new ShareRecords({ storage: database.storage, vault: new Vault(new Cipher(ring)), clock });
    });
    after(() => database.close());

    test('a record is found again as it was made, with its password', async () => {
      const made = await add('kept', { remark: 'For you', expiresAt: addMs(clock.now(), DAY_MS) });
      const found = (await find('kept')) ?? assert.fail();
      assert.deepEqual(records.shareOf(found), records.shareOf(made));
      assert.deepEqual(found.entryRefs, ['one', 'two']);
      assert.deepEqual(found.createdAt, clock.now());
      assert.equal(records.passwordOf(found), 'word');
      assert.doesNotMatch(found.sealedPassword ?? '', /word/);
    });

    test('a password opens in its own row only', async () => {
      const [one, other] = [await add('one'), await add('other')];
      one.sealedPassword = other.sealedPassword ?? null;
      assert.throws(() => records.passwordOf(one), SealBrokenError);
    });

    test('a ref that the provider gives again means the new share', async () => {
      await add('again', { url: 'https://pan.example/s/old' });
      await add('again', { url: 'https://pan.example/s/new', password: null });
      const found = (await find('again')) ?? assert.fail();
      assert.equal(found.url, 'https://pan.example/s/new');
      assert.equal(records.passwordOf(found), null);
    });

    test('nobody finds the records of another, or of another account', async () => {
      await add('mine');
      for (const part of [{ userId: newId() }, { accountId: newId() }]) {
        assert.equal((await records.find({ ...owner, ...part }, ['mine'])).size, 0);
        assert.deepEqual((await records.page({ ...owner, ...part }, { limit: 9, after: null })).items, []);
      }
    });

    test('what ended is known for 30 days more, what works for ever', async () => {
      const cancelled = await add('cancelled');
      await database.storage.transaction((em) => records.cancel(em, cancelled));
      await add('expired', { expiresAt: clock.now() });
      await add('endless');
      assert.equal(records.shareOf((await find('expired')) ?? assert.fail()).active, false);
      clock.advance(30 * DAY_MS);
      await records.sweep();
      assert.ok((await find('cancelled')) && (await find('expired')));
      clock.advance(1);
      await records.sweep();
      assert.ok(!(await find('cancelled')) && !(await find('expired')));
      assert.equal(records.shareOf((await find('endless')) ?? assert.fail()).active, true);
    });
  });
}
