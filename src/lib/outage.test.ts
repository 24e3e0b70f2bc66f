import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outageOf } from './outage.ts';

const withCode = (code: string, init: ErrorOptions = {}): Error =>
  Object.assign(new Error('It failed.', init), { code });

test('a database that was lost is told as what passes, however deep it is told of', () => {
  for (const error of [
    withCode('57P01'),
    withCode('08006'),
    new AggregateError([withCode('ECONNREFUSED')]),
    new Error('wrapped', { cause: withCode('ECONNRESET') }),
    new Error('Connection terminated unexpectedly'),
    Object.assign(new Error('wrapped'), {
      previous: new Error('Client has encountered a connection error and is not queryable'),
    }),
  ]) {
    const { code, retryable, cause } = outageOf(error) ?? assert.fail(String(error));
    assert.deepEqual([code, retryable, cause], ['UNAVAILABLE', true, error]);
  }
});

test('other errors are none of it', () => {
  for (const error of [null, 'ECONNRESET', new Error('ECONNRESET'), withCode('23505'), withCode('ENOSPC')]) {
    assert.equal(outageOf(error), null, String(error));
  }
  const loop = new Error('of itself');
  loop.cause = loop;
  assert.equal(outageOf(loop), null);
});
