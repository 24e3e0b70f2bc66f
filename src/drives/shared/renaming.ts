import type { RenameResult, Renaming } from '../contract/renaming.ts';
import type { DriveEntry } from '../driver.ts';
import { DriveError } from '../errors.ts';

/** An entry, and the name that it is to have. */
export interface RenameTask<File> extends Renaming {
  readonly file: File;
}

/** What {@link renameAll} needs to know of a provider that takes several renames in one request. */
export interface RenamingProvider<File> {
  /** What is there, by ref. */
  look(refs: readonly string[]): Promise<ReadonlyMap<string, File>>;
  toEntry(file: File): DriveEntry;
  /** Refuses what would be refused, before anything is sent. @throws DriveError */
  check(renaming: Renaming, file: File | undefined): File;
  /** One request. Gives by ref what the provider refused, and why; of what it does not say, the look afterwards tells. */
  send(tasks: readonly RenameTask<File>[]): Promise<ReadonlyMap<string, DriveError>>;
  /** Whether a taken name may be told so. */
  mayBeTaken(error: DriveError): boolean;
  /** The folder that the entry is in: what is in it is read once for all whose names are taken there. */
  folderOf(file: File): string;
  children(folder: string): AsyncIterable<File>;
  taken(existingRef: string | null, cause?: DriveError): DriveError;
  notFound(): DriveError;
  /** Neither refused nor done. */
  untold(): DriveError;
}

/**
 * `Driver.renameMany` of such a provider: looks what is there, sends what is worth it in one request, and looks again.
 * What the provider shows afterwards counts more than what it said.
 */
export async function renameAll<File>(
  provider: RenamingProvider<File>,
  renamings: readonly Renaming[],
): Promise<readonly RenameResult[]> {
  const before = await provider.look(renamings.map(({ ref }) => ref));
  const failures = new Map<string, DriveError>();
  const tasks: RenameTask<File>[] = [];
  for (const renaming of renamings) {
    try {
      const file = provider.check(renaming, before.get(renaming.ref));
      if (provider.toEntry(file).name !== renaming.name) tasks.push({ ...renaming, file });
    } catch (error) {
      failures.set(renaming.ref, asDriveError(error));
    }
  }
  const after = tasks.length === 0 ? before : await sent(provider, tasks, before, failures);
  return renamings.map(({ ref }) => {
    const error = failures.get(ref);
    if (error) return { entry: null, error };
    const file = after.get(ref);
    return file ? { entry: provider.toEntry(file), error: null } : { entry: null, error: provider.notFound() };
  });
}

/** Does what can be done; gives what is there afterwards, and adds to the failures. */
async function sent<File>(
  provider: RenamingProvider<File>,
  tasks: readonly RenameTask<File>[],
  before: ReadonlyMap<string, File>,
  failures: Map<string, DriveError>,
): Promise<ReadonlyMap<string, File>> {
  // An answer that was lost says nothing about what was done.
  const refused = await provider.send(tasks).catch((error: unknown) => {
    const failure = asDriveError(error);
    return new Map(tasks.map(({ ref }) => [ref, failure]));
  });
  const seen = await provider.look(tasks.map(({ ref }) => ref));
  const namesIn = new Map<string, Promise<ReadonlyMap<string, string>>>();
  for (const { ref, name, file } of tasks) {
    const now = seen.get(ref);
    if (now && provider.toEntry(now).name === name) continue;
    const error = now ? refused.get(ref) : provider.notFound();
    failures.set(ref, error ?? provider.untold());
    if (error && !provider.mayBeTaken(error)) continue;
    const folder = provider.folderOf(file);
    const reading = namesIn.get(folder) ?? namesOf(provider, folder);
    namesIn.set(folder, reading);
    const existing = (await reading).get(name) ?? null;
    if (existing !== null || error?.category === 'already_exists') failures.set(ref, provider.taken(existing, error));
  }
  return new Map([...before, ...seen]);
}

/** The refs of what is in a folder, by name. */
async function namesOf<File>(provider: RenamingProvider<File>, folder: string): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for await (const child of provider.children(folder)) {
    const { name, ref } = provider.toEntry(child);
    names.set(name, ref);
  }
  return names;
}

function asDriveError(error: unknown): DriveError {
  if (error instanceof DriveError) return error;
  throw error;
}
