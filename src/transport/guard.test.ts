import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import type { LookupAddress, lookup } from 'node:dns';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startLoopback } from '../../test/support/loopback.ts';
import { requestFor, testOutbound } from '../../test/support/outbound.ts';
import { SELF_SIGNED } from '../../test/support/self-signed.ts';
import { createGuard } from './guard.ts';

/** A resolver that gives these addresses, one list for each time it is asked; the last again and again. */
function resolving(...answers: readonly (readonly string[])[]): { lookup: typeof lookup; asked: string[] } {
  const asked: string[] = [];
  const fake = (name: string, _options: object, done: (error: null, addresses: LookupAddress[]) => void): void => {
    const addresses = answers[Math.min(asked.length, answers.length - 1)] ?? [];
    asked.push(name);
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return { lookup: fake as typeof lookup, asked };
}

const PRIVATE_HOSTS = [
  '127.0.0.1',
  '127.1',
  '127.255.255.254',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
  '0177.0.0.1',
  '0',
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.100.100.200',
  '100.127.255.255',
  '168.63.129.16',
  '169.254.169.254',
  '169.254.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.0.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '１２７.０.０.１',
  '[::]',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::127.0.0.1]',
  '[::7f00:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::ffff:169.254.169.254]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[64:ff9b::10.0.0.1]',
  '[64:ff9b::8.8.8.8]',
  '[64:ff9b:1::1]',
  '[2002:7f00:1::]',
  '[2002:808:808::]',
  '[2001::1]',
  '[2001:0:4136:e378:8000:63bf:3fff:fdd2]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[100::1]',
  '[5f00::1]',
  '[fc00::1]',
  '[fd00:ec2::254]',
  '[fe80::1]',
  '[fec0::1]',
  '[ff02::1]',
  '[4000::1]',
];

for (const host of PRIVATE_HOSTS) {
  test(`${host} is refused before and at the connection`, async () => {
    assert.equal(createGuard().urlFault(`http://${host}:81/x`), 'must not point to a private or special address');
    await using http = testOutbound({ guardOptions: { allowCidrs: [] } });
    await assert.rejects(http.transport().send(requestFor(`http://${host}:81/x`)), {
      category: 'permission_denied',
      retryable: false,
      nothingDone: true,
    });
    assert.equal(http.measurements.length, 1);
  });
}

test('public addresses are no fault', () => {
  const guard = createGuard();
  for (const host of [
    '8.8.8.8',
    '1.1.1.1',
    '[2606:4700::1111]',
    '[::ffff:8.8.8.8]',
    '172.32.0.1',
    '100.128.0.1',
    'a.test',
  ]) {
    assert.equal(guard.urlFault(`https://${host}/`), null, host);
  }
});

for (const [url, fault] of [
  ['ftp://a.test/', /http:\/\/ or https:\/\//],
  ['file:///etc/passwd', /http:\/\/ or https:\/\//],
  ['gopher://a.test/', /http:\/\/ or https:\/\//],
  ['magnet:?xt=urn:btih:0', /http:\/\/ or https:\/\//],
  ['https://user:pass@a.test/', /user name/],
  ['https://user@127.0.0.1/', /user name/],
  ['not a url', /must be a URL/],
  ['http://[::1', /must be a URL/],
  ['http://256.256.256.256/', /must be a URL/],
  ['', /must be a URL/],
] as const) {
  test(`"${url}" is a fault`, () => assert.match(createGuard().urlFault(url) ?? '', fault));
}

for (const name of ['localhost', 'localhost.', 'LOCALHOST', 'a.localhost', 'inner.test']) {
  test(`the name ${name} is refused when it resolves to a private address`, async () => {
    await using server = await startLoopback((_request, response) => response.end('"inside"'));
    const { lookup } = resolving(['127.0.0.1', '::1', '10.1.1.1']);
    await using http = testOutbound({ guardOptions: { allowCidrs: [], lookup } });
    await assert.rejects(http.transport().send(requestFor(`http://${name}:${server.port}/`)), {
      category: 'permission_denied',
    });
    assert.equal(server.requests.length, 0);
  });
}

test('the real resolver is guarded too', async () => {
  await using server = await startLoopback((_request, response) => response.end('"inside"'));
  await using http = testOutbound({ guardOptions: { allowCidrs: [] } });
  await assert.rejects(http.transport().send(requestFor(`http://localhost:${server.port}/`)), {
    category: 'permission_denied',
  });
  assert.equal(server.requests.length, 0);
});

test('a name that changes its address is judged by the address that is connected to', async () => {
  await using server = await startLoopback((_request, response) =>
    response.writeHead(200, { connection: 'close' }).end('1'),
  );
  const { lookup, asked } = resolving(['127.0.0.1'], ['10.0.0.1']);
  await using http = testOutbound({ guardOptions: { allowCidrs: ['127.0.0.1/32'], lookup } });
  const send = () => http.transport().send(requestFor(`http://flip.test:${server.port}/`));
  assert.equal((await send()).body, 1);
  await assert.rejects(send(), { category: 'permission_denied' });
  assert.deepEqual(asked, ['flip.test', 'flip.test']);
});

test('of several addresses only those that are allowed are tried', async () => {
  await using server = await startLoopback((_request, response) => response.end('1'));
  const { lookup } = resolving(['10.0.0.1', '169.254.169.254', '127.0.0.1']);
  await using http = testOutbound({ guardOptions: { allowCidrs: ['127.0.0.0/8'], lookup } });
  assert.equal((await http.transport().send(requestFor(`http://many.test:${server.port}/`))).body, 1);
});

test('an origin that the operator set is reached, and nothing else beside it', async () => {
  await using server = await startLoopback((_request, response) => response.end('1'));
  await using other = await startLoopback((_request, response) => response.end('2'));
  await using http = testOutbound({ guardOptions: { allowCidrs: [] } });
  const trusting = http.transport({ trustedOrigins: [server.url] });
  assert.equal((await trusting.send(requestFor(server.url))).body, 1);
  for (const [transport, url] of [
    [trusting, other.url],
    [http.transport(), server.url],
  ] as const) {
    await assert.rejects(transport.send(requestFor(url)), { category: 'permission_denied' });
  }
  assert.equal(other.requests.length, 0);
});

test('ranges of both families can be excepted; what is no range stops the start', () => {
  const guard = createGuard({ allowCidrs: ['10.1.0.0/16', 'fd00::/8'] });
  assert.equal(guard.urlFault('http://10.1.2.3/'), null);
  assert.equal(guard.urlFault('http://[::ffff:10.1.2.3]/'), null);
  assert.equal(guard.urlFault('http://[fd12::1]/'), null);
  assert.notEqual(guard.urlFault('http://10.2.0.1/'), null);
  assert.notEqual(guard.urlFault('http://[fc00::1]/'), null);
  for (const cidr of ['10.0.0.0', '10.0.0.0/33', 'lan', '/8']) {
    assert.throws(() => createGuard({ allowCidrs: [cidr] }), /OUTBOUND_ALLOW_CIDRS/, cidr);
  }
});

test('a certificate that nobody trusted has signed is refused, whatever the environment says', async (t) => {
  await using server = await startLoopback((_request, response) => response.end('1'), SELF_SIGNED);
  await using http = testOutbound();
  t.after(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
  for (const setting of ['1', '0']) {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = setting;
    await assert.rejects(http.transport().send(requestFor(server.url)), {
      category: 'unavailable',
      providerCode: 'DEPTH_ZERO_SELF_SIGNED_CERT',
      retryable: false,
      nothingDone: true,
    });
  }
  assert.equal(server.requests.length, 0);
  assert.equal(http.measurements.length, 2);
});

test('an authority that was added is trusted, for the names that it vouches for', async () => {
  await using server = await startLoopback((_request, response) => response.end('1'), SELF_SIGNED);
  const { lookup } = resolving(['127.0.0.1']);
  const guardOptions = { allowCidrs: ['127.0.0.0/8'], extraCa: [SELF_SIGNED.cert], lookup };
  await using http = testOutbound({ guardOptions });
  assert.equal((await http.transport().send(requestFor(server.url))).body, 1);
  await assert.rejects(http.transport().send(requestFor(`https://other.test:${server.port}/`)), {
    providerCode: 'ERR_TLS_CERT_ALTNAME_INVALID',
  });
});

test('NODE_EXTRA_CA_CERTS is enough to trust an authority of the operator', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'panql-ca-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'ca.pem');
  await writeFile(file, SELF_SIGNED.cert);
  await using server = await startLoopback((_request, response) => response.end('"trusted"'), SELF_SIGNED);
  const script = `
    import { requestFor, testOutbound } from ${JSON.stringify(import.meta.resolve('../../test/support/outbound.ts'))};
    const http = testOutbound();
    console.log((await http.transport().send(requestFor(${JSON.stringify(server.url)}))).body);
    await http.outbound.close();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: file },
  });
  assert.equal(stdout.trim(), 'trusted');
});
