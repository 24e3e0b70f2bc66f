import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DriveError } from './drive-error.ts';

test('a spent error is the same failure, which nobody tries again at once', () => {
  const error = new DriveError('rate_limited', 'Slow down.', {
    provider: 'BAIDU',
    operation: 'list',
    providerCode: '31034',
    hint: 'Wait.',
    retryAfterMs: 5_000,
  });
  const spent = error.spent();
  assert.deepEqual({ ...spent }, { ...error, retryable: false, persistent: true });
  assert.deepEqual([spent.message, spent.cause, spent.spent()], [error.message, error, spent]);
});

test('an error that was never retryable is not made persistent', () => {
  const error = new DriveError('not_found', 'Not there.', { provider: 'BAIDU' });
  assert.equal(error.spent(), error);
});

test('only a refusal for too many requests says by itself that nothing was done', () => {
  const nothingDone = (category: 'rate_limited' | 'unavailable' | 'timeout') =>
    new DriveError(category, '', { provider: 'BAIDU' }).nothingDone;
  assert.deepEqual((['rate_limited', 'unavailable', 'timeout'] as const).map(nothingDone), [true, false, false]);
});
