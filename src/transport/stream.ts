import { type Readable, Transform } from 'node:stream';
import type { DriveError } from '../lib/drive-error.ts';
import { peerError } from './faults.ts';
import type { OutboundRequest, Peer, RequestRange } from './request.ts';

/** The `Range` header of a range; null when that is the whole file, which needs none. */
export const rangeHeader = ({ start, end }: RequestRange): string | null =>
  start === 0 && end === null ? null : `bytes=${start}-${end ?? ''}`;

/**
 * How many bytes an answer's stream must have, by the range asked, the length expected and the length announced; null
 * when nobody says. An answer with other bytes than asked for gives the error instead.
 */
export function promisedBytes(
  peer: Peer,
  request: Pick<OutboundRequest, 'range' | 'expectedBytes'>,
  status: number,
  headers: Headers,
): number | null | DriveError {
  const announced = headers.has('content-length') ? Number(headers.get('content-length')) : null;
  const wanted = request.range
    ? rangeBytes(request.range, status, headers, announced)
    : (request.expectedBytes ?? null);
  if (wanted === 'other' || (wanted !== null && announced !== null && announced !== wanted)) {
    return peerError(peer, 'corrupted', `${peer.title} gave other bytes of the file than were asked for.`, {
      providerCode: `HTTP ${status}`,
    });
  }
  if (wanted !== null && request.expectedBytes !== undefined && wanted !== request.expectedBytes) {
    return peerError(peer, 'corrupted', `${peer.title} has another length of the file than is known.`);
  }
  return wanted ?? announced;
}

/** The bytes that the range has here; `other` when the answer is about different bytes. */
function rangeBytes(
  { start, end }: RequestRange,
  status: number,
  headers: Headers,
  announced: number | null,
): number | null | 'other' {
  if (status !== 206) {
    // The whole file is as good when it is what was asked for.
    if (start !== 0) return 'other';
    return end === null || announced === end + 1 ? announced : 'other';
  }
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
  if (first === undefined || last === undefined || Number(first) !== start) return 'other';
  const lastOfFile = total === '*' ? Number.POSITIVE_INFINITY : Number(total) - 1;
  // Of an unknown total any end may be the file's; else the end must be the one asked for, or the file's.
  const fits =
    total === '*' ? end === null || Number(last) <= end : Number(last) === Math.min(end ?? lastOfFile, lastOfFile);
  return fits ? Number(last) - start + 1 : 'other';
}

export interface CheckedStreamOptions {
  readonly peer: Peer;
  /** Exact length in bytes; null: not known. */
  readonly promised: number | null;
  /** What an error of the source is for the reader. */
  readonly fault: (error: unknown) => DriveError;
}

/** The source's bytes, ending normally only when all that were promised have come. Destroying it ends the source. */
export function checkedStream(source: Readable, { peer, promised, fault }: CheckedStreamOptions): Readable {
  let received = 0;
  const corrupted = (): DriveError =>
    peerError(peer, 'corrupted', `${peer.title} sent ${received} bytes where ${promised} were promised.`);
  const checked = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      received += chunk.length;
      if (promised !== null && received > promised) done(corrupted());
      else done(null, chunk);
    },
    flush(done) {
      done(promised !== null && received !== promised ? corrupted() : null);
    },
  });
  source.on('error', (error) => checked.destroy(fault(error)));
  checked.on('close', () => source.destroy());
  return source.pipe(checked);
}
