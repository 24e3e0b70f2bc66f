import { Readable } from 'node:stream';
import { type DriveEntry, type Driver, HASH_ALGORITHMS } from '../drives/driver.ts';
import { InvalidInputError } from '../lib/errors.ts';
import type { EntrySource } from '../storage/entities/transfer.ts';
import type { OpenSource } from './sources.ts';

/** The bytes of a file in a drive. `openDrive`: the drive of a user's account; throws when it is not the user's to see. */
export const entrySource =
  (openDrive: (userId: string, accountId: string) => Promise<Driver>): OpenSource<EntrySource> =>
  async ({ source, userId, offset, version, call }) => {
    const driver = await openDrive(userId, source.accountId);
    const entry = await driver.stat(source.ref, call);
    if (entry.kind !== 'FILE') throw new InvalidInputError([{ path: ['input'], message: 'Only files have bytes.' }]);
    const { sizeBytes } = entry;
    const now = versionOf(entry);
    const isSame = now !== null && now === version && (sizeBytes === null || offset <= sizeBytes);
    const start = isSame ? offset : 0;
    const body = start === sizeBytes ? Readable.from([]) : await driver.read(source.ref, rangeFrom(start), call);
    return { body, offset: start, version: now, sizeBytes };
  };

/** A range only where one is needed: not every drive takes one of a file of no bytes. */
const rangeFrom = (start: number) => (start === 0 ? null : { start, end: null });

/** What changes with the bytes of a file: its revision, its strongest hash, or its time. Null: nothing that is told. */
export function versionOf({ revision, hashes, modifiedAt, sizeBytes }: DriveEntry): string | null {
  if (revision !== null) return `revision ${revision}`;
  const algorithm = HASH_ALGORITHMS.findLast((each) => each !== 'CRC32' && hashes[each] !== undefined);
  if (algorithm) return `${algorithm} ${hashes[algorithm]}`;
  return modifiedAt === null ? null : `${sizeBytes} bytes of ${modifiedAt.toISOString()}`;
}
