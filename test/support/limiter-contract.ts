import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Limiter, perMinute, perSecond, type RateTable } from '../../src/transport/limiter.ts';
import { type AcquireOptions, NoTurnError, QUEUE_MAX } from '../../src/transport/waiting-line.ts';
import { ManualTimer } from './manual-timer.ts';

/** Limiters whose time is in the test's hand. */
export interface LimitersUnderTest {
  /** Another limiter of the same account, as another process has. */
  create(rates: RateTable): Promise<Limiter>;
  /** Whether an answer is awaited that time alone does not bring. */
  busy(): boolean;
  close(): Promise<void>;
}

export interface LimiterContractOptions {
  /** The printed reason when it cannot be tested here. */
  readonly skip: string | false;
  open(timer: ManualTimer): Promise<LimitersUnderTest>;
}

const signal = new AbortController().signal;
export const acquireOptions = (given: Partial<AcquireOptions> = {}): AcquireOptions => ({
  priority: 'interactive',
  waitMaxMs: 3_600_000,
  signal,
  ...given,
});

/** Limiters, their time, and a log of the turns they gave. */
export async function benchOf({ open }: LimiterContractOptions) {
  const timer = new ManualTimer();
  const limiters = await open(timer);
  const turns: { readonly name: string; readonly endpoint: string; readonly atMs: number }[] = [];
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 3; quiet = limiters.busy() ? 0 : quiet + 1) await setImmediate();
  };
  return {
    timer,
    limiters,
    turns,
    settle,
    /** Asks for a turn and ends it at once; `name` goes into the log. */
    ask: (limiter: Limiter, name: string, endpoint: string, given?: Partial<AcquireOptions>): Promise<void> =>
      limiter.acquire(endpoint, acquireOptions(given)).then((end) => {
        turns.push({ name, endpoint, atMs: timer.nowMs() });
        end();
      }),
    names: (): string => turns.map(({ name }) => name).join(' '),
    /** Lets time pass, and answers come that do not take any. */
    pass: async (milliseconds: number): Promise<void> => {
      const untilMs = timer.nowMs() + milliseconds;
      await settle();
      while ((timer.nextMs ?? Number.POSITIVE_INFINITY) <= untilMs) {
        await timer.advance((timer.nextMs ?? 0) - timer.nowMs());
        await settle();
      }
      await timer.advance(untilMs - timer.nowMs());
      await settle();
    },
  };
}

/** Fails when any stretch of a window has more turns than it may. */
export function assertWindowKept(atMs: readonly number[], { max, windowMs }: { max: number; windowMs: number }): void {
  const sorted = [...atMs].sort((one, other) => one - other);
  for (const [index, at] of sorted.entries()) {
    const following = sorted[index + max];
    if (following !== undefined) assert.ok(following - at >= windowMs, `turns at ${at} and ${following}`);
  }
}

/** What every limiter does for the callers of one process. */
export function testLimiter(name: string, contract: LimiterContractOptions): void {
  type Bench = Awaited<ReturnType<typeof benchOf>>;
  const test = (
    title: string,
    work: (rates: (table: RateTable) => Promise<BenchWithLimiter>) => Promise<void>,
  ): void => {
    it(title, { timeout: 60_000 }, async () => {
      const benches: Bench[] = [];
      try {
        await work(async (table) => {
          const bench = await benchOf(contract);
          benches.push(bench);
          const limiter = await bench.limiters.create(table);
          return { ...bench, limiter, ask: (...args) => bench.ask(limiter, ...args) };
        });
      } finally {
        for (const bench of benches) await bench.limiters.close();
      }
    });
  };

  describe(`the limiter over ${name}`, { skip: contract.skip }, () => {
    for (const window of [perSecond(5), perSecond(0.2), perSecond(2, 5), perMinute(8), perSecond(20, 1)]) {
      test(`no stretch of ${window.windowMs} ms ever has more than ${window.max} turns, and no turn is wasted`, async (setUp) => {
        const { turns, ask, pass } = await setUp({ list: { windows: [window] } });
        const count = window.max * 4 + 1;
        const asked: Promise<void>[] = [];
        // In uneven gusts, so that windows begin anywhere.
        for (let index = 0; index < count; index += 1) {
          asked.push(ask(String(index), 'list'));
          await pass((index % 3) * (window.windowMs / 10));
        }
        await pass(window.windowMs * 10);
        await Promise.all(asked);
        assertWindowKept(
          turns.map(({ atMs }) => atMs),
          window,
        );
        assert.equal(turns.length, count);
        assert.ok((turns.at(-1)?.atMs ?? 0) <= window.windowMs * 1.05 * 4 + window.windowMs);
      });
    }

    test('several windows hold at once', async (setUp) => {
      const { turns, ask, pass } = await setUp({ list: { windows: [perSecond(10), perMinute(15)] } });
      for (let index = 0; index < 20; index += 1) void ask(String(index), 'list');
      await pass(0);
      assert.equal(turns.length, 10);
      await pass(30_000);
      assert.equal(turns.length, 15);
      await pass(40_000);
      assert.equal(turns.length, 20);
    });

    test('turns are given in the order asked, interactive before bulk', async (setUp) => {
      const { ask, names, pass } = await setUp({ list: { windows: [perSecond(1)] } });
      for (const name of ['a', 'b']) void ask(name, 'list', { priority: 'bulk' });
      for (const name of ['c', 'd']) void ask(name, 'list');
      void ask('e', 'list', { priority: 'bulk' });
      await pass(10_000);
      assert.equal(names(), 'a c d b e');
    });

    test('an endpoint that is full does not hold up the others, all together do', async (setUp) => {
      const { ask, names, pass } = await setUp({ '*': { windows: [perSecond(3)] }, list: { windows: [perSecond(1)] } });
      for (const name of ['l1', 'l2']) void ask(name, 'list');
      for (const name of ['m1', 'm2', 'm3']) void ask(name, 'move');
      await pass(0);
      assert.equal(names(), 'l1 m1 m2');
      await pass(1_100);
      assert.equal(names(), 'l1 m1 m2 l2 m3');
    });

    test('an endpoint that is not in the table has no rate of its own', async (setUp) => {
      const { turns, ask, pass } = await setUp({ list: { windows: [perSecond(1)] } });
      for (let index = 0; index < 50; index += 1) void ask(String(index), 'other');
      await pass(0);
      assert.equal(turns.length, 50);
    });

    test('no more run at once than may, and ending twice frees one place', async (setUp) => {
      const { limiter, ask, names, pass } = await setUp({ slice: { concurrent: 2 } });
      const ends = await Promise.all([
        limiter.acquire('slice', acquireOptions()),
        limiter.acquire('slice', acquireOptions()),
      ]);
      for (const name of ['a', 'b']) void ask(name, 'slice').then(() => limiter.acquire('slice', acquireOptions()));
      await pass(100_000);
      assert.equal(names(), '');
      ends[0]?.();
      ends[0]?.();
      await pass(0);
      assert.equal(names(), 'a b');
      ends[1]?.();
    });

    test('a pause holds everybody of the endpoint back, and then the queue goes on in order', async (setUp) => {
      const { limiter, ask, names, pass } = await setUp({});
      limiter.pause('list', 60_000);
      for (const name of ['a', 'b']) void ask(name, 'list');
      void ask('c', 'move');
      await pass(59_999);
      assert.equal(names(), 'c');
      await pass(1);
      assert.equal(names(), 'c a b');
    });

    test('a pause of the account holds everything back, and a shorter one does not end a longer one', async (setUp) => {
      const { limiter, ask, names, pass } = await setUp({});
      limiter.pause('*', 1000);
      limiter.pause('*', 10);
      void ask('a', 'list');
      await pass(999);
      assert.equal(names(), '');
      await pass(1);
      assert.equal(names(), 'a');
    });

    test('who cannot have a turn in time is told at once, with the time when there may be one', async (setUp) => {
      const { timer, limiter, settle } = await setUp({});
      const waiting = limiter.acquire('list', acquireOptions({ waitMaxMs: 20_000 }));
      await (await waiting)();
      limiter.pause('list', 60_000);
      const late = { name: 'NoTurnError', retryAfterMs: 60_000 };
      await assert.rejects(limiter.acquire('list', acquireOptions({ waitMaxMs: 20_000 })), late);
      await settle();
      assert.equal(timer.pending, 0);
    });

    test('a pause that comes while they wait sends away whose time it exceeds', async (setUp) => {
      const { limiter, ask, names, pass } = await setUp({ list: { windows: [perMinute(1)] } });
      void ask('first', 'list');
      const hurried = assert.rejects(ask('hurried', 'list', { waitMaxMs: 100_000 }), { retryAfterMs: 200_000 });
      void ask('patient', 'list', { waitMaxMs: 300_000 });
      limiter.pause('list', 200_000);
      await hurried;
      await pass(200_000);
      assert.equal(names(), 'first patient');
    });

    test('a wait ends at its deadline also when only the end of another request could give a turn', async (setUp) => {
      const { limiter, ask, names, pass } = await setUp({ slice: { concurrent: 1 } });
      const end = await limiter.acquire('slice', acquireOptions());
      const refused = assert.rejects(ask('a', 'slice', { waitMaxMs: 5_000 }), NoTurnError);
      await pass(5_000);
      await refused;
      void ask('b', 'slice');
      end();
      await pass(0);
      assert.equal(names(), 'b');
    });

    test('who gives up leaves the queue at once, and nobody waits for him', async (setUp) => {
      const { limiter, ask, names, pass } = await setUp({ list: { windows: [perMinute(1)] } });
      void ask('a', 'list');
      const controller = new AbortController();
      const reason = new Error('gone');
      const gone = assert.rejects(ask('b', 'list', { signal: controller.signal }), reason);
      void ask('c', 'list');
      controller.abort(reason);
      await gone;
      await pass(63_000);
      assert.equal(names(), 'a c');
      await assert.rejects(limiter.acquire('list', acquireOptions({ signal: controller.signal })), reason);
    });

    test('the queue has an end', async (setUp) => {
      const { timer, limiter, settle } = await setUp({ list: { windows: [perMinute(1)] } });
      await limiter.acquire('list', acquireOptions());
      const controller = new AbortController();
      const waits = Array.from({ length: QUEUE_MAX }, () =>
        limiter.acquire('list', acquireOptions({ signal: controller.signal })).catch(() => 'gone'),
      );
      await assert.rejects(limiter.acquire('list', acquireOptions()), /1000 requests/);
      controller.abort();
      assert.equal((await Promise.all(waits)).filter((result) => result === 'gone').length, QUEUE_MAX);
      await settle();
      assert.ok(timer.pending <= 1);
    });

    test('better rates count at once, also for those who wait', async (setUp) => {
      const { limiter, turns, ask, pass } = await setUp({ list: { windows: [perSecond(0.2)] } });
      for (let index = 0; index < 10; index += 1) void ask(String(index), 'list');
      await pass(0);
      assert.equal(turns.length, 1);
      limiter.setRates({ list: { windows: [perSecond(10)] } });
      await pass(0);
      assert.equal(turns.length, 10);
    });
  });
}

interface BenchWithLimiter extends Omit<Awaited<ReturnType<typeof benchOf>>, 'ask'> {
  readonly limiter: Limiter;
  ask(name: string, endpoint: string, given?: Partial<AcquireOptions>): Promise<void>;
}
