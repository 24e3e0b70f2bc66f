import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualTimer } from '../../test/support/manual-timer.ts';
import { ShuttingDownError } from '../graph/errors.ts';
import { RateLimitedError, UnauthenticatedError } from '../lib/errors.ts';
import type { Viewer } from '../services/viewer.ts';
import { EXPIRY_SKEW_MS, LiveStreams, RECHECK_MS } from './live.ts';

const ALICE = viewer('alice', 'session-1');

function viewer(userId: string, grantId: string, expiresAt: Date | null = null): Viewer {
  return { userId, grantId, expiresAt, role: 'USER', grant: 'session', scopes: new Set() };
}

function setUp(perAddressMax = 2) {
  const timer = new ManualTimer();
  const clock = { now: () => new Date(timer.nowMs()) };
  return { timer, live: new LiveStreams({ timer, clock, perAddressMax }) };
}

const reasonOf = ({ signal }: { readonly signal: AbortSignal }): unknown => signal.aborted && signal.reason.message;

describe('live streams', () => {
  it('end with their grant, or with all grants of their user', () => {
    const { live } = setUp(5);
    const [one, two, other] = [live.open('a'), live.open('a'), live.open('a')];
    one.bind(ALICE, async () => ALICE);
    two.bind(viewer('alice', 'session-2'), async () => ALICE);
    other.bind(viewer('bob', 'session-1'), async () => ALICE);
    live.revoke({ userId: 'alice', grantIds: ['session-1'] });
    assert.deepEqual([reasonOf(one), reasonOf(two), reasonOf(other)], ['Session ended', false, false]);
    assert.ok(one.signal.reason instanceof UnauthenticatedError);
    live.revoke({ userId: 'alice', grantIds: 'all' });
    assert.deepEqual([reasonOf(two), reasonOf(other)], ['Session ended', false]);
  });

  it('end when their token does, shortly after', async () => {
    const { live, timer } = setUp();
    const stream = live.open('a');
    const short = viewer('alice', 'session-1', new Date(5_000));
    stream.bind(short, async () => short);
    await timer.advance(5_000 + EXPIRY_SKEW_MS - 1);
    assert.equal(reasonOf(stream), false);
    await timer.advance(1);
    assert.equal(reasonOf(stream), 'Session expired');
  });

  it('are looked at again, and end when the token no longer counts', async () => {
    const { live, timer } = setUp();
    const stream = live.open('a');
    let counts: Viewer | null = ALICE;
    stream.bind(ALICE, async () => counts);
    await timer.advance(RECHECK_MS);
    assert.equal(reasonOf(stream), false);
    counts = null;
    await timer.advance(RECHECK_MS);
    assert.equal(reasonOf(stream), 'Session ended');
  });

  it('stay while the database does not answer, until the token ends', async () => {
    const { live, timer } = setUp();
    const stream = live.open('a');
    stream.bind(viewer('alice', 'session-1', new Date(3 * RECHECK_MS)), async () => {
      throw new Error('the database is away');
    });
    await timer.advance(2 * RECHECK_MS);
    assert.equal(reasonOf(stream), false);
    await timer.advance(RECHECK_MS + EXPIRY_SKEW_MS);
    assert.equal(reasonOf(stream), 'Session expired');
  });

  it('that are over are not looked at any more', async () => {
    const { live, timer } = setUp();
    const stream = live.open('a');
    stream.bind(ALICE, async () => ALICE);
    await timer.advance(0);
    assert.equal(timer.pending, 1);
    stream.release();
    assert.equal(timer.pending, 0);
    assert.equal(live.size, 0);
  });

  it('of nobody have nothing that expires', async () => {
    const { live, timer } = setUp();
    live.open('a').bind(null, async () => null);
    await timer.advance(10 * RECHECK_MS);
    assert.equal(timer.pending, 0);
  });

  it('are so many to an address, and no more', () => {
    const { live } = setUp(2);
    const first = live.open('a');
    live.open('a');
    assert.throws(() => live.open('a'), RateLimitedError);
    live.open('b');
    first.release();
    first.release(); // Counts once.
    live.open('a');
    assert.throws(() => live.open('a'), RateLimitedError);
  });

  it('all end in a drain, and none begins', () => {
    const { live } = setUp();
    const stream = live.open('a');
    live.drain();
    assert.ok(stream.signal.reason instanceof ShuttingDownError);
    assert.throws(() => live.open('a'), ShuttingDownError);
  });
});
