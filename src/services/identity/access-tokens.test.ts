import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import jwt from 'jsonwebtoken';
import { addMs } from '../../lib/clock.ts';
import { Secret } from '../../lib/secret.ts';
import { type KeyRing, loadKeyRing } from '../../vault/keyring.ts';
import { ACCESS_TOKEN_MS, AccessTokens } from './access-tokens.ts';

const keyText = (id: string): string => `${id}:${randomBytes(32).toString('base64')}`;
const ringOf = (...keys: string[]): KeyRing =>
  loadKeyRing({ name: 'JWT_KEYS', configured: new Secret(keys.join(',')), dataDir: '/nowhere', environment: 'test' });

const START = new Date('2026-11-20T12:00:00Z');
const SESSION = { id: 'the-session', userId: 'the-user', expiresAt: addMs(START, 86_400_000) };
const at = (ring: KeyRing, ms: number): AccessTokens => new AccessTokens(ring, { now: () => addMs(START, ms) });

test('a token names its user and session, for 15 minutes', () => {
  const ring = ringOf(keyText('k'));
  const { token, expiresAt } = at(ring, 0).issue(SESSION);
  assert.deepEqual(expiresAt, new Date('2026-11-20T12:15:00Z'));
  assert.deepEqual(at(ring, 1_000).read(token), { userId: 'the-user', sessionId: 'the-session', expiresAt });
});

test('a token does not outlive its session', () => {
  const { expiresAt } = at(ringOf(keyText('k')), 0).issue({ ...SESSION, expiresAt: addMs(START, 60_000) });
  assert.deepEqual(expiresAt, addMs(START, 60_000));
});

test('clocks may differ by a minute, and no more', () => {
  const ring = ringOf(keyText('k'));
  const { token } = at(ring, 0).issue(SESSION);
  assert.ok(at(ring, ACCESS_TOKEN_MS + 59_000).read(token), 'the reader is 59 s ahead at the end');
  assert.equal(at(ring, ACCESS_TOKEN_MS + 61_000).read(token), null);
  assert.ok(at(ring, -59_000).read(token), 'the reader is 59 s behind at the beginning');
  assert.equal(at(ring, -61_000).read(token), null);
});

test('a token of an older key is read as long as that key is in the ring', () => {
  const [old, next] = [keyText('old'), keyText('new')];
  const { token } = at(ringOf(old), 0).issue(SESSION);
  assert.ok(at(ringOf(next, old), 0).read(token));
  assert.equal(at(ringOf(next), 0).read(token), null);
});

test('a key of the same id but other bytes reads nothing', () => {
  const { token } = at(ringOf(keyText('k')), 0).issue(SESSION);
  assert.equal(at(ringOf(keyText('k')), 0).read(token), null);
});

test('what is not an access token of ours is none', () => {
  const ring = ringOf(keyText('k'));
  const key = ring.current.key.reveal();
  const seconds = START.getTime() / 1000;
  const claims = {
    sub: 'the-user',
    sid: 'the-session',
    iss: 'panql',
    aud: 'panql:access',
    iat: seconds,
    exp: seconds + 900,
  };
  const signed = (change: object, options: jwt.SignOptions = {}) =>
    jwt.sign({ ...claims, ...change }, key, { keyid: 'k', ...options });
  const read = (token: string) => at(ring, 0).read(token);
  assert.ok(read(signed({})), 'the claims themselves are right');

  const { aud, sid, sub, exp, iss, ...rest } = claims;
  const without = (...parts: object[]) => jwt.sign(Object.assign({}, rest, ...parts), key, { keyid: 'k' });
  const cases: Readonly<Record<string, string>> = {
    'another kind': signed({ aud: 'panql:link' }),
    'no kind': without({ sid, sub, exp, iss }),
    'another issuer': signed({ iss: 'somebody' }),
    'no session': without({ aud, sub, exp, iss }),
    'no user': without({ aud, sid, exp, iss }),
    'no end': without({ aud, sid, sub, iss }),
    'a session that is no text': signed({ sid: { $ne: null } }),
    'another algorithm': signed({}, { algorithm: 'HS512' }),
    'no key id': jwt.sign(claims, key),
    'an unknown key id': signed({}, { keyid: 'other' }),
    'a key id of the prototype': signed({}, { keyid: '__proto__' }),
    unsigned: jwt.sign(claims, '', { algorithm: 'none', keyid: 'k' }),
    'cut short': signed({}).slice(0, -4),
    'changed claims': signed({}).replace(
      /\.[^.]+\./,
      `.${Buffer.from(JSON.stringify({ ...claims, sub: 'admin' })).toString('base64url')}.`,
    ),
    'a text as claims': jwt.sign('the-user', key, { keyid: 'k' }),
    empty: '',
    dots: '..',
    'not a token': 'not a token',
  };
  for (const [what, token] of Object.entries(cases)) assert.equal(read(token), null, what);
});
