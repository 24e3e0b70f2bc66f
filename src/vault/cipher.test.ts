import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Secret } from '../lib/secret.ts';
import { Cipher, SealBrokenError, type SealPlace } from './cipher.ts';
import { loadKeyRing } from './keyring.ts';

const PLACE: SealPlace = { row: 'row-1', field: 'accounts.credentials' };
const KEY_1 = `k1:${randomBytes(32).toString('base64')}`;
const KEY_2 = `k2:${randomBytes(32).toString('base64')}`;

const cipherOf = (...keys: string[]): Cipher =>
  new Cipher(
    loadKeyRing({
      name: 'VAULT_KEYS',
      configured: new Secret(keys.join(',')),
      dataDir: '/nonexistent',
      environment: 'production',
    }),
  );

test('a sealed value opens to what was sealed, and hides it', () => {
  const cipher = cipherOf(KEY_1);
  for (const text of ['', 'token-of-a-person', '网盘令牌 🔑'.repeat(500)]) {
    const sealed = cipher.seal(new Secret(text), PLACE);
    assert.equal(cipher.open(sealed, PLACE).reveal(), text);
    if (text) assert.equal(sealed.includes(Buffer.from(text).toString('base64url').slice(0, 8)), false);
  }
});

test('the same value is sealed differently each time', () => {
  const cipher = cipherOf(KEY_1);
  const sealed = new Set(Array.from({ length: 50 }, () => cipher.seal(new Secret('same'), PLACE)));
  assert.equal(sealed.size, 50);
});

test('a value does not open in another row, in another field or under another name of the key', () => {
  const cipher = cipherOf(KEY_1, KEY_2);
  const sealed = cipher.seal(new Secret('secret'), PLACE);
  assert.throws(() => cipher.open(sealed, { ...PLACE, row: 'row-2' }), SealBrokenError);
  assert.throws(() => cipher.open(sealed, { ...PLACE, field: 'accounts.other' }), SealBrokenError);
  assert.throws(() => cipher.open(sealed.replace('.k1.', '.k2.'), PLACE), SealBrokenError);
});

test('a change of any byte is noticed', () => {
  const cipher = cipherOf(KEY_1);
  const sealed = cipher.seal(new Secret('secret'), PLACE);
  const [version, id, encoded = ''] = sealed.split('.');
  const bytes = Buffer.from(encoded, 'base64url');
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    const envelope = [version, id, changed.toString('base64url')].join('.');
    assert.throws(() => cipher.open(envelope, PLACE), SealBrokenError, `byte ${at}`);
  }
  for (const broken of ['', 'v1', 'v1.k1', 'v1.k1.', 'v2.k1.AAAA', `${sealed}.x`, 'v1.k1.AAAA']) {
    assert.throws(() => cipher.open(broken, PLACE), SealBrokenError, broken);
  }
});

test('old keys open, the first one seals, and a missing one is named', () => {
  const old = cipherOf(KEY_1).seal(new Secret('secret'), PLACE);
  const rotated = cipherOf(KEY_2, KEY_1);
  assert.equal(rotated.open(old, PLACE).reveal(), 'secret');
  assert.equal(rotated.isCurrent(old), false);
  assert.equal(rotated.isCurrent(rotated.seal(new Secret('secret'), PLACE)), true);
  assert.throws(() => cipherOf(KEY_2).open(old, PLACE), /needs the key “k1”/);
});

test('no error of the cipher tells a byte of the value or the key', () => {
  const cipher = cipherOf(KEY_1);
  const sealed = cipher.seal(new Secret('canary-value'), PLACE);
  try {
    cipher.open(sealed, { ...PLACE, row: 'row-2' });
    assert.fail('opened in another row');
  } catch (error) {
    const { message, cause } = error as Error;
    const told = `${message} ${cause instanceof Error ? cause.message : ''}`;
    assert.doesNotMatch(told, /canary-value/);
    assert.equal(told.includes(KEY_1.slice(3)), false);
  }
});
