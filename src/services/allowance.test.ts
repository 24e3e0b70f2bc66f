import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DATABASES, type TestStorage } from '../../test/support/databases.ts';
import { AllowanceExceededError, InvalidInputError, NotFoundError, PermissionDeniedError } from '../lib/errors.ts';
import { newId } from '../lib/ids.ts';
import { User } from '../storage/entities/identity.ts';
import { DownloadAllowances } from './allowance.ts';
import { Audit } from './audit.ts';
import type { Viewer } from './viewer.ts';

const ADMIN: Viewer = {
  userId: newId(),
  role: 'ADMIN',
  grantId: newId(),
  grant: 'session',
  scopes: new Set(['ADMIN']),
  expiresAt: null,
};

for (const database of DATABASES) {
  describe(`download allowance on ${database.dialect}`, { skip: database.skip }, () => {
    let opened: TestStorage;
    let now: Date;
    let allowances: DownloadAllowances;

    before(async () => {
      opened = await database.open();
      const clock = { now: () => now };
      allowances = new DownloadAllowances({
        storage: opened.storage,
        clock,
        audit: new Audit(opened.storage, clock),
        defaultLimit: 10,
        timeZone: 'Asia/Shanghai',
      });
    });
    after(() => opened.close());

    async function newUser(downloadLimit: number | null = null): Promise<string> {
      now = new Date('2026-11-20T08:00:00Z');
      const id = newId();
      const em = opened.storage.fork();
      em.create(User, {
        id,
        username: id,
        usernameKey: id,
        displayName: id,
        passwordHash: '-',
        role: 'USER',
        downloadLimit,
      });
      await em.flush();
      return id;
    }

    async function chargeMany(userId: string, times: number): Promise<number> {
      const outcomes = await Promise.allSettled(Array.from({ length: times }, () => allowances.charge(userId)));
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof AllowanceExceededError, outcome.reason);
      }
      return outcomes.filter(({ status }) => status === 'fulfilled').length;
    }

    it('a user who downloaded nothing has it all', async () => {
      assert.deepEqual(await allowances.of(await newUser()), {
        limit: 10,
        used: 0,
        remaining: 10,
        resetsAt: new Date('2026-11-20T16:00:00Z'),
      });
    });

    it('a hundred charges at once at a limit of ten are exactly ten', async () => {
      const userId = await newUser();
      assert.equal(await chargeMany(userId, 100), 10);
      const { used, remaining } = await allowances.of(userId);
      assert.deepEqual({ used, remaining }, { used: 10, remaining: 0 });
    });

    it('each charge tells the state after it, each number once', async () => {
      const userId = await newUser();
      const charges = await Promise.all(Array.from({ length: 10 }, () => allowances.charge(userId)));
      const used = charges.map((charge) => charge.used).sort((left, right) => left - right);
      assert.deepEqual(used, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    });

    it('the refusal tells the allowance and when it comes back', async () => {
      const userId = await newUser(1);
      await allowances.charge(userId);
      await assert.rejects(allowances.charge(userId), (error) => {
        assert.ok(error instanceof AllowanceExceededError);
        assert.deepEqual(error.allowance, {
          limit: 1,
          used: 1,
          remaining: 0,
          resetsAt: new Date('2026-11-20T16:00:00Z'),
        });
        assert.deepEqual([error.retryable, error.retryAt], [true, error.allowance.resetsAt]);
        return true;
      });
    });

    it('midnight of the set time zone begins a new day', async () => {
      const userId = await newUser(1);
      now = new Date('2026-11-20T15:59:59.999Z');
      await allowances.charge(userId);
      await assert.rejects(allowances.charge(userId), AllowanceExceededError);
      now = new Date('2026-11-20T16:00:00Z');
      assert.equal((await allowances.charge(userId)).used, 1);
    });

    it('one user does not use up what another has', async () => {
      const [one, other] = [await newUser(2), await newUser(2)];
      assert.equal(await chargeMany(one, 5), 2);
      assert.equal(await chargeMany(other, 5), 2);
    });

    it('a limit of zero is none at all', async () => {
      const userId = await newUser(0);
      assert.equal(await chargeMany(userId, 3), 0);
      assert.deepEqual((await allowances.of(userId)).used, 0);
    });

    it('a charge within a transaction that fails is not made', async () => {
      const userId = await newUser();
      await assert.rejects(
        opened.storage.transaction(async (em) => {
          await allowances.charge(userId, em);
          throw new Error('afterwards');
        }),
        /afterwards/,
      );
      assert.equal((await allowances.of(userId)).used, 0);
    });

    it('an administrator raises, lowers and resets a limit, which counts at once', async () => {
      const userId = await newUser(1);
      await allowances.charge(userId);
      assert.equal((await allowances.setLimit(ADMIN, userId, 3)).remaining, 2);
      assert.equal(await chargeMany(userId, 5), 2);
      const lowered = await allowances.setLimit(ADMIN, userId, 2);
      assert.deepEqual([lowered.used, lowered.remaining], [3, 0]);
      await assert.rejects(allowances.charge(userId), AllowanceExceededError);
      const reset = await allowances.setLimit(ADMIN, userId, null);
      assert.deepEqual([reset.limit, reset.remaining], [10, 7]);
      const largest = await allowances.setLimit(ADMIN, userId, 2_147_483_647);
      assert.equal(largest.remaining, 2_147_483_644);
    });

    it('nobody else sets a limit, and a limit that makes no sense is refused', async () => {
      const userId = await newUser();
      await assert.rejects(allowances.setLimit({ ...ADMIN, role: 'USER' }, userId, 99), PermissionDeniedError);
      const key: Viewer = { ...ADMIN, grant: 'apiKey', scopes: new Set(['READ', 'WRITE']) };
      await assert.rejects(allowances.setLimit(key, userId, 99), PermissionDeniedError);
      for (const limit of [-1, 1.5, 2_147_483_648, Number.NaN]) {
        await assert.rejects(allowances.setLimit(ADMIN, userId, limit), InvalidInputError);
      }
      assert.equal((await allowances.of(userId)).limit, 10);
    });

    it('an unknown user has no allowance', async () => {
      await assert.rejects(allowances.of(newId()), NotFoundError);
      await assert.rejects(allowances.charge(newId()), NotFoundError);
      for (const id of [newId(), '', 'a\0b']) await assert.rejects(allowances.setLimit(ADMIN, id, 3), NotFoundError);
    });

    it('the sweep removes counts of days long past, and no others', async () => {
      const userId = await newUser(1);
      await allowances.charge(userId);
      now = new Date('2026-12-24T08:00:00Z');
      await allowances.charge(userId);
      const days = () =>
        opened.storage.fork().execute('select day from download_counts where user_id = ? order by day', [userId]);
      await allowances.sweep();
      assert.deepEqual(await days(), [{ day: '2026-11-20' }, { day: '2026-12-24' }]);
      now = new Date('2026-12-26T08:00:00Z');
      await allowances.sweep();
      assert.deepEqual(await days(), [{ day: '2026-12-24' }]);
    });
  });
}
