import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redactUrl } from './redact.ts';

for (const [url, shown] of [
  [
    'https://a.test/rest/2.0/xpan/file?method=list&limit=5&dir=%2Fmine',
    'https://a.test/rest/2.0/xpan/file?method=list&limit=5&dir=[redacted]',
  ],
  ['https://user:pass@a.test:8443/#token', 'https://a.test:8443/'],
  ['https://a.test/download/eyJhbGciOiJIUzI1NiJ9.eyJwYXRoIjoiRDpc', 'https://a.test/download/[redacted]'],
  ['https://a.test/?ACCESS_TOKEN=x&Signature=y&', 'https://a.test/?ACCESS_TOKEN=[redacted]&Signature=[redacted]'],
  ['https://a.test/f?partNumber=3&uploadId=u', 'https://a.test/f?partNumber=3&uploadId=[redacted]'],
] as const) {
  test(`${url} is logged as ${shown}`, () => assert.equal(redactUrl(new URL(url)), shown));
}
