import type { CallContext, DriveEntry, Driver } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { NotFoundError } from '../lib/errors.ts';
import { entryNameKey, parsePath } from '../lib/names.ts';

/** The entry of that name in a folder, or null. Asks for its path where the drive can; else it looks through the folder. */
export async function findChild(
  driver: Driver,
  folderRef: string,
  name: string,
  call: CallContext,
): Promise<DriveEntry | null> {
  const segments = driver.resolve ? await segmentsOf(driver, folderRef, call) : null;
  if (!segments || !driver.resolve) return findByListing(driver, folderRef, name, call);
  try {
    return await driver.resolve([...segments, name], call);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** Drives for a job throw DriveErrors, and those for a caller of the API domain errors. */
const isNotFound = (error: unknown): boolean =>
  error instanceof NotFoundError || (error instanceof DriveError && error.category === 'not_found');

async function segmentsOf(driver: Driver, folderRef: string, call: CallContext): Promise<readonly string[] | null> {
  const path = (await driver.stat(folderRef, call)).path;
  const parsed = path === null ? null : parsePath(path);
  return parsed && 'segments' in parsed ? parsed.segments : null;
}

async function findByListing(
  driver: Driver,
  folderRef: string,
  name: string,
  call: CallContext,
): Promise<DriveEntry | null> {
  const { list, capabilities } = driver;
  if (!list) return null; // Of a drive that neither lists nor looks up paths, nothing can be known before.
  const { caseSensitive, listPageMax } = capabilities;
  const isSame = caseSensitive
    ? (entry: DriveEntry): boolean => entry.name === name
    : (entry: DriveEntry): boolean => entryNameKey(entry.name) === entryNameKey(name);
  for (let cursor: string | null = null; ; ) {
    const { items, nextCursor } = await list(folderRef, {}, { cursor, limit: listPageMax }, call);
    const found = items.find(isSame);
    if (found || nextCursor === null) return found ?? null;
    cursor = nextCursor;
  }
}
