import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlobDamagedError, BlobStoreError, BlobSweptError } from '../../storage/blobs/errors.ts';
import { DriveError } from '../errors.ts';
import { classify, localError } from './errors.ts';

const coded = (code: string): Error => Object.assign(new Error(`said ${code} of /srv/data/secret`), { code });

describe('what the disk and the database say', () => {
  for (const [code, category, retryable] of [
    ['ENOSPC', 'quota_exceeded', false],
    ['EDQUOT', 'quota_exceeded', false],
    ['SQLITE_FULL', 'quota_exceeded', false],
    ['53100', 'quota_exceeded', false],
    ['SQLITE_BUSY', 'unavailable', true],
    ['SQLITE_LOCKED', 'unavailable', true],
    ['ECONNREFUSED', 'unavailable', true],
    ['57P01', 'unavailable', true],
    ['53300', 'unavailable', true],
  ] as const) {
    it(`is ${category} when it is ${code}, and shows no path`, () => {
      const error = classify(coded(code));
      assert.equal(error?.category, category);
      assert.equal(error?.retryable, retryable);
      assert.equal(error?.provider, 'LOCAL');
      assert.doesNotMatch(error?.message ?? '', /secret/);
      assert.ok(error?.cause instanceof Error);
    });
  }

  it('is corrupted when bytes are damaged, and cancelled when the caller went away', () => {
    assert.equal(classify(new BlobDamagedError('3 bytes of /srv/data/secret'))?.category, 'corrupted');
    assert.equal(classify(AbortSignal.abort().reason)?.category, 'cancelled');
  });

  for (const [fault, category, retryable] of [
    ['busy', 'rate_limited', true],
    ['unavailable', 'unavailable', true],
    ['denied', 'unavailable', true],
    ['full', 'quota_exceeded', false],
    ['tooLarge', 'too_large', false],
  ] as const) {
    it(`is ${category} when the store of blobs is ${fault}, and shows none of its words`, () => {
      const error = classify(new BlobStoreError(fault, 'the bucket secret'));
      assert.deepEqual([error?.category, error?.retryable], [category, retryable]);
      assert.doesNotMatch(error?.message ?? '', /secret/);
    });
  }

  it('may pass when a sweep was quicker', () => {
    assert.equal(classify(new BlobSweptError('gone'))?.retryable, true);
  });

  it('stays what it is when it is a DriveError', () => {
    const error = localError('not_found', 'gone');
    assert.equal(classify(error), error);
    assert.ok(error instanceof DriveError);
  });

  it('is a bug when it is anything else', () => {
    for (const thrown of [new TypeError('x'), coded('EACCES'), coded('42P01'), 'text', null, undefined])
      assert.equal(classify(thrown), null);
  });
});
