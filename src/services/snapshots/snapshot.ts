import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { z } from 'zod';
import type { DriveChange, DriveEntry, EntryKind } from '../../drives/driver.ts';

/** What of an entry is compared. */
export interface SnapshotEntry {
  readonly ref: string;
  readonly kind: EntryKind;
  readonly name: string;
  /** The folder that it is in; null where that is not known. */
  readonly parentRef: string | null;
  /** Changes with the content; empty for folders, whose times change with what is in them. */
  readonly mark: string;
  /** The last reading did not show it, though its provider still knew it. */
  readonly missed: boolean;
}

/** All entries of an account but for its root, by ref. */
export interface EntrySnapshot {
  readonly rootRef: string;
  readonly entries: ReadonlyMap<string, SnapshotEntry>;
}

/** A difference between two snapshots. */
export interface SnapshotChange extends Pick<DriveChange, 'kind' | 'entryRef' | 'entryKind' | 'path'> {
  /** The folders in which it is seen: of a move, both. */
  readonly folderRefs: readonly string[];
}

/** What is compared of entries that were read. Where they tell no parent, their paths do. */
export function snapshotOf(rootRef: string, read: readonly DriveEntry[]): EntrySnapshot {
  const refByPath = new Map<string, string>([['/', rootRef]]);
  for (const { path, ref, kind } of read) if (path !== null && kind === 'FOLDER') refByPath.set(path, ref);
  const parentOf = ({ parentRef, path }: DriveEntry): string | null =>
    parentRef ?? (path === null ? null : (refByPath.get(folderOf(path)) ?? null));
  const entries = new Map<string, SnapshotEntry>();
  for (const entry of read) {
    if (entry.ref === rootRef || entry.deletedAt !== null) continue;
    const { ref, kind, name } = entry;
    entries.set(ref, { ref, kind, name, parentRef: parentOf(entry), mark: markOf(entry), missed: false });
  }
  return { rootRef, entries };
}

const folderOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')));

const markOf = ({ kind, revision, sizeBytes, modifiedAt }: DriveEntry): string =>
  kind === 'FOLDER' ? '' : (revision ?? `${sizeBytes} ${modifiedAt?.getTime()}`);

/** Refs that an earlier snapshot has and a later one has not. */
export const missingRefs = (before: EntrySnapshot, after: EntrySnapshot): readonly string[] =>
  [...before.entries.keys()].filter((ref) => !after.entries.has(ref));

/** What changed, folders before what is in them. An entry that moved and has other content is told twice. */
export function changesBetween(before: EntrySnapshot, after: EntrySnapshot): readonly SnapshotChange[] {
  const found = [...after.entries.values()].flatMap((now): SnapshotChange[] => {
    const was = before.entries.get(now.ref);
    const change = (kind: SnapshotChange['kind'], ...folders: (string | null)[]): SnapshotChange => ({
      kind,
      entryRef: now.ref,
      entryKind: now.kind,
      path: pathOf(after, now.ref),
      folderRefs: [...new Set(folders.filter((ref) => ref !== null))],
    });
    if (!was) return [change('CREATED', now.parentRef)];
    return [
      ...(was.parentRef !== now.parentRef || was.name !== now.name
        ? [change('MOVED', was.parentRef, now.parentRef)]
        : []),
      ...(was.mark === now.mark ? [] : [change('MODIFIED', now.parentRef)]),
    ];
  });
  const gone = missingRefs(before, after).flatMap((ref): SnapshotChange[] => {
    const was = before.entries.get(ref);
    if (!was) return [];
    const { kind, parentRef } = was;
    const folderRefs = parentRef === null ? [] : [parentRef];
    return [{ kind: 'DELETED', entryRef: ref, entryKind: kind, path: pathOf(before, ref), folderRefs }];
  });
  return [...found.toSorted((one, other) => depthOf(one) - depthOf(other)), ...gone];
}

const depthOf = ({ path }: SnapshotChange): number => path?.split('/').length ?? 0;

/** Folders in folders, at most: a ring of them would have no end. */
const DEPTH_MAX = 200;

/** Where an entry is; null where that is not known. */
function pathOf({ rootRef, entries }: EntrySnapshot, ref: string): string | null {
  const names: string[] = [];
  for (let at = ref; at !== rootRef; ) {
    const entry = entries.get(at);
    if (!entry || entry.parentRef === null || names.length > DEPTH_MAX) return null;
    names.unshift(entry.name);
    at = entry.parentRef;
  }
  return `/${names.join('/')}`;
}

const ROW = z.tuple([
  z.string(),
  z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]),
  z.string(),
  z.string().nullable(),
  z.string(),
]);
const ROWS = z.tuple([z.string(), z.array(ROW)]);
const FOLDER = 1;
const MISSED = 2;

/** As it is stored: a million bytes for about 20,000 entries. */
export function packed({ rootRef, entries }: EntrySnapshot): Promise<Buffer> {
  const rows = [...entries.values()].map(({ ref, kind, name, parentRef, mark, missed }) => [
    ref,
    (kind === 'FOLDER' ? FOLDER : 0) + (missed ? MISSED : 0),
    name,
    parentRef,
    mark,
  ]);
  return promisify(gzip)(JSON.stringify([rootRef, rows]));
}

/** @throws Error when it was not made by {@link packed}. */
export async function unpacked(bytes: Uint8Array): Promise<EntrySnapshot> {
  const [rootRef, rows] = ROWS.parse(JSON.parse(String(await promisify(gunzip)(bytes))));
  const entries = rows.map(([ref, flags, name, parentRef, mark]): [string, SnapshotEntry] => [
    ref,
    { ref, kind: flags & FOLDER ? 'FOLDER' : 'FILE', name, parentRef, mark, missed: (flags & MISSED) !== 0 },
  ]);
  return { rootRef, entries: new Map(entries) };
}
