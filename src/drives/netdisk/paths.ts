import { parsePath } from '../../lib/names.ts';
import type { DriveEntry, EntryKind } from '../driver.ts';
import { mimeTypeOf } from '../shared/categories.ts';
import { notFound } from './errors.ts';

/** An entry's ref is its path, as the server knows nothing else of it. */
export const ROOT_REF = '/';

/** @throws DriveError `not_found` when it is no path that an entry could have. */
export function checkedRef(ref: string): string {
  const parsed = parsePath(ref);
  if ('fault' in parsed || childRef(parsed.segments) !== ref) throw notFound();
  return ref;
}

export const childRef = (segments: readonly string[]): string => `/${segments.join('/')}`;

/** The path of a child. */
export const below = (parentRef: string, name: string): string => `${parentRef === ROOT_REF ? '' : parentRef}/${name}`;

export const nameOf = (ref: string): string => ref.slice(ref.lastIndexOf('/') + 1);

export const parentOf = (ref: string): string => ref.slice(0, ref.lastIndexOf('/')) || ROOT_REF;

/** What is known of an entry: where it is, and what kind. The server tells no size and no time. */
export const entryOf = (ref: string, kind: EntryKind, sizeBytes: number | null = null): DriveEntry => ({
  ref,
  kind,
  name: nameOf(ref),
  parentRef: ref === ROOT_REF ? null : parentOf(ref),
  path: ref,
  sizeBytes,
  createdAt: null,
  modifiedAt: null,
  revision: null,
  mimeType: kind === 'FILE' ? mimeTypeOf(nameOf(ref)) : null,
  category: null,
  hashes: {},
  deletedAt: null,
});
