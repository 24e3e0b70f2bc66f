import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualTimer } from '../../test/support/manual-timer.ts';
import {
  type AcquireOptions,
  MemoryLimiter,
  NoTurnError,
  perMinute,
  perSecond,
  QUEUE_MAX,
  type RateTable,
} from './limiter.ts';

const signal = new AbortController().signal;
const options = (given: Partial<AcquireOptions> = {}): AcquireOptions => ({
  priority: 'interactive',
  waitMaxMs: 3_600_000,
  signal,
  ...given,
});

/** A limiter whose time is in the test's hand, and a log of the turns it gave. */
function setUp(rates: RateTable) {
  const timer = new ManualTimer();
  const limiter = new MemoryLimiter(rates, timer);
  const turns: { readonly name: string; readonly atMs: number }[] = [];
  /** Asks for a turn and ends it at once; `name` goes into the log. */
  const ask = (name: string, endpoint: string, given?: Partial<AcquireOptions>): Promise<void> =>
    limiter.acquire(endpoint, options(given)).then((end) => {
      turns.push({ name, atMs: timer.nowMs() });
      end();
    });
  const names = (): string => turns.map(({ name }) => name).join(' ');
  return { timer, limiter, turns, ask, names };
}

test('rates are written as the providers write them', () => {
  assert.deepEqual(perSecond(5), { max: 5, windowMs: 1000 });
  assert.deepEqual(perSecond(0.2), { max: 1, windowMs: 5000 });
  assert.deepEqual(perSecond(2, 5), { max: 5, windowMs: 2500 });
  assert.deepEqual(perMinute(8), { max: 8, windowMs: 60_000 });
  assert.deepEqual(perMinute(60, 1), { max: 1, windowMs: 1000 });
});

for (const window of [perSecond(5), perSecond(0.2), perSecond(2, 5), perMinute(8), perSecond(20, 1)]) {
  test(`no stretch of ${window.windowMs} ms ever has more than ${window.max} turns, and no turn is wasted`, async () => {
    const { timer, turns, ask } = setUp({ list: { windows: [window] } });
    const count = window.max * 4 + 1;
    const asked: Promise<void>[] = [];
    // In uneven gusts, so that windows begin anywhere.
    for (let index = 0; index < count; index += 1) {
      asked.push(ask(String(index), 'list'));
      await timer.advance((index % 3) * (window.windowMs / 10));
    }
    await timer.advance(window.windowMs * 10);
    await Promise.all(asked);
    for (const [index, { atMs }] of turns.entries()) {
      const following = turns[index + window.max];
      if (following) assert.ok(following.atMs - atMs >= window.windowMs, `turns at ${atMs} and ${following.atMs}`);
    }
    assert.equal(turns.length, count);
    assert.ok((turns.at(-1)?.atMs ?? 0) <= window.windowMs * 1.05 * 4 + window.windowMs);
  });
}

test('several windows hold at once', async () => {
  const { timer, turns, ask } = setUp({ list: { windows: [perSecond(10), perMinute(15)] } });
  for (let index = 0; index < 20; index += 1) void ask(String(index), 'list');
  await timer.advance(0);
  assert.equal(turns.length, 10);
  await timer.advance(30_000);
  assert.equal(turns.length, 15);
  await timer.advance(40_000);
  assert.equal(turns.length, 20);
});

test('turns are given in the order asked, interactive before bulk', async () => {
  const { timer, ask, names } = setUp({ list: { windows: [perSecond(1)] } });
  for (const name of ['a', 'b']) void ask(name, 'list', { priority: 'bulk' });
  for (const name of ['c', 'd']) void ask(name, 'list');
  void ask('e', 'list', { priority: 'bulk' });
  await timer.advance(10_000);
  assert.equal(names(), 'a c d b e');
});

test('an endpoint that is full does not hold up the others, all together do', async () => {
  const { timer, ask, names } = setUp({ '*': { windows: [perSecond(3)] }, list: { windows: [perSecond(1)] } });
  for (const name of ['l1', 'l2']) void ask(name, 'list');
  for (const name of ['m1', 'm2', 'm3']) void ask(name, 'move');
  await timer.advance(0);
  assert.equal(names(), 'l1 m1 m2');
  await timer.advance(1_100);
  assert.equal(names(), 'l1 m1 m2 l2 m3');
});

test('an endpoint that is not in the table has no rate of its own', async () => {
  const { timer, turns, ask } = setUp({ list: { windows: [perSecond(1)] } });
  for (let index = 0; index < 50; index += 1) void ask(String(index), 'other');
  await timer.advance(0);
  assert.equal(turns.length, 50);
});

test('no more run at once than may, and ending twice frees one place', async () => {
  const { timer, limiter, ask, names } = setUp({ slice: { concurrent: 2 } });
  const ends = await Promise.all([limiter.acquire('slice', options()), limiter.acquire('slice', options())]);
  for (const name of ['a', 'b']) void ask(name, 'slice').then(() => limiter.acquire('slice', options()));
  await timer.advance(1_000_000);
  assert.equal(names(), '');
  ends[0]?.();
  ends[0]?.();
  await timer.advance(0);
  assert.equal(names(), 'a b');
  ends[1]?.();
});

test('a pause holds everybody of the endpoint back, and then the queue goes on in order', async () => {
  const { timer, limiter, ask, names } = setUp({});
  limiter.pause('list', 60_000);
  for (const name of ['a', 'b']) void ask(name, 'list');
  void ask('c', 'move');
  await timer.advance(59_999);
  assert.equal(names(), 'c');
  await timer.advance(1);
  assert.equal(names(), 'c a b');
});

test('a pause of the account holds everything back, and a shorter one does not end a longer one', async () => {
  const { timer, limiter, ask, names } = setUp({});
  limiter.pause('*', 1000);
  limiter.pause('*', 10);
  void ask('a', 'list');
  await timer.advance(999);
  assert.equal(names(), '');
  await timer.advance(1);
  assert.equal(names(), 'a');
});

test('who cannot have a turn in time is told at once, with the time when there may be one', async () => {
  const { timer, limiter } = setUp({});
  const waiting = limiter.acquire('list', options({ waitMaxMs: 20_000 }));
  await (await waiting)();
  limiter.pause('list', 60_000);
  const late = { name: 'NoTurnError', retryAfterMs: 60_000 };
  await assert.rejects(limiter.acquire('list', options({ waitMaxMs: 20_000 })), late);
  assert.equal(timer.pending, 0);
});

test('a pause that comes while they wait sends away whose time it exceeds', async () => {
  const { timer, limiter, ask, names } = setUp({ list: { windows: [perMinute(1)] } });
  void ask('first', 'list');
  const hurried = assert.rejects(ask('hurried', 'list', { waitMaxMs: 100_000 }), { retryAfterMs: 200_000 });
  void ask('patient', 'list', { waitMaxMs: 300_000 });
  limiter.pause('list', 200_000);
  await hurried;
  await timer.advance(200_000);
  assert.equal(names(), 'first patient');
});

test('a wait ends at its deadline also when only the end of another request could give a turn', async () => {
  const { timer, limiter, ask, names } = setUp({ slice: { concurrent: 1 } });
  const end = await limiter.acquire('slice', options());
  const refused = assert.rejects(ask('a', 'slice', { waitMaxMs: 5_000 }), NoTurnError);
  await timer.advance(5_000);
  await refused;
  void ask('b', 'slice');
  end();
  await timer.advance(0);
  assert.equal(names(), 'b');
});

test('who gives up leaves the queue at once, and nobody waits for him', async () => {
  const { timer, limiter, ask, names } = setUp({ list: { windows: [perMinute(1)] } });
  void ask('a', 'list');
  const controller = new AbortController();
  const reason = new Error('gone');
  const gone = assert.rejects(ask('b', 'list', { signal: controller.signal }), reason);
  void ask('c', 'list');
  controller.abort(reason);
  await gone;
  await timer.advance(63_000);
  assert.equal(names(), 'a c');
  await assert.rejects(limiter.acquire('list', options({ signal: controller.signal })), reason);
});

test('the queue has an end', async () => {
  const { limiter, timer } = setUp({ list: { windows: [perMinute(1)] } });
  const controller = new AbortController();
  const waits = Array.from({ length: QUEUE_MAX + 1 }, () =>
    limiter.acquire('list', options({ signal: controller.signal })).catch(() => 'gone'),
  );
  await assert.rejects(limiter.acquire('list', options()), /1000 requests/);
  controller.abort();
  assert.equal((await Promise.all(waits)).filter((result) => result === 'gone').length, QUEUE_MAX);
  assert.ok(timer.pending <= 1);
});

test('better rates count at once, also for those who wait', async () => {
  const { timer, limiter, turns, ask } = setUp({ list: { windows: [perSecond(0.2)] } });
  for (let index = 0; index < 10; index += 1) void ask(String(index), 'list');
  await timer.advance(0);
  assert.equal(turns.length, 1);
  limiter.setRates({ list: { windows: [perSecond(10)] } });
  await timer.advance(0);
  assert.equal(turns.length, 10);
});

test('it is idle when nobody waits or runs and no window remembers anything', async () => {
  const { timer, limiter } = setUp({ list: { windows: [perSecond(1)], concurrent: 5 } });
  assert.equal(limiter.idle, true);
  const end = await limiter.acquire('list', options());
  await timer.advance(5_000);
  assert.equal(limiter.idle, false);
  end();
  assert.equal(limiter.idle, true);
  limiter.pause('list', 1000);
  assert.equal(limiter.idle, false);
  await timer.advance(1000);
  assert.equal(limiter.idle, true);
  (await limiter.acquire('list', options()))();
  assert.equal(limiter.idle, false);
});
