import type { CallContext, DriveEntry, Driver } from '../drives/driver.ts';
import type { Logger } from '../lib/log.ts';
import type { Transfer, TransferRoute } from '../storage/entities/transfer.ts';
import type { ProgressTrack } from './progress.ts';
import type { Spool } from './spool.ts';
import { COMMIT_PHASE } from './states.ts';
import type { TransferChanges, TransferStore } from './store.ts';

/** The worker's claim is gone: the transfer was paused, cancelled, or taken by another worker. Nothing is to be written. */
export class ClaimLostError extends Error {
  override readonly name = 'ClaimLostError';
}

/** What it takes to bring one spooled file into a drive. */
export interface Delivery {
  readonly row: Transfer;
  readonly driver: Driver;
  readonly spool: Spool;
  readonly store: TransferStore;
  readonly progress: ProgressTrack;
  readonly call: CallContext;
  readonly log: Logger;
}

export interface Delivered {
  readonly entry: DriveEntry;
  readonly route: TransferRoute;
}

/** Stores what the worker found out; every write carries its fence. */
export async function keep({ row, store }: Delivery, changes: TransferChanges): Promise<void> {
  if (!(await store.update(row.id, 'RUNNING', row.fence, changes))) throw new ClaimLostError();
  Object.assign(row, changes);
}

/** From here on the entry may be there. */
export const beginCommit = (delivery: Delivery): Promise<void> => keep(delivery, { phase: COMMIT_PHASE });
