import type { DriveErrorCategory } from '../../lib/drive-error.ts';

/** A row of 123pan's error table. The first that fits counts: what its message says comes before the bare code. */
export interface ErrorRow {
  /** Null: whatever the code is. */
  readonly code: number | null;
  readonly says?: RegExp;
  /** Calls that the row is about, as rates.ts names them; left out: all. */
  readonly at?: RegExp;
  readonly category: DriveErrorCategory;
  readonly meaning: string;
  readonly hint?: string;
  /** How long to wait, in milliseconds, where that is known. */
  readonly pauseMs?: number;
}

/** Calls that sign in. */
export const LOGIN = /access_token$/;
const VERIFYING = 'The file is still being verified';
const OFFLINE_HINT = 'A new task may be unknown for a moment.';

/**
 * What is known of its codes: code 1 says nearly anything, and only its message tells what. Codes of third-party tables
 * that match no answer that was seen (999, 1001 to 1006, 2001 to 2004) are left out.
 */
export const ERROR_ROWS: readonly ErrorRow[] = [
  { code: 429, category: 'rate_limited', meaning: 'Too many requests' },
  {
    code: 401,
    says: /token is expired/i,
    category: 'unauthenticated',
    meaning: 'The access token has expired',
  },
  {
    code: 401,
    says: /tokens number has exceeded/i,
    category: 'unauthenticated',
    meaning: 'Newer sign-ins pushed this one out',
    hint: 'Another program signs in with the same client id, or too many devices are signed in: three tokens live at a time.',
  },
  { code: 401, category: 'unauthenticated', meaning: 'The access token is not valid' },
  { code: 500, category: 'unavailable', meaning: 'Server fault' },
  { code: 502, category: 'unavailable', meaning: 'Gateway fault' },
  { code: 503, category: 'unavailable', meaning: 'Not available' },
  { code: 504, category: 'unavailable', meaning: 'Gateway timeout' },
  {
    code: null,
    at: LOGIN,
    category: 'unauthenticated',
    meaning: 'The client id or secret is refused',
    hint: 'Check the client id and the client secret, as 123pan sent them by mail.',
  },
  {
    code: 1,
    says: /秒传队列|削峰|请慢一点/,
    category: 'unavailable',
    meaning: 'The queue is full',
    pauseMs: 1_000,
  },
  { code: 20103, category: 'unavailable', meaning: VERIFYING, pauseMs: 1_000 },
  {
    code: null,
    says: /文件正在校验|请间隔\s*1\s*秒后再试/,
    category: 'unavailable',
    meaning: VERIFYING,
    pauseMs: 1_000,
  },
  {
    code: null,
    says: /文件上传失败/,
    category: 'corrupted',
    meaning: 'The bytes are not those that were announced, or parts of them are missing',
  },
  { code: 5066, category: 'not_found', meaning: 'The file does not exist' },
  {
    code: 5113,
    category: 'quota_exceeded',
    meaning: 'The download traffic of this account is used up',
    hint: 'Accounts without membership have 10 GB a month, and a file must fit into what is left: wait for the next month, or become a member.',
  },
  {
    code: null,
    says: /空间不足|insufficient (storage )?space/i,
    category: 'quota_exceeded',
    meaning: 'The drive is full',
    hint: 'Delete files, also from the recycle bin, or buy space.',
  },
  {
    code: null,
    says: /未找到\s*任务|任务不存在|task ?id not found/i,
    category: 'not_found',
    meaning: 'No such task',
    hint: OFFLINE_HINT,
  },
  { code: null, says: /预上传\s*id|preuploadid/i, category: 'not_found', meaning: 'The upload is not known any more' },
  {
    code: null,
    says: /重复|重名|已存在|同名|(?<!not |n't )\bexist/i,
    category: 'already_exists',
    meaning: 'The name is taken',
  },
  {
    code: 1,
    says: /拒绝|禁止|封禁|denied|forbidden|banned/i,
    category: 'permission_denied',
    meaning: 'The account may not do this',
    hint: 'After too many uploads at once, 123pan takes no changes of an account for some hours.',
  },
  { code: 1, says: /platform/i, category: 'invalid_argument', meaning: 'The Platform header is missing' },
  { code: 1, says: /内部错误/, category: 'unavailable', meaning: 'Internal error' },
  { code: 1, category: 'unavailable', meaning: 'Internal error, or something that only its message tells' },
  { code: 400, category: 'invalid_argument', meaning: 'Bad request' },
  {
    code: 403,
    at: /^api\/v1\/direct-link\//,
    category: 'permission_denied',
    meaning: 'No direct links',
    hint: "Direct links need the developer's benefits, and a folder whose direct-link space is enabled at 123pan.",
  },
  { code: 403, category: 'permission_denied', meaning: 'No permission' },
  { code: 404, category: 'not_found', meaning: 'Unknown path or record' },
  {
    code: 1010,
    says: /download err/i,
    category: 'permission_denied',
    meaning: 'The download servers refuse to give the file',
  },
  {
    code: 1010,
    category: 'permission_denied',
    meaning: 'The link is used from another city than it was made in',
    hint: "The requests of this server to 123pan and to its download servers must leave by the same address: look at the server's proxies.",
  },
  { code: 4010, category: 'unauthenticated', meaning: 'Authentication failed' },
  { code: 4011, category: 'unauthenticated', meaning: 'Authentication failed' },
  { code: 4012, category: 'unauthenticated', meaning: 'Authentication failed' },
];
