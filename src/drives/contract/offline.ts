import type { CallContext, Page, PageRequest } from '../driver.ts';
import type { DriveError } from '../errors.ts';

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
