import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type OssRequest, objectPath, signed, subresourceText } from './oss-signature.ts';

const credentials = { accessKeyId: 'ID', accessKeySecret: 'SECRETEXAMPLE', securityToken: 'STSTOKEN' };
const at = new Date('2025-01-01T00:00:00Z');
const place = { bucket: 'bkt', object: 'dir/obj' };

/** The reference's own vectors (§6.6). */
const VECTORS: readonly (readonly [string, OssRequest, string])[] = [
  [
    'the beginning of an upload',
    { ...place, method: 'POST', subresources: { uploads: null, sequential: null }, headers: {} },
    'KVuTPvJv/tcnn/sCRWT07UtaVu0=',
  ],
  [
    'a part',
    {
      ...place,
      method: 'PUT',
      subresources: { uploadId: 'UPID', partNumber: '1' },
      headers: { 'content-type': 'application/octet-stream' },
    },
    'JA7OyJVqr37K9CSiVopvyNYQ3Fg=',
  ],
  [
    'the end, with the words for 115',
    {
      ...place,
      method: 'POST',
      subresources: { uploadId: 'UPID' },
      headers: {
        'content-type': 'application/xml',
        'x-oss-callback':
          'eyJjYWxsYmFja1VybCI6Imh0dHA6Ly9jYi5leGFtcGxlL3giLCJjYWxsYmFja0JvZHkiOiJidWNrZXQ9JHtidWNrZXR9In0=',
        'x-oss-callback-var': 'eyJ4OnBpY2tfY29kZSI6InBjMSJ9',
      },
    },
    'UtEG1GSRsP3UAZuUxnIOdM3bfaI=',
  ],
];

describe("the signature of 115's storage", () => {
  for (const [what, request, signature] of VECTORS) {
    it(`is that of the reference for ${what}`, () => {
      const headers = signed(request, credentials, at);
      assert.equal(headers.authorization, `OSS ID:${signature}`);
      assert.equal(headers.date, 'Wed, 01 Jan 2025 00:00:00 GMT');
      assert.equal(headers['x-oss-security-token'], 'STSTOKEN');
    });
  }

  it('covers the hash of the body, the token, and what else begins with x-oss-', () => {
    const [, request] = VECTORS[1] ?? assert.fail();
    const of = (headers: Record<string, string>, more = credentials) =>
      signed({ ...request, headers: { ...request.headers, ...headers } }, more, at).authorization;
    const all = [
      of({}),
      of({ 'content-md5': 'x' }),
      of({ 'x-oss-meta': 'x' }),
      of({}, { ...credentials, securityToken: 'other' }),
    ];
    assert.equal(new Set(all).size, all.length);
  });

  it('is of names as they are; the address has them encoded', () => {
    assert.equal(objectPath("a b/ü+'(1)*!.txt"), '/a%20b/%C3%BC%2B%27%281%29%2A%21.txt');
    assert.equal(subresourceText({ uploadId: 'A/B+', partNumber: '2' }), '?partNumber=2&uploadId=A/B+');
    assert.equal(
      subresourceText({ uploadId: 'A/B+', partNumber: '2' }, encodeURIComponent),
      '?partNumber=2&uploadId=A%2FB%2B',
    );
    assert.equal(subresourceText({}), '');
  });
});
