import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldLookAlikes, mixesScripts } from './look-alikes.ts';

test('letters that are drawn alike fold to one, and Latin letters stay', () => {
  assert.equal(foldLookAlikes('раураӏ'), 'paypal');
  const latin = 'abcdefghijklmnopqrstuvwxyz0123456789._-';
  assert.equal(foldLookAlikes(latin), latin);
});

test('folding twice changes nothing more', () => {
  for (const text of ['ѕсоре', 'κοτον', 'i\u0307', 'ı', '王小明']) {
    assert.equal(foldLookAlikes(foldLookAlikes(text)), foldLookAlikes(text), text);
  }
});

test('a text may keep to one alphabet, or to those that one language writes with', () => {
  for (const text of ['ada', 'жанна', 'ελένη', 'ada-2.x', '田中さんa', '김철수b', 'ㄅㄆ王a', 'ไทย', 'हिन्दी', '']) {
    assert.equal(mixesScripts(text), false, text);
  }
  for (const text of ['p\u0430y', 'жn', 'αb', 'aไ', 'жα', 'さж']) assert.equal(mixesScripts(text), true, text);
});
