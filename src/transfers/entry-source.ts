import { Readable } from 'node:stream';
import { type ByteRange, type DriveEntry, type Driver, HASH_ALGORITHMS } from '../drives/driver.ts';
import { InvalidInputError } from '../lib/errors.ts';
import type { EntrySource } from '../storage/entities/transfer.ts';
import type { OpenSource } from './sources.ts';

/** The bytes of a file in a drive. `openDrive`: the drive of a user's account; throws when it is not the user's to see. */
export const entrySource =
  (openDrive: (userId: string, accountId: string) => Promise<Driver>): OpenSource<EntrySource> =>
  async ({ source, userId, offset, version, sizeBytes, call }) => {
    const driver = await openDrive(userId, source.accountId);
    // At the beginning nothing can be mixed: what is read is compared with what is known when all of it is here.
    const now = offset === 0 && sizeBytes !== null ? { version, sizeBytes } : await lookedAt(driver, source.ref, call);
    const isSame = now.version !== null && now.version === version && offset <= (now.sizeBytes ?? offset);
    const start = isSame ? offset : 0;
    const isAtEnd = start === now.sizeBytes;
    const body = isAtEnd ? Readable.from([]) : await driver.read(source.ref, rangeFrom(start), call);
    return { body, offset: start, ...now };
  };

async function lookedAt(driver: Driver, ref: string, call: Parameters<Driver['stat']>[1]) {
  const entry = await driver.stat(ref, call);
  if (entry.kind !== 'FILE') throw new InvalidInputError([{ path: ['input'], message: 'Only files have bytes.' }]);
  return { version: versionOf(entry), sizeBytes: entry.sizeBytes };
}

/** A range only where one is needed. */
const rangeFrom = (start: number): ByteRange | null => (start === 0 ? null : { start, end: null });

const REVISION = 'revision ';

/** What changes with the bytes of a file: its revision, its strongest hash, or its time. Null: nothing that is told. */
export function versionOf({ revision, hashes, modifiedAt, sizeBytes }: DriveEntry): string | null {
  if (revision !== null) return REVISION + revision;
  const algorithm = HASH_ALGORITHMS.findLast((each) => each !== 'CRC32' && hashes[each] !== undefined);
  if (algorithm) return `${algorithm} ${hashes[algorithm]}`;
  return modifiedAt === null ? null : `${sizeBytes} bytes of ${modifiedAt.toISOString()}`;
}

/** The revision in a version; null: it is of another kind. */
export const revisionIn = (version: string | null): string | null =>
  version?.startsWith(REVISION) ? version.slice(REVISION.length) : null;
