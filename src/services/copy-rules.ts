import type { ConflictPolicy, DriveEntry } from '../drives/driver.ts';
import { AlreadyExistsError, UnsupportedError } from '../lib/errors.ts';
import { type RouteChoice, routesInto } from '../transfers/routes.ts';
import type { OpenAccount } from './accounts.ts';
import type { ResolvedEntry } from './entries.ts';
import { checkFits } from './upload-plans.ts';

/** Where a copy comes from, and the folder that it goes into. */
export interface CopyEnds {
  readonly opened: OpenAccount;
  readonly folder: ResolvedEntry;
}

/** The ways by which an entry can be copied, the best first. Empty: there is none, or (of a folder) each file has its own. */
export function routesOf({ opened, folder }: CopyEnds, source: DriveEntry): readonly RouteChoice[] {
  const isSame = opened.account.id === folder.account.id;
  const isSameProvider = opened.account.provider === folder.account.provider;
  return routesInto(folder.driver, {
    from: isSame ? 'sameAccount' : isSameProvider ? 'sameProvider' : 'elsewhere',
    kind: source.kind,
    hashes: source.hashes,
    sizeBytes: source.sizeBytes,
  });
}

/** @throws UnsupportedError, TooLargeError, InvalidInputError for what cannot work whatever is tried. */
export function checkPossible(
  { kind, opened, folder }: CopyEnds & { readonly kind: 'COPY' | 'MOVE' },
  source: DriveEntry,
): void {
  const { driver } = folder;
  if (!driver.adopt && !driver.upload && !(source.kind === 'FILE' && driver.copyFromAccount)) {
    throw new UnsupportedError('The drive at the destination does not take uploads.', 'UPLOAD');
  }
  if (source.kind === 'FOLDER' && opened.account.id === folder.account.id) {
    throw new UnsupportedError('This drive does not copy folders.', 'COPY');
  }
  if (source.kind === 'FOLDER' && !driver.createFolder) {
    throw new UnsupportedError('The drive at the destination does not make folders.', 'CREATE_FOLDER');
  }
  if (source.ref === opened.driver.rootRef) {
    throw new UnsupportedError(
      'The root of a drive has no name to be copied or moved under. Name what is in it.',
      null,
    );
  }
  if (kind === 'MOVE' && !opened.driver.remove && !opened.driver.removePermanently) {
    throw new UnsupportedError('The drive of the source does not delete, so nothing can be moved out of it.', 'DELETE');
  }
  checkFits(source.name, source.sizeBytes, driver.capabilities);
}

/** As a drive itself does it: a folder is never replaced, and takes no file's place. */
export const isRefused = (existing: DriveEntry, source: DriveEntry, onConflict: ConflictPolicy): boolean =>
  onConflict === 'FAIL' || (onConflict === 'REPLACE' && (existing.kind === 'FOLDER' || source.kind === 'FOLDER'));

export const taken = (accountId: string, { name, ref }: DriveEntry): AlreadyExistsError =>
  new AlreadyExistsError(`There is already “${name}” in this folder.`, { existing: { accountId, ref } });
