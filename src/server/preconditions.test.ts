import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evaluatePreconditions, type Precondition, rangeApplies, type Validators } from './preconditions.ts';

const FILE: Validators = { etag: '"abc"', modifiedAt: new Date('2026-11-20T08:30:00.750Z') };
const UNKNOWN: Validators = { etag: null, modifiedAt: null };
const BEFORE = 'Fri, 20 Nov 2026 08:29:59 GMT';
const EXACTLY = 'Fri, 20 Nov 2026 08:30:00 GMT';
const AFTER = 'Fri, 20 Nov 2026 08:30:01 GMT';

const CONDITIONS: readonly (readonly [Record<string, string>, Validators, Precondition])[] = [
  [{}, FILE, 'proceed'],
  [{ 'if-none-match': '"abc"' }, FILE, 'not-modified'],
  [{ 'if-none-match': 'W/"abc"' }, FILE, 'not-modified'],
  [{ 'if-none-match': '"x", W/"a,b" , "abc"' }, FILE, 'not-modified'],
  [{ 'if-none-match': '*' }, FILE, 'not-modified'],
  [{ 'if-none-match': '*' }, UNKNOWN, 'not-modified'],
  [{ 'if-none-match': '"other"' }, FILE, 'proceed'],
  [{ 'if-none-match': 'abc' }, FILE, 'proceed'],
  [{ 'if-none-match': '"abc"' }, UNKNOWN, 'proceed'],
  [{ 'if-modified-since': EXACTLY }, FILE, 'not-modified'],
  [{ 'if-modified-since': AFTER }, FILE, 'not-modified'],
  [{ 'if-modified-since': BEFORE }, FILE, 'proceed'],
  [{ 'if-modified-since': 'Friday, 20-Nov-26 08:30:00 GMT' }, FILE, 'not-modified'],
  [{ 'if-modified-since': 'Fri Nov 20 08:30:00 2026' }, FILE, 'not-modified'],
  [{ 'if-modified-since': 'Fri Nov 20 08:29:59 2026' }, FILE, 'proceed'],
  [{ 'if-modified-since': 'yesterday' }, FILE, 'proceed'],
  [{ 'if-modified-since': AFTER }, UNKNOWN, 'proceed'],
  // If-None-Match goes before the date.
  [{ 'if-none-match': '"other"', 'if-modified-since': AFTER }, FILE, 'proceed'],
  [{ 'if-match': '"abc"' }, FILE, 'proceed'],
  [{ 'if-match': '"x", "abc"' }, FILE, 'proceed'],
  [{ 'if-match': '*' }, FILE, 'proceed'],
  [{ 'if-match': 'W/"abc"' }, FILE, 'failed'],
  [{ 'if-match': '"other"' }, FILE, 'failed'],
  [{ 'if-match': '"abc"' }, UNKNOWN, 'failed'],
  [{ 'if-unmodified-since': EXACTLY }, FILE, 'proceed'],
  [{ 'if-unmodified-since': BEFORE }, FILE, 'failed'],
  [{ 'if-unmodified-since': 'never' }, FILE, 'proceed'],
  [{ 'if-match': '"abc"', 'if-unmodified-since': BEFORE }, FILE, 'proceed'],
  [{ 'if-match': '"other"', 'if-none-match': '"abc"' }, FILE, 'failed'],
  [{ 'if-match': '"abc"', 'if-none-match': '"abc"' }, FILE, 'not-modified'],
];

const IF_RANGES: readonly (readonly [string | undefined, Validators, boolean])[] = [
  [undefined, FILE, true],
  ['"abc"', FILE, true],
  ['W/"abc"', FILE, false],
  ['"other"', FILE, false],
  ['"abc", "other"', FILE, false],
  ['"abc"', UNKNOWN, false],
  [EXACTLY, FILE, true],
  [BEFORE, FILE, false],
  [AFTER, FILE, false],
  [EXACTLY, UNKNOWN, false],
  ['soon', FILE, false],
];

describe('preconditions', () => {
  for (const [headers, file, expected] of CONDITIONS) {
    it(`${JSON.stringify(headers)}${file === UNKNOWN ? ' of a file without validators' : ''}: ${expected}`, () => {
      assert.equal(evaluatePreconditions(headers, file), expected);
    });
  }

  for (const [header, file, expected] of IF_RANGES) {
    it(`If-Range ${header ?? '(none)'}${file === UNKNOWN ? ' without validators' : ''}: ${expected}`, () => {
      assert.equal(rangeApplies(header, file), expected);
    });
  }
});
