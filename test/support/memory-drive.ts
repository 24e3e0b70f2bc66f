import { Readable } from 'node:stream';
import type { OfflineTasks } from '../../src/drives/contract/offline.ts';
import type { DriveShare, Shares } from '../../src/drives/contract/shares.ts';
import type { DriveDefinition, DriveEntry, Driver, Page, PageRequest, ProviderId } from '../../src/drives/driver.ts';
import { DriveError, type DriveErrorCategory } from '../../src/drives/errors.ts';
import { newId } from '../../src/lib/ids.ts';
import { Account } from '../../src/storage/entities/account.ts';
import type { TestApp } from './app.ts';
import { type OfflineDesk, type OfflineDeskOptions, offlineDesk } from './memory-offline.ts';

export interface MemoryDriveOptions {
  /** Default NETDISK. */
  readonly id?: ProviderId;
  /** Default 1000. */
  readonly pageMax?: number;
  /** Optional acts that it has, of those below; default none. */
  readonly acts?: readonly OptionalAct[];
  /** The acts that `shares` has; default all. */
  readonly shareActs?: readonly (keyof Shares)[];
  /** Whether the list of shares leaves their time out, as some providers do. */
  readonly timelessShares?: boolean;
  /** The acts that `offline` has; default all. */
  readonly offlineActs?: readonly OfflineAct[];
  readonly offline?: OfflineDeskOptions;
  /** Whether entries have no time at which they were made. */
  readonly timeless?: boolean;
  /** Whether listings leave `path` out, as providers do that know ids only. */
  readonly pathless?: boolean;
}

type OfflineAct = Exclude<keyof OfflineTasks, 'urlsMax' | 'schemes'>;

type OptionalAct =
  | 'statMany'
  | 'pathOf'
  | 'count'
  | 'createFolder'
  | 'searchByName'
  | 'usage'
  | 'link'
  | 'media'
  | 'shares'
  | 'offline'
  | 'move'
  | 'remove'
  | 'changes';

export interface MemoryDrive {
  readonly definition: DriveDefinition;
  /** The acts that were called, in order. */
  readonly calls: string[];
  /** What the provider has as shares, by ref: for a test to change as somebody elsewhere would. */
  readonly shares: Map<string, DriveShare>;
  readonly offline: OfflineDesk;
  /** Makes files and folders by their paths, folders by a slash at the end, in the drive of every account. */
  put(...paths: readonly string[]): void;
  /** Lets an act fail until `mend`. `times` acts go well before. */
  fail(act: string, error: DriveError | Error, after?: number): void;
  /** Lets an act do its work, and its answer be lost, until `mend`. So far: `offline.add`, `offline.addTorrent`. */
  lose(act: string, error: DriveError): void;
  mend(): void;
}

/**
 * A drive with only what the contract requires, as far as a test does not ask for more: pages without cursors of items,
 * no look-up of paths. All accounts see the same entries.
 */
export function memoryDrive({
  id = 'NETDISK',
  pageMax = 1000,
  acts = [],
  shareActs,
  timelessShares,
  offlineActs,
  offline,
  timeless,
  pathless,
}: MemoryDriveOptions = {}): MemoryDrive {
  const root = entryOf('root', null, '', 'FOLDER');
  const entries = new Map<string, DriveEntry>([[root.ref, root]]);
  const calls: string[] = [];
  const shares = new Map<string, DriveShare>();
  const failures = new Map<string, { readonly error: Error; after: number }>();
  const losses = new Map<string, DriveError>();

  const fault = (category: DriveErrorCategory, message: string, existingRef?: string): DriveError =>
    new DriveError(category, message, { provider: id, ...(existingRef ? { existingRef } : {}) });
  const begin = (act: string): void => {
    calls.push(act);
    const failure = failures.get(act);
    if (failure && failure.after <= 0) throw failure.error;
    if (failure) failure.after -= 1;
  };
  const end = (act: string): void => {
    const loss = losses.get(act);
    if (loss) throw loss;
  };
  const find = (ref: string): DriveEntry => {
    const entry = entries.get(ref);
    if (!entry) throw fault('not_found', 'There is no such entry on the drive.');
    return entry;
  };
  const shown = (entry: DriveEntry): DriveEntry => ({
    ...entry,
    path: pathless ? null : pathOf(entry),
    ...(timeless ? { createdAt: null } : {}),
  });
  const pathOf = (entry: DriveEntry): string => {
    if (entry.parentRef === null) return '/';
    const above = pathOf(find(entry.parentRef));
    return `${above === '/' ? '' : above}/${entry.name}`;
  };
  const add = (parentRef: string, name: string, kind: DriveEntry['kind']): DriveEntry => {
    const existing = [...entries.values()].find((entry) => entry.parentRef === parentRef && entry.name === name);
    if (existing) throw fault('already_exists', `“${name}” is there already.`, existing.ref);
    const entry = entryOf(`ref/${name}:${entries.size}`, parentRef, name, kind);
    entries.set(entry.ref, entry);
    return entry;
  };
  const pageOf = (all: readonly DriveEntry[], request: PageRequest): Page<DriveEntry> =>
    pieceOf(all.map(shown), request);
  const pieceOf = <Item>(all: readonly Item[], { cursor, limit }: PageRequest): Page<Item> => {
    const from = cursor === null ? 0 : Number(cursor);
    const to = from + Math.min(limit, pageMax);
    return {
      items: all.slice(from, to),
      nextCursor: to < all.length ? String(to) : null,
      totalCount: null,
    };
  };

  const required: Driver = {
    capabilities: {
      nameBytesMax: 255,
      caseSensitive: true,
      fileBytesMax: null,
      listPageMax: pageMax,
      hashes: [],
      sorts: ['NAME'],
    },
    rootRef: root.ref,
    async list(folderRef, { kind }, page) {
      begin('list');
      find(folderRef);
      const all = [...entries.values()].filter(
        (entry) => entry.parentRef === folderRef && (!kind || entry.kind === kind),
      );
      return pageOf(all, page);
    },
    async stat(ref) {
      begin('stat');
      return shown(find(ref));
    },
    async read() {
      begin('read');
      return Readable.from([]);
    },
  };
  const findShare = (ref: string): DriveShare => {
    const share = shares.get(ref);
    if (!share) throw fault('not_found', 'There is no such share at the provider.');
    return share;
  };
  const expiryOf = (days: number | null): Date | null =>
    days === null ? null : new Date(SHARED_AT.getTime() + days * 86_400_000);
  const sharing: Required<Shares> = {
    takesTraffic: false,
    async create(refs, { days, password, remark }) {
      begin('shares.create');
      for (const ref of refs) find(ref);
      const ref = `share/${shares.size + 1}`;
      const url = `https://shares.example/${shares.size + 1}`;
      const share = { ref, url, password, remark, createdAt: SHARED_AT, expiresAt: expiryOf(days), active: true };
      shares.set(ref, share);
      return share;
    },
    async list(page) {
      begin('shares.list');
      const all = [...shares.values()];
      return pieceOf(timelessShares ? all.map((share) => ({ ...share, createdAt: null })) : all, page);
    },
    async update(ref, { days, ...changes }) {
      begin('shares.update');
      const expiry = days === undefined ? {} : { expiresAt: expiryOf(days) };
      const changed = { ...findShare(ref), ...changes, ...expiry };
      shares.set(ref, changed);
      return changed;
    },
    async cancel(ref) {
      begin('shares.cancel');
      findShare(ref);
      shares.delete(ref);
    },
    async save(_url, password, parentRef) {
      begin('shares.save');
      if (password !== 'right') throw fault('permission_denied', 'That is not the password of the share.');
      return [shown(add(parentRef, `saved-${entries.size}`, 'FILE'))];
    },
  };
  const desk = offlineDesk(offline ?? {}, { begin, end, fault });
  const { urlsMax, schemes } = desk.acts;
  const optional: Required<Pick<Driver, OptionalAct>> = {
    async statMany(refs) {
      begin('statMany');
      return refs.map((ref) => (entries.has(ref) ? shown(find(ref)) : null));
    },
    async pathOf(ref) {
      begin('pathOf');
      return pathOf(find(ref));
    },
    async count(folderRef) {
      begin('count');
      return [...entries.values()].filter((entry) => entry.parentRef === folderRef).length;
    },
    async createFolder(parentRef, name) {
      begin('createFolder');
      return shown(add(parentRef, name, 'FOLDER'));
    },
    async searchByName({ query }, page) {
      begin('searchByName');
      return pageOf(
        [...entries.values()].filter(({ name }) => name.includes(query)),
        page,
      );
    },
    async link(ref) {
      begin('link');
      return { url: `https://bytes.example/${ref}`, headers: { 'User-Agent': 'provider' }, expiresAt: null };
    },
    async usage() {
      begin('usage');
      return { totalBytes: null, usedBytes: entries.size, freeBytes: null, byCategory: null };
    },
    async move(ref, parentRef) {
      begin('move');
      const moved = { ...find(ref), parentRef: find(parentRef).ref };
      entries.set(ref, moved);
      return shown(moved);
    },
    async remove(ref) {
      begin('remove');
      find(ref);
      entries.delete(ref);
    },
    async changes(page) {
      begin('changes');
      const created = pageOf([...entries.values()].slice(1), page);
      return {
        ...created,
        items: created.items.map((entry) => ({
          kind: 'CREATED' as const,
          entryRef: entry.ref,
          entryKind: entry.kind,
          entry,
          path: entry.path,
          at: entry.createdAt ?? new Date(0),
        })),
        complete: false,
      };
    },
    offline: offlineActs
      ? { urlsMax, schemes, ...Object.fromEntries(offlineActs.map((act) => [act, desk.acts[act]])) }
      : desk.acts,
    shares: shareActs ? Object.fromEntries(shareActs.map((act) => [act, sharing[act]])) : sharing,
    media: {
      async thumbnails(ref) {
        begin('media.thumbnails');
        return [{ url: `https://thumbnails.example/${ref}`, width: 64, height: 48, expiresAt: null }];
      },
      async info() {
        begin('media.info');
        return { durationSeconds: 1.5, width: 640, height: 480 };
      },
      async playlist(ref, quality) {
        begin('media.playlist');
        return { url: `https://playlists.example/${ref}/${quality}`, headers: {}, expiresAt: null };
      },
      async transcode() {
        begin('media.transcode');
      },
      async versions() {
        begin('media.versions');
        return [
          { quality: '720P', state: 'READY', requestedAt: new Date(0) },
          { quality: '1080P', state: 'AVAILABLE', requestedAt: null },
        ];
      },
      async deleteVersions() {
        begin('media.deleteVersions');
      },
      async preview(ref) {
        begin('media.preview');
        return { url: `https://previews.example/${ref}`, headers: { 'User-Agent': 'provider' }, expiresAt: null };
      },
    },
  };
  const driver: Driver = { ...required, ...Object.fromEntries(acts.map((act) => [act, optional[act]])) };

  return {
    definition: {
      id,
      title: 'Drive of a test',
      linkMethods: ['PASSWORD'],
      settings: [{ name: 'password', title: 'Password', help: 'Any.', secret: true, required: true }],
      errorCodes: [{ code: '-1', meaning: 'Broken.', category: 'unavailable', retryable: true, hint: 'Wait.' }],
      create: () => driver,
    },
    calls,
    shares,
    offline: desk,
    put: (...paths) => {
      for (const path of paths) {
        const names = path.split('/').filter((name) => name !== '');
        let parent = root;
        for (const [index, name] of names.entries()) {
          const isLast = index === names.length - 1;
          const existing = [...entries.values()].find((entry) => entry.parentRef === parent.ref && entry.name === name);
          parent = existing ?? add(parent.ref, name, isLast && !path.endsWith('/') ? 'FILE' : 'FOLDER');
        }
      }
    },
    fail: (act, error, after = 0) => void failures.set(act, { error, after }),
    lose: (act, error) => void losses.set(act, error),
    mend: () => {
      failures.clear();
      losses.clear();
    },
  };
}

/** When shares are made. */
const SHARED_AT = new Date('2026-11-01T00:00:00Z');

const entryOf = (ref: string, parentRef: string | null, name: string, kind: DriveEntry['kind']): DriveEntry => ({
  ref,
  kind,
  name,
  parentRef,
  path: null,
  sizeBytes: kind === 'FILE' ? 1 : null,
  createdAt: new Date('2026-01-02T03:04:05Z'),
  modifiedAt: null,
  revision: null,
  mimeType: null,
  category: null,
  hashes: {},
  deletedAt: null,
});

/** Links an account past the provider; gives its row. */
export async function linkAccount(
  { app }: TestApp,
  ownerId: string,
  more: Partial<Pick<Account, 'provider' | 'label' | 'shared' | 'status' | 'sealedCredentials'>> = {},
): Promise<Account> {
  const row = {
    id: newId(),
    ownerId,
    provider: 'NETDISK',
    label: 'Linked',
    shared: false,
    status: 'ACTIVE' as const,
    settings: {},
    createdAt: new Date(),
    updatedAt: new Date(),
    ...more,
  };
  const em = app.storage.fork();
  await em.insert(Account, row);
  return em.findOneOrFail(Account, { id: row.id });
}
