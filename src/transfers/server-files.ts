import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, realpath } from 'node:fs/promises';
import { isAbsolute, resolve, sep } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { DriveError } from '../drives/errors.ts';
import { InvalidInputError, NotFoundError, PermissionDeniedError } from '../lib/errors.ts';

/** A file of this machine, open for reading. */
export interface ServerFile {
  readonly sizeBytes: number;
  /** Changes with the file, also when it is written to and has its old time set again. */
  readonly version: string;
  /** From `start` on. An error, when the file was changed meanwhile; ends with the signal. Closes the file at its end. */
  read(start: number, signal: AbortSignal): Readable;
  /** For who does not read it. */
  close(): Promise<void>;
}

/** Bytes read at once. */
const READ_BYTES = 1024 * 1024;

/** The folders of this machine from which files may be taken in: those that the operator has named, and nothing beside. */
export class ServerFiles {
  readonly #folders: readonly string[];
  readonly #beforeOpening: (path: string) => unknown;

  /**
   * @param folders As the operator wrote them: IMPORT_DIRS.
   * @param beforeOpening Called between the check of a path and its opening; for tests.
   */
  constructor(folders: readonly string[], beforeOpening: (path: string) => unknown = () => undefined) {
    this.#folders = folders.map((folder) => resolve(folder));
    this.#beforeOpening = beforeOpening;
  }

  /**
   * Opens the regular file at a path. What is opened is what was checked: a link put in place of a folder or of the file
   * meanwhile leads to a refusal. Links within the folders are followed.
   * @throws InvalidInputError, PermissionDeniedError (the same whether something is there or not), NotFoundError.
   */
  async open(path: string): Promise<ServerFile> {
    checkWritten(path);
    // Before the disk is asked anything: nobody learns what there is elsewhere.
    if (!this.#folders.some((folder) => isBelow(resolve(path), folder))) throw outside();
    const [real, roots] = await Promise.all([existing(path), this.#roots()]);
    if (!roots.some((root) => isBelow(real, root))) throw outside();
    // Opening is not yet safe: a pipe would wait for its writer, a device may act.
    if (!(await lstat(real).catch(refusal)).isFile()) throw noFile();
    await this.#beforeOpening(real);
    const handle = await open(real, OPEN_FLAGS).catch(refusal);
    try {
      const stat = await handle.stat({ bigint: true });
      const there = await realpath(real).catch(refusal);
      const now = await lstat(there, { bigint: true }).catch(refusal);
      if (there !== real || now.ino !== stat.ino || now.dev !== stat.dev) throw outside();
      if (!stat.isFile()) throw noFile();
      return serverFile(handle, stat);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Where the folders really are: the operator may have named links. A folder that is not there has no files. */
  async #roots(): Promise<string[]> {
    const roots = await Promise.all(this.#folders.map((folder) => realpath(folder).catch(() => null)));
    return roots.filter((root) => root !== null);
  }
}

const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** With the separator: `/srv/ab` is not below `/srv/a`. */
function isBelow(path: string, folder: string): boolean {
  const prefix = folder.endsWith(sep) ? folder : folder + sep;
  return path.startsWith(prefix) && path.length > prefix.length;
}

function checkWritten(path: string): void {
  const fault = !isAbsolute(path)
    ? 'must be an absolute path of the server'
    : /\p{Cc}/u.test(path)
      ? 'must not contain control characters'
      : path.split(/[/\\]/).includes('..')
        ? 'must not contain .. as a part'
        : null;
  if (fault) throw InvalidInputError.at('input.path', fault);
}

const existing = (path: string): Promise<string> => realpath(path).catch(refusal);

/** What the disk says, in words that hold no path. */
function refusal(error: NodeJS.ErrnoException): never {
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENAMETOOLONG':
      throw new NotFoundError('There is no such file on the server.', { cause: error });
    case 'EACCES':
    case 'EPERM':
      throw new PermissionDeniedError('The server itself may not read this file.', { cause: error });
    case 'ELOOP':
      throw outside();
    default:
      throw error;
  }
}

const outside = (): PermissionDeniedError =>
  new PermissionDeniedError('This is not in a folder from which the operator lets files be imported (IMPORT_DIRS).');
const noFile = (): InvalidInputError => InvalidInputError.at('input.path', 'must lead to a regular file');

function serverFile(handle: FileHandle, stat: BigIntStats): ServerFile {
  const version = versionOf(stat);
  const sizeBytes = Number(stat.size);
  return {
    sizeBytes,
    version,
    close: () => handle.close(),
    read: (start, signal) => {
      const checked = heldBack(async () => {
        if (versionOf(await handle.stat({ bigint: true })) !== version) throw changed();
      });
      // What is written behind the end meanwhile is not read, but noticed.
      const end = Math.max(start, sizeBytes) - 1;
      const options = { start, end, highWaterMark: READ_BYTES, autoClose: false, signal };
      const source = start < sizeBytes ? handle.createReadStream(options) : Readable.from([]);
      source.on('error', (error: Error) => checked.destroy(error));
      checked.on('close', () => {
        source.destroy();
        void handle.close().catch(() => {}); // Only for reading: nothing can be lost.
      });
      return source.pipe(checked);
    },
  };
}

/** Lets the last chunk through only when the check went well, so that a file that fails it is never whole. */
function heldBack(check: () => Promise<void>): Transform {
  let last: Buffer | null = null;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (last) this.push(last);
      last = chunk;
      done();
    },
    flush(done) {
      check().then(() => done(null, last), done);
    },
  });
}

const versionOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join('/');

const changed = (): DriveError =>
  new DriveError('corrupted', 'The file was changed while it was read. Import it again when it is at rest.', {
    provider: 'LOCAL',
  });
