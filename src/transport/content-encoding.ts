import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

/**
 * Unpacks a body that was packed although nobody asked for it; null: it is as it is, or packed in an unknown way. Of a
 * file that is itself a gzip archive many servers say so by this header: that stays packed, as browsers leave it.
 */
export function decoderOf(encoding: string | null, fileName: string): Transform | null {
  switch (encoding?.trim().toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return /\.(?:t?gz|svgz)$/i.test(fileName) ? null : createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      return null;
  }
}
