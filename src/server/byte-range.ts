import type { ByteSpan } from '../services/download.ts';

/** What a Range header asks of a file: all of it, one part, or one that it does not have (416). */
export type RangeRequest =
  | { readonly kind: 'whole' | 'unsatisfiable' }
  | { readonly kind: 'part'; readonly span: ByteSpan };

/** Longest Range header that is read: one range has at most two numbers. */
const RANGE_CHARACTERS_MAX = 64;
const SINGLE_RANGE = /^bytes[ \t]*=[ \t]*(\d*)-(\d*)[ \t]*$/i;

/**
 * Reads a Range header by RFC 9110 §14. What is malformed, in another unit or of several ranges is answered with the
 * whole, as §14.2 allows: several ranges would come back as multipart, which no download client asks for, and which lets
 * a small request cost a lot. (The package range-parser refuses a suffix longer than the file and takes `5-2` for
 * unsatisfiable, both against the RFC.)
 */
export function parseRange(header: string | undefined, sizeBytes: number): RangeRequest {
  const match = header === undefined || header.length > RANGE_CHARACTERS_MAX ? null : SINGLE_RANGE.exec(header);
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') return { kind: 'whole' };

  if (first === '') {
    const length = Number(last);
    if (length === 0) return { kind: 'unsatisfiable' };
    if (sizeBytes === 0) return { kind: 'whole' }; // Satisfiable by the RFC, but no Content-Range can say "no bytes".
    return { kind: 'part', span: { start: Math.max(0, sizeBytes - length), end: sizeBytes - 1 } };
  }

  const start = Number(first);
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (last !== '' && Number(last) < start) return { kind: 'whole' };
  if (start >= sizeBytes) return { kind: 'unsatisfiable' };
  return { kind: 'part', span: { start, end } };
}
