import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DriveError, DriveErrorCategory } from '../../lib/drive-error.ts';
import type { OutboundRequest } from '../../transport/request.ts';
import { ERROR_ROWS } from './error-codes.ts';
import { classify, ERROR_CODES } from './errors.ts';

interface Asked {
  readonly endpoint?: string;
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly method?: 'GET' | 'POST';
}

const request = ({ endpoint = 'api/v2/file/list', method = 'POST' }: Asked): OutboundRequest => ({
  method,
  url: '/',
  idempotent: true,
  endpoint,
  as: 'json',
  auth: true,
  signal: new AbortController().signal,
});

const told = (json: unknown, asked: Asked = {}): DriveError | null =>
  classify(
    {
      status: asked.status ?? 200,
      headers: new Headers(asked.headers),
      url: '',
      text: JSON.stringify(json) ?? '',
      json,
    },
    request(asked),
  );
const said = (code: number, message: string, asked: Asked = {}): DriveError | null =>
  told({ code, message, data: null, 'x-traceID': 'trace-1' }, asked);

const CREATE = 'upload/v2/file/create';
const COMPLETE = 'upload/v2/file/upload_complete';
const LOGIN = 'api/v1/access_token';

/** The table of the documents, row by row: what it was asked, what it says, and what that comes to. */
const TABLE: readonly (readonly [code: number, message: string, endpoint: string, category: DriveErrorCategory])[] = [
  [1, '服务异常', 'api/v1/file/move', 'unavailable'],
  [1, '文件正在秒传队列中', CREATE, 'unavailable'],
  [1, '流量削峰，稍后再试', CREATE, 'unavailable'],
  [1, '请慢一点', 'upload/v2/file/slice', 'unavailable'],
  [1, '内部错误', 'api/v1/file/move', 'unavailable'],
  [1, '请求被拒绝', CREATE, 'permission_denied'],
  [1, '账号禁止写入', CREATE, 'permission_denied'],
  [1, '账号已被封禁', CREATE, 'permission_denied'],
  [1, 'access denied', CREATE, 'permission_denied'],
  [1, 'forbidden', CREATE, 'permission_denied'],
  [1, 'please set the platform field in the header', 'api/v2/file/list', 'invalid_argument'],
  [1, '未找到任务ID', 'api/v1/offline/download/process', 'not_found'],
  [1, 'taskid not found', 'api/v1/offline/download/process', 'not_found'],
  [1, '文件名重复', 'api/v1/file/name', 'already_exists'],
  [5000, '该目录下已存在同名文件', 'upload/v1/file/mkdir', 'already_exists'],
  [1, 'file already exist', CREATE, 'already_exists'],
  [1, '空间不足', CREATE, 'quota_exceeded'],
  [7, 'insufficient space', 'api/v1/file/copy', 'quota_exceeded'],
  [1, '文件上传失败', COMPLETE, 'corrupted'],
  [20104, '文件上传失败', COMPLETE, 'corrupted'],
  [1, '文件正在校验中,请间隔1秒后再试', COMPLETE, 'unavailable'],
  [400, 'bad request', CREATE, 'invalid_argument'],
  [401, 'token is expired', 'api/v2/file/list', 'unauthenticated'],
  [401, 'tokens number has exceeded the limit', 'api/v2/file/list', 'unauthenticated'],
  [401, 'access_token无效', 'api/v2/file/list', 'unauthenticated'],
  [1, 'clientId错误', LOGIN, 'unauthenticated'],
  [5000, '任何其他', LOGIN, 'unauthenticated'],
  [429, '请求太频繁', LOGIN, 'rate_limited'],
  [403, 'no permission', 'api/v1/direct-link/url', 'permission_denied'],
  [404, '404 page not found', CREATE, 'not_found'],
  [429, '请求太频繁', 'api/v2/file/list', 'rate_limited'],
  [500, 'server error', 'api/v2/file/list', 'unavailable'],
  [502, '', 'api/v2/file/list', 'unavailable'],
  [503, '', 'api/v2/file/list', 'unavailable'],
  [504, '', 'api/v2/file/list', 'unavailable'],
  [1010, '上海市 与链接中的 北京市 不一致', 'download', 'permission_denied'],
  [1010, 'download err: 50001', 'download', 'permission_denied'],
  [4010, '', 'api/v2/file/list', 'unauthenticated'],
  [4011, '', 'api/v2/file/list', 'unauthenticated'],
  [4012, '', 'api/v2/file/list', 'unauthenticated'],
  [5066, '文件不存在', 'api/v1/file/download_info', 'not_found'],
  [5113, '本月流量已用尽', 'api/v1/file/download_info', 'quota_exceeded'],
  [20103, '文件正在校验中', COMPLETE, 'unavailable'],
];

describe("123pan's errors", () => {
  for (const [code, message, endpoint, category] of TABLE) {
    it(`takes ${code} ${message} of ${endpoint} for ${category}`, () => {
      const error = said(code, message, { endpoint });
      assert.equal(error?.category, category);
      assert.equal(error?.provider, 'PAN123');
    });
  }

  it('believes the status of an answer that says all by it', () => {
    for (const [status, category] of [
      [401, 'unauthenticated'],
      [429, 'rate_limited'],
    ] as const) {
      assert.equal(said(1, '服务异常', { status })?.category, category);
      assert.equal(said(0, 'ok', { status })?.category, category);
      assert.equal(said(status, '', { status: 200 })?.category, category);
    }
    assert.equal(said(5066, '文件不存在', { status: 500 })?.category, 'not_found', 'a code of its own counts more');
  });

  it('takes a fault of the server for no refusal of the client id', () => {
    assert.equal(said(1, 'clientId错误', { endpoint: LOGIN })?.category, 'unauthenticated');
    assert.equal(said(1, 'clientId错误', { endpoint: LOGIN, status: 401 })?.category, 'unauthenticated');
    for (const code of [500, 502, 503, 504]) {
      assert.equal(said(code, '', { endpoint: LOGIN })?.category, 'unavailable');
      assert.equal(said(1, '服务异常', { endpoint: LOGIN, status: code })?.category, 'unavailable');
    }
  });

  it('has a row that each of its own is found by', () => {
    const found = TABLE.map(([code, message, endpoint]) => said(code, message, { endpoint })?.message);
    for (const { meaning } of ERROR_ROWS) {
      if (/not known any more/.test(meaning) || meaning === 'No permission') continue; // Words of our own reading.
      assert.ok(
        found.some((message) => message?.includes(meaning.toLowerCase())),
        meaning,
      );
    }
    assert.equal(said(403, '')?.category, 'permission_denied');
    assert.equal(said(1, '预上传ID不存在')?.category, 'not_found');
  });

  it('waits a second for what is being verified or queued, whichever way it is told', () => {
    for (const [code, message] of [
      [20103, 'x'],
      [1, '文件正在校验中,请间隔1秒后再试'],
      [1, '请慢一点'],
    ] as const) {
      const error = said(code, message, { endpoint: COMPLETE });
      assert.deepEqual([error?.retryAfterMs, error?.retryable], [1000, true], message);
    }
    assert.equal(said(1, '文件正在校验中')?.providerCode, '20103');
  });

  it('says what to do when the traffic is used up', () => {
    const error = said(5113, '今日流量已用尽');
    assert.match(error?.hint ?? '', /10 GB a month/);
    assert.equal(error?.retryable, false);
  });

  it('keeps the words and the trace of 123pan for the log, and out of the message', () => {
    const error = said(1, 'odd words');
    assert.match(String(error?.cause), /odd words .*x-traceID trace-1/);
    assert.ok(!error?.message.includes('odd words'));
    const header = told({ code: 1, message: 'x' }, { headers: { 'x-traceid': 'from-header' } });
    assert.match(String(header?.cause), /from-header/);
  });

  it('asks again after a code of no table only when nothing was to be changed', () => {
    assert.deepEqual(
      (['GET', 'POST'] as const).map((method) => {
        const error = said(987_654, 'x', { method });
        return [error?.category, error?.retryable];
      }),
      [
        ['unexpected', true],
        ['unexpected', false],
      ],
    );
    assert.equal(said(987_654, 'x', { status: 500 })?.category, 'unavailable');
  });

  it('does not take "does not exist" for "exists"', () => {
    for (const message of ['file does not exist', "file doesn't exist", '文件不存在']) {
      assert.notEqual(said(1, message)?.category, 'already_exists', message);
    }
  });

  it('waits as long as the gateway says', () => {
    const error = said(429, 'x', { status: 429, headers: { 'retry-after': '3' } });
    assert.deepEqual([error?.category, error?.retryAfterMs], ['rate_limited', 3000]);
    assert.equal(error?.nothingDone, true);
  });

  it('finds no error in a success, nor in what is none of its own', () => {
    for (const json of [{ code: 0, message: 'ok', data: null }, { code: '0' }, { access_token: 'x' }])
      assert.equal(told(json), null);
    assert.equal(told(undefined, { status: 502 }), null);
  });

  it('does not take a page for a success', () => {
    const reply = { status: 200, headers: new Headers(), url: '', text: '<html></html>', json: undefined };
    assert.equal(classify(reply, request({}))?.category, 'unavailable');
    assert.equal(classify(reply, { ...request({}), as: 'text' })?.category, 'unavailable');
    assert.equal(classify({ ...reply, text: '' }, { ...request({}), as: 'text' }), null, 'a slice that was taken');
  });

  for (const [json, category] of [
    [{ error: 'invalid_grant', error_description: 'used up' }, 'unauthenticated'],
    [{ error: 'invalid_client' }, 'permission_denied'],
    [{ error: 'something else' }, 'unauthenticated'],
    [{ code: 1, message: 'appId或secretId错误' }, 'permission_denied'],
    [{ code: 1, message: 'refresh token 无效' }, 'unauthenticated'],
    [{ code: 429, message: 'x' }, 'rate_limited'],
  ] as const) {
    it(`takes ${JSON.stringify(json)} at the sign-in of the application for ${category}`, () =>
      assert.equal(told(json, { endpoint: 'api/v1/oauth2/access_token', status: 400 })?.category, category));
  }

  it('shows its codes to clients, with what to do about those that have it', () => {
    const traffic = ERROR_CODES.find(({ code }) => code === '5113');
    assert.deepEqual([traffic?.category, traffic?.retryable], ['quota_exceeded', false]);
    assert.ok(traffic?.hint);
  });
});
