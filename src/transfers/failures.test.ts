import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DriveError } from '../drives/errors.ts';
import {
  AlreadyExistsError,
  CancelledError,
  ConflictError,
  type DomainError,
  IntegrityError,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  ProviderError,
  RateLimitedError,
  ReauthorizationRequiredError,
  StorageFullError,
  TooLargeError,
  UnavailableError,
  UnsupportedError,
} from '../lib/errors.ts';
import { backoffMs, domainFailure, failureOf, isUncertain, storedFailureOf } from './failures.ts';

const retryAt = new Date('2026-11-20T08:30:00Z');
const FAILURES: readonly DomainError[] = [
  new NotFoundError('no folder'),
  new ConflictError('changed'),
  new PermissionDeniedError('no right'),
  new RateLimitedError('slowly', { retryAt }),
  new StorageFullError('full', { retryable: true }),
  new TooLargeError('too large'),
  new IntegrityError('other bytes'),
  new CancelledError('given up'),
  new UnavailableError('not now', { retryAt }),
  new AlreadyExistsError('taken', { existing: { accountId: 'a', ref: 'r' } }),
  new AlreadyExistsError('taken by what cannot be shown'),
  new UnsupportedError('cannot', 'UPLOAD'),
  new ReauthorizationRequiredError('sign in again', 'a'),
  new ProviderError('it failed', { provider: 'BAIDU', providerCode: '31024', hint: 'check the app', retryable: true }),
];

test('a failure comes back from its row as it was', () => {
  for (const failure of FAILURES) {
    const again = failureOf(JSON.parse(JSON.stringify(storedFailureOf(failure))));
    assert.equal(again.constructor, failure.constructor);
    assert.deepEqual({ ...again, message: again.message }, { ...failure, message: failure.message });
  }
});

test('a failure of the input keeps its message, and one of an unknown code is told as an outage', () => {
  const input = failureOf(storedFailureOf(InvalidInputError.at('input.name', 'must not be empty')));
  assert.ok(input instanceof InvalidInputError);
  assert.match(input.message, /must not be empty/);
  assert.ok(
    failureOf({ code: 'FROM_LATER', message: 'm', retryable: false, retryAt: null }) instanceof UnavailableError,
  );
});

test('only what a caller can act on is told', () => {
  const drive = new DriveError('quota_exceeded', 'full', { provider: 'LOCAL' });
  assert.ok(domainFailure(drive, 'a', retryAt) instanceof StorageFullError);
  assert.equal(domainFailure(new TypeError('a bug'), 'a', retryAt), null);
});

test('it is uncertain what a drive did only when its answer did not come', () => {
  const uncertain = (error: unknown) => assert.equal(isUncertain(error), true);
  const certain = (error: unknown) => assert.equal(isUncertain(error), false);
  uncertain(new DriveError('timeout', 'm', { provider: 'BAIDU' }));
  uncertain(new DriveError('cancelled', 'm', { provider: 'BAIDU' }));
  uncertain(new Error('a bug'));
  certain(new DriveError('unavailable', 'm', { provider: 'BAIDU', nothingDone: true }));
  certain(new DriveError('already_exists', 'm', { provider: 'BAIDU' }));
  certain(new IntegrityError('m'));
});

test('waits double up to ten minutes, and half of each is chance', () => {
  const shortest = [1, 2, 3, 20].map((attempt) => backoffMs(attempt, 'UNAVAILABLE', () => 0));
  const longest = [1, 2, 3, 20].map((attempt) => backoffMs(attempt, 'UNAVAILABLE', () => 1));
  assert.deepEqual(shortest, [1_000, 2_000, 4_000, 300_000]);
  assert.deepEqual(longest, [2_000, 4_000, 8_000, 600_000]);
});

test('a provider that throttles is left alone for longer, and a full disk longer still', () => {
  const first = (['UNAVAILABLE', 'RATE_LIMITED', 'STORAGE_FULL'] as const).map((code) => backoffMs(1, code, () => 1));
  assert.deepEqual(first, [2_000, 30_000, 60_000]);
});
