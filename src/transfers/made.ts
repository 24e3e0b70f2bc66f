import type { DriveEntry, HashAlgorithm, Hashes } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { addMs } from '../lib/clock.ts';
import { findChild } from './children.ts';
import type { Delivered, Delivery } from './delivery.ts';
import { differs, type ExpectedBytes, verifyByReading } from './verification.ts';

/** How far the clocks of a provider and of this machine may be apart, in milliseconds. */
export const CLOCK_MARGIN_MS = 5 * 60_000;

/** What an attempt made whose end nobody saw: a file of the name that the drive was asked for, with these bytes. */
export async function findMade(delivery: Delivery, expected: ExpectedBytes): Promise<DriveEntry | null> {
  const { row, driver, call, claimedBefore } = delivery;
  if (claimedBefore === null) return null;
  const entry = await findChild(driver, row.parentRef, claimedBefore, call);
  return entry && (await isMade(delivery, entry, expected)) ? entry : null;
}

/**
 * Whether a file of the wanted name is the one of these bytes: by a hash where the drive tells one; else by its size and
 * by having come since; else, where it tells none of these, by its bytes.
 */
async function isMade(delivery: Delivery, entry: DriveEntry, expected: ExpectedBytes): Promise<boolean> {
  const { row } = delivery;
  if (entry.kind !== 'FILE' || differs(entry, expected)) return false;
  if (algorithmsIn(entry.hashes).some((algorithm) => expected.hashes[algorithm] !== undefined)) return true;
  const changedMs = Math.max(entry.createdAt?.getTime() ?? 0, entry.modifiedAt?.getTime() ?? 0);
  if (changedMs > 0 && entry.sizeBytes !== null) {
    const startedAt = row.startedAt ?? row.createdAt;
    // Only what replaces may find an older one: of the other policies the name was free.
    const since = row.onConflict === 'REPLACE' ? startedAt : addMs(startedAt, -CLOCK_MARGIN_MS);
    return changedMs >= since.getTime();
  }
  return (await verifyByReading(delivery, entry.ref, expected)) !== 'NOTHING';
}

const algorithmsIn = (hashes: Hashes): HashAlgorithm[] => Object.keys(hashes) as HashAlgorithm[];

/** Makes a file, unless the policy is SKIP and its name is taken: then what has it stays, and is the answer. */
export async function unlessSkipped<Result extends Delivered | null>(
  delivery: Delivery,
  make: () => Promise<Result>,
): Promise<Result | Delivered> {
  try {
    return await make();
  } catch (error) {
    if (!isTaken(error) || delivery.row.onConflict !== 'SKIP') throw error;
    const entry = await takenBy(delivery, error.existingRef);
    if (!entry) throw error;
    return skipped(entry);
  }
}

export const isTaken = (error: unknown): error is DriveError =>
  error instanceof DriveError && error.category === 'already_exists';

export const skipped = (entry: DriveEntry): Delivered => ({
  entry,
  route: null,
  reason: 'The name was taken, and what has it stays.',
  hashes: {},
});

/** What has the name that is wanted. */
export const takenBy = (
  { row, driver, call }: Delivery,
  existingRef: string | null = null,
): Promise<DriveEntry | null> =>
  existingRef === null ? findChild(driver, row.parentRef, row.name, call) : driver.stat(existingRef, call);
