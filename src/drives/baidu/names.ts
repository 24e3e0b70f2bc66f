import { checkEntryName } from '../shared/names.ts';
import { invalid } from './client.ts';
import { PROVIDER } from './errors.ts';

const FORBIDDEN = /[\\?|"><:*]/;
/** Most emoji: outside the basic plane. */
const BEYOND_BASIC_PLANE = /[\u{10000}-\u{10ffff}]/u;
/** Of a whole path in UTF-8, by old documents. */
const PATH_BYTES_MAX = 1000;

/** Refuses what Baidu would refuse (31062) or change, before anything is sent. */
export function checkName(name: string): void {
  checkEntryName(name, PROVIDER);
  if (FORBIDDEN.test(name)) throw invalid('does not take any of \\ ? | " > < : * in a name.');
  if (/^[.\s]|[.\s]$/.test(name)) throw invalid('does not take a name that begins or ends with a dot or a space.');
  if (BEYOND_BASIC_PLANE.test(name)) throw invalid('does not take emoji, nor other rare characters, in a name.');
}

/** @throws DriveError `invalid_argument` */
export function checkPath(path: string): void {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw invalid(`takes paths of up to ${PATH_BYTES_MAX} bytes, and this one is longer.`);
  }
}
