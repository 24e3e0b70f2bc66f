import type { CallContext, Driver } from '../drives/driver.ts';
import { AlreadyExistsError } from '../lib/errors.ts';
import { entryNameKey, numberedName } from '../lib/names.ts';
import type { TransferRoute } from '../storage/entities/transfer.ts';
import { findChild } from './children.ts';
import { ClaimLostError, type Delivered, type Delivery, keep } from './delivery.ts';
import { findMade, isTaken, unlessSkipped } from './made.ts';
import { dropSession } from './sliced.ts';
import type { ExpectedBytes } from './verification.ts';

/** Names tried for a file whose own is taken. */
const NUMBERS_MAX = 1_000;

/** What is known of the file before the drive is asked to make it. */
export interface Wanted extends ExpectedBytes {
  /** The way of a try before that is not known any more. */
  readonly route: TransferRoute;
}

/**
 * Makes a file once, whatever becomes of the answers. The name is kept before the drive is asked for it, and the drive is
 * told to fail where it is taken: so it is known for certain which name the file has, and a try after a lost answer looks
 * there before it asks again. With RENAME the free name is chosen here, and another when somebody was quicker.
 */
export function makeOnce<Result extends Delivered | null>(
  delivery: Delivery,
  wanted: Wanted,
  make: () => Promise<Result>,
): Promise<Result | Delivered> {
  return unlessSkipped(delivery, async () => {
    const made = await foundMade(delivery, wanted);
    if (made) return made;
    const { row, driver, call } = delivery;
    const names = freeNames(driver, row.parentRef, row.name, call);
    if (row.claimedName == null) await claimName(delivery, names);
    for (;;) {
      try {
        return await make();
      } catch (error) {
        if (!isTaken(error)) throw error;
        // The try before may have been the one, and what it made was not shown yet.
        const late = await foundMade(delivery, wanted);
        if (late) return late;
        if (row.onConflict !== 'RENAME') throw error;
        // A session is for the name that it was begun with.
        await dropSession(delivery);
        await claimName(delivery, names);
      }
    }
  });
}

async function foundMade(delivery: Delivery, wanted: Wanted): Promise<Delivered | null> {
  const entry = await findMade(delivery, wanted);
  const { row, driver, call } = delivery;
  const { route } = row;
  if (entry && row.onConflict === 'REPLACE') await driver.upload?.settleReplace?.(entry, call);
  const reason = 'It was found made by a try before.';
  return entry && { entry, route: route ?? wanted.route, reason, hashes: wanted.hashes };
}

/** Keeps the name that the drive is asked for. @throws AlreadyExistsError when there are too many names like it. */
async function claimName(delivery: Delivery, names: AsyncGenerator<string, void>): Promise<void> {
  const { row, store } = delivery;
  if (row.onConflict !== 'RENAME') return keep(delivery, { claimedName: row.name });
  for (let next = await names.next(); !next.done; next = await names.next()) {
    const name = next.value;
    // The one that was just refused may not be shown yet.
    if (name === row.claimedName) continue;
    const claimed = await store.claimName(row, name);
    if (claimed === 'lost') throw new ClaimLostError();
    if (claimed === 'taken') continue;
    row.claimedName = name;
    return;
  }
  throw new AlreadyExistsError(`There are too many files named like “${row.name}”.`);
}

/** The names that nothing in the folder has, the wanted one first. */
export async function* freeNames(
  driver: Driver,
  parentRef: string,
  wanted: string,
  call: CallContext,
): AsyncGenerator<string, void> {
  if (!(await findChild(driver, parentRef, wanted, call))) yield wanted;
  const taken = driver.resolve || !driver.list ? null : await keysIn(driver, parentRef, call);
  for (let number = 2; number <= NUMBERS_MAX; number += 1) {
    const name = numberedName(wanted, number);
    const isFree = taken ? !taken.has(entryNameKey(name)) : !(await findChild(driver, parentRef, name, call));
    if (isFree) yield name;
  }
}

/** The names in a folder, as {@link entryNameKey} has them: a drive that tells `A` from `a` loses a number at most. */
async function keysIn({ list, capabilities }: Driver, ref: string, call: CallContext): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  for (let cursor: string | null = null; list; ) {
    const page = await list(ref, {}, { cursor, limit: capabilities.listPageMax }, call);
    for (const { name } of page.items) keys.add(entryNameKey(name));
    if (page.nextCursor === null) break;
    cursor = page.nextCursor;
  }
  return keys;
}
