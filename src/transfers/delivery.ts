import type { UploadPlan } from '../drives/contract/upload.ts';
import type { CallContext, DriveEntry, Driver, Hashes } from '../drives/driver.ts';
import type { Logger } from '../lib/log.ts';
import type { Transfer, TransferRoute } from '../storage/entities/transfer.ts';
import type { ProgressTrack } from './progress.ts';
import type { TransferChanges } from './rows.ts';
import type { Spool } from './spool.ts';
import { COMMIT_PHASE } from './states.ts';
import type { TransferStore } from './store.ts';

/** The transfer is another worker's by now, or its owner paused or ended it: whoever held it stops, and writes nothing. */
export class ClaimLostError extends Error {
  override readonly name = 'ClaimLostError';
}

/** What it takes to bring one thing into a drive. */
export interface Delivery {
  readonly row: Transfer;
  /**
   * The name that the drive was asked for by a try before, whose end nobody may have seen: what is made is looked for there.
   * Null: no try came so far.
   */
  readonly claimedBefore: string | null;
  readonly driver: Driver;
  /** The drive that the bytes are in, of a row whose source is one. */
  readonly openSourceDrive: (accountId: string) => Promise<Driver>;
  readonly spool: Spool;
  readonly store: TransferStore;
  readonly progress: ProgressTrack;
  readonly call: CallContext;
  readonly log: Logger;
}

export interface Delivered {
  readonly entry: DriveEntry;
  /** Null: nothing was moved, because what has the name stays. */
  readonly route: TransferRoute | null;
  readonly reason: string;
  /** What is known of the bytes. */
  readonly hashes: Hashes;
}

/** Stores what the worker found out; every write carries its fence. */
export async function keep({ row, store }: Delivery, changes: TransferChanges): Promise<void> {
  if (!(await store.update(row.id, 'RUNNING', row.fence, changes))) throw new ClaimLostError();
  Object.assign(row, changes);
}

/** From here on the entry may be there. */
export const beginCommit = (delivery: Delivery): Promise<void> => keep(delivery, { phase: COMMIT_PHASE });

/**
 * What a drive is asked to make. With the policies SKIP and RENAME the drive is told to fail: only then is it certain
 * whether it made the file, or has another that stays, and under which name it made it.
 */
export const planOf = (
  { row }: Pick<Delivery, 'row'>,
  hashes: Hashes,
  readSource: NonNullable<UploadPlan['readSource']>,
): UploadPlan => ({
  parentRef: row.parentRef,
  name: row.claimedName ?? row.name,
  sizeBytes: row.bytesTotal ?? 0,
  hashes,
  mimeType: row.mimeType ?? null,
  onConflict: row.onConflict === 'REPLACE' ? 'REPLACE' : 'FAIL',
  transferId: row.id,
  readSource,
});
