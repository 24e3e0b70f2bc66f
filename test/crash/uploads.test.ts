import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashUploads } from './uploads.ts';

test('a server that is killed again and again loses, doubles and halves no upload', { timeout: 120_000 }, async (t) => {
  const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`CRASH_SEED=${seed}`);
  const report = await crashUploads({ uploads: 12, kills: 4, seed, bytesMax: 12 * 1024 * 1024 });
  t.diagnostic(JSON.stringify(report));
  assert.ok(report.kills >= 3, 'it was killed while files came in');
});
