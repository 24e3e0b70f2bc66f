import { LRUCache } from 'lru-cache';
import type { DriveEntry, EntryKind, ProviderId } from '../driver.ts';
import { LOOKS, type Operation } from '../operations.ts';
import type { DriveCall, DriveLayer } from './call.ts';

/** A change that an act of ours made on a drive that is elsewhere. */
export interface DriveNotice {
  readonly provider: ProviderId;
  readonly accountId: string;
  readonly kind: 'CREATED' | 'MODIFIED' | 'MOVED' | 'DELETED';
  readonly entryRef: string;
  readonly entryKind: EntryKind;
  readonly path: string | null;
  /** The folders in which it is seen; of a move, both. */
  readonly folderRefs: readonly string[];
  /** A folder in which it is seen is not known. */
  readonly everywhere: boolean;
}

export type NoticeSink = (notice: DriveNotice) => void;

/** Entries whose folder is remembered, of all accounts: some 10 MB. */
const PLACES_MAX = 50_000;

interface Place {
  readonly folderRef: string | null;
  readonly kind: EntryKind;
}

/** Where entries were last seen: an act that takes one away does not tell from where. Shared by all drives. */
export class Places {
  readonly #places = new LRUCache<string, Place>({ max: PLACES_MAX });

  find(accountId: string, ref: string): Place | null {
    return this.#places.get(`${accountId} ${ref}`) ?? null;
  }

  note(accountId: string, { ref, kind, parentRef }: DriveEntry, folderRef: string | null = parentRef): void {
    if (folderRef === null && this.find(accountId, ref)?.folderRef) return; // What is known is more than that.
    this.#places.set(`${accountId} ${ref}`, { folderRef, kind });
  }

  forget(accountId: string, ref: string): void {
    this.#places.delete(`${accountId} ${ref}`);
  }
}

/** Tells what our own acts change in the folders of a drive, to whoever watches them. */
export const announceLayer =
  (sink: NoticeSink, places: Places): DriveLayer =>
  async (call, next) => {
    const { accountId, operation, args } = call;
    if (LOOKS.has(operation)) {
      const seen = await next(call);
      for (const entry of entriesIn(seen)) places.note(accountId, entry, folderListed(operation, args));
      return seen;
    }
    const result = await next(call);
    for (const notice of noticesOf(call, result, places)) sink(notice);
    return result;
  };

/** The folder whose entries a page has, where it is one folder's. */
const folderListed = (operation: string, [folderRef]: readonly unknown[]): string | undefined =>
  operation === 'list' && typeof folderRef === 'string' ? folderRef : undefined;

/** What kind of change an act makes; those that are left out change no folder, or not one that is known to. */
const KINDS: Readonly<Record<string, DriveNotice['kind']>> = {
  createFolder: 'CREATED',
  copy: 'CREATED',
  copyFromAccount: 'CREATED',
  instantUpload: 'CREATED',
  'upload.begin': 'CREATED',
  'upload.complete': 'CREATED',
  'recycleBin.restore': 'CREATED',
  'shares.save': 'CREATED',
  rename: 'MOVED',
  renameMany: 'MOVED',
  move: 'MOVED',
  remove: 'DELETED',
  removePermanently: 'DELETED',
} satisfies Partial<Record<Operation, DriveNotice['kind']>>;

function noticesOf(call: DriveCall, result: unknown, places: Places): readonly DriveNotice[] {
  const { provider, accountId, operation, args } = call;
  const kind = KINDS[operation];
  if (kind === undefined) return [];
  if (kind === 'DELETED') {
    const ref = String(args[0]);
    const place = places.find(accountId, ref);
    places.forget(accountId, ref);
    const known = place?.folderRef ?? null;
    return [
      {
        provider,
        accountId,
        kind,
        entryRef: ref,
        entryKind: place?.kind ?? 'FILE',
        path: null,
        folderRefs: known === null ? [] : [known],
        everywhere: known === null,
      },
    ];
  }
  return entriesIn(result).map((entry) => {
    const before = places.find(accountId, entry.ref);
    const isRename = RENAMES.has(operation);
    const there = folderPutInto(operation, args) ?? entry.parentRef ?? (isRename ? before?.folderRef : null);
    places.note(accountId, entry, there ?? null);
    const wasThere = kind === 'CREATED' && before !== null && before.folderRef === there;
    const folders = kind === 'MOVED' ? [before?.folderRef ?? null, there ?? null] : [there ?? null];
    return {
      provider,
      accountId,
      kind: wasThere ? 'MODIFIED' : kind, // Other bytes under the name, as REPLACE puts them.
      entryRef: entry.ref,
      entryKind: entry.kind,
      path: entry.path,
      folderRefs: [...new Set(folders.filter((ref) => ref !== null))],
      everywhere: isRename ? (there ?? null) === null : folders.includes(null),
    };
  });
}

/** Acts that leave an entry in its folder. */
const RENAMES: ReadonlySet<string> = new Set<Operation>(['rename', 'renameMany']);

/** The folder that an act names as the place of what it makes. */
function folderPutInto(operation: string, [first, second, third]: readonly unknown[]): string | null {
  if (operation === 'createFolder') return String(first);
  if (operation === 'move' || operation === 'copy' || operation === 'copyFromAccount') return String(second);
  if (operation === 'shares.save') return String(third);
  if (typeof first === 'object' && first !== null && 'parentRef' in first) return String(first.parentRef);
  return null;
}

/** The entries that an act gave: one, a list, a page, the instant hit of an upload, or what of several went well. */
function entriesIn(result: unknown): readonly DriveEntry[] {
  if (typeof result !== 'object' || result === null) return [];
  if (Array.isArray(result)) return result.map(entryOfResult).filter(isEntry);
  if ('items' in result && Array.isArray(result.items)) return result.items.filter(isEntry);
  if ('instant' in result) return entriesIn(result.instant);
  return isEntry(result) ? [result] : [];
}

/** A result of one of several things holds its entry, if it has one. */
const entryOfResult = (result: unknown): unknown =>
  typeof result === 'object' && result !== null && 'entry' in result ? result.entry : result;

const isEntry = (value: unknown): value is DriveEntry =>
  typeof value === 'object' && value !== null && 'ref' in value && 'parentRef' in value && 'kind' in value;
