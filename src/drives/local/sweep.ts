import { SWEEP_LIMITS, type SweepLimits } from '../../storage/blobs/store.ts';
import type { LocalServices } from './context.ts';
import { reap } from './hidden.ts';

/**
 * Finishes what was begun and left: deletions and copies of trees, uploads, bytes that nothing refers to. To be called
 * now and then by one process or many. Gives how many rows and files went.
 */
export async function sweepLocalDrives(
  services: Pick<LocalServices, 'storage' | 'blobs' | 'clock'>,
  limits: SweepLimits = SWEEP_LIMITS,
): Promise<{ readonly entries: number; readonly files: number }> {
  const entries = await reap(services, null);
  return { entries, files: await services.blobs.sweep(limits) };
}
