import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BUFFER_EVENTS_MAX, type EventBus } from './bus.ts';
import type { Topics } from './topics.ts';

export interface BusUnderTest {
  readonly bus: EventBus;
  /** Messages that were logged as errors so far. */
  errors(): readonly string[];
}

export interface ContractOptions {
  /** The printed reason when the transport cannot be tested here. */
  readonly skip: string | false;
  /** A bus of its own, which the test closes. */
  open(): Promise<BusUnderTest>;
}

/** What every EventBus does for the subscribers of its own process, whatever carries events to the others. Test support. */
export function testEventBus(name: string, { skip, open }: ContractOptions): void {
  const test = (title: string, work: (opened: BusUnderTest) => Promise<void>): void => {
    it(title, { timeout: 20_000 }, async () => {
      const opened = await open();
      try {
        await work(opened);
      } finally {
        await opened.bus.close();
      }
    });
  };

  describe(`the event bus over ${name}`, { skip }, () => {
    describe('delivers', () => {
      test('what was published after subscribe(), before the first next()', async ({ bus }) => {
        await bus.publish('deviceLink.changed', link('before'));
        const events = bus.subscribe('deviceLink.changed');
        await bus.publish('deviceLink.changed', link('a'));
        await bus.publish('deviceLink.changed', link('b'));
        assert.deepEqual(await take(events, 2), [link('a'), link('b')]);
      });

      test('to its own process before publish() answers', async ({ bus }) => {
        const seen: string[] = [];
        bus.on('deviceLink.changed', ({ deviceLinkId }) => seen.push(deviceLinkId));
        const published = bus.publish('deviceLink.changed', link('a'));
        assert.deepEqual(seen, ['a']);
        await published;
      });

      test('to concurrent next() calls in the order of the calls', async ({ bus }) => {
        const events = bus.subscribe('deviceLink.changed');
        const calls = [events.next(), events.next(), events.next()];
        for (const id of ['a', 'b', 'c']) await bus.publish('deviceLink.changed', link(id));
        const results = await Promise.all(calls);
        assert.deepEqual(results.map(idOf), ['a', 'b', 'c']);
      });

      test('each topic to its own subscribers, and each subscription its own copy', async ({ bus }) => {
        const [first, second] = [bus.subscribe('deviceLink.changed'), bus.subscribe('deviceLink.changed')];
        const accounts = bus.subscribe('account.changed');
        await bus.publish('deviceLink.changed', link('a'));
        await bus.publish('account.changed', { accountId: 'x' });
        assert.deepEqual(await take(first, 1), [link('a')]);
        assert.deepEqual(await take(second, 1), [link('a')]);
        assert.deepEqual(await take(accounts, 1), [{ accountId: 'x' }]);
      });

      test('to no subscription that a listener makes during the delivery', async ({ bus }) => {
        const late: AsyncIterableIterator<Topics['deviceLink.changed']>[] = [];
        const lateListener: string[] = [];
        bus.on('deviceLink.changed', ({ deviceLinkId }) => {
          if (deviceLinkId !== 'a') return;
          late.push(bus.subscribe('deviceLink.changed'));
          bus.on('deviceLink.changed', (event) => lateListener.push(event.deviceLinkId));
        });
        await bus.publish('deviceLink.changed', link('a'));
        await bus.publish('deviceLink.changed', link('b'));
        assert.equal(late.length, 1);
        for (const events of late) assert.deepEqual(await take(events, 1), [link('b')]);
        assert.deepEqual(lateListener, ['b']);
      });
    });

    describe('keeps a bounded buffer', () => {
      test('that drops the oldest of a slow reader, and nothing of another', async ({ bus }) => {
        const slow = bus.subscribe('deviceLink.changed', { bufferMax: 2 });
        const other = bus.subscribe('deviceLink.changed');
        for (const id of ['a', 'b', 'c', 'd']) await bus.publish('deviceLink.changed', link(id));
        assert.deepEqual(await take(slow, 2), [link('c'), link('d')]);
        assert.deepEqual(await take(other, 4), ['a', 'b', 'c', 'd'].map(link));
      });

      test(`of ${BUFFER_EVENTS_MAX} events unless told`, async ({ bus }) => {
        const events = bus.subscribe('deviceLink.changed');
        for (let n = 0; n < BUFFER_EVENTS_MAX + 3; n += 1) void bus.publish('deviceLink.changed', link(`${n}`));
        const kept = await take(events, BUFFER_EVENTS_MAX);
        assert.deepEqual(kept[0], link('3'));
        assert.deepEqual(kept.at(-1), link(`${BUFFER_EVENTS_MAX + 2}`));
      });

      test('of one event or more', async ({ bus }) => {
        for (const bufferMax of [0, -1, 1.5, Number.NaN]) {
          assert.throws(() => bus.subscribe('deviceLink.changed', { bufferMax }), RangeError);
        }
      });

      test('in which the newest of a key takes the place of the unread one', async ({ bus }) => {
        const events = bus.subscribe('transfer.changed', { coalesceBy: progressKey, bufferMax: 3 });
        await bus.publish('transfer.changed', progress('t1', 1));
        await bus.publish('transfer.changed', progress('t2', 2));
        await bus.publish('transfer.changed', state('t1', 3));
        await bus.publish('transfer.changed', progress('t1', 4));
        await bus.publish('transfer.changed', progress('t2', 5));
        assert.deepEqual(await take(events, 3), [progress('t1', 4), progress('t2', 5), state('t1', 3)]);
        await bus.publish('transfer.changed', progress('t1', 6));
        assert.deepEqual(await take(events, 1), [progress('t1', 6)]);
      });

      test('that never merges events without a key, equal ones neither', async ({ bus }) => {
        const events = bus.subscribe('transfer.changed', { coalesceBy: () => null });
        for (let n = 0; n < 3; n += 1) await bus.publish('transfer.changed', state('t1', 1));
        assert.deepEqual(await take(events, 3), [state('t1', 1), state('t1', 1), state('t1', 1)]);
      });

      test('in which what the filter refuses takes no place', async ({ bus }) => {
        const events = bus.subscribe('transfer.changed', { filter: ({ userId }) => userId === 'alice', bufferMax: 1 });
        await bus.publish('transfer.changed', { ...state('t1', 1), userId: 'alice' });
        for (let n = 0; n < 5; n += 1) {
          await bus.publish('transfer.changed', { ...progress('t2', n), userId: 'bob' });
        }
        assert.deepEqual(await take(events, 1), [{ ...state('t1', 1), userId: 'alice' }]);
      });
    });

    describe('ends a subscription', () => {
      test('by return(), also for those who wait', async ({ bus }) => {
        const events = bus.subscribe('deviceLink.changed');
        const waiting = [events.next(), events.next()];
        assert.deepEqual(await events.return?.(), { done: true, value: undefined });
        for (const result of await Promise.all(waiting)) assert.equal(result.done, true);
        await bus.publish('deviceLink.changed', link('a'));
        assert.equal((await events.next()).done, true);
      });

      test('by leaving a for-await loop', async ({ bus }) => {
        const events = bus.subscribe('deviceLink.changed');
        await bus.publish('deviceLink.changed', link('a'));
        await bus.publish('deviceLink.changed', link('b'));
        for await (const event of events) {
          assert.deepEqual(event, link('a'));
          break;
        }
        assert.equal((await events.next()).done, true);
      });

      test('by its signal, at once and without what is unread', async ({ bus }) => {
        const controller = new AbortController();
        const { signal } = controller;
        const [waiting, unread] = [
          bus.subscribe('notice', { signal }),
          bus.subscribe('deviceLink.changed', { signal }),
        ];
        const pending = waiting.next();
        await bus.publish('deviceLink.changed', link('a'));
        controller.abort();
        assert.equal((await pending).done, true);
        assert.equal((await unread.next()).done, true);
        assert.equal((await bus.subscribe('notice', { signal }).next()).done, true);
      });

      test('and keeps nothing of it, though bus and signal live on', async ({ bus }) => {
        const { signal } = new AbortController();
        const ended = await endedSubscription(bus, signal);
        await assertCollected(ended);
        assert.equal(signal.aborted, false);
      });

      test('by close(), which ends those to come as well', async ({ bus }) => {
        const events = bus.subscribe('deviceLink.changed');
        const pending = events.next();
        await Promise.all([bus.close(), bus.close()]);
        assert.equal((await pending).done, true);
        const seen: unknown[] = [];
        bus.on('deviceLink.changed', (event) => seen.push(event));
        const late = bus.subscribe('deviceLink.changed');
        await bus.publish('deviceLink.changed', link('a'));
        assert.equal((await late.next()).done, true);
        assert.deepEqual(seen, []);
      });
    });

    describe('keeps faults apart', () => {
      test('when a listener throws or rejects', async ({ bus, errors }) => {
        const events = bus.subscribe('deviceLink.changed');
        const seen: string[] = [];
        bus.on('deviceLink.changed', () => {
          throw new Error('thrown');
        });
        bus.on('deviceLink.changed', async () => {
          throw new Error('rejected');
        });
        bus.on('deviceLink.changed', ({ deviceLinkId }) => seen.push(deviceLinkId));
        await bus.publish('deviceLink.changed', link('a'));
        await turn();
        assert.deepEqual(seen, ['a']);
        assert.deepEqual(await take(events, 1), [link('a')]);
        assert.deepEqual(errors(), ['a listener failed on an event', 'a listener failed on an event']);
      });

      test('when a filter throws: its subscription misses the event', async ({ bus, errors }) => {
        const faulty = bus.subscribe('deviceLink.changed', {
          filter: ({ deviceLinkId }) => {
            if (deviceLinkId === 'a') throw new Error('thrown');
            return true;
          },
        });
        const other = bus.subscribe('deviceLink.changed');
        await bus.publish('deviceLink.changed', link('a'));
        await bus.publish('deviceLink.changed', link('b'));
        assert.deepEqual(await take(faulty, 1), [link('b')]);
        assert.deepEqual(await take(other, 2), [link('a'), link('b')]);
        assert.deepEqual(errors(), ['a subscription failed on an event']);
      });

      test('when a listener stops itself', async ({ bus }) => {
        const seen: string[] = [];
        const stop = bus.on('deviceLink.changed', ({ deviceLinkId }) => {
          seen.push(`first ${deviceLinkId}`);
          stop();
        });
        bus.on('deviceLink.changed', ({ deviceLinkId }) => seen.push(`second ${deviceLinkId}`));
        await bus.publish('deviceLink.changed', link('a'));
        await bus.publish('deviceLink.changed', link('b'));
        assert.deepEqual(seen, ['first a', 'second a', 'second b']);
      });
    });

    test('carries 10,000 subscriptions on one signal without a warning, each asked once for an event', async ({
      bus,
    }) => {
      const warnings: Error[] = [];
      const note = (warning: Error): number => warnings.push(warning);
      process.on('warning', note);
      const controller = new AbortController();
      let asked = 0;
      const filterFor = (id: string) => (event: Topics['deviceLink.changed']) => {
        asked += 1;
        return event.deviceLinkId === id;
      };
      const subscriptions = Array.from({ length: 10_000 }, (_, n) =>
        bus.subscribe('deviceLink.changed', { signal: controller.signal, filter: filterFor(`${n}`) }),
      );
      const pending = subscriptions.map((events) => events.next());
      await bus.publish('deviceLink.changed', link('7000'));
      assert.equal(asked, 10_000);
      assert.equal(idOf(await pending[7000]), '7000');
      controller.abort();
      const results = await Promise.all(pending);
      assert.equal(results.filter(({ done }) => done).length, 9_999);
      await bus.publish('deviceLink.changed', link('7000'));
      assert.equal(asked, 10_000);
      await turn();
      process.off('warning', note);
      assert.deepEqual(warnings, []);
    });
  });
}

/** The next `count` events; fails when the subscription ends before. */
export async function take<Event>(events: AsyncIterator<Event>, count: number): Promise<Event[]> {
  const taken: Event[] = [];
  while (taken.length < count) {
    const { done, value } = await events.next();
    assert.ok(!done, `the subscription ended after ${taken.length} events of ${count}`);
    taken.push(value);
  }
  return taken;
}

export const link = (deviceLinkId: string): Topics['deviceLink.changed'] => ({ deviceLinkId });

const idOf = (result: IteratorResult<Topics['deviceLink.changed']> | undefined): string | null =>
  result && !result.done ? result.value.deviceLinkId : null;

const state = (transferId: string, revision: number): Topics['transfer.changed'] => ({
  userId: 'alice',
  transferId,
  revision,
});

const progress = (transferId: string, bytesDone: number): Topics['transfer.changed'] => ({
  ...state(transferId, 1),
  progress: { phase: null, bytesDone, bytesPerSecond: null },
});

const progressKey = (event: Topics['transfer.changed']): string | null => (event.progress ? event.transferId : null);

async function endedSubscription(bus: EventBus, signal: AbortSignal): Promise<WeakRef<object>> {
  const events = bus.subscribe('deviceLink.changed', { signal });
  await bus.publish('deviceLink.changed', link('a'));
  await events.return?.();
  return new WeakRef(events);
}

async function assertCollected(object: WeakRef<object>): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  for (let round = 0; round < 10 && object.deref(); round += 1) {
    await turn(); // A WeakRef holds its object until the current job ends.
    collectGarbage();
  }
  assert.equal(object.deref(), undefined);
}
