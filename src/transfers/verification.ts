import { createHash } from 'node:crypto';
import type { DriveEntry, Driver, HashAlgorithm, Hashes } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { IntegrityError } from '../lib/errors.ts';
import { VERIFICATIONS, type Verification } from '../storage/entities/transfer.ts';
import type { Delivery } from './delivery.ts';

/** The bytes as they should be. */
export interface ExpectedBytes {
  readonly sizeBytes: number | null;
  readonly hashes: Hashes;
}

type Told = Pick<DriveEntry, 'sizeBytes' | 'hashes'>;

/** The strongest thing that a drive tells of a file and that is as expected. Of what {@link differs}, nothing counts. */
export function verificationOf(entry: Told, expected: ExpectedBytes): Verification {
  if (differs(entry, expected)) return 'NOTHING';
  const strongest = VERIFICATIONS.find(
    (by) => by !== 'SIZE' && by !== 'NOTHING' && entry.hashes[by] !== undefined && expected.hashes[by] !== undefined,
  );
  if (strongest) return strongest;
  return entry.sizeBytes !== null && entry.sizeBytes === expected.sizeBytes ? 'SIZE' : 'NOTHING';
}

/** Whether a drive has other bytes, by anything that it tells. */
export const differs = (entry: Told, expected: ExpectedBytes): boolean =>
  (entry.sizeBytes !== null && expected.sizeBytes !== null && entry.sizeBytes !== expected.sizeBytes) ||
  (Object.entries(entry.hashes) as [HashAlgorithm, string][]).some(
    ([algorithm, hash]) => expected.hashes[algorithm] !== undefined && expected.hashes[algorithm] !== hash,
  );

/** Reads a file whose drive tells nothing of it, and compares its bytes. NOTHING: they are others, or no hash of them is known. */
export async function verifyByReading(
  { driver, call }: Pick<Delivery, 'driver' | 'call'>,
  ref: string,
  { hashes }: ExpectedBytes,
): Promise<Verification> {
  const algorithm = (['SHA256', 'SHA1', 'MD5'] as const).find((each) => hashes[each] !== undefined);
  if (!algorithm) return 'NOTHING';
  const hash = createHash(algorithm);
  for await (const chunk of await driver.read(ref, null, call)) hash.update(chunk as Buffer);
  return hash.digest('hex') === hashes[algorithm] ? algorithm : 'NOTHING';
}

/** Compares what the drive says that it has with what was sent; a file that is another does not stay. */
export async function verifyEntry(
  { driver, call, log }: Pick<Delivery, 'driver' | 'call' | 'log'>,
  entry: DriveEntry,
  expected: ExpectedBytes,
): Promise<void> {
  if (!differs(entry, expected)) return;
  const remove: Driver['remove'] = driver.removePermanently ?? driver.remove;
  try {
    await remove?.call(driver, entry.ref, {}, call);
  } catch (error) {
    if (!(error instanceof DriveError)) throw error;
    log.warn({ err: error }, 'a damaged upload could not be removed from its drive');
  }
  throw new IntegrityError('The drive has other bytes than were sent to it. The file was removed; send it again.');
}
