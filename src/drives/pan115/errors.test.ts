import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DriveError, DriveErrorCategory } from '../../lib/drive-error.ts';
import type { OutboundRequest } from '../../transport/request.ts';
import { ERROR_ROWS } from './error-codes.ts';
import { classify, ERROR_CODES, itemError, STALE_LINK } from './errors.ts';
import { CALLBACK_REFUSED, classifyOss, OSS_ERRORS } from './oss-errors.ts';

const request = (endpoint: string, more: Partial<OutboundRequest> = {}): OutboundRequest => ({
  method: 'GET',
  url: '/',
  idempotent: true,
  endpoint,
  as: 'json',
  auth: true,
  signal: new AbortController().signal,
  ...more,
});

const replyOf = (body: unknown, status: number, headers: Record<string, string>) => {
  const isText = typeof body === 'string';
  const json = isText ? undefined : body;
  return { status, headers: new Headers(headers), url: '', text: isText ? body : JSON.stringify(body), json };
};
const told = (
  body: unknown,
  { endpoint = 'list', status = 200, headers = {} as Record<string, string>, auth = true } = {},
): DriveError | null => classify(replyOf(body, status, headers), request(endpoint, { auth }));

const PAGE = '<html><body>405 Not Allowed</body></html>';

/** Means the token where one was sent, and a parameter elsewhere: it has a test of its own. */
const AMBIGUOUS = 40100000;

describe("115's errors", () => {
  it('takes 40100000 for the token where one was sent', () => {
    const json = { state: false, code: AMBIGUOUS, message: '参数缺失' };
    assert.equal(told(json)?.category, 'unauthenticated');
    assert.equal(told(json, { auth: false, endpoint: 'oauth.refresh' })?.category, 'unauthenticated');
    assert.equal(told(json, { auth: false, endpoint: 'oauth.device' })?.category, 'invalid_argument');
  });

  it('does not take a refresh for dead that something before 115 refused', () => {
    for (const status of [401, 403])
      for (const body of [PAGE, { message: 'forbidden' }]) {
        const error = told(body, { auth: false, endpoint: 'oauth.refresh', status });
        assert.deepEqual([error?.category, error?.nothingDone], ['rate_limited', true]);
      }
  });

  for (const [code, category] of ERROR_ROWS.filter(([row]) => row !== AMBIGUOUS)) {
    it(`takes ${code} for ${category}, in whatever keys and forms it comes`, () => {
      for (const json of [
        { state: false, code, message: 'x', data: [] },
        { state: false, code: String(code), message: 'x', data: [] },
        { state: 0, code, message: 'x', error: 'x', errno: code, data: {} },
        { state: '0', errno: code, error: 'x' },
        { state: false, code: 0, errNo: code, error_msg: 'x' },
        { state: 'false', code: '', errcode: code },
        { state: true, errCode: code },
      ]) {
        const error = told(json);
        assert.equal(error?.category, category, JSON.stringify(json));
        assert.equal(error?.providerCode, String(code));
        assert.equal(error?.provider, 'PAN115');
      }
      assert.equal(itemError(String(code), 'x').category, category);
    });
  }

  it('holds the whole official table of the sign-in', () => {
    const official = [40100000, 40101017, 40110000, ...Array.from({ length: 38 }, (_, index) => 40140100 + index)];
    const rows = new Set(ERROR_ROWS.map(([code]) => code));
    for (const code of official) assert.ok(rows.has(code), String(code));
  });

  it('shows each row to clients, each once', () => {
    assert.equal(ERROR_CODES.length, ERROR_ROWS.length);
    assert.equal(new Set(ERROR_CODES.map(({ code }) => code)).size, ERROR_CODES.length);
    const dead = ERROR_CODES.find(({ code }) => code === '40140116');
    assert.deepEqual(
      [dead?.category, dead?.retryable, dead?.hint],
      ['unauthenticated', false, 'Link the account again.'],
    );
  });

  it('takes an answer that says nothing for too many requests, never for nothing', () => {
    for (const json of [
      { state: false, code: 0, message: '', data: [] },
      { state: false, message: '', code: '0' },
      { state: 0 },
    ]) {
      const error = told(json);
      assert.deepEqual([error?.category, error?.nothingDone], ['rate_limited', true]);
      assert.ok((error?.retryAfterMs ?? 0) >= 2_000);
    }
  });

  it('waits as long as each limit wants', () => {
    assert.ok((told({ state: false, code: 406 })?.retryAfterMs ?? 0) >= 60_000);
    assert.ok((told({ state: false, code: 770004 })?.retryAfterMs ?? 0) >= 60_000);
    assert.ok((told({ state: false, code: -1, message: '已达到当前访问上限' })?.retryAfterMs ?? 0) >= 60_000);
    assert.equal(told({ state: false, code: 0, message: 'code 770004' })?.category, 'rate_limited');
    assert.equal(told({ state: 0, code: 40140117 }, { endpoint: 'oauth.refresh' })?.retryAfterMs, 60_000);
  });

  it('repeats what was refused because another change goes on', () => {
    for (const code of [990005, 990009, 990019, 51012]) {
      const error = told({ state: false, code }, { endpoint: 'change' });
      assert.deepEqual([error?.category, error?.retryable, error?.nothingDone], ['unavailable', true, true]);
    }
    for (const code of [980004, 990003]) assert.equal(told({ state: false, code })?.nothingDone, false);
  });

  it('takes what else begins with 401 for the token, where one was sent', () => {
    assert.equal(told({ state: false, code: 40140199 })?.category, 'unauthenticated');
    assert.equal(told({ state: false, code: 40140199 }, { auth: false })?.category, 'unexpected');
  });

  for (const [text, category] of [
    ['文件不存在', 'not_found'],
    ['该文件已删除', 'not_found'],
    ['名称已存在', 'already_exists'],
    ['空间不足', 'quota_exceeded'],
    ['操作太频繁', 'rate_limited'],
    ['超过上限', 'rate_limited'],
    ['参数有误', 'invalid_argument'],
    ['something else', 'unexpected'],
  ] as const satisfies readonly (readonly [string, DriveErrorCategory])[]) {
    it(`takes a number of no table with “${text}” for ${category}`, () => {
      const error = told({ state: false, code: 987654, message: text });
      assert.deepEqual([error?.category, error?.providerCode], [category, '987654']);
    });
  }

  it('finds no error in a success, whatever form the state has', () => {
    for (const json of [
      { state: true, code: 0, message: '', data: [] },
      { state: 1, code: 0, message: '' },
      { state: '1', code: '0' },
      { state: 'true' },
      { state: true, data: {}, errno: 0, error: '' },
      { state: true, code: '', message: 0 },
    ])
      assert.equal(told(json), null, JSON.stringify(json));
  });

  for (const [what, body, status, category] of [
    ['a refused token', '', 401, 'unauthenticated'],
    ['a refusal in JSON', { message: 'forbidden' }, 403, 'unauthenticated'],
    ['the page of a firewall', PAGE, 403, 'rate_limited'],
    ['the other page of a firewall', PAGE, 405, 'rate_limited'],
    ['a path that is none', PAGE, 404, 'unsupported'],
    ['too many requests', '', 429, 'rate_limited'],
    ['a broken server', PAGE, 500, 'unavailable'],
    ['a broken gateway', '', 502, 'unavailable'],
    ['a page where JSON was due', PAGE, 200, 'unavailable'],
    ['nothing where JSON was due', '', 200, 'unavailable'],
  ] as const) {
    it(`takes ${what} (HTTP ${status}) for ${category}`, () =>
      assert.equal(told(body, { status })?.category, category));
  }

  it('comes back when the header says, and a little later', () => {
    const headers = { 'x-ratelimit-reset': '30' };
    assert.equal(told('', { status: 429, headers })?.retryAfterMs, 35_000);
    assert.ok((told('', { status: 429 })?.retryAfterMs ?? 0) >= 60_000);
  });

  it('does not take a page at the refresh for a token that was used up', () => {
    for (const status of [200, 403, 405, 502])
      assert.equal(told(PAGE, { endpoint: 'oauth.refresh', status })?.nothingDone, true, String(status));
    assert.equal(told(PAGE, { endpoint: 'change', status: 502 })?.nothingDone, false);
  });

  it('tells an address that ran out from too many connections to it', () => {
    const at = (status: number, body: unknown) => told(body, { endpoint: 'download', status });
    for (const error of [
      at(403, { message: 'invalid signature' }),
      at(403, { message: 'expired' }),
      at(410, ''),
      at(401, ''),
    ])
      assert.equal(error?.providerCode, STALE_LINK);
    assert.equal(at(403, { message: 'invalid signature' })?.category, 'invalid_argument');
    assert.equal(at(403, 'too many connections')?.category, 'rate_limited');
    assert.equal(at(206, ''), null);
  });

  it('says of a film that is not ready that it is not, and does not ask again at once', () => {
    const error = told({ state: false, code: 0, message: '视频转码中' }, { endpoint: 'video.play' });
    assert.deepEqual([error?.category, error?.retryable], ['unavailable', false]);
  });

  it('leaves the links of a call that failed for all of them to their own words', () => {
    const data = [{ state: false, code: 10004, message: '', url: 'x' }];
    assert.equal(told({ state: false, code: 10004, data }, { endpoint: 'offline.add' }), null);
    assert.equal(told({ state: false, code: 1000011, data: [] }, { endpoint: 'offline.add' })?.providerCode, '1000011');
  });

  it('keeps the words of the provider out of the message', () => {
    const error = told({ state: false, code: 990002, message: 'token at-secret' });
    assert.ok(!error?.message.includes('at-secret'));
    assert.match(String(error?.cause), /at-secret/);
  });
});

describe("the errors of 115's storage", () => {
  const stored = (body: unknown, status: number, endpoint = 'oss.part'): DriveError | null =>
    classifyOss(replyOf(body, status, {}), request(endpoint));
  const xml = (code: string): string =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>${code}</Code>\n  <Message>secret</Message>\n</Error>`;

  for (const [code, category] of Object.entries(OSS_ERRORS)) {
    it(`takes ${code} for ${category}`, () => {
      const error = stored(xml(code), 400);
      assert.deepEqual([error?.category, error?.providerCode], [category, code]);
      assert.ok(!error?.message.includes('secret'));
    });
  }

  it('sees a failure also where the status says success', () => {
    assert.equal(stored(xml('CallbackFailed'), 203, 'oss.complete')?.providerCode, 'CallbackFailed');
  });

  it('takes a code of no table by its status', () => {
    assert.equal(stored(xml('Whatever'), 500)?.category, 'unavailable');
    assert.equal(stored(xml('Whatever'), 400)?.category, 'unexpected');
  });

  it('reads what 115 answered to the storage', () => {
    const data = { file_id: '1' };
    assert.equal(stored({ state: true, code: 0, data }, 200, 'oss.complete'), null);
    for (const refusal of [
      { state: false, code: 31004, data: [] },
      { state: true, code: 0, data: [] },
    ]) {
      const error = stored(refusal, 200, 'oss.complete');
      assert.deepEqual([error?.category, error?.providerCode], ['corrupted', CALLBACK_REFUSED]);
    }
  });

  it('finds no error in a part that was stored, nor in a list', () => {
    assert.equal(stored('', 200), null);
    assert.equal(stored('<ListPartsResult><Code>x</Code></ListPartsResult>', 200, 'oss.parts'), null);
  });
});
