import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashTransfers } from './transfers.ts';

test('a server that is killed again and again, before clouds that fail, loses and doubles no file', {
  timeout: 170_000,
}, async (t) => {
  const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`CRASH_SEED=${seed}`);
  const report = await crashTransfers({ transfers: 12, kills: 3, seed, faultRate: 0.05, bytesMax: 1024 * 1024 });
  t.diagnostic(JSON.stringify(report));
  assert.ok(report.kills >= 2, 'it was killed while files came in');
  // A drive may refuse again and again, whatever is retried; not so often.
  assert.ok(report.failures.length <= 3, report.failures.join('\n'));
});
