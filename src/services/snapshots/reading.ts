import type { CallContext, DriveEntry, Page, PageRequest } from '../../drives/driver.ts';
import { NotFoundError, TooLargeError, UnavailableError } from '../../lib/errors.ts';
import type { OpenAccount } from '../accounts.ts';
import { type EntrySnapshot, missingRefs, snapshotOf } from './snapshot.ts';

/** Entries of an account that is read whole: about 40 MB while two snapshots are compared. */
export const ENTRIES_MAX = 100_000;
/** Folders of an account that is read folder by folder: an hour, at a request or two in a second. */
export const FOLDERS_MAX = 5_000;
/** Entries that a reading did not show and that are asked for one by one, before they count as deleted. */
export const DOUBTS_MAX = 500;
/** Of them at one time, where the provider takes many. */
const STAT_BATCH = 100;

export interface Reading {
  readonly snapshot: EntrySnapshot;
  /** Pages and questions that it took. */
  readonly requests: number;
}

/** Counts what a reading costs; `onRequest` may stop it. */
export interface ReadingCost {
  requests: number;
  readonly onRequest: () => Promise<void>;
}

/**
 * Reads all entries of an account, at the pace of what has time. Every page must come: a part is no snapshot.
 * @throws TooLargeError beyond the limits; whatever a page fails with.
 */
export async function readWhole(opened: OpenAccount, call: CallContext, cost: ReadingCost): Promise<EntrySnapshot> {
  const { driver, account } = opened;
  const entries: DriveEntry[] = [];
  const note = (items: readonly DriveEntry[]): void => {
    entries.push(...items);
    if (entries.length > ENTRIES_MAX) throw tooLarge(account.label, `more than ${ENTRIES_MAX} entries`);
  };
  const { listRecursive } = driver;
  if (listRecursive) {
    for await (const page of pagesOf((at) => listRecursive(driver.rootRef, at, call), opened, cost)) note(page.items);
    return snapshotOf(driver.rootRef, entries);
  }
  const folders = [driver.rootRef];
  for (let next = 0; next < folders.length; next += 1) {
    if (next >= FOLDERS_MAX) throw tooLarge(account.label, `more than ${FOLDERS_MAX} folders, and is read one by one`);
    const folderRef = folders[next] ?? '';
    for await (const page of pagesOf((at) => opened.run('list', folderRef, {}, at, call), opened, cost)) {
      // Whatever the provider tells of it: it was found here.
      note(page.items.map((entry) => ({ ...entry, parentRef: folderRef })));
      for (const { kind, ref } of page.items) if (kind === 'FOLDER') folders.push(ref);
    }
  }
  return snapshotOf(driver.rootRef, entries);
}

/**
 * A reading takes time, and what moves meanwhile may be shown nowhere. What is missing is therefore asked for: what its
 * provider still knows stays, marked, and is deleted only when the next reading misses it too. Of very many missing,
 * some are asked for, and if one is there, then the listing was not whole.
 * @throws UnavailableError then.
 */
export async function withDoubtful(
  before: EntrySnapshot,
  read: EntrySnapshot,
  opened: OpenAccount,
  call: CallContext,
  cost: ReadingCost,
): Promise<EntrySnapshot> {
  const missing = missingRefs(before, read).filter((ref) => !before.entries.get(ref)?.missed);
  const step = Math.max(1, missing.length / DOUBTS_MAX);
  const asked = Array.from(
    { length: Math.min(missing.length, DOUBTS_MAX) },
    (_, index) => missing[Math.floor(index * step)] ?? '',
  );
  const there = await stillThere(asked, opened, call, cost);
  if (there.size === 0) return read;
  if (missing.length > DOUBTS_MAX) {
    throw new UnavailableError(`“${opened.account.label}” did not show all of its entries. Try again later.`);
  }
  const entries = new Map(read.entries);
  for (const ref of there) {
    const was = before.entries.get(ref);
    if (was) entries.set(ref, { ...was, missed: true });
  }
  return { ...read, entries };
}

async function stillThere(
  refs: readonly string[],
  { driver }: OpenAccount,
  call: CallContext,
  cost: ReadingCost,
): Promise<ReadonlySet<string>> {
  const there = new Set<string>();
  const batch = driver.statMany ? STAT_BATCH : 1;
  for (let at = 0; at < refs.length; at += batch) {
    const part = refs.slice(at, at + batch);
    await cost.onRequest();
    cost.requests += 1;
    for (const entry of await statAll(driver, part, call)) if (entry && entry.deletedAt === null) there.add(entry.ref);
  }
  return there;
}

async function statAll(
  driver: OpenAccount['driver'],
  refs: readonly string[],
  call: CallContext,
): Promise<readonly (DriveEntry | null)[]> {
  if (driver.statMany) return driver.statMany(refs, call);
  const [ref = ''] = refs;
  try {
    return [await driver.stat(ref, call)];
  } catch (error) {
    if (error instanceof NotFoundError) return [null];
    throw error;
  }
}

async function* pagesOf(
  list: (page: PageRequest) => Promise<Page<DriveEntry>>,
  { driver, account }: OpenAccount,
  cost: ReadingCost,
): AsyncGenerator<Page<DriveEntry>> {
  for (let cursor: string | null = null; ; ) {
    await cost.onRequest();
    cost.requests += 1;
    const page: Page<DriveEntry> = await list({ cursor, limit: driver.capabilities.listPageMax });
    yield page;
    if (page.nextCursor === null) return;
    if (page.nextCursor === cursor) throw new UnavailableError(`“${account.label}” gave the same page without end.`);
    cursor = page.nextCursor;
  }
}

const tooLarge = (label: string, what: string): TooLargeError =>
  new TooLargeError(`“${label}” has ${what}: that is too much to find changes by comparing.`);
