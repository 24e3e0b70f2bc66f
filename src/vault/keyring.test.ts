import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { ConfigError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { loadKeyRing, loadKeyRings } from './keyring.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'panql-keys-'));
after(() => rmSync(dataDir, { recursive: true }));

const fresh = (bytes = 32): string => randomBytes(bytes).toString('base64');
const load = (text: string | null, environment: 'development' | 'production' = 'production', folder = dataDir) =>
  loadKeyRing({ name: 'JWT_KEYS', configured: text === null ? null : new Secret(text), dataDir: folder, environment });

describe('a configured key ring', () => {
  test('has its first key as the current one, and finds the others by id', () => {
    const [one, two] = [fresh(), fresh(64)];
    const ring = load(`new:${one}, old:${two}`);
    assert.equal(ring.current.id, 'new');
    assert.equal(ring.current.key.reveal().toString('base64'), one);
    assert.equal(ring.get('old')?.key.reveal().toString('base64'), two);
    assert.equal(ring.get('other'), null);
    assert.deepEqual(
      ring.keys.map(({ id }) => id),
      ['new', 'old'],
    );
  });

  test('takes base64url as well', () => {
    assert.equal(load(`k:${randomBytes(32).toString('base64url')}`).current.key.reveal().length, 32);
  });

  test('does not show a key when it is printed', () => {
    const key = fresh();
    const ring = load(`k:${key}`);
    assert.ok(!`${inspect(ring, { depth: 9 })}${JSON.stringify(ring)}`.includes(key));
  });

  const faults: Readonly<Record<string, [string, RegExp]>> = {
    'without an id': [fresh(), /id:base64/],
    'with a bad id': [`a b:${fresh()}`, /id:base64/],
    'that is not base64': ['k:this is no base64!', /is not base64/],
    'that is short': [`k:${fresh(31)}`, /31 bytes long: at least 32/],
    'that is empty': ['k:', /is not base64/],
    'that is a phrase': [
      `k:${Buffer.from('change-me-to-something-secret-please').toString('base64')}`,
      /readable text/,
    ],
    'that is hex': [`k:${Buffer.from(randomBytes(32).toString('hex')).toString('base64')}`, /readable text/],
    'of zeros': [`k:${Buffer.alloc(32).toString('base64')}`, /repeats few bytes/],
    'that repeats': [`k:${Buffer.alloc(64, randomBytes(8)).toString('base64')}`, /repeats few bytes/],
    'that counts': [
      `k:${Buffer.from(Array.from({ length: 32 }, (_, at) => 200 + at)).toString('base64')}`,
      /counts up/,
    ],
    'with an id twice': [`k:${fresh()},k:${fresh()}`, /stands there twice/],
  };
  for (const [what, [text, message]] of Object.entries(faults)) {
    for (const environment of ['production', 'development'] as const) {
      test(`${what} stops the start in ${environment}`, () => {
        assert.throws(
          () => load(text, environment),
          (error) => error instanceof ConfigError && message.test(error.message),
        );
      });
    }
  }

  test('names every fault, the setting and how to make a key, but no key', () => {
    const short = fresh(16);
    assert.throws(
      () => load(`a:${short},b:${Buffer.alloc(32).toString('base64')}`),
      (error: Error) => {
        assert.match(error.message, /JWT_KEYS: key 1 .*\nJWT_KEYS: key 2 .*\n.*openssl rand/);
        assert.ok(!error.message.includes(short));
        return true;
      },
    );
  });
});

describe('without a configured key', () => {
  test('production does not start', () => {
    assert.throws(
      () => load(null),
      (error) => error instanceof ConfigError && /JWT_KEYS is not set/.test(error.message),
    );
  });

  test('development makes one, keeps it for its owner alone, and finds it again', () => {
    const folder = join(dataDir, 'made');
    const made = load(null, 'development', folder).current.key.reveal();
    assert.equal(made.length, 32);
    const file = join(folder, 'keys', 'jwt_keys');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, 'keys')).mode & 0o777, 0o700);
    assert.deepEqual(load(null, 'development', folder).current.key.reveal(), made);
    assert.ok(readFileSync(file, 'utf8').includes(made.toString('base64')));
  });

  test('a key file that others could read is closed again', () => {
    const folder = join(dataDir, 'opened');
    load(null, 'development', folder);
    const file = join(folder, 'keys', 'jwt_keys');
    chmodSync(file, 0o644);
    load(null, 'development', folder);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  test('each setting has a key of its own', () => {
    const folder = join(dataDir, 'two');
    const options = { configured: null, dataDir: folder, environment: 'test' } as const;
    const jwt = loadKeyRing({ ...options, name: 'JWT_KEYS' }).current.key.reveal();
    const vault = loadKeyRing({ ...options, name: 'VAULT_KEYS' }).current.key.reveal();
    assert.notDeepEqual(jwt, vault);
  });
});

test('the faults of several settings are told together', () => {
  const source = { dataDir, environment: 'production' } as const;
  assert.throws(
    () =>
      loadKeyRings(
        { ...source, name: 'JWT_KEYS', configured: null },
        { ...source, name: 'VAULT_KEYS', configured: new Secret('k1:abc') },
      ),
    (error: unknown) =>
      error instanceof ConfigError &&
      /JWT_KEYS is not set/.test(error.message) &&
      /VAULT_KEYS: key 1/.test(error.message),
  );
});
