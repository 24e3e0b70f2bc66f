import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../lib/clock.ts';
import { UnavailableError } from '../../lib/errors.ts';
import { OWASP_COST, PasswordHasher, passwordFault } from './passwords.ts';

const CHEAP = { memoryCost: 64, timeCost: 1, parallelism: 1 };
const cheap = () => PasswordHasher.create(systemClock, CHEAP);

describe('a new password', () => {
  const refused: [string, string][] = [
    ['', 'empty'],
    ['1234567', 'one character short'],
    ['😀😀😀😀😀😀😀', 'seven characters, though 14 code units'],
    ['x'.repeat(129), 'one character long'],
    ['correct horse '.repeat(100_000), 'a megabyte'],
    ['password', 'common'],
    ['PassWord1', 'common in other case'],
    ['12345678', 'common'],
    ['aaaaaaaaaaaa', 'one letter'],
    ['abababababab', 'two letters'],
    ['Grace.Hopper', 'the username'],
    ['ＧＲＡＣＥ.hopper', 'the username in wide letters'],
  ];
  for (const [password, why] of refused) {
    test(`is refused: ${why}`, () => assert.ok(passwordFault(password, 'grace.hopper')));
  }
  for (const password of [
    'correct horse battery',
    'x1!y2?z3',
    '密码密码一二三四五',
    '😀😁😂🤣😃😄😅😆',
    'abc'.repeat(42),
  ]) {
    test(`is taken: ${password}`, () => assert.equal(passwordFault(password, 'grace.hopper'), null));
  }
});

describe('the hasher', () => {
  test('keeps argon2id with the parameters that OWASP names', async () => {
    const hasher = await PasswordHasher.create(systemClock);
    const hash = await hasher.hash('a fine password');
    assert.match(hash, /^\$argon2id\$v=19\$m=19456,p=1,t=2\$/);
    assert.deepEqual(OWASP_COST, { memoryCost: 19_456, timeCost: 2, parallelism: 1 });
    assert.ok(await hasher.verify(hash, 'a fine password'));
    assert.ok(!(await hasher.verify(hash, 'a fine passwore')));
  });

  test('salts: one password has two hashes', async () => {
    const hasher = await cheap();
    assert.notEqual(await hasher.hash('a fine password'), await hasher.hash('a fine password'));
  });

  test('takes a password however its letters were composed', async () => {
    const hasher = await cheap();
    const hash = await hasher.hash('caf\u00e9 au lait');
    assert.ok(await hasher.verify(hash, 'cafe\u0301 au lait'));
  });

  test('counts every character to the last', async () => {
    const hasher = await cheap();
    const hash = await hasher.hash(`${'x'.repeat(127)}a`);
    assert.ok(!(await hasher.verify(hash, `${'x'.repeat(127)}b`)));
    assert.ok(!(await hasher.verify(hash, 'x'.repeat(1_000_000))));
  });

  test('takes NUL and lone surrogates as they are', async () => {
    const hasher = await cheap();
    const hash = await hasher.hash('before\0after');
    assert.ok(!(await hasher.verify(hash, 'before')));
    assert.ok(!(await hasher.verify(hash, 'before\0\ud800')));
  });

  test('finds nobody right, whatever the password', async () => {
    const hasher = await cheap();
    assert.equal(await hasher.verify(null, ''), false);
    assert.equal(await hasher.verify(null, 'a fine password'), false);
  });

  test('sees that a hash was made at another cost', async () => {
    const hasher = await cheap();
    const dearer = await PasswordHasher.create(systemClock, { ...CHEAP, timeCost: 2 });
    const hash = await hasher.hash('a fine password');
    assert.equal(hasher.isOutdated(hash), false);
    assert.equal(dearer.isOutdated(hash), true);
    assert.ok(await dearer.verify(hash, 'a fine password'));
  });

  test('of 500 callers at once it serves those whom it can soon, and refuses the others at once', async () => {
    const hasher = await PasswordHasher.create({ now: () => new Date(1_000_000) }, { ...CHEAP, memoryCost: 1024 });
    const settled: string[] = [];
    const results = await Promise.allSettled(
      Array.from({ length: 500 }, async (_, index) => {
        try {
          return await hasher.verify(null, `guess ${index}`); // Unknown users stand in the same queue.
        } finally {
          settled.push('one');
        }
      }),
    );
    const refused = results.filter(({ status }) => status === 'rejected');
    assert.equal(refused.length, 500 - 66);
    for (const result of refused) {
      assert.ok(result.status === 'rejected' && result.reason instanceof UnavailableError);
      assert.deepEqual([result.reason.retryable, result.reason.retryAt], [true, new Date(1_003_000)]);
    }
    assert.ok(!(await hasher.verify(null, 'afterwards the queue is free again')));
  });

  test('goes on after a hash that failed', async () => {
    const hasher = await cheap();
    const broken = Array.from({ length: 10 }, () => hasher.verify('not a hash', 'a fine password'));
    for (const result of await Promise.allSettled(broken)) assert.equal(result.status, 'rejected');
    assert.ok(await hasher.verify(await hasher.hash('a fine password'), 'a fine password'));
  });
});
