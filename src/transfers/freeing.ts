import type { UploadSession } from '../drives/contract/upload.ts';
import type { Driver } from '../drives/driver.ts';
import type { Logger } from '../lib/log.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import type { Spool } from './spool.ts';
import type { TransferStore } from './store.ts';

export interface FreeingParts {
  readonly spool: Spool;
  readonly openDrive: (userId: string, accountId: string) => Promise<Driver>;
  readonly log: Logger;
}

/** How long ending a session may take, in milliseconds: it is tidying up, for which nobody should wait. */
const ABORT_WAIT_MS = 10_000;
/** Items looked at in one step. */
const ITEMS_BATCH = 200;

/** Frees what a transfer holds that is over: its file, and its session at the provider. Never rejects. */
export const createFreeing =
  ({ spool, openDrive, log }: FreeingParts) =>
  async (row: Transfer): Promise<void> => {
    try {
      await spool.remove(row.id);
      if (row.driverSession == null) return;
      const driver = await openDrive(row.userId, row.accountId);
      await driver.upload?.abort(row.driverSession as UploadSession, {
        signal: AbortSignal.timeout(ABORT_WAIT_MS),
        priority: 'bulk',
      });
    } catch (error) {
      log.warn({ err: error, transferId: row.id }, 'what a transfer held could not be freed; it expires by itself');
    }
  };

/** The same for the items of a tree that was given up: those that were begun and did not come to their end. */
export async function freeItems(
  store: TransferStore,
  treeId: string,
  free: (row: Transfer) => Promise<void>,
): Promise<void> {
  for (let after: string | null = null; ; ) {
    const rows: Transfer[] = await store.trees.items(treeId, ['CANCELLED', 'FAILED'], after, ITEMS_BATCH);
    for (const row of rows) if (row.startedAt != null) await free(row);
    if (rows.length < ITEMS_BATCH) return;
    after = rows.at(-1)?.id ?? null;
  }
}
