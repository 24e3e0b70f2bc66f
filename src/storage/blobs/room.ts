import type { Readable } from 'node:stream';
import type { EntityManager } from '../orm.ts';
import type { BlobName } from './name.ts';

/** Bytes that are whole and checked, in a file of this machine; for a folder of blobs, on its own file system. */
export interface WholeFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Lower-case hex, as computed from the bytes by whoever gives the file. */
  readonly sha256: string;
  readonly md5?: string | undefined;
  readonly sha1?: string | undefined;
  readonly crc32?: string | undefined;
}

/** A file whose bytes are durable, as a row is to refer to them. */
export interface SettledFile {
  readonly file: WholeFile;
  /** Of a row that is made for them. */
  readonly generation: string | null;
  /** What the room has to know of it until its end. */
  readonly how: 'file' | 'arrival' | 'there';
}

export interface BlobRange {
  /** Both included. */
  readonly start: number;
  readonly end: number;
}

/** What a room looks at before it gives the bytes. */
export type StoredBlob = BlobName & { readonly sizeBytes: number };

/**
 * Where the bytes of blobs lie, and the order that keeps them in step with their rows. {@link FolderRoom} and
 * {@link RemoteRoom} say why theirs is safe; both promise that
 * - a committed row always has its bytes;
 * - a crash in between leaves bytes without a row, never a row without bytes; a sweep removes them;
 * - a sweep never removes bytes that somebody just brings.
 */
export interface BlobRoom {
  /** As much as can be done before the transaction. Throws {@link BlobDamagedError} when the file is not as it says. */
  settle(file: WholeFile, signal: AbortSignal): Promise<SettledFile>;
  /** In the transaction, before the row is made or counted. Throws {@link BlobSweptError}. */
  claim(em: EntityManager, settled: SettledFile): Promise<void>;
  /** In the transaction that has the lock of the row by now, with the name that the row has. */
  place(file: WholeFile, name: BlobName): Promise<void>;
  /** After the transaction, however it ended. Never rejects. */
  end(settled: SettledFile): Promise<void>;

  /** Throws {@link BlobDamagedError} when there are not as many bytes as said. */
  read(blob: StoredBlob, range: BlobRange, signal: AbortSignal): Promise<Readable>;

  /** Whether {@link BlobRoom.remove} is called in the transaction that deletes the row, or after its commit. */
  readonly removesWithin: boolean;
  /** Also what is gone already. */
  remove(name: BlobName): Promise<void>;
  /** Removes what crashes left behind and is older than `limitMs`. Gives how many blobs went. */
  sweepStrays(limitMs: number): Promise<number>;

  /** How many bytes there is room for; null: nobody knows. */
  freeBytes(): Promise<number | null>;
  /** Throws when nothing can be had of it just now. */
  check(signal: AbortSignal): Promise<void>;
}
