import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the service compares for a rapid upload: the MD5 of so many first bytes. */
export const HEAD_BYTES = 262_144;
/** Bytes beyond this go to a temporary file. */
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;
/** Larger uploads are known by their slices only: hashing them whole would hold up the process for seconds. */
const HASHED_BYTES_MAX = 256 * 1024 * 1024;
/** Larger made-up files go without a hash: making their bytes takes seconds. */
const MADE_HASHED_BYTES_MAX = 16 * 1024 * 1024;
const READ_BYTES = 256 * 1024;

/** A run of bytes: in memory, in the spool file, made up on reading, or only measured. */
type Piece =
  | { readonly size: number; readonly bytes: Buffer }
  | { readonly size: number; readonly spooledAt: number }
  | { readonly size: number; readonly made: true }
  | { readonly size: number; readonly forgotten: true };

/** A slice as it was stored. */
export interface StoredSlice {
  readonly piece: Piece;
  readonly size: number;
  readonly md5: string;
}

/** The bytes of one file. */
export interface Content {
  readonly size: number;
  readonly pieces: readonly Piece[];
  /** Null for what was only measured, or is too large to be hashed whole. */
  readonly md5: string | null;
  readonly headMd5: string | null;
  /** The MD5 of each slice, in order. */
  readonly blockMd5s: readonly string[];
}

export const md5Of = (bytes: Buffer | string): string => createHash('md5').update(bytes).digest('hex');

/** Keeps uploaded bytes, or with `digests` only their size and MD5. */
export class ContentStore {
  readonly #keep: 'bytes' | 'digests';
  #inMemory = 0;
  #spool: { readonly directory: string; readonly file: number; end: number } | null = null;
  readonly #known: Content[] = [];

  constructor(keep: 'bytes' | 'digests') {
    this.#keep = keep;
  }

  slice(bytes: Buffer): StoredSlice {
    return { piece: this.#store(bytes), size: bytes.length, md5: md5Of(bytes) };
  }

  /** One file of these slices; the service remembers it for rapid uploads. */
  join(slices: readonly StoredSlice[]): Content {
    const size = slices.reduce((sum, slice) => sum + slice.size, 0);
    const pieces = slices.map((slice) => slice.piece);
    const isReadable = pieces.every((piece) => !('forgotten' in piece));
    const hashes = isReadable && size <= HASHED_BYTES_MAX ? this.#hash(pieces) : null;
    return this.#remember({
      size,
      pieces,
      md5: hashes?.md5 ?? (slices.length === 1 ? (slices[0]?.md5 ?? null) : null),
      headMd5: hashes?.headMd5 ?? null,
      blockMd5s: slices.map((slice) => slice.md5),
    });
  }

  /** Made-up bytes of any size, which take no room; see `madeBytes`. */
  made(size: number): Content {
    const pieces: Piece[] = [{ size, made: true }];
    const hashes = size <= MADE_HASHED_BYTES_MAX ? this.#hash(pieces) : null;
    return this.#remember({ size, pieces, md5: hashes?.md5 ?? null, headMd5: hashes?.headMd5 ?? null, blockMd5s: [] });
  }

  /** A file of any user with these hashes. */
  find(hashes: { readonly size: number; readonly md5: string; readonly headMd5: string }): Content | null {
    return (
      this.#known.find((c) => c.size === hashes.size && c.md5 === hashes.md5 && c.headMd5 === hashes.headMd5) ?? null
    );
  }

  /** A file of any user by the MD5 of all of it. */
  findWhole(size: number, md5: string): Content | null {
    return this.#known.find((content) => content.size === size && content.md5 === md5) ?? null;
  }

  /** The bytes from `start` up to, not including, `end`. */
  *read(content: Content, start = 0, end = content.size): Generator<Buffer> {
    let at = 0;
    for (const piece of content.pieces) {
      const from = Math.max(start - at, 0);
      const to = Math.min(end - at, piece.size);
      for (let offset = from; offset < to; offset += READ_BYTES) {
        yield this.#readPiece(piece, offset, Math.min(READ_BYTES, to - offset));
      }
      at += piece.size;
      if (at >= end) return;
    }
  }

  close(): void {
    if (this.#spool === null) return;
    closeSync(this.#spool.file);
    rmSync(this.#spool.directory, { recursive: true, force: true });
    this.#spool = null;
  }

  #remember(content: Content): Content {
    if (content.md5 !== null && content.headMd5 !== null) this.#known.push(content);
    return content;
  }

  #store(bytes: Buffer): Piece {
    const size = bytes.length;
    if (this.#keep === 'digests') return { size, forgotten: true };
    if (this.#inMemory + size <= MEMORY_BYTES_MAX) {
      this.#inMemory += size;
      return { size, bytes: Buffer.from(bytes) };
    }
    this.#spool ??= openSpool();
    const spooledAt = this.#spool.end;
    for (let written = 0; written < size; ) {
      written += writeSync(this.#spool.file, bytes, written, size - written, spooledAt + written);
    }
    this.#spool.end += size;
    return { size, spooledAt };
  }

  #readPiece(piece: Piece, offset: number, length: number): Buffer {
    if ('bytes' in piece) return piece.bytes.subarray(offset, offset + length);
    if ('made' in piece) return madeBytes(offset, length);
    if ('forgotten' in piece || this.#spool === null) throw new Error('The bytes of this upload were not kept.');
    const bytes = Buffer.alloc(length);
    for (let got = 0; got < length; ) {
      const count = readSync(this.#spool.file, bytes, got, length - got, piece.spooledAt + offset + got);
      if (count === 0) throw new Error('The spool file is shorter than what was written to it.');
      got += count;
    }
    return bytes;
  }

  #hash(pieces: readonly Piece[]): { readonly md5: string; readonly headMd5: string } {
    const size = pieces.reduce((sum, piece) => sum + piece.size, 0);
    const all = { size, pieces, md5: null, headMd5: null, blockMd5s: [] };
    const whole = createHash('md5');
    for (const bytes of this.read(all)) whole.update(bytes);
    const head = createHash('md5');
    for (const bytes of this.read(all, 0, Math.min(HEAD_BYTES, size))) head.update(bytes);
    return { md5: whole.digest('hex'), headMd5: head.digest('hex') };
  }
}

/** The bytes of a made-up file: each is a function of its place, so that a wrong range shows. */
export function madeBytes(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index++) {
    const at = offset + index;
    bytes[index] = (at ^ Math.floor(at / 251) ^ Math.floor(at / 65_536)) & 0xff;
  }
  return bytes;
}

function openSpool() {
  const directory = mkdtempSync(join(tmpdir(), 'baidu-fake-'));
  return { directory, file: openSync(join(directory, 'bytes'), 'w+', 0o600), end: 0 };
}
