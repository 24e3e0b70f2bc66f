import type { DriveEntry, Driver } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { addMs } from '../lib/clock.ts';
import { AlreadyExistsError, TooLargeError, UnsupportedError } from '../lib/errors.ts';
import { numberedName, PATH_BYTES_MAX } from '../lib/names.ts';
import type { EntrySource, Transfer } from '../storage/entities/transfer.ts';
import { findChild } from './children.ts';
import { ClaimLostError, type Delivery, keep } from './delivery.ts';
import { versionOf } from './entry-source.ts';
import { wantedHashes } from './hasher.ts';
import { CLOCK_MARGIN_MS } from './made.ts';
import { BULK } from './queue.ts';
import type { NewTransfer } from './rows.ts';

/** Items of one tree: each is a row. */
export const TREE_ITEMS_MAX = 100_000;
/** Names tried for a folder whose own is taken. */
const NUMBERS_MAX = 100;

/**
 * Makes the folder at the destination, then reads the one at the source, page by page: each page is kept as items before
 * the next is asked for. Whoever goes on after a crash begins behind the last page. Memory: one page.
 */
export async function copyFolder(delivery: Delivery, source: EntrySource): Promise<void> {
  const { row, store, call } = delivery;
  const parentRef = row.entryRef ?? (await makeFolder(delivery));
  if (row.entryRef == null) await keep(delivery, { entryRef: parentRef });
  if (row.listing?.done) return;
  const drive = await delivery.openSourceDrive(source.accountId);
  if (!drive.list) throw new UnsupportedError('The drive of the source does not list folders.', 'LIST');
  while (!row.listing?.done) {
    call.signal.throwIfAborted();
    const page = { cursor: row.listing?.cursor ?? null, limit: drive.capabilities.listPageMax };
    const { items, nextCursor } = await drive.list(source.ref, {}, page, call);
    await checkSize(delivery, items.length);
    const listing = { cursor: nextCursor, done: nextCursor === null };
    const added = items.map((entry) => itemOf(delivery, source, parentRef, entry));
    if (!(await store.trees.add(row, { items: added, listing }))) throw new ClaimLostError();
    row.listing = listing;
  }
}

async function checkSize({ row, store }: Delivery, more: number): Promise<void> {
  const tree = row.treeId == null ? row : await store.find(row.treeId);
  if ((tree?.itemsTotal ?? 0) + more <= TREE_ITEMS_MAX) return;
  throw new TooLargeError(`The folder has more than ${TREE_ITEMS_MAX} entries. Copy its parts one by one.`);
}

function itemOf({ row, driver }: Delivery, source: EntrySource, parentRef: string, entry: DriveEntry): NewTransfer {
  const itemPath = row.itemPath == null ? entry.name : `${row.itemPath}/${entry.name}`;
  if (Buffer.byteLength(itemPath) > PATH_BYTES_MAX) {
    throw new TooLargeError(`The folders are too deep: “${itemPath.slice(0, 100)}…” is longer than a path may be.`);
  }
  return {
    ...entryRow(driver, { ...source, ref: entry.ref }, entry),
    userId: row.userId,
    kind: row.kind,
    accountId: row.accountId,
    parentRef,
    itemPath,
    priority: BULK,
    // The folder is new, so a name can only be taken by a twin of another spelling: nothing of the source is left out.
    onConflict: row.onConflict === 'RENAME' ? 'RENAME' : 'FAIL',
  };
}

/** What the row of a transfer tells of the entry that is copied. */
export function entryRow(
  driver: Driver,
  source: Pick<EntrySource, 'accountId' | 'ref' | 'sameProvider'>,
  entry: DriveEntry,
) {
  const { accountId, ref, sameProvider } = source;
  const isFolder = entry.kind === 'FOLDER';
  return {
    name: entry.name,
    state: 'QUEUED',
    phase: isFolder ? 'LISTING' : 'RECEIVING',
    source: { type: 'entry', accountId, ref, sameProvider, kind: entry.kind, hashes: entry.hashes },
    sourceAccountId: accountId,
    sourceVersion: isFolder ? null : versionOf(entry),
    listing: isFolder ? { cursor: null, done: false } : null,
    bytesTotal: isFolder ? null : entry.sizeBytes,
    mimeType: entry.mimeType,
    expectedHashes: entry.hashes,
    hashAlgorithms: isFolder ? [] : wantedHashes(entry.hashes, driver),
  } satisfies Partial<NewTransfer>;
}

/** The folder of the row at the destination; of an earlier attempt, the one that it made. */
async function makeFolder(delivery: Delivery): Promise<string> {
  const { row, driver, call } = delivery;
  if (!driver.createFolder) throw new UnsupportedError('This drive does not make folders.', 'CREATE_FOLDER');
  for (const name of folderNames(delivery)) {
    if (row.claimedName !== name) await keep(delivery, { claimedName: name });
    try {
      return (await driver.createFolder(row.parentRef, name, call)).ref;
    } catch (error) {
      if (!(error instanceof DriveError) || error.category !== 'already_exists') throw error;
      const there = await existing(delivery, name, error.existingRef);
      if (there && name === delivery.claimedBefore && (await isOwn(delivery, there))) return there.ref;
      if (row.onConflict !== 'RENAME') throw error;
    }
  }
  throw new AlreadyExistsError(`There are too many folders named like “${row.name}”.`);
}

/** The one that was asked for by the attempt before comes first: it may be there. */
function* folderNames({ row, claimedBefore }: Delivery): Generator<string, void> {
  if (claimedBefore !== null) yield claimedBefore;
  for (let number = 1; number <= NUMBERS_MAX; number += 1) {
    const name = number === 1 ? row.name : numberedName(row.name, number);
    if (name !== claimedBefore) yield name;
  }
}

const existing = ({ row, driver, call }: Delivery, name: string, ref: string | null): Promise<DriveEntry | null> =>
  ref === null ? findChild(driver, row.parentRef, name, call) : driver.stat(ref, call);

/** Whether an attempt that nobody saw the end of made the folder: it is new, and nothing was put into it yet. */
async function isOwn({ row, driver, call }: Delivery, { ref, kind, createdAt }: DriveEntry): Promise<boolean> {
  if (kind !== 'FOLDER') return false;
  if (createdAt !== null && createdAt < addMs(startOf(row), -CLOCK_MARGIN_MS)) return false;
  if (!driver.list) return true; // That the name was asked for is all that can be known.
  return (await driver.list(ref, {}, { cursor: null, limit: 1 }, call)).items.length === 0;
}

const startOf = ({ startedAt, createdAt }: Transfer): Date => startedAt ?? createdAt;
