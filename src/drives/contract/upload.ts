import type { CallContext, ConflictPolicy, DriveEntry, HashAlgorithm, Hashes } from '../driver.ts';

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
  /** The provider lost a session of this file that it had begun: all is announced, and sent, once more. */
  readonly anew?: boolean;
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
  /**
   * The slices of a session that the provider has, as it tells: asked when an upload goes on after an interruption, with
   * the receipts that are known. What it has is not sent again, also where the answer to a slice was lost; what it lost
   * is. Absent: the receipts count.
   */
  heldSlices?(
    plan: UploadPlan,
    session: UploadSession,
    known: readonly SliceReceipt[],
    call: CallContext,
  ): Promise<readonly SliceReceipt[]>;
  complete(
    plan: UploadPlan,
    session: UploadSession,
    receipts: readonly SliceReceipt[],
    call: CallContext,
  ): Promise<DriveEntry>;
  abort(session: UploadSession, call: CallContext): Promise<void>;
  /**
   * Puts away the files whose place `made` takes, after a try with the policy REPLACE died between making it and that.
   * Absent: the drive replaces in one act.
   */
  settleReplace?(made: DriveEntry, call: CallContext): Promise<void>;
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
