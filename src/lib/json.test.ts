import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonInteger, parseLossless } from './json.ts';

const keys = (...names: string[]) => new Set(names);

for (const [text, expected] of [
  ['9007199254740991', 9007199254740991],
  ['9007199254740992', '9007199254740992'],
  ['-9007199254740993', '-9007199254740993'],
  ['12345678901234567890', '12345678901234567890'],
  ['1.8e+17', '1.8e+17'],
  ['18E16', '18E16'],
  ['1e400', '1e400'],
  ['1.5e13', 15_000_000_000_000],
  ['0.1', 0.1],
  ['-0.25', -0.25],
  ['3.1415926535897932384', Math.PI],
  ['1e-7', 1e-7],
  ['0', 0],
  ['"12345678901234567890"', '12345678901234567890'],
  ['true', true],
  ['null', null],
] as const) {
  test(`${text} is read as ${JSON.stringify(expected)}, alone and inside`, () => {
    assert.deepEqual(parseLossless(text), expected);
    assert.deepEqual(parseLossless(`{"a":[${text},{"b": ${text} }]}`), { a: [expected, { b: expected }] });
  });
}

test('numbers under the given keys stay text, whatever their size and notation', () => {
  const text = '{"id":12,"ids":[1],"size":12,"inner":{"id":1.5e13}}';
  assert.deepEqual(parseLossless(text, keys('id')), { id: '12', ids: [1], size: 12, inner: { id: '1.5e13' } });
});

test('other values under the given keys keep their type', () => {
  assert.deepEqual(parseLossless('[{"id":null},{"id":"x"},{"id":[]}]', keys('id')), [
    { id: null },
    { id: 'x' },
    { id: [] },
  ]);
});

test('what is not JSON is refused, also when it looks like large numbers', () => {
  for (const text of ['', '<html>', '{"a":12345678901234567890', '[1,]', 'NaN']) {
    assert.throws(() => parseLossless(text), SyntaxError, text);
  }
});

test('a key named __proto__ is data and touches no prototype', () => {
  const parsed = parseLossless('{"__proto__":{"polluted":12345678901234567890}}') as object;
  assert.deepEqual(Object.keys(parsed), ['__proto__']);
  assert.equal('polluted' in {}, false);
});

test('a whole number given as text is written digit by digit', () => {
  assert.equal(
    JSON.stringify({ ids: ['12345678901234567890', '007', '-0'].map(jsonInteger) }),
    '{"ids":[12345678901234567890,7,-0]}',
  );
  for (const text of ['', '1.5', '1e3', '0x1', '1,"a":2', ' 1'])
    assert.throws(() => jsonInteger(text), TypeError, text);
});
