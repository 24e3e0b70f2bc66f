import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DriveError, DriveErrorCategory } from '../../lib/drive-error.ts';
import type { OutboundRequest } from '../../transport/request.ts';
import { ERROR_ROWS } from './error-codes.ts';
import { classify, ERROR_CODES, itemError } from './errors.ts';

const request = (endpoint: string): OutboundRequest => ({
  method: 'GET',
  url: '/',
  idempotent: true,
  endpoint,
  as: 'json',
  auth: true,
  signal: new AbortController().signal,
});

const told = (json: unknown, { endpoint = 'list', status = 200, headers = {} } = {}): DriveError | null =>
  classify({ status, headers: new Headers(headers), url: '', text: JSON.stringify(json), json }, request(endpoint));

/** Codes that mean something else with some calls have tests of their own. */
const AMBIGUOUS = new Set([10, 12, 110, 111]);

describe("Baidu's errors", () => {
  for (const [code, category] of ERROR_ROWS.filter(([row]) => !AMBIGUOUS.has(row))) {
    it(`takes ${code} for ${category}, in whatever keys it comes`, () => {
      for (const json of [{ errno: code }, { error_code: code, error_msg: 'x' }, { error_no: code }]) {
        const error = told(json);
        assert.equal(error?.category, category);
        assert.equal(error?.providerCode, String(code));
        assert.equal(error?.provider, 'BAIDU');
      }
      assert.equal(itemError(code, 'filemanager').category, category);
    });
  }

  it('shows each row to clients, with what to do about those that have it', () => {
    assert.equal(ERROR_CODES.length, ERROR_ROWS.length);
    assert.equal(new Set(ERROR_CODES.map(({ code }) => code)).size, ERROR_CODES.length);
    const throttled = ERROR_CODES.find(({ code }) => code === '31034');
    assert.deepEqual([throttled?.category, throttled?.retryable], ['rate_limited', true]);
  });

  const contexts: readonly (readonly [string, number, string, DriveErrorCategory, string?, number?])[] = [
    ['another task runs', 111, 'filemanager', 'unavailable'],
    ['the token ran out', 111, 'list', 'unauthenticated'],
    ['the token is not one', 110, 'superfile2', 'unauthenticated'],
    ['there were too many shares', 110, 'share.set', 'rate_limited'],
    ['the file could not be made', 10, 'create', 'unavailable'],
    ['the slice took too long', 31299, 'superfile2', 'unavailable', 'Expired Time Not Match'],
    ['the same, as Baidu spells it too', 31299, 'superfile2', 'unavailable', 'Expried Time Not Match'],
    ['the first slice is too small', 31299, 'superfile2', 'invalid_argument', 'Invalid param part_id'],
    ['the application may not', 4, 'list', 'permission_denied', '', 403],
    ['the call is closed to the application', 3, 'list', 'unsupported', '', 400],
    ['the upload is not known any more', 31355, 'superfile2', 'not_found'],
    ['the slice is to be sent again', 31363, 'superfile2', 'unavailable'],
    ['the slices are gone', 31363, 'create', 'corrupted'],
    ['the token ran out, says the gateway', 111, 'filemanager', 'unauthenticated', '', 401],
    ['the same in words', 111, 'filemanager', 'unauthenticated', 'Access token expired'],
    ['the token is not one, says the gateway', 110, 'share.set', 'unauthenticated', '', 401],
    ['the token is dead, in other words', 31023, 'uinfo', 'unauthenticated', 'Invalid Bduss'],
    ['a task of the recycle bin runs', 111, 'recycle', 'unavailable'],
    ['it says so in words', 2, 'superfile2', 'not_found', 'uploadid expired'],
    ['a code of no table', 987654, 'list', 'unexpected'],
    ['a code of no table from a broken server', 987654, 'list', 'unavailable', '', 500],
  ];
  for (const [what, errno, endpoint, category, errmsg = '', status = 200] of contexts) {
    it(`takes ${errno} of ${endpoint} for ${category}: ${what}`, () =>
      assert.equal(told({ errno, errmsg }, { endpoint, status })?.category, category));
  }

  it('looks into a batch that failed for the reason', () => {
    const info = [{ errno: -8, path: '/a' }];
    const error = told({ errno: 12, info }, { endpoint: 'filemanager' });
    assert.deepEqual([error?.category, error?.providerCode], ['already_exists', '-8']);
    assert.equal(told({ errno: 12 }, { endpoint: 'filemanager' })?.providerCode, '12');
  });

  it('says when to come back, and what may be sent again', () => {
    const throttled = told({ errno: 31034 });
    assert.ok((throttled?.retryAfterMs ?? 0) >= 30_000);
    assert.equal(throttled?.nothingDone, true);
    assert.equal(told({ errno: 111 }, { endpoint: 'filemanager' })?.nothingDone, true);
    assert.equal(told({ errno: 20016 })?.nothingDone, false);
  });

  it('finds no error in a success, nor in what is none of its own', () => {
    for (const json of [{ errno: 0 }, { error_code: 0 }, { error_no: 0 }, { md5: 'x' }, { errno: '0' }])
      assert.equal(told(json), null);
    assert.equal(told(undefined, { status: 502 }), null);
  });

  it('does not take a page, or nothing, for a success', () => {
    for (const json of [undefined, [], 'x', null]) assert.equal(told(json)?.category, 'unavailable');
  });

  it('reads a number that is beyond what a number holds', () =>
    assert.equal(told({ errno: 20016, request_id: '1.8198936114954e+17' })?.category, 'unauthenticated'));

  for (const [error, category] of [
    ['invalid_grant', 'unauthenticated'],
    ['expired_token', 'unauthenticated'],
    ['invalid_client', 'permission_denied'],
    ['authorization_pending', 'unavailable'],
    ['slow_down', 'rate_limited'],
    ['access_denied', 'permission_denied'],
    ['authorization_declined', 'permission_denied'],
    ['invalid_request', 'invalid_argument'],
    ['unauthorized_client', 'permission_denied'],
    ['unsupported_grant_type', 'invalid_argument'],
    ['unsupported_response_type', 'invalid_argument'],
    ['invalid_scope', 'permission_denied'],
    ['redirect_uri_mismatch', 'invalid_argument'],
    ['invalid_referer', 'permission_denied'],
    ['Trigger security policy', 'rate_limited'],
    ['something else', 'unexpected'],
  ] as const) {
    it(`takes ${error} at the sign-in for ${category}`, () => {
      const found = told({ error, error_description: 'in words' }, { status: 400, endpoint: 'oauth.refresh' });
      assert.deepEqual([found?.category, found?.providerCode], [category, error]);
    });
  }

  it('keeps the words of the provider out of the message', () => {
    const error = told({ errno: -6, errmsg: 'token at-secret' });
    assert.ok(!error?.message.includes('at-secret'));
    assert.match(String(error?.cause), /at-secret/);
  });
});
