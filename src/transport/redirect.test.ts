import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { startLoopback } from '../../test/support/loopback.ts';
import { requestFor, testOutbound } from '../../test/support/outbound.ts';
import { DriveError } from '../lib/drive-error.ts';
import { followed } from './redirect.ts';
import type { OutboundRequest } from './request.ts';

const PEER = { provider: 'TEST', title: 'The test cloud' };
const SECRETS = { authorization: 'Bearer secret-token', cookie: 'sid=secret', 'x-oss-security-token': 'secret-sts' };

/** Where a redirect from https://api.test/x leads, or the category of its refusal. */
function leads(location: string | undefined, hosts: readonly string[], keepHeaders: readonly string[] = []) {
  const headers = { ...SECRETS, range: 'bytes=0-1', 'user-agent': 'pan', 'accept-encoding': 'identity' };
  try {
    const hop = followed(PEER, { url: new URL('https://api.test/x'), headers }, location, { hosts, keepHeaders }, 0);
    return { url: hop.url.href, headers: Object.keys(hop.headers).sort() };
  } catch (error) {
    return error instanceof DriveError ? error.category : error;
  }
}

test('only named headers go to another origin, and never those that say who asks', () => {
  const bare = ['accept-encoding', 'range'];
  assert.deepEqual(leads('https://cdn.test/f', ['cdn.test']), { url: 'https://cdn.test/f', headers: bare });
  const kept = ['user-agent', 'authorization', 'cookie'];
  assert.deepEqual(leads('https://cdn.test/f', ['*'], kept), {
    url: 'https://cdn.test/f',
    headers: [...bare, 'user-agent'],
  });
  assert.deepEqual(leads('https://api.test:8443/f', ['api.test']), { url: 'https://api.test:8443/f', headers: bare });
});

test('within one origin all headers go along', () => {
  const headers = [...Object.keys(SECRETS), 'range', 'user-agent', 'accept-encoding'].sort();
  assert.deepEqual(leads('/y?z=1', []), { url: 'https://api.test/y?z=1', headers });
});

for (const [location, hosts] of [
  ['https://evil.test/', ['cdn.test']],
  ['https://cdn.test.evil.test/', ['cdn.test', '*.cdn.test']],
  ['https://evilcdn.test/', ['*.cdn.test']],
  ['https://cdn.test/', ['*.cdn.test']],
  ['http://cdn.test/', ['*']],
  ['https://user:pass@cdn.test/', ['*']],
  ['file:///etc/passwd', ['*']],
  ['javascript:1', ['*']],
  ['https://', ['*']],
  [undefined, ['*']],
] as const) {
  test(`a redirect to ${location} is refused when ${hosts.join(', ')} is allowed`, () => {
    assert.equal(leads(location, hosts), 'permission_denied');
  });
}

test('a host below a pattern is allowed', () => {
  for (const host of ['a.cdn.test', 'a.b.cdn.test']) {
    assert.equal(typeof leads(`https://${host}/`, ['*.cdn.test']), 'object');
  }
});

const download = (url: string, given: Partial<OutboundRequest<'stream'>> = {}) =>
  requestFor<'stream'>(url, { as: 'stream', headers: { ...SECRETS, 'User-Agent': 'pan' }, ...given });

test('a download is followed to the other server with its range and user agent, without token or cookie', async () => {
  await using cdn = await startLoopback((_request, response) =>
    response.writeHead(206, { 'content-range': 'bytes 1-2/4' }).end('bc'),
  );
  await using api = await startLoopback((_request, response) =>
    response.writeHead(302, { location: `${cdn.url}/file?sign=1` }).end('moved'),
  );
  await using http = testOutbound();
  const { body, url } = await http.transport().send(
    download(`${api.url}/dlink?access_token=secret`, {
      range: { start: 1, end: 2 },
      redirects: { hosts: ['127.0.0.1'], keepHeaders: ['user-agent'] },
    }),
  );
  assert.equal(String(await buffer(body)), 'bc');
  assert.equal(url, `${cdn.url}/file?sign=1`);
  assert.equal(api.requests[0]?.headers.authorization, SECRETS.authorization);
  const told = JSON.stringify(cdn.requests[0]);
  assert.match(told, /"user-agent":"pan"/);
  assert.doesNotMatch(told, /secret/);
});

test('no redirect is followed unless the request allows it', async () => {
  await using server = await startLoopback((_request, response) =>
    response.writeHead(302, { location: '/other' }).end(),
  );
  await using http = testOutbound();
  await assert.rejects(http.transport().send(download(server.url)), {
    category: 'unexpected',
    providerCode: 'HTTP 302',
  });
  assert.equal(server.requests.length, 1);
});

test('a POST is never sent on', async () => {
  await using server = await startLoopback((_request, response) =>
    response.writeHead(307, { location: '/other' }).end(),
  );
  await using http = testOutbound();
  const request = requestFor(server.url, { method: 'POST', body: { form: { a: 1 } }, redirects: { hosts: ['*'] } });
  await assert.rejects(http.transport().send(request), { category: 'unexpected' });
  assert.equal(server.requests.length, 1);
});

test('redirects in circles end', async () => {
  await using server = await startLoopback((_request, response) =>
    response.writeHead(302, { location: '/again' }).end(),
  );
  await using http = testOutbound();
  await assert.rejects(http.transport().send(download(server.url, { redirects: { hosts: [], max: 5 } })), /circles/);
  assert.equal(server.requests.length, 6);
});

test('a redirect to a private address is refused where only public ones are allowed', async () => {
  await using inner = await startLoopback((_request, response) => response.end('secret'));
  await using outer = await startLoopback((_request, response) =>
    response.writeHead(302, { location: inner.url }).end(),
  );
  await using http = testOutbound({ guardOptions: { allowCidrs: [] } });
  const transport = http.transport({ trustedOrigins: [outer.url] });
  await assert.rejects(transport.send(download(outer.url, { redirects: { hosts: ['*'] } })), {
    category: 'permission_denied',
  });
  assert.equal(outer.requests.length, 1);
  assert.equal(inner.requests.length, 0);
});
