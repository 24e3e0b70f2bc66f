import { constants } from 'node:fs';
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  statfs,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../lib/errors.ts';
import { isRowId, newId } from '../lib/ids.ts';

const SUFFIX = '.part';
/** What the file is called that names the spool, beside its folder. */
const ID_SUFFIX = '.id';
/** Names are ids of rows, which are UUIDs: nothing that a client chooses becomes part of a path. */
const TRANSFER_ID = /^[0-9a-f-]{36}$/;

/** Room on the disk that no transfer may take, in bytes: the database needs some. */
const DISK_RESERVE_BYTES = 256 * 1024 * 1024;

export interface SpooledPart {
  readonly transferId: string;
  readonly modifiedAt: Date;
}

/**
 * The folder of bytes that came in and are not yet in a drive: one file for each transfer. Several processes may share it;
 * who may write to a file is settled by the lease in the transfer's row. It has a name, for those that do not share it.
 */
export class Spool {
  /** The same for all who share the folder. */
  readonly id: string;
  readonly #folder: string;

  private constructor(folder: string, id: string) {
    this.#folder = folder;
    this.id = id;
  }

  static async open(folder: string): Promise<Spool> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new Spool(folder, await idOf(folder));
  }

  path(transferId: string): string {
    if (!TRANSFER_ID.test(transferId)) throw new Error('not the id of a transfer');
    return join(this.#folder, transferId + SUFFIX);
  }

  /** Length of the file in bytes; null when there is none. */
  async size(transferId: string): Promise<number | null> {
    try {
      return (await stat(this.path(transferId))).size;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /**
   * Opens the file for bytes from `offset` on; what stands behind it was never acknowledged, and goes. The caller has made
   * sure that the file is not shorter.
   */
  async writer(transferId: string, offset: number): Promise<SpoolWriter> {
    const path = this.path(transferId);
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
      await handle.truncate(offset);
      if (offset === 0) await this.#syncFolder();
      return new SpoolWriter(handle, offset);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Keeps bytes that are here already, as a whole file, durably. */
  async put(transferId: string, bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    const writer = await this.writer(transferId, 0);
    try {
      for await (const chunk of bytes) await writer.write([chunk]);
      await writer.sync();
    } finally {
      await writer.close();
    }
  }

  /** Into the beginning of `into` where there is one. Throws when the file does not hold all of the range. */
  async read(
    transferId: string,
    { start, length }: { readonly start: number; readonly length: number },
    into?: Buffer,
  ): Promise<Buffer> {
    const handle = await open(this.path(transferId), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafe(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, start + done);
        if (bytesRead === 0) throw new Error(`the spooled file ends ${length - done} bytes before the range does`);
        done += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  }

  async remove(transferId: string): Promise<void> {
    try {
      await unlink(this.path(transferId));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  /** Every file of the spool. */
  async parts(): Promise<SpooledPart[]> {
    const parts: SpooledPart[] = [];
    for (const name of await readdir(this.#folder)) {
      const transferId = name.slice(0, -SUFFIX.length);
      if (!name.endsWith(SUFFIX) || !TRANSFER_ID.test(transferId)) continue;
      try {
        parts.push({ transferId, modifiedAt: (await stat(join(this.#folder, name))).mtime });
      } catch (error) {
        if (!isMissing(error)) throw error; // It went while we looked.
      }
    }
    return parts;
  }

  /** Whether the disk can take so many bytes, and keep {@link DISK_RESERVE_BYTES}. */
  async hasRoom(bytes: number): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.#folder);
    return bytes <= bavail * bsize - DISK_RESERVE_BYTES;
  }

  /** A new file is only durable once its folder is. Windows cannot sync a folder, and orders this itself. */
  async #syncFolder(): Promise<void> {
    if (process.platform === 'win32') return;
    const handle = await open(this.#folder, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** Of two processes that name a new spool at once, one is the first: a name is there whole or not at all. */
async function idOf(folder: string): Promise<string> {
  const path = folder + ID_SUFFIX;
  const draft = `${path}.${newId()}`;
  try {
    await writeFile(draft, newId(), { mode: 0o600, flush: true });
    await link(draft, path).catch(async (error) => {
      // There is one already. Or the file system knows no links: then two that start at once may have two names for now.
      if (!(await stat(path).catch(unlessMissing))) await rename(draft, path);
      else if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await unlink(draft).catch(unlessMissing);
  }
  const id = (await readFile(path, 'utf8')).trim();
  if (!isRowId(id))
    throw new ConfigError(
      `The file ${path} is damaged. Remove it: transfers of which only this host has the bytes are then lost.`,
    );
  return id;
}

/** Writes one file from an offset on. */
export class SpoolWriter {
  readonly #handle: FileHandle;
  #offset: number;

  constructor(handle: FileHandle, offset: number) {
    this.#handle = handle;
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  /** One behind the other. Throws with a part of them written, when the disk is full. */
  async write(chunks: readonly Uint8Array[]): Promise<void> {
    let rest = chunks.filter(({ length }) => length > 0);
    while (rest.length > 0) {
      const { bytesWritten } = await this.#handle.writev(rest, this.#offset);
      this.#offset += bytesWritten;
      rest = behind(rest, bytesWritten);
    }
  }

  /** What is written survives a power cut from here on. */
  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** What of the chunks stands behind the first `bytes`. */
function behind(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - rest.length;
    return rest.length > 0 ? [rest] : [];
  });
}

function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';
