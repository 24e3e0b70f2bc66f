import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import jwt from 'jsonwebtoken';
import { newId } from '../lib/ids.ts';
import { Secret } from '../lib/secret.ts';
import type { Key, KeyRing } from '../vault/keyring.ts';
import { AccessTokens } from './identity/access-tokens.ts';
import { LinkTokens } from './link-tokens.ts';

const newKey = (id: string): Key => ({ id, key: new Secret(randomBytes(32)) });
const ringOf = (current: Key, ...old: readonly Key[]): KeyRing => ({
  current,
  keys: [current, ...old],
  get: (id) => [current, ...old].find((key) => key.id === id) ?? null,
});

const CREATED_AT = new Date('2026-11-20T08:00:00Z');
const EXPIRES_AT = new Date('2026-11-20T08:15:00Z');
const clockAt = (time: string) => ({ now: () => new Date(time) });

describe('link token', () => {
  const first = newKey('k1');
  const link = { id: newId(), createdAt: CREATED_AT, expiresAt: EXPIRES_AT };
  const tokens = new LinkTokens(ringOf(first), clockAt('2026-11-20T08:10:00Z'));

  it('names the link, the same each time', () => {
    assert.equal(tokens.of(link), tokens.of(link));
    assert.deepEqual(tokens.read(tokens.of(link)), { linkId: link.id, expired: false });
  });

  it('is expired from its last second on, without tolerance', () => {
    const at = (time: string) => new LinkTokens(ringOf(first), clockAt(time)).read(tokens.of(link));
    assert.equal(at('2026-11-20T08:14:59.999Z')?.expired, false);
    assert.equal(at('2026-11-20T08:15:00.000Z')?.expired, true);
    assert.equal(at('2126-11-20T08:15:00.000Z')?.expired, true);
  });

  it('stays good when the keys are rotated, and ends when its key is gone', () => {
    const token = tokens.of(link);
    const clock = clockAt('2026-11-20T08:10:00Z');
    assert.equal(new LinkTokens(ringOf(newKey('k2'), first), clock).read(token)?.linkId, link.id);
    assert.equal(new LinkTokens(ringOf(newKey('k2')), clock).read(token), null);
    assert.equal(new LinkTokens(ringOf(newKey('k1')), clock).read(token), null);
  });

  it('an access token is no link, and a link no access token', () => {
    const clock = clockAt('2026-11-20T08:10:00Z');
    const access = new AccessTokens(ringOf(first), clock);
    const session = { id: newId(), userId: newId(), expiresAt: EXPIRES_AT };
    assert.equal(tokens.read(access.issue(session).token), null);
    assert.equal(access.read(tokens.of(link)), null);
  });

  it('what was changed, is unsigned, or signed by somebody else is not ours', () => {
    const [head = '', body = '', signature = ''] = tokens.of(link).split('.');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString());
    const options = { keyid: 'k1', issuer: 'panql', audience: 'panql:link', jwtid: link.id } as const;
    const longer = Buffer.from(JSON.stringify({ ...claims, exp: claims.exp + 1 })).toString('base64url');
    const unsigned = Buffer.from('{"alg":"none","typ":"JWT","kid":"k1"}').toString('base64url');
    const forged = [
      '',
      'x',
      'a.b.c',
      `${head}.${longer}.${signature}`,
      `${head}.${body}.`,
      `${unsigned}.${body}.`,
      `${head}.${body}.${signature}x`,
      jwt.sign({ exp: claims.exp }, randomBytes(32), options),
      jwt.sign({ exp: claims.exp }, first.key.reveal(), { ...options, algorithm: 'HS512' }),
      jwt.sign({ exp: claims.exp }, first.key.reveal(), { ...options, keyid: 'k9' }),
      jwt.sign({ exp: claims.exp }, first.key.reveal(), { ...options, audience: 'panql:other' }),
      jwt.sign({}, first.key.reveal(), options),
    ];
    for (const token of forged) assert.equal(tokens.read(token), null, token);
  });
});
