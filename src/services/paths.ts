import type { CallContext, DriveEntry, Page } from '../drives/driver.ts';
import { InvalidInputError, NotFoundError } from '../lib/errors.ts';
import { entryNameFault, entryNameKey, parsePath } from '../lib/names.ts';
import type { OpenAccount } from './accounts.ts';

/**
 * The segments of a path that a caller gave.
 * @throws InvalidInputError at `at`, when it is not an absolute path of names.
 */
export function checkedSegments(path: string, at: readonly string[]): readonly string[] {
  const parsed = parsePath(path);
  if ('fault' in parsed) throw new InvalidInputError([{ path: at, message: parsed.fault }]);
  return parsed.segments;
}

/**
 * A name that a caller gave.
 * @throws InvalidInputError at `at`, when it cannot name an entry.
 */
export function checkedName(name: string, at: readonly string[]): string {
  const fault = entryNameFault(name);
  if (fault !== null) throw new InvalidInputError([{ path: at, message: fault }]);
  return name;
}

/**
 * The entry at a path: the provider's answer where it can look up a path, else by walking down from the root.
 * @throws NotFoundError
 */
export async function entryAt(
  opened: OpenAccount,
  segments: readonly string[],
  call: CallContext,
): Promise<DriveEntry> {
  const { driver } = opened;
  if (driver.resolve) return driver.resolve(segments, call);
  let entry = await driver.stat(driver.rootRef, call);
  for (const segment of segments) {
    if (entry.kind !== 'FOLDER') throw noSuchPath();
    entry = await childNamed(opened, entry.ref, segment, call);
  }
  return entry;
}

/** Reads the folder page by page until the name is found. */
async function childNamed(
  { run, driver: { capabilities } }: OpenAccount,
  folderRef: string,
  name: string,
  call: CallContext,
): Promise<DriveEntry> {
  const keyOf = capabilities.caseSensitive ? (text: string) => text.normalize('NFC') : entryNameKey;
  let cursor: string | null = null;
  do {
    const page: Page<DriveEntry> = await run('list', folderRef, {}, { cursor, limit: capabilities.listPageMax }, call);
    const child = page.items.find((item) => keyOf(item.name) === keyOf(name));
    if (child) return child;
    cursor = page.nextCursor;
  } while (cursor !== null);
  throw noSuchPath();
}

const noSuchPath = (): NotFoundError => new NotFoundError('There is nothing at this path.');
