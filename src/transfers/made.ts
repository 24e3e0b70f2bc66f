import type { UploadPlan } from '../drives/contract/upload.ts';
import type { DriveEntry } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { findChild } from './children.ts';
import type { Delivered, Delivery } from './delivery.ts';
import { differs } from './verification.ts';

type MadePlan = Pick<UploadPlan, 'parentRef' | 'name' | 'hashes'> & { readonly sizeBytes: number | null };

/** What an attempt made whose end nobody saw: a file of that name with these bytes. */
export async function findMade({ row, driver, call }: Delivery, plan: MadePlan): Promise<DriveEntry | null> {
  const entry = await findChild(driver, plan.parentRef, plan.name, call);
  if (entry?.kind !== 'FILE' || (plan.sizeBytes !== null && entry.sizeBytes !== plan.sizeBytes)) return null;
  if (differs(entry, plan)) return null;
  const since = row.startedAt ?? row.createdAt;
  return Object.keys(entry.hashes).length > 0 || (entry.modifiedAt !== null && entry.modifiedAt >= since)
    ? entry
    : null;
}

/** Makes a file, unless the policy is SKIP and its name is taken: then what has it stays, and is the answer. */
export async function unlessSkipped<Result extends Delivered | null>(
  delivery: Delivery,
  make: () => Promise<Result>,
): Promise<Result | Delivered> {
  try {
    return await make();
  } catch (error) {
    const isTaken = error instanceof DriveError && error.category === 'already_exists';
    if (!isTaken || delivery.row.onConflict !== 'SKIP') throw error;
    const entry = await takenBy(delivery, error.existingRef);
    if (!entry) throw error;
    return skipped(entry);
  }
}

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
