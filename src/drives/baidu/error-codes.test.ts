import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { REFERENCE_ROWS, VENDOR_ROWS } from '../../../test/support/baidu-error-tables.ts';
import type { DriveErrorCategory } from '../../lib/drive-error.ts';
import { classify, ERROR_CODES } from './errors.ts';

/** What each category of the reference is here; the first is the usual one. */
const CATEGORIES: Readonly<Record<string, readonly DriveErrorCategory[]>> = {
  permission: ['permission_denied', 'blocked'],
  auth_invalid: ['unauthenticated'],
  auth_expired: ['unauthenticated'],
  not_found: ['not_found'],
  already_exists: ['already_exists'],
  quota_exceeded: ['quota_exceeded', 'too_large'],
  rate_limited: ['rate_limited'],
  unsupported: ['unsupported'],
  provider_internal: ['unavailable', 'unexpected'],
  invalid_argument: ['invalid_argument'],
  busy_retry: ['unavailable'],
  integrity: ['corrupted'],
};

const shown = new Map(ERROR_CODES.map((row) => [Number(row.code), row]));
const told = (code: number) => {
  const json = { errno: code };
  const request = { method: 'GET', url: '/', idempotent: true, endpoint: 'list', as: 'json', auth: true } as const;
  const reply = { status: 200, headers: new Headers(), url: '', text: JSON.stringify(json), json };
  return classify(reply, { ...request, signal: new AbortController().signal });
};

describe("Baidu's codes beside the tables of its documents", () => {
  for (const [code, category, retryable] of REFERENCE_ROWS) {
    it(`${code} is of the category that the reference gives it, and retried as it says`, () => {
      const row = shown.get(code) ?? assert.fail('the driver does not know it');
      const meant = category.split(/ \/ |, or /).flatMap((name) => CATEGORIES[name] ?? []);
      assert.ok(meant.includes(row.category as DriveErrorCategory), `${row.category} for ${category}`);
      // "once" is another try by other means: a new token, link or upload. The driver's callers do that by the category.
      if (/^(yes|once)/.test(retryable) && /^(provider_internal|busy_retry|rate_limited)$/.test(category))
        assert.equal(row.retryable, true, retryable);
      if (/^no\b/.test(retryable) && !retryable.includes('/')) assert.equal(row.retryable, false, retryable);
      const error = told(code);
      assert.equal(error?.providerCode, String(code));
      assert.equal(error?.hint, row.hint);
      if (!category.includes('/')) assert.equal(error?.category, row.category);
    });
  }

  it('has no code that no document has', () => {
    const known = new Set(REFERENCE_ROWS.map(([code]) => code));
    assert.deepEqual(
      [...shown.keys()].filter((code) => !known.has(code)),
      [],
    );
  });

  for (const [code, isHinted] of VENDOR_ROWS) {
    it(`${code} of the vendor's own table is known${isHinted ? ', with what to check' : ''}`, () => {
      assert.ok(shown.has(code));
      if (isHinted) assert.ok(shown.get(code)?.hint);
    });
  }
});
