import { entryNameFault } from '../../lib/names.ts';
import type { ProviderId } from '../driver.ts';
import { DriveError } from '../errors.ts';

/** Refuses what cannot name an entry, for drives that are called with names that nobody has checked. */
export function checkEntryName(name: string, provider: ProviderId): void {
  const fault = entryNameFault(name);
  if (fault) throw new DriveError('invalid_argument', `The name ${fault}.`, { provider });
}
