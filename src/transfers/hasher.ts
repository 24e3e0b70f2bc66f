import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { crc32 } from 'node:zlib';
import { type Driver, HASH_ALGORITHMS, type HashAlgorithm, type Hashes } from '../drives/driver.ts';

/** Hexadecimal digits of each digest. */
export const HASH_LENGTHS: Readonly<Record<HashAlgorithm, number>> = { MD5: 32, SHA1: 40, SHA256: 64, CRC32: 8 };

/** Bytes read from a file between two turns of the event loop: hashing them takes a few milliseconds. */
const READ_BYTES = 1024 * 1024;

/** A running digest that can be set aside and gone back to. */
interface Digest {
  update(bytes: Uint8Array): void;
  copy(): Digest;
  value(): Buffer;
}

/** Several digests over the same bytes, in the order in which they come. */
export class Hasher {
  readonly #digests: ReadonlyMap<HashAlgorithm, Digest>;
  #bytes: number;

  private constructor(digests: ReadonlyMap<HashAlgorithm, Digest>, bytes: number) {
    this.#digests = digests;
    this.#bytes = bytes;
  }

  static of(algorithms: Iterable<HashAlgorithm>): Hasher {
    return new Hasher(new Map([...new Set(algorithms)].map((algorithm) => [algorithm, newDigest(algorithm)])), 0);
  }

  /** Of the whole file. Stops, throwing the signal's reason, when the signal is aborted. */
  static async ofFile(
    path: string,
    algorithms: Iterable<HashAlgorithm>,
    signal: AbortSignal,
    onBytes: (bytes: number) => void = () => undefined,
  ): Promise<Hasher> {
    const hasher = Hasher.of(algorithms);
    for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES, signal })) {
      hasher.update(chunk as Buffer);
      onBytes(hasher.bytes);
    }
    return hasher;
  }

  /** How many bytes it has seen: its place in the file. */
  get bytes(): number {
    return this.#bytes;
  }

  update(bytes: Uint8Array): void {
    for (const digest of this.#digests.values()) digest.update(bytes);
    this.#bytes += bytes.length;
  }

  copy(): Hasher {
    return new Hasher(
      new Map([...this.#digests].map(([algorithm, digest]) => [algorithm, digest.copy()])),
      this.#bytes,
    );
  }

  /** The digests so far, in lower-case hex; more bytes may follow. */
  hashes(): Hashes {
    return Object.fromEntries(
      [...this.#digests].map(([algorithm, digest]) => [algorithm, digest.value().toString('hex')]),
    );
  }
}

/**
 * What to compute over bytes for a drive: what identifies them here, what was promised, and what a drive asks for that has
 * to be sent to.
 */
export const wantedHashes = (promised: Hashes, driver: Driver): HashAlgorithm[] => [
  ...new Set<HashAlgorithm>([
    'SHA256',
    ...(Object.keys(promised) as HashAlgorithm[]),
    ...(driver.adopt ? [] : driver.capabilities.hashes),
  ]),
];

/** The algorithms whose promised hash is another than the computed one, or was not computed. */
export const mismatches = (expected: Hashes, actual: Hashes): HashAlgorithm[] =>
  HASH_ALGORITHMS.filter((algorithm) => expected[algorithm] !== undefined && expected[algorithm] !== actual[algorithm]);

const newDigest = (algorithm: HashAlgorithm): Digest =>
  algorithm === 'CRC32' ? crcDigest(0) : hashDigest(createHash(algorithm.toLowerCase()));

const hashDigest = (hash: Hash): Digest => ({
  update: (bytes) => void hash.update(bytes),
  copy: () => hashDigest(hash.copy()),
  value: () => hash.copy().digest(),
});

function crcDigest(start: number): Digest {
  let value = start;
  return {
    update: (bytes) => {
      value = crc32(bytes, value);
    },
    copy: () => crcDigest(value),
    value: () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    },
  };
}
