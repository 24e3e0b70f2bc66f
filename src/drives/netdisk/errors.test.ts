import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { envelopeError } from './errors.ts';

/** The answers of the specification's examples, and its list of codes. */
const ROWS = [
  [{ code: 200, state: 'success', msg: '登录成功', data: {} }, null],
  [{ code: 300, state: 'success', msg: '账号或密码错误', data: null }, 'unauthenticated'],
  [{ code: 300, state: 'exception', msg: '缺少参数:username ', data: null }, 'invalid_argument'],
  [{ code: 300, state: 'exception', msg: '同名文件或文件夹已经存在', data: null }, 'already_exists'],
  [{ code: 300, state: 'exception', msg: '重命名目标不存在', data: null }, 'not_found'],
  [{ code: 300, state: 'exception', msg: '重复文件名扔上来搞毛？', data: null }, 'already_exists'],
  [{ code: 300, state: 'exception', msg: 'something else', data: null }, 'unexpected'],
  [{ code: 404, state: 'exception', msg: 'file has been exit', data: null }, 'already_exists'],
  [{ code: 404, state: 'exception', msg: 'file not found', data: null }, 'not_found'],
  [{ code: 500, state: 'error', msg: '', data: null }, 'unavailable'],
  [{ code: 600, state: 'exception', msg: 'JWT expired at 2021-08-22T16:54:31Z.', data: null }, 'not_found'],
  [{ code: 1000, msg: '权限校验失败，请重新登录', state: 'exception' }, 'unauthenticated'],
  [{ code: 12345, msg: '', state: 'exception' }, 'unexpected'],
  [{ file: [] }, null],
  ['text', null],
  [null, null],
] as const;

describe('errors of a Netdisk server', () => {
  for (const [body, category] of ROWS) {
    it(`${JSON.stringify(body)} is ${category ?? 'none'}`, () => {
      const error = envelopeError(body);
      assert.equal(error?.category ?? null, category);
      if (error && typeof body === 'object' && body !== null && 'code' in body) {
        assert.equal(error.providerCode, String(body.code));
        assert.equal(error.retryable, category === 'unavailable');
      }
    });
  }
});
