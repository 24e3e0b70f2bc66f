import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { emailKey, usernameKey } from '../../lib/names.ts';
import { cleanUsername, displayNameFault, emailFault, loginKey, usernameFault } from './names.ts';

const faultOf = (username: string): string | null => usernameFault(cleanUsername(username));

describe('a username', () => {
  for (const name of [
    'ada',
    'Ada.Lovelace',
    'x_1-2',
    '007',
    'жанна',
    'Ελένη',
    '王小明',
    '田中さん',
    '김철수abc',
    'müller',
    'हिन्दी',
    'a'.repeat(32),
  ]) {
    test(`may be ${name}`, () => assert.equal(faultOf(name), null));
  }
  const refused: [string, string][] = [
    ['', 'empty'],
    ['ab', 'too short'],
    ['a'.repeat(33), 'too long'],
    ['a'.repeat(2_000_000), 'far too long'],
    ['\ufdfa'.repeat(20), 'too long once its ligatures are written out'],
    ['a b c', 'a space'],
    ['a@example.org', 'a mail address'],
    ['a/b', 'a separator'],
    ['a\0b', 'NUL'],
    ['ab\ud800c', 'half a character'],
    ['ad\u200ba', 'an invisible space'],
    ['ad\u034fa', 'an invisible mark'],
    ['ad\u3164a', 'an invisible letter'],
    ['ad\ufe0fa', 'a variation selector'],
    ['ad\u202ea', 'a direction mark'],
    ['...', 'no letter'],
    ['_-_', 'no letter'],
    ['\u0301abc', 'begins with an accent'],
    [`a${'\u0301'.repeat(6)}bc`, 'piled accents'],
    ['p\u0430ypal', 'a Cyrillic a among Latin letters'],
    ['\u0391dam', 'a Greek A among Latin letters'],
    ['жаnna', 'Latin among Cyrillic letters'],
    ['😀😀😀', 'no letters'],
  ];
  for (const [name, why] of refused) test(`is refused: ${why}`, () => assert.ok(faultOf(name)));
});

describe('two usernames are one', () => {
  const same: [string, string][] = [
    ['ada', 'ADA'],
    ['ada', 'ａｄａ'],
    ['strasse1', 'STRASSE1'],
    ['\u00e9lodie', 'e\u0301lodie'],
    ['\ufb01nn', 'finn'],
    ['paypal', 'раураӏ'],
    ['xope', 'хоре'],
    ['kotov', 'κοτον'],
    ['istanbul', 'İstanbul'],
    ['id1', 'ıd1'],
    ['x²y', 'x2y'],
  ];
  for (const [one, other] of same)
    test(`${one} and ${other}`, () => assert.equal(usernameKey(one), usernameKey(other)));
  for (const [one, other] of [
    ['ada', 'adam'],
    ['a.b', 'ab'],
    ['müller', 'muller'],
    ['bob1', 'bobl'],
    ['王', '玉'],
  ] as const) {
    test(`but not ${one} and ${other}`, () => assert.notEqual(usernameKey(one), usernameKey(other)));
  }
});

describe('a mail address', () => {
  for (const email of [
    'a@b',
    'ada@example.org',
    'ada+panql@mail.example.org',
    '用户@例子.广告',
    "o'brien@x-y.example",
    'Ada@EXAMPLE.org',
  ]) {
    test(`may be ${email}`, () => assert.equal(emailFault(email), null));
  }
  const refused = [
    '',
    '@',
    'a@',
    '@b',
    'ada',
    'a b@c',
    'a@b c',
    'a@b..c',
    '.a@b',
    'a..b@c',
    'a@b\r\nBcc: x@y',
    'a\0@b',
    'a,b@c',
    '<a@b>',
    'a@[127.0.0.1]',
    `${'a'.repeat(65)}@b`,
    `a@${'b'.repeat(260)}`,
    'p\u0430y@b',
    'a\u200b@b',
    'a@b>',
  ];
  for (const email of refused) test(`is refused: ${JSON.stringify(email)}`, () => assert.ok(emailFault(email)));

  test('is one whatever the case or the form of its domain', () => {
    assert.equal(emailKey('Ada@Bücher.example'), emailKey('ada@xn--bcher-kva.example'));
    assert.equal(emailKey('ada@example.org'), emailKey('аdа@EXAMPLE.ORG'));
  });
});

describe('a display name', () => {
  for (const name of ['Ada', 'Ada Lovelace', '王 小明', 'Zoë 🎉', '👩‍💻', 'می‌خواهم', 'x'.repeat(64)]) {
    test(`may be ${name}`, () => assert.equal(displayNameFault(name), null));
  }
  for (const name of [
    '',
    '   ',
    'x'.repeat(65),
    'a\nb',
    'a\0b',
    'a\u202eb',
    'a\u200bb',
    '\u200d',
    'x\ud800',
    `a${'\u0300'.repeat(9)}`,
  ]) {
    test(`is refused: ${JSON.stringify(name)}`, () => assert.ok(displayNameFault(name)));
  }
});

test('whoever signs in is looked up by mail address or username, with nothing that a database refuses', () => {
  assert.deepEqual(loginKey(' ADA '), { usernameKey: 'ada' });
  assert.deepEqual(loginKey('Ada@Example.org'), { emailKey: 'ada@example.org' });
  assert.deepEqual(loginKey('a\0b'), { usernameKey: 'a b' });
  assert.ok(Object.values(loginKey('x'.repeat(2_000_000)))[0]?.length === 512);
});
