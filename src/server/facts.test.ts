import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import type { Viewer } from '../services/viewer.ts';
import { bearerToken, clientAddress, createFactsReader } from './facts.ts';

const requestWith = (headers: Record<string, string | string[]>, remoteAddress = '192.0.2.1'): IncomingMessage =>
  ({ headers, socket: { remoteAddress } }) as unknown as IncomingMessage;

describe('the address of a client', () => {
  const told = (forwarded: string | string[], remoteAddress?: string) =>
    clientAddress(requestWith({ 'x-forwarded-for': forwarded }, remoteAddress), true);

  test('is that of the socket, whatever the client writes, without a trusted proxy', () => {
    assert.equal(clientAddress(requestWith({ 'x-forwarded-for': '203.0.113.9' }), false), '192.0.2.1');
  });
  test('is the one that the trusted proxy wrote, not those that the client had sent', () => {
    assert.equal(told('10.0.0.1, 127.0.0.1, 203.0.113.9'), '203.0.113.9');
    assert.equal(told(['10.0.0.1', '203.0.113.9']), '203.0.113.9');
  });
  test('is that of the socket when the proxy wrote none', () => {
    assert.equal(told(''), '192.0.2.1');
    assert.equal(told('unknown'), '192.0.2.1');
    assert.equal(told('203.0.113.9, _hidden'), '192.0.2.1');
    assert.equal(clientAddress(requestWith({}), true), '192.0.2.1');
  });
  test('is IPv4 where it is IPv4', () => {
    assert.equal(clientAddress(requestWith({}, '::ffff:192.0.2.7'), false), '192.0.2.7');
    assert.equal(told('::ffff:203.0.113.9'), '203.0.113.9');
    assert.equal(told('2001:DB8::1'), '2001:db8::1');
  });
  test('is unknown when the socket is gone', () => {
    assert.equal(clientAddress(requestWith({}, ''), false), 'unknown');
  });
});

describe('the bearer token', () => {
  const token = (authorization: string) => bearerToken(requestWith({ authorization }));
  test('is what stands behind the scheme', () => {
    assert.equal(token('Bearer abc.def'), 'abc.def');
    assert.equal(token('bearer   abc '), 'abc');
  });
  test('is none of another scheme or form', () => {
    for (const header of ['', 'Bearer', 'Bearer ', 'Basic YTpi', 'abc', 'Bearer a b', 'XBearer a'])
      assert.equal(token(header), null);
    assert.equal(bearerToken(requestWith({})), null);
  });
});

test('a token that does not count is told apart from none', async () => {
  const read = createFactsReader({ identity: { authenticate: async () => null }, trustProxy: false });
  const agent = { 'user-agent': 'test' };
  const facts = { viewer: null as Viewer | null, clientAddress: '192.0.2.1', userAgent: 'test' };
  assert.deepEqual(await read(requestWith(agent)), { ...facts, tokenRejected: false });
  assert.deepEqual(await read(requestWith({ ...agent, authorization: 'Bearer x' })), { ...facts, tokenRejected: true });
});
