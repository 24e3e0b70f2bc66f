import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acquireOptions, testLimiter } from '../../test/support/limiter-contract.ts';
import { ManualTimer } from '../../test/support/manual-timer.ts';
import { MemoryLimiter, perMinute, perSecond } from './limiter.ts';

testLimiter('memory', {
  skip: false,
  open: async (timer) => ({
    create: async (rates) => new MemoryLimiter(rates, timer),
    busy: () => false,
    close: async () => {},
  }),
});

test('rates are written as the providers write them', () => {
  assert.deepEqual(perSecond(5), { max: 5, windowMs: 1000 });
  assert.deepEqual(perSecond(0.2), { max: 1, windowMs: 5000 });
  assert.deepEqual(perSecond(2, 5), { max: 5, windowMs: 2500 });
  assert.deepEqual(perMinute(8), { max: 8, windowMs: 60_000 });
  assert.deepEqual(perMinute(60, 1), { max: 1, windowMs: 1000 });
});

test('it is idle when nobody waits or runs and no window remembers anything', async () => {
  const timer = new ManualTimer();
  const limiter = new MemoryLimiter({ list: { windows: [perSecond(1)], concurrent: 5 } }, timer);
  assert.equal(limiter.idle, true);
  const end = await limiter.acquire('list', acquireOptions());
  await timer.advance(5_000);
  assert.equal(limiter.idle, false);
  end();
  assert.equal(limiter.idle, true);
  limiter.pause('list', 1000);
  assert.equal(limiter.idle, false);
  await timer.advance(1000);
  assert.equal(limiter.idle, true);
  (await limiter.acquire('list', acquireOptions()))();
  assert.equal(limiter.idle, false);
});
