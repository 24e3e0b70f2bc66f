import type { DriveEntry } from '../driver.ts';
import type { DriveError } from '../errors.ts';

/** One of several entries that get other names. */
export interface Renaming {
  readonly ref: string;
  readonly name: string;
  /** Refused as `conflict` when the entry's revision is another. */
  readonly ifRevision?: string;
}

/** What became of one entry of several: the entry under its new name, or why it does not have it. */
export type RenameResult =
  | { readonly entry: DriveEntry; readonly error: null }
  | { readonly entry: null; readonly error: DriveError };
