import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualTimer } from '../../../test/support/manual-timer.ts';
import { requestFor } from '../../../test/support/outbound.ts';
import { DriveError, type DriveErrorCategory, type DriveErrorInit } from '../../lib/drive-error.ts';
import type { Answer, OutboundRequest } from '../request.ts';
import { retryLayer } from './retry.ts';

const PEER = { provider: 'TEST', title: 'The test cloud' };
const ANSWER: Answer = { status: 200, headers: new Headers(), url: '', body: null };

const fault = (category: DriveErrorCategory, init: Partial<DriveErrorInit> = {}): DriveError =>
  new DriveError(category, 'It failed.', { provider: 'TEST', ...init });

/** Sends a request through the layer to a provider that fails with these errors, one after another, and then succeeds. */
function send(errors: readonly unknown[], given: Partial<OutboundRequest> = {}, random = 0.5) {
  const timer = new ManualTimer();
  const attempts: { readonly attempt: number; readonly atMs: number }[] = [];
  const result = retryLayer({ peer: PEER, timer, random: () => random })(
    { request: requestFor('http://a.test/', given), attempt: 1 },
    async ({ attempt }) => {
      attempts.push({ attempt, atMs: timer.nowMs() });
      if (attempts.length <= errors.length) throw errors[attempts.length - 1];
      return ANSWER;
    },
  );
  result.catch(() => {});
  return { timer, attempts, result };
}

test('what is retryable is tried again, with longer and longer waits', async () => {
  const { timer, attempts, result } = send([fault('unavailable'), fault('timeout'), fault('rate_limited')]);
  await timer.advance(60_000);
  assert.equal(await result, ANSWER);
  assert.deepEqual(attempts, [
    { attempt: 1, atMs: 0 },
    { attempt: 2, atMs: 500 },
    { attempt: 3, atMs: 1500 },
    { attempt: 4, atMs: 3500 },
  ]);
});

test('the waits have jitter and a cap', async () => {
  const waits = async (random: number) => {
    const errors = Array.from({ length: 7 }, () => fault('unavailable'));
    const { timer, attempts } = send(errors, { attempts: 8, priority: 'bulk' }, random);
    await timer.advance(200_000);
    return attempts.slice(1).map(({ atMs }, index) => atMs - (attempts[index]?.atMs ?? 0));
  };
  assert.deepEqual(await waits(0), [375, 750, 1500, 3000, 6000, 6000, 6000]);
  assert.deepEqual(await waits(1), [625, 1250, 2500, 5000, 10_000, 10_000, 10_000]);
});

test('when the tries are used up the error is spent, and keeps all that it told', async () => {
  const errors = Array.from({ length: 9 }, (_, index) =>
    fault('unavailable', { providerCode: `${index}`, retryAfterMs: 10 }),
  );
  const { timer, attempts, result } = send(errors);
  await timer.advance(60_000);
  await assert.rejects(result, {
    category: 'unavailable',
    providerCode: '3',
    retryAfterMs: 10,
    retryable: false,
    persistent: true,
    cause: errors[3],
  });
  assert.equal(attempts.length, 4);
});

test('what is not retryable is thrown as it is, at once', async () => {
  for (const error of [
    fault('not_found'),
    fault('unauthenticated'),
    fault('unavailable', { retryable: false }),
    new TypeError('a bug'),
  ]) {
    const { attempts, result } = send([error]);
    await assert.rejects(result, (thrown) => thrown === error);
    assert.equal(attempts.length, 1);
  }
});

test('a request that is not idempotent is repeated only when nothing can have been done', async () => {
  for (const [error, tries] of [
    [fault('unavailable'), 1],
    [fault('timeout'), 1],
    [fault('unavailable', { nothingDone: true }), 2],
    [fault('rate_limited'), 2],
    [fault('rate_limited', { nothingDone: false }), 1],
  ] as const) {
    const { timer, attempts, result } = send([error], { idempotent: false, method: 'GET' });
    await timer.advance(60_000);
    if (tries === 2) assert.equal(await result, ANSWER);
    else await assert.rejects(result, { category: error.category, retryable: false, persistent: true });
    assert.equal(attempts.length, tries);
  }
});

test("the provider's delay is obeyed", async () => {
  const { timer, attempts } = send([fault('rate_limited', { retryAfterMs: 10_000 })]);
  await timer.advance(60_000);
  assert.deepEqual(
    attempts.map(({ atMs }) => atMs),
    [0, 10_500],
  );
});

test('nobody waits longer than makes sense: a person 20 s, a job 90 s in all', async () => {
  for (const [priority, retryAfterMs, tries] of [
    ['interactive', 20_000, 1],
    ['interactive', 15_000, 2],
    ['bulk', 60_000, 2],
    ['bulk', 100_000, 1],
  ] as const) {
    const errors = [fault('rate_limited', { retryAfterMs }), fault('rate_limited', { retryAfterMs })];
    const { timer, attempts, result } = send(errors, { priority });
    await timer.advance(300_000);
    await assert.rejects(result, { category: 'rate_limited', retryAfterMs, persistent: true });
    assert.deepEqual([priority, attempts.length], [priority, tries]);
  }
});

test('giving up ends the wait at once, and before the first attempt sends nothing', async () => {
  const controller = new AbortController();
  const { timer, attempts, result } = send([fault('unavailable')], { signal: controller.signal });
  await timer.advance(100);
  controller.abort();
  await assert.rejects(result, { category: 'cancelled' });
  assert.equal(timer.pending, 0);
  assert.equal(attempts.length, 1);

  const late = send([], { signal: controller.signal });
  await assert.rejects(late.result, { category: 'cancelled' });
  assert.equal(late.attempts.length, 0);
});
