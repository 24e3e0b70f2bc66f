import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestFor } from '../../../test/support/outbound.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { Secret } from '../../lib/secret.ts';
import type { Answer, OutboundRequest } from '../request.ts';
import { type AccessToken, newRefreshState, refreshLayer, type TokenStore } from './refresh.ts';

const PEER = { provider: 'TEST', title: 'The test cloud' };
const ANSWER: Answer = { status: 200, headers: new Headers(), url: '', body: null };
const NOW = new Date('2026-01-01T00:00:00Z');

const refusal = (): DriveError => new DriveError('unauthenticated', 'Expired.', { provider: 'TEST' });
const outage = (): DriveError => new DriveError('unavailable', 'Down.', { provider: 'TEST' });
const token = (value: string, leftMs: number | null = null): AccessToken => ({
  value: new Secret(value),
  expiresAt: leftMs === null ? null : new Date(NOW.getTime() + leftMs),
});

/**
 * A layer over a store whose tokens are t1, t2… and a provider that accepts only what `accepts` says. `refresh` stands for
 * the refresh call: what it throws, or waits for.
 */
function setUp(
  first: AccessToken,
  accepts: (token: string) => boolean,
  refresh: () => Promise<void> | void = () => {},
) {
  let current = first;
  let nowMs = NOW.getTime();
  const refreshed: string[] = [];
  const sent: string[] = [];
  const tokens: TokenStore = {
    current: async () => current,
    refresh: async (stale) => {
      refreshed.push(stale.value.reveal());
      await refresh();
      current = token(`t${refreshed.length + 1}`);
      return current;
    },
  };
  const state = newRefreshState();
  const layer = refreshLayer({
    peer: PEER,
    tokens,
    state: () => state,
    clock: { now: () => new Date(nowMs) },
    authorize: (request, value) => ({ ...request, headers: { ...request.headers, authorization: `Bearer ${value}` } }),
  });
  const send = (given: Partial<OutboundRequest> = {}) =>
    layer({ request: requestFor('http://a.test/', { auth: true, ...given }), attempt: 1 }, async ({ request }) => {
      const value = request.headers?.authorization?.slice(7) ?? 'none';
      sent.push(value);
      await new Promise(setImmediate);
      if (!accepts(value)) throw refusal();
      return ANSWER;
    });
  return {
    send,
    sent,
    refreshed,
    store: (value: AccessToken) => {
      current = value;
    },
    pass: (milliseconds: number) => {
      nowMs += milliseconds;
    },
  };
}

test('a request goes out with the present token, one without auth goes out without', async () => {
  const { send, sent, refreshed } = setUp(token('t1'), () => true);
  await send();
  await send({ auth: false });
  assert.deepEqual(sent, ['t1', 'none']);
  assert.deepEqual(refreshed, []);
});

test('a refusal of a request without auth is not about the token', async () => {
  const { send, refreshed } = setUp(token('t1'), () => false);
  await assert.rejects(send({ auth: false }), { category: 'unauthenticated' });
  assert.deepEqual(refreshed, []);
});

test('50 callers with an expired token make one refresh, and each sends once more', async () => {
  const { send, sent, refreshed } = setUp(token('t1'), (value) => value === 't2');
  assert.deepEqual(await Promise.all(Array.from({ length: 50 }, () => send())), Array(50).fill(ANSWER));
  assert.deepEqual(refreshed, ['t1']);
  assert.equal(sent.filter((value) => value === 't1').length, 50);
  assert.equal(sent.filter((value) => value === 't2').length, 50);
});

test('a refusal that arrives after the refresh uses the new token', async () => {
  const { send, sent, refreshed, store } = setUp(token('t1'), (value) => value === 'other');
  const sending = send();
  await Promise.resolve();
  store(token('other')); // Another process has refreshed meanwhile.
  await sending;
  assert.deepEqual(sent, ['t1', 'other']);
  assert.deepEqual(refreshed, []);
});

test('a new token that is refused too ends it: never a loop', async () => {
  const { send, sent, refreshed } = setUp(token('t1'), () => false);
  await assert.rejects(send(), { category: 'unauthenticated' });
  assert.deepEqual([sent, refreshed], [['t1', 't2'], ['t1']]);
});

test('a refresh that fails is told to every caller, once, and as spent', async () => {
  const { send, refreshed } = setUp(
    token('t1'),
    () => false,
    () => Promise.reject(outage()),
  );
  const results = await Promise.allSettled([send(), send(), send()]);
  for (const result of results) {
    const { category, retryable, persistent } = result.status === 'rejected' ? result.reason : assert.fail();
    assert.deepEqual([category, retryable, persistent], ['unavailable', false, true]);
  }
  assert.deepEqual(refreshed, ['t1']);
});

test('a bug in the store is not made a failure of the drive', async () => {
  const bug = new TypeError('a bug');
  const { send } = setUp(
    token('t1'),
    () => false,
    () => Promise.reject(bug),
  );
  await assert.rejects(send(), bug);
});

test('a token about to expire is replaced before it is refused', async () => {
  const { send, sent, refreshed } = setUp(token('t1', 4 * 60_000), () => true);
  await Promise.all([send(), send(), send()]);
  assert.deepEqual([sent, refreshed], [['t2', 't2', 't2'], ['t1']]);
});

test('a token that lives shorter than the lead is not replaced for every request', async () => {
  const { send, refreshed, store, pass } = setUp(token('t1', 0), () => true);
  await send();
  store(token('t2', 60_000));
  for (let index = 0; index < 5; index += 1) {
    await send();
    pass(10_000);
  }
  assert.deepEqual(refreshed, ['t1']);
  pass(10_000);
  await send();
  assert.deepEqual(refreshed, ['t1', 't2']);
});

test('a token with time left is used', async () => {
  const { send, refreshed } = setUp(token('t1', 6 * 60_000), () => true);
  await send();
  assert.deepEqual(refreshed, []);
});

test('when an early refresh fails the token is used while it counts, and the refresh is not tried again at once', async () => {
  const { send, sent, refreshed, pass } = setUp(
    token('t1', 4 * 60_000),
    () => true,
    () => Promise.reject(outage()),
  );
  await send();
  await send();
  assert.deepEqual([sent, refreshed], [['t1', 't1'], ['t1']]);
  pass(31_000);
  await send();
  assert.deepEqual(refreshed, ['t1', 't1']);
  pass(240_000);
  await assert.rejects(send(), { category: 'unavailable' });
  assert.equal(sent.length, 3);
});

test('a refresh token that was refused is not tried again until the account has another token', async () => {
  const { send, refreshed, pass, store } = setUp(
    token('t1'),
    (value) => value === 'linked again',
    () => Promise.reject(refusal()),
  );
  for (let index = 0; index < 3; index += 1) {
    await assert.rejects(send(), { category: 'unauthenticated' });
    pass(86_400_000);
  }
  assert.deepEqual(refreshed, ['t1']);
  store(token('linked again'));
  assert.equal(await send(), ANSWER);
});

test('a caller who gives up leaves the refresh to the others', async () => {
  const go = Promise.withResolvers<void>();
  const { send, refreshed, sent } = setUp(
    token('t1', 0),
    () => true,
    () => go.promise,
  );
  const controller = new AbortController();
  const first = send({ signal: controller.signal });
  const second = send();
  while (refreshed.length === 0) await new Promise(setImmediate);
  controller.abort();
  await assert.rejects(first, { category: 'cancelled' });
  go.resolve();
  assert.equal(await second, ANSWER);
  assert.deepEqual([sent, refreshed], [['t2'], ['t1']]);
});

test('a token that was refused is not sent again while it cannot be replaced', async () => {
  const { send, sent, refreshed, pass } = setUp(
    token('t1'),
    (value) => value === 't3',
    () => {
      if (refreshed.length < 2) throw outage();
    },
  );
  await assert.rejects(send(), { category: 'unavailable' });
  await assert.rejects(send(), { category: 'unavailable' });
  assert.deepEqual(sent, ['t1']);
  pass(31_000);
  await send();
  assert.deepEqual(sent, ['t1', 't3']);
});

test('a request that waits for its turn with a token that goes meanwhile is sent with the next one', async () => {
  const tokens = { t1: token('t1'), t2: token('t2') };
  let current = tokens.t1;
  const sent: string[] = [];
  const turns: (() => void)[] = [];
  const state = newRefreshState();
  const layer = refreshLayer({
    peer: PEER,
    tokens: {
      current: async () => current,
      refresh: async () => {
        current = tokens.t2;
        return current;
      },
    },
    state: () => state,
    clock: { now: () => NOW },
    authorize: (request, value) => ({ ...request, headers: { authorization: value } }),
  });
  const send = () =>
    layer({ request: requestFor('http://a.test/', { auth: true }), attempt: 1 }, async ({ request, atTurn }) => {
      await new Promise<void>((resolve) => turns.push(resolve));
      atTurn?.();
      const value = request.headers?.authorization ?? 'none';
      sent.push(value);
      if (value !== 't2') throw refusal();
      return ANSWER;
    });
  let isOver = false;
  const all = Promise.all([send(), send(), send()]).finally(() => {
    isOver = true;
  });
  while (turns.length < 3) await new Promise(setImmediate);
  while (!isOver) {
    turns.shift()?.();
    await new Promise(setImmediate);
  }
  assert.deepEqual(await all, [ANSWER, ANSWER, ANSWER]);
  assert.deepEqual(sent, ['t1', 't2', 't2', 't2']);
});
