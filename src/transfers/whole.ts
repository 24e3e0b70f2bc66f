import type { SlicedUpload, UploadPlan } from '../drives/contract/upload.ts';
import type { DriveEntry } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { beginCommit, type Delivery, keep } from './delivery.ts';

/**
 * Sends a small file in one request, where the drive has such a thing; null where it has not, or not for this account.
 * An upload that has begun in slices goes on so.
 */
export async function sendWhole(
  delivery: Delivery,
  upload: SlicedUpload,
  plan: UploadPlan,
): Promise<DriveEntry | null> {
  const { row, spool, progress, call } = delivery;
  if (!upload.putWhole || plan.sizeBytes > (upload.wholeBytesMax ?? 0) || row.driverSession != null) return null;
  const bytes = await spool.read(row.id, { start: 0, length: plan.sizeBytes });
  await keep(delivery, { route: 'SLICED' });
  // With the answer the file is there: whoever goes on after a crash looks for it first.
  await beginCommit(delivery);
  try {
    const entry = await upload.putWhole(plan, bytes, call);
    progress.report('SENDING', plan.sizeBytes);
    return entry;
  } catch (error) {
    if (error instanceof DriveError && error.category === 'unsupported') return null;
    throw error;
  }
}
