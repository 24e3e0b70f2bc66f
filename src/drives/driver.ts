import type { Readable } from 'node:stream';
import type { DriveError } from './errors.ts';
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
  readonly itemCursors?: readonly string[];
}

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

/** What presence of a method cannot say. Each number with its source, in the driver's README. */
export interface Capabilities {
  readonly nameBytesMax: number;
  readonly caseSensitive: boolean;
  readonly fileBytesMax: number | null;
  readonly listPageMax: number;
  /** Hashes that entries carry, or that an upload is verified with. */
  readonly hashes: readonly HashAlgorithm[];
  /** Sorts that the provider does itself; another sort is refused. */
  readonly sorts: readonly EntrySort[];
}

export interface MoveOptions {
  /** A new name at the destination; default the present one. */
  readonly name?: string;
  readonly onConflict: ConflictPolicy;
  /** Refused as `conflict` when the entry's revision is another. */
  readonly ifRevision?: string;
}

export interface UploadPlan {
  readonly parentRef: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly hashes: Hashes;
  readonly mimeType?: string | null;
  readonly onConflict: ConflictPolicy;
  /**
   * The job that uploads: the same when it is tried again after a crash. A drive that can tell gives the entry that the
   * first try made, in place of a second one.
   */
  readonly transferId?: string;
  /** Reads back bytes of the source, for providers that ask for proof. Absent when the source cannot be read twice. */
  readonly readSource?: (range: { readonly start: number; readonly length: number }) => Promise<Uint8Array>;
}

/** Plain JSON, so that a transfer outlives the process. */
export interface UploadSession {
  readonly sliceBytes: number;
  readonly sliceCount: number;
  /** The driver's own; JSON. */
  readonly state: unknown;
}

/** Plain JSON: proof that the provider holds a slice. */
export interface SliceReceipt {
  readonly index: number;
  readonly state: unknown;
}

/**
 * Sends a file in slices. All are `sliceBytes` long but the last, which has the rest; a file of 0 bytes has no slice.
 * A slice may be put again, and replaces the one before. A session that the provider no longer knows is `not_found`:
 * the caller begins again. Bytes of another length or hash than planned are `corrupted`, and nothing becomes visible.
 */
export interface SlicedUpload {
  /** Slices that may be under way at once; 1: strictly in order. */
  readonly concurrency: number;
  /** `begin` looks for an instant hit when the plan has all of these hashes; absent: it never does. */
  readonly instantHashes?: readonly HashAlgorithm[];
  /** Starts an upload, or finds that the provider has the bytes already. */
  begin(
    plan: UploadPlan,
    call: CallContext,
  ): Promise<{ readonly session: UploadSession } | { readonly instant: DriveEntry }>;
  /** `bytes` are the caller's again when it has settled: whoever keeps them copies them. */
  putSlice(
    plan: UploadPlan,
    session: UploadSession,
    index: number,
    bytes: Uint8Array,
    call: CallContext,
  ): Promise<SliceReceipt>;
  complete(
    plan: UploadPlan,
    session: UploadSession,
    receipts: readonly SliceReceipt[],
    call: CallContext,
  ): Promise<DriveEntry>;
  abort(session: UploadSession, call: CallContext): Promise<void>;
  /** Most bytes that {@link putWhole} is for; there slices would only cost more requests. */
  readonly wholeBytesMax?: number;
  /**
   * Makes a small file of all its bytes in one request. With its answer the file is there. `unsupported`: this account has
   * no such way, and slices are sent.
   */
  putWhole?(plan: UploadPlan, bytes: Uint8Array, call: CallContext): Promise<DriveEntry>;
}

/** A whole, verified file on this machine, which the drive may take over (then it is gone from `path`) or send. */
export interface SpooledFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly hashes: Hashes & { readonly SHA256: string };
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

/** The provider's own share link. */
export interface DriveShare {
  readonly ref: string;
  readonly url: string;
  readonly password: string | null;
  readonly remark: string | null;
  readonly createdAt: Date | null;
  /** Null: for ever, or untold. */
  readonly expiresAt: Date | null;
  readonly active: boolean;
}

export interface ShareOptions {
  /** Null: for ever, where the provider can. */
  readonly days: number | null;
  readonly password: string | null;
  readonly remark: string | null;
  /** What the provider asks for beside, as it gave it to the person. */
  readonly ticket: string | null;
  /** Left out: as the provider has it by itself. Only for drives whose {@link Shares.takesTraffic} is true. */
  readonly traffic?: ShareTraffic;
}

/** Whether the owner's paid traffic serves those who could not download else. */
export interface ShareTraffic {
  /** People who are not signed in at the provider. */
  readonly guests: boolean;
  /** People whose own traffic there is used up. */
  readonly beyondQuota: boolean;
  /** Most of it, in bytes; null: no limit. */
  readonly limitBytes: number | null;
}

export interface Shares {
  /** Whether {@link ShareOptions.traffic} means something here. Absent: it does not. */
  readonly takesTraffic?: boolean;
  create?(refs: readonly string[], options: ShareOptions, call: CallContext): Promise<DriveShare>;
  list?(page: PageRequest, call: CallContext): Promise<Page<DriveShare>>;
  update?(shareRef: string, changes: Partial<ShareOptions>, call: CallContext): Promise<DriveShare>;
  cancel?(shareRef: string, call: CallContext): Promise<void>;
  /** Copies what somebody shared into a folder of this drive. */
  save?(url: string, password: string | null, parentRef: string, call: CallContext): Promise<readonly DriveEntry[]>;
}

/** A download that the provider does by itself. What it does not tell is null: of a task that is only followed, all but its state. */
export interface DriveOfflineTask {
  /** The provider's own id of it: a number, or the hash of what it brings. */
  readonly ref: string;
  readonly name: string | null;
  readonly url: string | null;
  readonly state: 'PENDING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED';
  /** 0 … 100. */
  readonly percentDone: number;
  readonly sizeBytes: number | null;
  readonly addedAt: Date | null;
  readonly updatedAt: Date | null;
  /** What it brought, once it succeeded. */
  readonly entryRef: string | null;
  /** The folder that it goes into. */
  readonly parentRef: string | null;
  /** What is deleted with the task when its files are, where that is another entry than `entryRef`. */
  readonly filesRef: string | null;
  readonly failure: { readonly providerCode: string | null; readonly message: string } | null;
}

/** What became of one link: the task, or why there is none. */
export interface OfflineAddResult {
  readonly url: string;
  readonly task: DriveOfflineTask | null;
  /** `already_exists`, with the task's ref as `existingRef` where it is known, for a link that is a task already. */
  readonly error: DriveError | null;
}

/** What a torrent file, which is on the drive, would bring. */
export interface DriveTorrent {
  /** Its info hash, hex: a task of it is named so. */
  readonly taskRef: string;
  readonly name: string;
  readonly sizeBytes: number | null;
  readonly files: readonly {
    readonly index: number;
    /** Below the folder that it goes into, with `/` between the names. */
    readonly path: string;
    readonly sizeBytes: number | null;
    /** Whether the provider would choose it. */
    readonly preselected: boolean;
  }[];
}

export const OFFLINE_SCHEMES = ['http', 'https', 'ftp', 'magnet', 'ed2k'] as const;
export type OfflineScheme = (typeof OFFLINE_SCHEMES)[number];

export const OFFLINE_CLEAR_SCOPES = [
  'SUCCEEDED',
  'ALL',
  'FAILED',
  'RUNNING',
  'SUCCEEDED_WITH_FILES',
  'ALL_WITH_FILES',
] as const;
export type OfflineClearScope = (typeof OFFLINE_CLEAR_SCOPES)[number];

export interface OfflinePackage {
  readonly name: string;
  readonly total: number;
  readonly used: number;
  readonly remaining: number;
  readonly expiresAt: Date | null;
}

export interface OfflineAllowance extends Pick<OfflinePackage, 'total' | 'used' | 'remaining'> {
  readonly packages: readonly OfflinePackage[];
}

/** The provider downloads a URL itself. */
export interface OfflineTasks {
  /** Most links that one `add` takes. Callers with more add them in several acts. */
  readonly urlsMax: number;
  /** The kinds of link that `add` takes. Others never reach it. */
  readonly schemes: readonly OfflineScheme[];
  /**
   * Begins a task for each link; gives a result for each, in their order. Throws when nothing is known of any of them;
   * what the provider says of one link, if only in the code of the whole answer, is that link's result.
   * @param parentRef Null: where the provider puts such files by itself.
   */
  add?(urls: readonly string[], parentRef: string | null, call: CallContext): Promise<readonly OfflineAddResult[]>;
  /** Looks into a torrent file of this drive. */
  readTorrent?(fileRef: string, call: CallContext): Promise<DriveTorrent>;
  /** Begins a task for the files of a torrent with these indexes; null: those that the provider would choose. */
  addTorrent?(
    fileRef: string,
    indexes: readonly number[] | null,
    parentRef: string | null,
    call: CallContext,
  ): Promise<DriveOfflineTask>;
  /** All tasks of the account, whoever began them. */
  list?(page: PageRequest, call: CallContext): Promise<Page<DriveOfflineTask>>;
  /** One task. Where the provider lists them, the list is asked instead. */
  stat?(taskRef: string, call: CallContext): Promise<DriveOfflineTask>;
  cancel?(taskRef: string, options: { readonly deleteFiles: boolean }, call: CallContext): Promise<void>;
  clear?(scope: OfflineClearScope, call: CallContext): Promise<void>;
  allowance?(call: CallContext): Promise<OfflineAllowance>;
}

/** A URL of the provider's for one file, and what it takes to use it. */
export interface ProviderLink {
  readonly url: string;
  /** Headers without which the provider refuses. */
  readonly headers: Readonly<Record<string, string>>;
  readonly expiresAt: Date | null;
}

export interface DriveThumbnail {
  readonly url: string;
  readonly width: number | null;
  readonly height: number | null;
  readonly expiresAt: Date | null;
}

export interface DriveMediaInfo {
  readonly durationSeconds: number | null;
  readonly width: number | null;
  readonly height: number | null;
}

export const MEDIA_VERSION_STATES = ['AVAILABLE', 'PENDING', 'RUNNING', 'READY', 'FAILED'] as const;
export type MediaVersionState = (typeof MEDIA_VERSION_STATES)[number];

/** A version of a film that the provider makes for streaming. */
export interface DriveMediaVersion {
  /** As {@link Media.transcode} and the playlists take it. */
  readonly quality: string;
  readonly state: MediaVersionState;
  /** When it was asked for; null: not yet, or not told. */
  readonly requestedAt: Date | null;
}

/** How a playlist is read again, for as long as it is played. */
export interface OpenPlaylist {
  /** The driver's own; JSON. It may be secret: clients get it sealed. */
  readonly state: unknown;
  /** Until when it can be read; null: not told. */
  readonly expiresAt: Date | null;
}

/** A playlist (HLS) as the provider gives it. */
export interface DrivePlaylist {
  readonly text: string;
  /** Where it came from: relative addresses in it begin there. */
  readonly url: string;
}

/** Something that a playlist names: a segment, a key, another playlist, subtitles. */
export interface DrivePart {
  readonly bytes: Readable;
  /** Of `bytes`; null: not told. */
  readonly sizeBytes: number | null;
  readonly mimeType: string | null;
}

export interface DriveSubtitle {
  /** For {@link Media.readPart}. */
  readonly url: string;
  /** A person's name for it. */
  readonly name: string | null;
  /** BCP 47, as `zh`; null: not told. */
  readonly language: string | null;
  /** `srt`, `vtt`, `ass`. */
  readonly format: string;
}

/** How far the account's owner has watched. */
export interface MediaProgress {
  readonly positionSeconds: number;
  /** When that was told; null where unknown. */
  readonly at: Date | null;
}

/**
 * Playlists: either `playlist`, whose address any client can open, or `openPlaylist`, `readPlaylist` and `readPart`, by
 * which this server serves them itself: for providers whose addresses hold a token, or want headers that no player sends.
 */
export interface Media {
  thumbnails?(ref: string, call: CallContext): Promise<readonly DriveThumbnail[]>;
  preview?(ref: string, call: CallContext): Promise<ProviderLink>;
  /** `quality` as the provider names it; null: its best. */
  playlist?(ref: string, quality: string | null, call: CallContext): Promise<ProviderLink>;
  /**
   * Makes sure that there is such a playlist, and that it is whole: one that the provider still works on is `unavailable`.
   * May wait, as for an advertisement. `quality` as with {@link playlist}.
   */
  openPlaylist?(ref: string, quality: string | null, call: CallContext): Promise<OpenPlaylist>;
  readPlaylist?(state: unknown, call: CallContext): Promise<DrivePlaylist>;
  /** Without any secret of the account's: the address is whatever the provider wrote into a playlist. */
  readPart?(url: string, range: ByteRange | null, call: CallContext): Promise<DrivePart>;
  subtitles?(ref: string, call: CallContext): Promise<readonly DriveSubtitle[]>;
  info?(ref: string, call: CallContext): Promise<DriveMediaInfo>;
  transcode?(ref: string, quality: string, call: CallContext): Promise<void>;
  /** The versions that there are, are being made, or can be made; none while the provider knows nothing of the file. */
  versions?(ref: string, call: CallContext): Promise<readonly DriveMediaVersion[]>;
  /** Deletes all versions that were made; the file itself stays. */
  deleteVersions?(ref: string, call: CallContext): Promise<void>;
  /** Null: never watched. */
  progress?(ref: string, call: CallContext): Promise<MediaProgress | null>;
  saveProgress?(
    ref: string,
    progress: { readonly positionSeconds: number; readonly finished: boolean },
    call: CallContext,
  ): Promise<void>;
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
