import type { Driver } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { ConflictError, IntegrityError, UnsupportedError } from '../lib/errors.ts';
import type { EntrySource, Transfer, Verification } from '../storage/entities/transfer.ts';
import { type Delivery, keep } from './delivery.ts';
import { revisionIn, versionOf } from './entry-source.ts';
import { differs, type ExpectedBytes, verificationOf, verifyByReading } from './verification.ts';

/** Folders of a tree looked at in one step. */
const FOLDERS_BATCH = 100;

/**
 * Ends the move of a file: looks at the copy where it is now, and only when it is there and as it should be, removes the
 * source, unless that has changed since. May be done again after a crash. Gives what the copy was compared by.
 * @throws IntegrityError when the copy is not there or cannot be compared; ConflictError when the source has changed.
 */
export async function endMove(delivery: Delivery, source: EntrySource, expected: ExpectedBytes): Promise<Verification> {
  const verification = await verifyCopy(delivery, expected);
  const drive = await delivery.openSourceDrive(source.accountId);
  const now = await orGone(drive.stat(source.ref, delivery.call));
  if (now === null) return verification; // It was removed by the attempt before.
  const { sourceVersion = null, bytesTotal } = delivery.row;
  if (versionOf(now) !== sourceVersion || (now.sizeBytes !== null && now.sizeBytes !== bytesTotal)) {
    throw new ConflictError('The file was copied, and its source has changed since: it was left where it is.');
  }
  await remove(drive, source.ref, revisionIn(sourceVersion), delivery);
  return verification;
}

async function verifyCopy(delivery: Delivery, expected: ExpectedBytes): Promise<Verification> {
  const { row, driver, call } = delivery;
  const copy = await orGone(driver.stat(row.entryRef ?? '', call));
  if (copy === null || differs(copy, expected)) {
    await keep(delivery, { entryRef: null, phase: 'RECEIVING', bytesDone: 0 }); // A retry copies it again.
    throw new IntegrityError('The drive does not have the copy that it made. The source was left where it is.');
  }
  const told = verificationOf(copy, expected);
  // Of a drive that tells nothing, the bytes themselves do.
  const verification = told === 'NOTHING' ? await verifyByReading(delivery, copy.ref, expected) : told;
  if (verification !== 'NOTHING') return verification;
  throw new IntegrityError(
    'The copy could not be compared with what was sent. It is there, and the source was left where it is.',
  );
}

/**
 * Ends the move of a folder whose items were all moved: removes the source's folders that are empty, the deepest first.
 * What came into one meanwhile stays, and so does the folder. Where items were left out by their owner, the folders stay
 * that they are in, and the source itself.
 * @throws ConflictError when folders had to stay.
 */
export async function endTreeMove(delivery: Delivery, source: EntrySource): Promise<void> {
  const { row, store, call } = delivery;
  const drive = await delivery.openSourceDrive(source.accountId);
  let left = 0;
  for (let before: string | null = null; ; ) {
    const folders: Transfer[] = await store.trees.foldersOf(row.id, before, FOLDERS_BATCH);
    for (const { source: from } of folders) {
      call.signal.throwIfAborted();
      if (from.type === 'entry' && !(await removeIfEmpty(drive, from.ref, delivery))) left += 1;
    }
    if (folders.length < FOLDERS_BATCH) break;
    before = folders.at(-1)?.id ?? null;
  }
  if ((row.itemsCancelled ?? 0) > 0) return;
  if (!(await removeIfEmpty(drive, source.ref, delivery))) left += 1;
  if (left === 0) return;
  throw new ConflictError(
    `All that was listed was moved, but ${left} folders of the source have got new entries meanwhile, and stay.`,
  );
}

/** Whether the folder is no more. */
async function removeIfEmpty(drive: Driver, ref: string, delivery: Delivery): Promise<boolean> {
  if (!drive.list) return false;
  const page = await orGone(drive.list(ref, {}, { cursor: null, limit: 1 }, delivery.call));
  if (page === null) return true;
  if (page.items.length > 0 || page.nextCursor !== null) return false;
  await remove(drive, ref, null, delivery);
  return true;
}

async function remove(drive: Driver, ref: string, revision: string | null, { call }: Delivery): Promise<void> {
  const act = drive.remove ?? drive.removePermanently;
  if (!act) throw new UnsupportedError('The drive does not delete, so the source stays where it is.', 'DELETE');
  await orGone(act.call(drive, ref, revision === null ? {} : { ifRevision: revision }, call));
}

/** Null: there is no such entry. */
async function orGone<Result>(acting: Promise<Result>): Promise<Result | null> {
  try {
    return await acting;
  } catch (error) {
    if (error instanceof DriveError && error.category === 'not_found') return null;
    throw error;
  }
}
