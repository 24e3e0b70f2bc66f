import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DriveError, domainErrorOf } from './errors.ts';

const NOW = new Date('2026-01-01T00:00:00Z');

test('a client of the API may try a spent failure again, later', () => {
  for (const category of ['rate_limited', 'unavailable', 'timeout'] as const) {
    const error = new DriveError(category, 'Not now.', { provider: 'BAIDU', retryAfterMs: 1_000 }).spent();
    const { retryable, retryAt } = domainErrorOf(error, 'account', NOW);
    assert.deepEqual([retryable, retryAt?.getTime()], [true, NOW.getTime() + 1_000]);
  }
});
