import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { DATABASES, type TestStorage } from '../../test/support/databases.ts';
import { captureLog } from '../../test/support/log.ts';
import { Hub } from '../events/hub.ts';
import { systemClock } from '../lib/clock.ts';
import { DriveError } from '../lib/drive-error.ts';
import { newId } from '../lib/ids.ts';
import { Secret } from '../lib/secret.ts';
import { systemTimer } from '../lib/timer.ts';
import { Account } from '../storage/entities/account.ts';
import { Cipher } from './cipher.ts';
import { loadKeyRing } from './keyring.ts';
import { AccountTokens, type Renewal } from './tokens.ts';
import { type StoredTokens, Vault } from './vault.ts';

const ringOf = (...keys: string[]) =>
  loadKeyRing({
    name: 'VAULT_KEYS',
    configured: new Secret(keys.join(',')),
    dataDir: '/nonexistent',
    environment: 'test',
  });
const KEY = `k1:${randomBytes(32).toString('base64')}`;
const vault = new Vault(new Cipher(ringOf(KEY)));

const pair = (number: number): StoredTokens => ({
  accessToken: new Secret(`access-canary-${number}-${'x'.repeat(20)}`),
  refreshToken: new Secret(`refresh-canary-${number}`),
  expiresAt: new Date('2030-01-01T00:00:00Z'),
});

const failed = (category: 'unauthenticated' | 'timeout' | 'unavailable', init: object = {}): DriveError =>
  new DriveError(category, 'no', { provider: 'BAIDU', ...init });

for (const { dialect, skip, open } of DATABASES) {
  describe(`the tokens of an account on ${dialect}`, { skip }, () => {
    let database: TestStorage;
    let bus: Hub;
    const capture = captureLog();

    before(async () => {
      database = await open();
      bus = await Hub.open(capture.log);
    });
    after(async () => {
      await bus.close();
      await database.close();
    });

    async function link(tokens: StoredTokens = pair(0)): Promise<string> {
      const id = newId();
      await database.storage.transaction(async (em) => {
        em.create(Account, {
          id,
          ownerId: newId(),
          provider: 'BAIDU',
          label: 'Test',
          status: 'ACTIVE',
          settings: {},
          ...vault.sealCredentials(id, { tokens, secrets: {} }),
        });
      });
      return id;
    }

    /** As in one process; several of one account are several processes on one database. */
    const tokensOf = (id: string, renewal: Renewal | null, owner = newId()): AccountTokens =>
      new AccountTokens(
        {
          storage: database.storage,
          vault,
          events: bus,
          clock: systemClock,
          timer: systemTimer,
          log: capture.log,
          owner,
        },
        { id, provider: 'BAIDU' },
        renewal,
      );

    const rowOf = (id: string) => database.storage.fork().findOneOrFail(Account, { id });

    test('fifty callers in two processes make one refresh, and all get its token', async () => {
      const id = await link();
      let asked = 0;
      const renewal: Renewal = {
        resendMax: 1,
        renew: async (credentials) => {
          asked += 1;
          assert.equal(credentials.tokens?.refreshToken?.reveal(), 'refresh-canary-0');
          await new Promise((resolve) => setImmediate(resolve));
          return pair(1);
        },
      };
      const processes = [tokensOf(id, renewal), tokensOf(id, renewal)];
      const stale = await tokensOf(id, renewal).current();
      const tokens = await Promise.all(
        Array.from({ length: 50 }, (_, at) => (processes[at % 2] as AccountTokens).refresh(stale)),
      );
      assert.equal(asked, 1);
      for (const token of tokens) assert.equal(token.value.reveal(), pair(1).accessToken.reveal());
      const row = await rowOf(id);
      assert.equal(row.refreshUntil, null);
      assert.equal(row.refreshSends, 0);
      assert.ok(row.credentialsRefreshedAt);
    });

    test('a dead grant marks the account, announces it, and is not asked for again', async () => {
      const id = await link();
      let asked = 0;
      const tokens = tokensOf(id, {
        resendMax: 1,
        renew: async () => {
          asked += 1;
          throw failed('unauthenticated');
        },
      });
      const announced = bus.subscribe('account.changed', { filter: (event) => event.accountId === id });
      const stale = await tokens.current();
      for (let round = 0; round < 3; round += 1) {
        await assert.rejects(tokens.refresh(stale), { category: 'unauthenticated' });
      }
      assert.equal(asked, 1);
      assert.equal((await rowOf(id)).status, 'NEEDS_REAUTHORIZATION');
      assert.deepEqual(await announced.next(), { value: { accountId: id }, done: false });
      await announced.return?.();
      await assert.rejects(tokens.current(), { category: 'unauthenticated' });
    });

    test('a refresh token whose answers are lost is sent again only as often as its provider bears', async () => {
      for (const resendMax of [0, 1]) {
        const id = await link();
        let asked = 0;
        const renewal: Renewal = {
          resendMax,
          renew: async () => {
            asked += 1;
            throw failed('timeout');
          },
        };
        const stale = await tokensOf(id, renewal).current();
        for (let round = 0; round <= resendMax; round += 1) {
          await assert.rejects(tokensOf(id, renewal).refresh(stale), { category: 'timeout' });
          assert.equal((await rowOf(id)).status, 'ACTIVE');
        }
        await assert.rejects(tokensOf(id, renewal).refresh(stale), { category: 'unauthenticated' });
        assert.equal(asked, resendMax + 1);
        assert.equal((await rowOf(id)).status, 'NEEDS_REAUTHORIZATION');
      }
    });

    test('tokens are not renewed twice within the time that their provider forbids', async () => {
      const id = await link();
      let asked = 0;
      const renewal: Renewal = {
        resendMax: 0,
        intervalMinMs: 60_000,
        renew: async () => {
          asked += 1;
          return pair(asked);
        },
      };
      const tokens = tokensOf(id, renewal);
      const renewed = await tokens.refresh(await tokens.current());
      await assert.rejects(tokens.refresh(renewed), ({ category, retryAfterMs, nothingDone }: DriveError) => {
        assert.deepEqual([category, nothingDone], ['rate_limited', true]);
        assert.ok(retryAfterMs !== null && retryAfterMs > 0 && retryAfterMs <= 60_000);
        return true;
      });
      assert.equal(asked, 1);
      assert.equal((await rowOf(id)).status, 'ACTIVE', 'waiting ends it, nobody has to link again');
      await database.storage
        .fork()
        .nativeUpdate(Account, { id }, { credentialsRefreshedAt: new Date(Date.now() - 60_001) });
      await tokens.refresh(renewed);
      assert.equal(asked, 2);
    });

    test('a refresh that never reached the provider may be tried as often as it takes', async () => {
      const id = await link();
      const renewal: Renewal = {
        resendMax: 0,
        renew: async () => {
          throw failed('unavailable', { nothingDone: true });
        },
      };
      const tokens = tokensOf(id, renewal);
      const stale = await tokens.current();
      for (let round = 0; round < 4; round += 1) {
        await assert.rejects(tokens.refresh(stale), { category: 'unavailable' });
      }
      assert.equal((await rowOf(id)).status, 'ACTIVE');
      assert.equal((await rowOf(id)).refreshSends, 0);
    });

    test('the lease of a process that died runs out, and another refreshes', async () => {
      const id = await link();
      await database.storage
        .fork()
        .nativeUpdate(
          Account,
          { id },
          { refreshOwner: 'dead', refreshUntil: new Date(Date.now() - 1000), refreshSends: 1 },
        );
      const tokens = tokensOf(id, { resendMax: 1, renew: async () => pair(2) });
      const renewed = await tokens.refresh(await tokens.current());
      assert.equal(renewed.value.reveal(), pair(2).accessToken.reveal());
    });

    test('an account without a way to renew needs its person', async () => {
      const id = await link({ ...pair(0), refreshToken: null });
      const tokens = tokensOf(id, { resendMax: 1, renew: async () => pair(1) });
      await assert.rejects(tokens.refresh(await tokens.current()), { category: 'unauthenticated' });
    });

    test('a rotation seals every account with the new key, and the old key can go', async () => {
      const id = await link();
      const next = `k2:${randomBytes(32).toString('base64')}`;
      const rotated = await new Vault(new Cipher(ringOf(next, KEY))).rotate(database.storage);
      assert.ok(rotated.rotated >= 1);
      const fresh = new Vault(new Cipher(ringOf(next)));
      assert.equal(fresh.openCredentials(await rowOf(id)).tokens?.refreshToken?.reveal(), 'refresh-canary-0');
      assert.equal((await new Vault(new Cipher(ringOf(next, KEY))).rotate(database.storage)).rotated, 0);
    });

    test('no token stands in the row or in the log', async () => {
      await link();
      const row = JSON.stringify(await database.storage.fork().getConnection().execute('select * from accounts'));
      assert.doesNotMatch(row, /canary/);
      assert.doesNotMatch(JSON.stringify(capture.lines), /canary/);
    });
  });
}
