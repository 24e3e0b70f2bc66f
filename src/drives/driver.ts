import type { Readable } from 'node:stream';
import type { Media } from './contract/media.ts';
import type { OfflineTasks } from './contract/offline.ts';
import type { RenameResult, Renaming } from './contract/renaming.ts';
import type { Shares } from './contract/shares.ts';
import type { SlicedUpload, SpooledFile, UploadPlan } from './contract/upload.ts';
import type { Linking } from './linking.ts';

/** The kinds of drive. A new one adds a folder, a line in registry.ts and its name here (the schema's enum is made from it). */
export const PROVIDER_IDS = ['LOCAL', 'BAIDU', 'PAN123', 'PAN115', 'NETDISK'] as const;
export type ProviderId = (typeof PROVIDER_IDS)[number];

export const HASH_ALGORITHMS = ['MD5', 'SHA1', 'SHA256', 'CRC32'] as const;
export type HashAlgorithm = (typeof HASH_ALGORITHMS)[number];
/** True content hashes by algorithm, lower-case hex. */
export type Hashes = Readonly<Partial<Record<HashAlgorithm, string>>>;

export const FILE_CATEGORIES = ['VIDEO', 'AUDIO', 'IMAGE', 'DOCUMENT', 'APPLICATION', 'TORRENT', 'OTHER'] as const;
export type FileCategory = (typeof FILE_CATEGORIES)[number];

export type EntryKind = 'FILE' | 'FOLDER';

/** A file or folder as a provider tells it. What it does not tell is null, never 0 or ''. */
export interface DriveEntry {
  /** The drive's own opaque string for it; survives rename and move where the provider has such an id. */
  readonly ref: string;
  readonly kind: EntryKind;
  readonly name: string;
  /** Null at the root, or unknown. */
  readonly parentRef: string | null;
  /** Absolute below the drive's root, `/` for the root itself; null where the provider does not tell. */
  readonly path: string | null;
  readonly sizeBytes: number | null;
  readonly createdAt: Date | null;
  readonly modifiedAt: Date | null;
  /** Changes whenever the entry does; for `ifRevision`, ETag and If-Range. */
  readonly revision: string | null;
  readonly mimeType: string | null;
  readonly category: FileCategory | null;
  readonly hashes: Hashes;
  /** In the recycle bin since then; null when live or untold. */
  readonly deletedAt: Date | null;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Where the next page begins; null at the end. Opaque. */
  readonly nextCursor: string | null;
  /** All items, where the provider tells. */
  readonly totalCount: number | null;
  /** When the provider told it. Absent: now. The driver leaves it out. */
  readonly fetchedAt?: Date;
  /** A cursor for each item, where the listing can begin after any of them; else the page's own cursor is used. */
  readonly itemCursors?: Cursors;
}

/** The cursors of a page by the places of its items, of which few are ever asked for: a list, or what makes them then. */
export type Cursors = Pick<readonly string[], 'at' | 'length'>;

export interface PageRequest {
  /** From {@link Page.nextCursor} or {@link Page.itemCursors} of the same listing; null: from the beginning. */
  readonly cursor: string | null;
  /** At most this many; the driver may give fewer, and says with `nextCursor` whether there are more. */
  readonly limit: number;
}

export type EntrySort = 'NAME' | 'SIZE' | 'MODIFIED_AT';

export interface ListOptions {
  readonly orderBy?: { readonly by: EntrySort; readonly direction: 'ASC' | 'DESC' };
  readonly kind?: EntryKind;
}

export type ConflictPolicy = 'FAIL' | 'RENAME' | 'REPLACE' | 'SKIP';

/** What accompanies each act. Every wait looks at the signal. */
export interface CallContext {
  readonly signal: AbortSignal;
  /** Interactive requests go before bulk ones. Default interactive. */
  readonly priority?: 'interactive' | 'bulk';
  /** How old what was read before may be to be given again, in milliseconds. Default 0: the provider is asked. */
  readonly maxAgeMs?: number;
}

/**
 * Both ends included, in bytes from 0; `end` null: to the last byte. An `end` past the last byte means the last byte; a
 * `start` past it is refused as `invalid_argument`.
 */
export interface ByteRange {
  readonly start: number;
  readonly end: number | null;
}

export interface FileMeasure {
  /** Null: the provider does not tell, but by the end of the bytes. */
  readonly sizeBytes: number | null;
  /** Whether a part comes without what is before it; else the driver reads that too, and throws it away. */
  readonly parts: boolean;
}

/** What presence of a method cannot say. Each number with its source, in the driver's README. */
export interface Capabilities {
  readonly nameBytesMax: number;
  /** Throws `invalid_argument` for a name that the provider would refuse, or change. Absent: it takes what PanQL takes. */
  readonly checkName?: (name: string) => void;
  readonly caseSensitive: boolean;
  readonly fileBytesMax: number | null;
  readonly listPageMax: number;
  /** Listings with so few calls that the longest page is asked for, of which callers get their parts. Absent: none. */
  readonly wholePages?: readonly ('listRecursive' | 'listByCategory')[];
  /** Hashes that entries carry, or that an upload is verified with. */
  readonly hashes: readonly HashAlgorithm[];
  /** Sorts that the provider does itself; another sort is refused. */
  readonly sorts: readonly EntrySort[];
  /** Most entries that one {@link Driver.renameMany} takes; there when that is. Callers with more do several acts. */
  readonly renamesMax?: number;
}

export interface MoveOptions {
  /** A new name at the destination; default the present one. */
  readonly name?: string;
  readonly onConflict: ConflictPolicy;
  /** Refused as `conflict` when the entry's revision is another. */
  readonly ifRevision?: string;
}

export interface StorageUsage {
  readonly totalBytes: number | null;
  readonly usedBytes: number;
  readonly freeBytes: number | null;
  readonly byCategory:
    | readonly { readonly category: FileCategory; readonly count: number; readonly bytes: number | null }[]
    | null;
}

export interface AccountProfile {
  /** Who this is at the provider; links the same account only once. */
  readonly providerUserId: string | null;
  readonly name: string | null;
  readonly membership: string | null;
  readonly avatarUrl: string | null;
  readonly membershipExpiresAt: Date | null;
}

export interface DriveChange {
  readonly kind: 'CREATED' | 'MODIFIED' | 'MOVED' | 'DELETED';
  readonly entryRef: string;
  readonly entryKind: EntryKind;
  /** The entry now; null when it is gone. */
  readonly entry: DriveEntry | null;
  readonly path: string | null;
  readonly at: Date;
}

export interface RecycleBin {
  list(page: PageRequest, call: CallContext): Promise<Page<DriveEntry>>;
  /** To where it was, or to the root when that is gone; under a numbered name when its own is taken. */
  restore?(ref: string, call: CallContext): Promise<DriveEntry>;
  /** Deletes for ever what is in the bin. */
  purge?(ref: string, call: CallContext): Promise<void>;
  empty?(call: CallContext): Promise<void>;
}

export interface SearchRequest {
  /** As typed: no wildcards, no syntax. */
  readonly query: string;
  readonly kind?: EntryKind;
  readonly folderRef?: string;
}

/** A URL of the provider's for one file, and what it takes to use it. */
export interface ProviderLink {
  readonly url: string;
  /** Headers without which the provider refuses. */
  readonly headers: Readonly<Record<string, string>>;
  readonly expiresAt: Date | null;
}

/**
 * One account on one provider. The few acts on top are required; of the rest, presence is the ability, and nothing
 * declares it twice. An act gives the entry as it is afterwards. An option that cannot be honoured is refused, never
 * ignored. A driver never sleeps, retries, refreshes a token, caches or logs: the layers do.
 * Every act throws only {@link DriveError}.
 */
export interface Driver {
  readonly capabilities: Capabilities;
  /** The ref of the drive's root folder. */
  readonly rootRef: string;

  /** What is directly in a folder. Absent: the provider has no way to tell; what is looked up or found is told all the same. */
  list?(folderRef: string, options: ListOptions, page: PageRequest, call: CallContext): Promise<Page<DriveEntry>>;
  stat(ref: string, call: CallContext): Promise<DriveEntry>;
  /**
   * The bytes of the range; null: all. Throws `corrupted` when the provider gives another length than asked. The signal
   * of the call also ends the stream.
   */
  read(ref: string, range: ByteRange | null, call: CallContext): Promise<Readable>;

  /** Of drives whose entries have no size: asks for that of one file, which costs a request of its own. */
  measure?(ref: string, call: CallContext): Promise<FileMeasure>;
  /** How many entries the folder holds. Absent: not told, or told by {@link Page.totalCount} only. */
  count?(folderRef: string, options: Pick<ListOptions, 'kind'>, call: CallContext): Promise<number>;
  /** Many at once, in the order asked, null for what is not there. Absent: the services ask one by one. */
  statMany?(refs: readonly string[], call: CallContext): Promise<readonly (DriveEntry | null)[]>;
  /** The entry at a path; absent: found by walking. */
  resolve?(segments: readonly string[], call: CallContext): Promise<DriveEntry>;
  /** The path of an entry whose `path` is null in listings because it costs extra. */
  pathOf?(ref: string, call: CallContext): Promise<string>;
  listRecursive?(folderRef: string, page: PageRequest, call: CallContext): Promise<Page<DriveEntry>>;
  listByCategory?(
    category: FileCategory,
    folderRef: string | null,
    page: PageRequest,
    call: CallContext,
  ): Promise<Page<DriveEntry>>;
  searchByName?(request: SearchRequest, page: PageRequest, call: CallContext): Promise<Page<DriveEntry>>;
  searchByMeaning?(request: SearchRequest, page: PageRequest, call: CallContext): Promise<Page<DriveEntry>>;

  createFolder?(parentRef: string, name: string, call: CallContext): Promise<DriveEntry>;
  rename?(ref: string, name: string, options: { readonly ifRevision?: string }, call: CallContext): Promise<DriveEntry>;
  /**
   * Gives several entries other names in as few requests as the provider can; a result for each, in their order. In which
   * order the provider does it is not known: so no entry is among them twice, nor one that is inside of another, and none
   * is to have a name that another has or is to have. Throws when nothing is known of any of them. Absent: callers rename
   * one after the other.
   */
  renameMany?(renamings: readonly Renaming[], call: CallContext): Promise<readonly RenameResult[]>;
  move?(ref: string, parentRef: string, options: MoveOptions, call: CallContext): Promise<DriveEntry>;
  copy?(ref: string, parentRef: string, options: MoveOptions, call: CallContext): Promise<DriveEntry>;
  /**
   * Copies a file of another account of the same provider into this one, no byte passing through this machine. The
   * caller has made sure that the file may be had.
   */
  copyFromAccount?(
    source: { readonly accountId: string; readonly ref: string },
    parentRef: string,
    options: MoveOptions,
    call: CallContext,
  ): Promise<DriveEntry>;
  /** Into the recycle bin where there is one. */
  remove?(ref: string, options: { readonly ifRevision?: string }, call: CallContext): Promise<void>;
  /** For ever. */
  removePermanently?(ref: string, options: { readonly ifRevision?: string }, call: CallContext): Promise<void>;
  readonly recycleBin?: RecycleBin;

  profile?(call: CallContext): Promise<AccountProfile>;
  usage?(call: CallContext): Promise<StorageUsage>;
  changes?(page: PageRequest, call: CallContext): Promise<Page<DriveChange> & { readonly complete: boolean }>;

  readonly upload?: SlicedUpload;
  /** Makes a file of bytes that this account has already; null when it has not. */
  instantUpload?(plan: UploadPlan, call: CallContext): Promise<DriveEntry | null>;

  readonly shares?: Shares;
  readonly offline?: OfflineTasks;
  readonly media?: Media;
  /** A link that a client can follow itself. */
  link?(ref: string, call: CallContext): Promise<ProviderLink>;

  /** Takes a spooled file in one piece: of drives whose bytes are on this machine, and of those that know no slices. */
  adopt?(plan: UploadPlan, file: SpooledFile, call: CallContext): Promise<DriveEntry>;
}

/** A value that a person types to link an account, so that any client can show any provider's form. */
export interface DriveSetting {
  readonly name: string;
  readonly title: string;
  readonly help: string;
  readonly secret: boolean;
  readonly required: boolean;
}

/** A row of a provider's table of errors, as `Provider.errorCodes` shows it. */
export interface DriveErrorCode {
  readonly code: string;
  readonly meaning: string;
  readonly category: string;
  readonly retryable: boolean;
  readonly hint: string | null;
}

export type LinkMethod = 'NONE' | 'DEVICE_CODE' | 'AUTHORIZATION_CODE' | 'CLIENT_CREDENTIALS' | 'PASSWORD' | 'TOKENS';

/** The account that a driver works for. Its secrets are not here: they come through the services that are passed in. */
export interface DriveAccount {
  readonly id: string;
  /** What the person typed when linking, by {@link DriveSetting.name}, but for secrets. */
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * A kind of drive: what registry.ts lists. `create` opens one account's driver, without any effect; the layers go around
 * it in open.ts.
 */
export interface DriveDefinition<Services = never> {
  readonly id: ProviderId;
  readonly title: string;
  readonly linkMethods: readonly LinkMethod[];
  readonly settings: readonly DriveSetting[];
  readonly errorCodes: readonly DriveErrorCode[];
  create(account: DriveAccount, services: Services): Driver;
  /** How accounts are linked; null while the operator has not set what it needs. Absent: there is nothing to link. */
  linking?(services: Services): Linking | null;
}
