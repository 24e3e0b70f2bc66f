import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseRange } from './byte-range.ts';

const part = (start: number, end: number) => ({ kind: 'part', span: { start, end } });
const WHOLE = { kind: 'whole' };
const UNSATISFIABLE = { kind: 'unsatisfiable' };

/** header, size, what it asks. */
const RANGES: readonly (readonly [string | undefined, number, object])[] = [
  [undefined, 10, WHOLE],
  ['bytes=0-0', 10, part(0, 0)],
  ['bytes=0-9', 10, part(0, 9)],
  ['bytes=3-5', 10, part(3, 5)],
  ['bytes=9-9', 10, part(9, 9)],
  ['bytes=0-', 10, part(0, 9)],
  ['bytes=4-', 10, part(4, 9)],
  ['bytes=9-', 10, part(9, 9)],
  ['bytes=-1', 10, part(9, 9)],
  ['bytes=-10', 10, part(0, 9)],
  ['bytes=-11', 10, part(0, 9)],
  ['bytes=-99999999999999999999999', 10, part(0, 9)],
  ['bytes=5-10', 10, part(5, 9)],
  ['bytes=5-99999999999999999999999', 10, part(5, 9)],
  ['bytes=007-008', 10, part(7, 8)],
  ['BYTES=1-2', 10, part(1, 2)],
  ['bytes = 1-2 ', 10, part(1, 2)],
  ['bytes=10-', 10, UNSATISFIABLE],
  ['bytes=10-20', 10, UNSATISFIABLE],
  ['bytes=99999999999999999999999-', 10, UNSATISFIABLE],
  ['bytes=-0', 10, UNSATISFIABLE],
  ['bytes=0-', 0, UNSATISFIABLE],
  ['bytes=0-0', 0, UNSATISFIABLE],
  ['bytes=-1', 0, WHOLE],
  ['bytes=5-2', 10, WHOLE],
  ['bytes=20-12', 10, WHOLE],
  ['bytes=', 10, WHOLE],
  ['bytes=-', 10, WHOLE],
  ['bytes', 10, WHOLE],
  ['', 10, WHOLE],
  ['bytes=a-b', 10, WHOLE],
  ['bytes=1-2x', 10, WHOLE],
  ['bytes=0x1-0x2', 10, WHOLE],
  ['bytes=1.5-2', 10, WHOLE],
  ['bytes=-1-2', 10, WHOLE],
  ['bytes=1 - 2', 10, WHOLE],
  ['bytes=1-2,4-5', 10, WHOLE],
  ['bytes=0-0,-1', 10, WHOLE],
  ['items=0-1', 10, WHOLE],
  [`bytes=${'0'.repeat(100)}-`, 10, WHOLE],
];

describe('range header', () => {
  for (const [header, size, expected] of RANGES) {
    it(`${header ?? '(none)'} of ${size} bytes is ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parseRange(header, size), expected);
    });
  }
});
