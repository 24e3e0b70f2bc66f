import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashPan115Upload } from './pan115.ts';

const MIB = 1024 * 1024;

test('an upload to 115 outlives a failed part, a kill and credentials that run out', {
  timeout: 150_000,
}, async (t) => {
  const report = await crashPan115Upload({ bytes: 40 * MIB + 7, partBytes: 2 * MIB });
  t.diagnostic(JSON.stringify(report));
  assert.equal(report.parts, 21);
  assert.ok(report.partsReceived <= report.parts + 3, 'only what was lost is sent again');
});
