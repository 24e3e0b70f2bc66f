/**
 * What is announced, by topic. An event is small and carries ids: the subscriber loads the state through the services,
 * so that rights are applied once and an old event cannot show an old state. Published after the commit.
 */
export interface Topics {
  /** A transfer of the user changed. `progress` is live and not stored: it may be dropped, a state may not. */
  'transfer.changed': {
    readonly userId: string;
    readonly transferId: string;
    /** Absent: progress of a tree, which counts whatever its revision is. */
    readonly revision?: number;
    /** Set when only the progress changed. */
    readonly progress?: TransferProgress;
  };
  /** Work was queued: workers look at once instead of at their next poll. */
  'transfer.queued': { readonly transferId: string };
  /**
   * Whoever is at work on the transfer must stop: its owner paused or ended it, or (release) sends on by another
   * connection.
   */
  'transfer.control': { readonly transferId: string; readonly action: 'pause' | 'cancel' | 'release' };
  'account.changed': { readonly accountId: string };
  /** An act of ours changed something in an account of a provider: what was read of it before is old. */
  'account.written': { readonly accountId: string };
  'deviceLink.changed': { readonly deviceLinkId: string };
  'offlineTask.changed': { readonly accountId: string; readonly taskId: string };
  /** An entry of a folder changed; `sequence` is its place in the change journal where there is one. */
  'entry.changed': {
    readonly accountId: string;
    /** The folders in which it is seen: of a move, both. */
    readonly folderRefs: readonly string[];
    /** A folder in which it is seen is not known: whoever watches any of the account looks again. */
    readonly everywhere?: boolean;
    readonly kind: 'CREATED' | 'MODIFIED' | 'MOVED' | 'DELETED';
    readonly entryRef: string;
    readonly entryKind: 'FILE' | 'FOLDER';
    readonly path: string | null;
    readonly at: string;
  };
  /** Sessions or keys ended: open subscriptions and tickets of these grants end too. */
  'grant.revoked': { readonly userId: string; readonly grantIds: readonly string[] | 'all' };
  /** A message to everybody. */
  notice: { readonly at: string; readonly message: string; readonly level: 'INFO' | 'WARNING' | 'ERROR' };
}

export interface TransferProgress {
  readonly phase: string | null;
  readonly bytesDone: number;
  readonly bytesPerSecond: number | null;
  /** Of a tree: the same of what comes in, beside what goes out. */
  readonly received?: { readonly bytesDone: number; readonly bytesPerSecond: number | null };
}

export type Topic = keyof Topics;
