import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemTimer } from '../../lib/timer.ts';
import type { TransportOptions } from '../../transport/outbound.ts';
import type { OutboundRequest } from '../../transport/request.ts';
import type { Pan115Services } from '../cloud.ts';
import { Pan115Client } from './client.ts';
import { Oss } from './oss.ts';

const call = { signal: new AbortController().signal };
const place = { bucket: 'fhnfile', object: 'A B/c' };
const xml = '<InitiateMultipartUploadResult><UploadId> UP1 </UploadId></InitiateMultipartUploadResult>';

/** The storage's requests as they would be sent; 115 answers with these credentials. */
function storageWith(sts: object, ossUrl: string | null) {
  const sent: OutboundRequest[] = [];
  const transport = ({ credentials, accountId }: TransportOptions) => ({
    turn: async () => () => {},
    setRates: () => undefined,
    send: async (request: OutboundRequest) => {
      const isStorage = accountId.endsWith(':oss');
      const token = isStorage ? ((await credentials?.tokens.current())?.value.reveal() ?? '') : '';
      if (isStorage) sent.push(credentials?.authorize(request, token) ?? request);
      const body = isStorage ? xml : { state: true, code: 0, data: sts };
      return { status: 200, headers: new Headers(), url: '', body };
    },
  });
  const services = {
    outbound: { transport },
    clock: { now: () => new Date('2025-01-01T00:00:00Z') },
    timer: systemTimer,
    tokensOf: () => ({ current: () => assert.fail(), refresh: () => assert.fail() }),
    pan115: {
      ...{ clientId: null, clientSecret: null, redirectUri: null, partBytes: 1, ossUrl },
      ...{ passportUrl: 'https://p.115.com', qrcodeUrl: 'https://q.115.com', apiUrl: 'https://a.115.com' },
    },
  } as unknown as Pan115Services;
  return { oss: new Oss(new Pan115Client({ id: 'a', settings: {} }, services)), sent };
}

const STS = { AccessKeyId: 'ID', SecurityToken: 'TOKEN', Expiration: '2025-01-01T01:00:00Z' };

describe("115's storage", () => {
  for (const endpoint of [
    'oss-cn-shenzhen.aliyuncs.com',
    'http://oss-cn-shenzhen.aliyuncs.com',
    'https://oss-cn-shenzhen.aliyuncs.com/',
  ]) {
    it(`is at a host of the bucket's, by https, when 115 names ${endpoint}`, async () => {
      const { oss, sent } = storageWith({ ...STS, endpoint, AccessKeySecret: 'S' }, null);
      assert.equal(await oss.initiate(place, call), 'UP1');
      const [request] = sent;
      assert.equal(request?.url, 'https://fhnfile.oss-cn-shenzhen.aliyuncs.com/A%20B/c?sequential&uploads');
      assert.equal(request.headers?.host, undefined, 'the address says it');
      assert.equal(request.headers?.['x-oss-security-token'], 'TOKEN');
      assert.match(request.headers?.authorization ?? '', /^OSS ID:/);
      assert.equal(request.headers?.date, 'Wed, 01 Jan 2025 00:00:00 GMT');
    });
  }

  it('is where the operator says, with the real name in the header', async () => {
    const sts = { ...STS, endpoint: 'oss.example', AccessKeySecret: 'S' };
    const { oss, sent } = storageWith(sts, 'http://127.0.0.1:9000/');
    await oss.initiate(place, call);
    assert.equal(sent[0]?.url, 'http://127.0.0.1:9000/A%20B/c?sequential&uploads');
    assert.equal(sent[0]?.headers?.host, 'fhnfile.oss.example');
  });

  it('takes credentials in the spellings that were seen, also in a list', async () => {
    const { Expiration, ...rest } = STS;
    for (const sts of [
      { ...STS, AccessKeySecrett: 'S' },
      { ...rest, AccessKeySecret: 'S', expiration: Expiration },
    ]) {
      const { oss, sent } = storageWith([{ ...sts, endpoint: 'oss.example' }], null);
      await oss.initiate(place, call);
      assert.equal(sent.length, 1);
    }
    const { oss } = storageWith({ ...STS, endpoint: 'oss.example' }, null);
    await assert.rejects(oss.initiate(place, call), { category: 'unavailable' });
  });

  it('is told the type and the hash of what it gets, as they were signed', async () => {
    const { oss, sent } = storageWith({ ...STS, endpoint: 'oss.example', AccessKeySecret: 'S' }, null);
    // No ETag comes back here.
    await assert.rejects(oss.putPart(place, 'UP+1', 7, Buffer.from('bytes'), call), { category: 'corrupted' });
    const [request] = sent;
    assert.equal(request?.url, 'https://fhnfile.oss.example/A%20B/c?partNumber=7&uploadId=UP%2B1');
    assert.equal(request.headers?.['content-type'], 'application/octet-stream');
    assert.equal(request.headers?.['content-md5'], 'SzpiGLs+OnMD6KFxpg/Pkg==');
  });
});
