import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DATABASES, type TestStorage } from '../../test/support/databases.ts';
import { ManualTimer } from '../../test/support/manual-timer.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { ConflictError, InvalidInputError } from '../lib/errors.ts';
import { newId } from '../lib/ids.ts';
import { systemTimer } from '../lib/timer.ts';
import { IdempotencyRecord } from '../storage/entities/operations.ts';
import { Idempotency, PENDING_MS } from './idempotency.ts';
import type { Viewer } from './viewer.ts';

const someone = (): Viewer => ({
  userId: newId(),
  role: 'USER',
  grantId: newId(),
  grant: 'session',
  scopes: new Set(),
  expiresAt: null,
});

for (const { dialect, skip, open } of DATABASES) {
  describe(`idempotency on ${dialect}`, { skip }, () => {
    let database: TestStorage;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    const start = (now = new Date('2026-11-20T08:00:00Z')) => {
      const clock: Clock & { at: Date } = { at: now, now: () => clock.at };
      const timer = new ManualTimer();
      const create = () => new Idempotency({ storage: database.storage, clock, timer });
      return { clock, timer, idempotency: create(), another: create() };
    };
    const request = (input: unknown = { name: 'a' }, key: string | null = 'key') => ({ operation: 'test', key, input });

    it('gives 20 repeats at the same time one effect and one answer', async () => {
      const { idempotency } = start();
      const viewer = someone();
      let effects = 0;
      const answers = await Promise.all(
        Array.from({ length: 20 }, () =>
          idempotency.once(viewer, request(), async () => {
            effects += 1;
            await new Promise(setImmediate);
            return { id: newId() };
          }),
        ),
      );
      assert.equal(effects, 1);
      assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
    });

    it('gives 20 repeats in several processes one effect and one answer', async () => {
      const viewer = someone();
      const clock = { now: () => new Date() };
      let effects = 0;
      const answers = await Promise.all(
        Array.from({ length: 20 }, () =>
          new Idempotency({ storage: database.storage, clock, timer: systemTimer }).once(
            viewer,
            request(),
            async () => {
              effects += 1;
              await new Promise(setImmediate);
              return { id: newId() };
            },
          ),
        ),
      );
      assert.equal(effects, 1);
      assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
    });

    it('gives the answer again later, also when the answer is null', async () => {
      const { idempotency, another } = start();
      const viewer = someone();
      assert.equal(await idempotency.once(viewer, request(), async () => null), null);
      assert.equal(await another.once(viewer, request(), async () => assert.fail('a second effect')), null);
    });

    it('knows the same input in another order of its fields', async () => {
      const { idempotency } = start();
      const viewer = someone();
      await idempotency.once(viewer, request({ a: 1, b: { c: 2, d: 3 } }), async () => 'first');
      assert.equal(await idempotency.once(viewer, request({ b: { d: 3, c: 2 }, a: 1 }), async () => 'second'), 'first');
    });

    it('refuses the key for another input or operation, also while the first is at work', async () => {
      const { idempotency, another } = start();
      const viewer = someone();
      const gate = Promise.withResolvers<void>();
      const first = idempotency.once(viewer, request(), async () => {
        await gate.promise;
        return 1;
      });
      const other = idempotency.once(viewer, request({ name: 'b' }), async () => 2);
      gate.resolve();
      assert.equal(await first, 1);
      await assert.rejects(other, ConflictError);
      await assert.rejects(
        another.once(viewer, { ...request(), operation: 'other' }, async () => 3),
        ConflictError,
      );
    });

    it('keeps the keys of two users apart', async () => {
      const { idempotency } = start();
      assert.equal(await idempotency.once(someone(), request(), async () => 'hers'), 'hers');
      assert.equal(await idempotency.once(someone(), request(), async () => 'his'), 'his');
    });

    it('does a failed request again', async () => {
      const { idempotency } = start();
      const viewer = someone();
      const failing = idempotency.once(viewer, request(), async () => {
        throw new ConflictError('not now');
      });
      await assert.rejects(failing, /not now/);
      assert.equal(await idempotency.once(viewer, request(), async () => 'done'), 'done');
    });

    it('gives those who wait in the same process the failure of the first', async () => {
      const { idempotency } = start();
      const viewer = someone();
      let effects = 0;
      const calls = Array.from({ length: 5 }, () =>
        idempotency.once(viewer, request(), async () => {
          effects += 1;
          throw new ConflictError('not now');
        }),
      );
      const results = await Promise.allSettled(calls);
      assert.ok(results.every((result) => result.status === 'rejected'));
      assert.equal(effects, 1);
    });

    it('just does what carries no key', async () => {
      const { idempotency } = start();
      const viewer = someone();
      let effects = 0;
      const effect = async () => {
        effects += 1;
        return effects;
      };
      assert.equal(await idempotency.once(viewer, request({}, null), effect), 1);
      assert.equal(await idempotency.once(viewer, { operation: 'test', key: undefined, input: {} }, effect), 2);
    });

    it('refuses keys that are none', async () => {
      const { idempotency } = start();
      for (const key of ['', 'a'.repeat(256), 'a\0b', 'a\ud800']) {
        await assert.rejects(
          idempotency.once(someone(), request({}, key), async () => 1),
          InvalidInputError,
        );
      }
    });

    it('goes on, with the parts that were kept, after the process that was at work died', async () => {
      const { clock, timer, another } = start();
      const viewer = someone();
      const began = Promise.withResolvers<void>();
      // Its timer is of its own, and stands still: what is dead gives no sign.
      const dying = start(clock.at).idempotency.once<string, string>(viewer, request(), async ({ keep }) => {
        await keep('first');
        await keep('second');
        began.resolve();
        return new Promise(() => {}); // Its process is gone: neither answer nor sign of life.
      });
      void dying;
      await began.promise;

      clock.at = addMs(clock.at, PENDING_MS - 1);
      const waiting = another.once<string, string>(viewer, request(), async ({ since, parts }) => {
        assert.deepEqual(since, new Date('2026-11-20T08:00:00Z'));
        return [...parts, 'third'].join(' ');
      });
      await another.sweep();
      clock.at = addMs(clock.at, 2);
      let answer: string | null = null;
      void waiting.then((given) => {
        answer = given;
      });
      while (answer === null) await timerTurn(timer);
      assert.equal(answer, 'first second third');
    });

    it('is gone on with at once after a start that freed what a process of before had begun', async () => {
      const { clock, another } = start();
      const viewer = someone();
      const began = Promise.withResolvers<void>();
      void start(clock.at).idempotency.once<string, string>(viewer, request(), async ({ keep }) => {
        await keep('first');
        began.resolve();
        return new Promise(() => {}); // Its process is gone.
      });
      await began.promise;
      await another.once(viewer, request({ name: 'b' }, 'done'), async () => 'done');
      await another.releaseAll();
      const answer = await another.once<string, string>(viewer, request(), async ({ parts }) =>
        [...parts, 'rest'].join(),
      );
      assert.equal(answer, 'first,rest');
      assert.equal(await another.once(viewer, request({ name: 'b' }, 'done'), async () => 'again'), 'done');
    });

    it('is believed alive as long as it gives signs', async () => {
      const { clock, timer, idempotency } = start();
      const viewer = someone();
      const gate = Promise.withResolvers<string>();
      const began = Promise.withResolvers<void>();
      const first = idempotency.once(viewer, request(), () => {
        began.resolve();
        return gate.promise;
      });
      await began.promise;
      for (let turn = 0; turn < 5; turn += 1) {
        clock.at = addMs(clock.at, PENDING_MS / 2);
        await timer.advance(PENDING_MS / 2);
        await leaseBeyond(database, viewer, clock.at);
      }
      gate.resolve('whole');
      assert.equal(await first, 'whole');
    });

    it('stops an attempt that was believed dead when it wants to keep something', async () => {
      const { clock, idempotency, another } = start();
      const viewer = someone();
      const resume = Promise.withResolvers<void>();
      const began = Promise.withResolvers<void>();
      const sleepy = idempotency.once<string, string>(viewer, request(), async ({ keep }) => {
        began.resolve();
        await resume.promise;
        await keep('late');
        return 'late';
      });
      await began.promise;
      clock.at = addMs(clock.at, PENDING_MS + 1);
      assert.equal(await another.once(viewer, request(), async () => 'second'), 'second');
      resume.resolve();
      await assert.rejects(sleepy, ConflictError);
      assert.equal(await another.once(viewer, request(), async () => 'third'), 'second');
    });

    it('forgets answers after a day', async () => {
      const { clock, idempotency } = start();
      const viewer = someone();
      await idempotency.once(viewer, request(), async () => 'old');
      clock.at = addMs(clock.at, 24 * 3_600_000 - 1);
      await idempotency.sweep();
      assert.equal(await idempotency.once(viewer, request(), async () => 'new'), 'old');
      clock.at = addMs(clock.at, 2);
      assert.ok((await idempotency.sweep()) >= 1);
      assert.equal(await idempotency.once(viewer, request(), async () => 'new'), 'new');
    });
  });
}

/** Lets pollers poll. */
const timerTurn = (timer: ManualTimer): Promise<void> => timer.advance(100);

/** Waits until the lease ends after the moment: the sign is written by a task that nobody awaits. */
async function leaseBeyond({ storage }: TestStorage, { userId }: Viewer, moment: Date): Promise<void> {
  for (;;) {
    const record = await storage.fork().findOneOrFail(IdempotencyRecord, { userId, key: 'key' });
    if (record.pendingUntil && record.pendingUntil > moment) return;
  }
}
