import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  acquireOptions,
  assertWindowKept,
  benchOf,
  type LimiterContractOptions,
  testLimiter,
} from '../../test/support/limiter-contract.ts';
import type { ManualTimer } from '../../test/support/manual-timer.ts';
import { SHARED_STATES, type SharedStateUnderTest } from '../../test/support/shared-states.ts';
import { newId } from '../lib/ids.ts';
import { createLog } from '../lib/log.ts';
import type { SharedState } from '../lib/shared-state.ts';
import { type Limiter, perMinute, perSecond, type RateTable } from './limiter.ts';
import { SharedLimiter } from './shared-limiter.ts';
import { AWAY_MS, TurnLedger } from './turn-ledger.ts';
import { LEASE_MS } from './turns.ts';

const START_MS = Date.parse('2026-11-26T00:00:00Z');

/** What the tests of one shared state can do beside using it. */
interface Rig extends LimiterContractOptions {
  /** While true every call to the state fails. */
  down: boolean;
  /** Limiters of processes that died: no call of theirs comes through. */
  readonly dead: WeakSet<Limiter>;
  /** Calls that reached it. */
  calls: number;
  readonly warnings: string[];
}

/** Each limiter has a connection and a ledger of its own, as in a process of its own; only the time is the test's. */
function rigOf({ skip, open }: SharedStateUnderTest): Rig {
  let underway = 0;
  const watch = async <Result>(work: () => Promise<Result>, isDead: boolean): Promise<Result> => {
    underway += 1;
    try {
      if (rig.down || isDead) throw new Error('out of order');
      rig.calls += 1;
      return await work();
    } finally {
      underway -= 1;
    }
  };
  const timed = (state: SharedState, timer: ManualTimer, isDead: () => boolean): SharedState => ({
    read: (key) => watch(async () => ({ ...(await state.read(key)), nowMs: START_MS + timer.nowMs() }), isDead()),
    replace: (...args) => watch(() => state.replace(...args), isDead()),
    close: () => state.close(),
  });
  const log = createLog({
    level: 'info',
    stream: { write: (line) => void rig.warnings.push(String(JSON.parse(line).msg)) },
  });
  const rig: Rig = {
    skip,
    down: false,
    dead: new WeakSet(),
    calls: 0,
    warnings: [],
    open: async (timer) => {
      rig.down = false;
      rig.calls = 0;
      rig.warnings.length = 0;
      const states = await open();
      const accountId = newId();
      const ledgers: TurnLedger[] = [];
      return {
        create: async (rates) => {
          const state = timed(await states.connect(), timer, () => rig.dead.has(limiter));
          const ledger = new TurnLedger({ state, log, timer, random: () => 0.5 });
          ledgers.push(ledger);
          const limiter: Limiter = new SharedLimiter({ accountId, rates, ledger, timer });
          return limiter;
        },
        busy: () => underway > 0,
        close: async () => {
          for (const ledger of ledgers) await ledger.close();
          await states.close();
        },
      };
    },
  };
  return rig;
}

for (const states of SHARED_STATES) {
  const rig = rigOf(states);
  testLimiter(states.name, rig);

  describe(`limiters that share ${states.name}`, { skip: states.skip }, () => {
    const test = (title: string, work: (bench: Awaited<ReturnType<typeof benchOf>>) => Promise<void>): void => {
      it(title, { timeout: 60_000 }, async () => {
        const bench = await benchOf(rig);
        try {
          await work(bench);
        } finally {
          await bench.limiters.close();
        }
      });
    };

    test('have one window between them, and waste no turn of it', async ({ limiters, ask, turns, pass }) => {
      const window = perSecond(2, 5);
      const all = await Promise.all([1, 2, 3].map(() => limiters.create({ list: { windows: [window] } })));
      const asked: Promise<void>[] = [];
      for (let index = 0; index < 36; index += 1) {
        for (const limiter of all.slice(0, 1 + (index % 3))) asked.push(ask(limiter, String(index), 'list'));
        await pass((index % 4) * 130);
      }
      await pass(60_000);
      await Promise.all(asked);
      const times = turns.map(({ atMs }) => atMs);
      assertWindowKept(times, window);
      assert.equal(turns.length, 72);
      // 72 turns are 15 windows; the last must not wait longer than the margin and some collisions make it.
      assert.ok((times.at(-1) ?? 0) <= 15 * window.windowMs * 1.1, `the last turn came at ${times.at(-1)}`);
    });

    test('have the windows of all endpoints together in common too', async ({ limiters, ask, names, pass }) => {
      const rates: RateTable = { '*': { windows: [perMinute(3)] } };
      const [one, other] = [await limiters.create(rates), await limiters.create(rates)];
      for (const [index, limiter] of [one, other, one, other].entries()) {
        void ask(limiter, `${index}`, `endpoint ${index}`, { waitMaxMs: 100_000 }).catch(() => {});
        await pass(0);
      }
      assert.equal(names(), '0 1 2');
      await pass(63_000);
      assert.equal(names(), '0 1 2 3');
    });

    test('run no more at once than may, and one gets the place that another leaves', async (bench) => {
      const { limiters, ask, names, pass } = bench;
      const rates: RateTable = { slice: { concurrent: 2 } };
      const [one, other] = [await limiters.create(rates), await limiters.create(rates)];
      const ends = [await one.acquire('slice', acquireOptions()), await other.acquire('slice', acquireOptions())];
      void ask(one, 'a', 'slice');
      await pass(2 * LEASE_MS);
      assert.equal(names(), '', 'turns under way stay, however long they take');
      ends[1]?.();
      await pass(500);
      assert.equal(names(), 'a');
      ends[0]?.();
    });

    test('get back the places of a process that died, when its lease ends', async ({ limiters, ask, names, pass }) => {
      const rates: RateTable = { slice: { concurrent: 1 } };
      const [dying, other] = [await limiters.create(rates), await limiters.create(rates)];
      await dying.acquire('slice', acquireOptions());
      await pass(LEASE_MS * 2);
      rig.dead.add(dying);
      void ask(other, 'heir', 'slice');
      await pass((LEASE_MS * 2) / 3 - 1_000);
      assert.equal(names(), '', 'it told of its turn a third of a lease ago at most');
      await pass(LEASE_MS / 3 + 2_000);
      assert.equal(names(), 'heir');
    });

    test('hold everybody back when one is told to pause', async ({ limiters, ask, names, pass }) => {
      const [one, other] = [await limiters.create({}), await limiters.create({})];
      one.pause('list', 60_000);
      await pass(0);
      void ask(other, 'a', 'list', { waitMaxMs: 100_000 });
      void ask(other, 'b', 'move');
      await assert.rejects(other.acquire('list', acquireOptions({ waitMaxMs: 1_000 })), { retryAfterMs: 60_000 });
      await pass(59_999);
      assert.equal(names(), 'b');
      await pass(1);
      assert.equal(names(), 'b a');
    });

    test('ask once for all who wait, and not before there can be a turn', async ({ limiters, ask, turns, pass }) => {
      const limiter = await limiters.create({ list: { windows: [perMinute(10)] } });
      for (let index = 0; index < 200; index += 1)
        void ask(limiter, `${index}`, 'list', { waitMaxMs: 1_000_000 }).catch(() => {});
      await pass(0);
      assert.equal(turns.length, 10);
      const before = rig.calls;
      await pass(62_000);
      assert.equal(rig.calls, before);
      await pass(2_000);
      assert.equal(turns.length, 20);
      assert.ok(rig.calls - before <= 4, `${rig.calls - before} calls for one round of turns`);
    });

    test('count each for itself while the state is away, say so once, and tell afterwards what they gave', async (bench) => {
      const { limiters, ask, turns, pass, names } = bench;
      const window = perMinute(5);
      const [one, other] = [
        await limiters.create({ list: { windows: [window] } }),
        await limiters.create({ list: { windows: [window] } }),
      ];
      await ask(one, 'before', 'list');
      rig.down = true;
      for (let index = 0; index < 8; index += 1) void ask(one, `alone ${index}`, 'list');
      await pass(AWAY_MS * 3);
      assert.equal(turns.length, 5, 'what was counted before still counts, and no more is given than may');
      assert.equal(rig.warnings.filter((line) => line.includes('each process counts for itself')).length, 1);

      rig.down = false;
      await pass(AWAY_MS);
      one.pause('unrelated', 1); // Any question tells the rest.
      await pass(AWAY_MS);
      const given = turns.length;
      void ask(other, 'other', 'list');
      await pass(10_000);
      assert.equal(turns.length, given, names());
      await pass(180_000);
      assert.ok(names().includes('other'));
      assertWindowKept(
        turns.map(({ atMs }) => atMs),
        window,
      );
    });

    test('are idle when nobody waits or runs', async ({ limiters, pass, timer }) => {
      const limiter = await limiters.create({ slice: { concurrent: 1 } });
      assert.equal(limiter.idle, true);
      const end = await limiter.acquire('slice', acquireOptions());
      assert.equal(limiter.idle, false);
      end();
      assert.equal(limiter.idle, false);
      await pass(0);
      assert.equal(limiter.idle, true);
      assert.equal(timer.pending, 0);
    });
  });

  describe(`the state in ${states.name}`, { skip: states.skip }, () => {
    it('is replaced only by who knows it, and forgotten after its time', async () => {
      const { connect, close } = await states.open();
      const [one, other] = [await connect(), await connect()];
      try {
        const key = `test:${newId()}`;
        assert.equal((await one.read(key)).value, null);
        assert.equal(await one.replace(key, null, 'a', 60_000), true);
        assert.equal(await other.replace(key, null, 'b', 60_000), false);
        assert.equal(await other.replace(key, 'x', 'b', 60_000), false);
        assert.equal(await other.replace(key, 'a', 'b', 60_000), true);
        const { value, nowMs } = await one.read(key);
        assert.equal(value, 'b');
        assert.ok(Math.abs(nowMs - Date.now()) < 3_600_000);
        assert.equal(await one.replace(key, 'b', 'c', 1), true);
        while ((await one.read(key)).value !== null); // It ends by itself.
        assert.equal(await other.replace(key, null, 'd', 60_000), true);
        const racing = await Promise.all(
          [one, other, one].map((state, index) => state.replace(key, 'd', `${index}`, 1)),
        );
        assert.equal(racing.filter(Boolean).length, 1);
      } finally {
        await one.close();
        await other.close();
        await close();
      }
    });

    it('lets two processes have as many turns as one may', { skip: states.inProcess }, async () => {
      const { settings, close } = await states.open();
      try {
        const accountId = newId();
        const worker = fileURLToPath(new URL('../../test/support/limiter-worker.ts', import.meta.url));
        const outputs = await Promise.all(
          [1, 2].map(async () => {
            const child = spawn(process.execPath, [worker, accountId, JSON.stringify(settings)], {
              stdio: ['ignore', 'pipe', 'inherit'],
            });
            let output = '';
            child.stdout.on('data', (chunk) => {
              output += String(chunk);
            });
            const [code] = await once(child, 'close');
            assert.equal(code, 0);
            return JSON.parse(output) as { given: number; refused: number };
          }),
        );
        const total = (key: 'given' | 'refused') => outputs.reduce((sum, output) => sum + output[key], 0);
        assert.equal(total('given'), 10);
        assert.equal(total('refused'), 2 * 20 - 10);
      } finally {
        await close();
      }
    });
  });
}
