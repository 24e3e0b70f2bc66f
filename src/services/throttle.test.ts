import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { captureLog } from '../../test/support/log.ts';
import { redisUrl, skipReason } from '../../test/support/services.ts';
import { startTcpProxy } from '../../test/support/tcp-proxy.ts';
import { RateLimitedError } from '../lib/errors.ts';
import { newToken } from '../lib/ids.ts';
import { Secret } from '../lib/secret.ts';
import { addressBlock, Throttle } from './throttle.ts';

const NOW = new Date('2026-11-20T12:00:00Z');
const open = (redis: string | null = null, capture = captureLog()) =>
  new Throttle({ clock: { now: () => NOW }, log: capture.log, redisUrl: redis === null ? null : new Secret(redis) });

const take = async (throttle: Throttle, key: string, count: number): Promise<number> => {
  const results = await Promise.allSettled(Array.from({ length: count }, () => throttle.consume('login.pair', key)));
  for (const result of results) {
    if (result.status === 'rejected') assert.ok(result.reason instanceof RateLimitedError, String(result.reason));
  }
  return results.filter(({ status }) => status === 'fulfilled').length;
};

describe('a budget', () => {
  test('gives exactly what it has to parallel guesses', async () => {
    const throttle = open();
    assert.equal(await take(throttle, 'a', 100), 10);
    assert.equal(await take(throttle, 'a', 1), 0);
    await throttle.close();
  });

  test('belongs to its key and kind', async () => {
    const throttle = open();
    await take(throttle, 'a', 100);
    assert.equal(await take(throttle, 'b', 1), 1);
    await throttle.consume('login.address', 'a');
    await throttle.close();
  });

  test('tells when it is whole again', async () => {
    const throttle = open();
    await take(throttle, 'a', 10);
    await assert.rejects(throttle.consume('login.pair', 'a'), (error) => {
      assert.ok(error instanceof RateLimitedError && error.retryAt);
      const seconds = (error.retryAt.getTime() - NOW.getTime()) / 1000;
      assert.ok(error.retryable && seconds > 0 && seconds <= 900);
      assert.match(error.message, /Wait \d+ seconds/);
      return true;
    });
    await throttle.close();
  });

  test('takes back what was no guess', async () => {
    const throttle = open();
    for (let round = 0; round < 30; round += 1) {
      await throttle.consume('login.pair', 'a');
      await throttle.refund('login.pair', 'a');
    }
    assert.equal(await take(throttle, 'a', 100), 10);
    await throttle.close();
  });
});

describe('with Redis', { skip: await skipReason('Redis') }, async () => {
  const url = (await redisUrl()) ?? '';

  test('two processes share a budget', async () => {
    const key = newToken();
    const [one, other] = [open(url), open(url)];
    await Promise.all([one.ready, other.ready]);
    const taken = await Promise.all([take(one, key, 20), take(other, key, 20)]);
    assert.equal(taken[0] + taken[1], 10);
    await Promise.all([one.close(), other.close()]);
  });

  test('a Redis that goes away does not stop the counting, and the log tells it once', async () => {
    const proxy = await startTcpProxy(url);
    const capture = captureLog();
    const throttle = open(proxy.url, capture);
    await throttle.ready;
    const key = newToken();
    assert.equal(await take(throttle, key, 4), 4);
    await proxy.cut();
    assert.equal(await take(throttle, key, 20), 10, 'this process counts alone');
    await capture.line(({ msg }) => msg.startsWith('Redis does not answer'));
    assert.equal(capture.lines.filter(({ msg }) => msg.startsWith('Redis does not answer')).length, 1);
    await throttle.close();
    await proxy.close();
  });

  test('a Redis that says nothing is given up after a moment', async () => {
    const proxy = await startTcpProxy(url);
    proxy.stall();
    const throttle = open(proxy.url);
    await throttle.ready;
    assert.equal(await take(throttle, newToken(), 20), 10);
    await throttle.close();
    await proxy.close();
  });

  test('without a Redis from the start it counts alone', async () => {
    const throttle = open('redis://127.0.0.1:1');
    assert.equal(await take(throttle, newToken(), 20), 10);
    await throttle.close();
  });
});

describe('an address counts as', () => {
  const blocks: [string, string, string][] = [
    ['itself, of IPv4', '192.0.2.7', '192.0.2.7'],
    ['IPv4, when it is mapped', '::ffff:192.0.2.7', '192.0.2.7'],
    ['its /64, of IPv6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['its /64, with a zone', 'fe80::1%eth0', 'fe80::'],
    ['one, when unknown', 'unknown', 'unknown'],
  ];
  for (const [what, address, block] of blocks) test(what, () => assert.equal(addressBlock(address), block));
});
