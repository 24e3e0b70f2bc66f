import { raw } from '@mikro-orm/core';
import { Transfer, TransferSlice } from '../storage/entities/transfer.ts';
import type { Storage } from '../storage/orm.ts';
import { isOwn } from './rows.ts';

/** What a provider holds of transfers that are being sent: the session, and a receipt for each slice. */
export class SliceStore {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  receipts(transferId: string): Promise<TransferSlice[]> {
    return this.#storage
      .fork()
      .find(TransferSlice, { transferId }, { orderBy: { index: 'asc' }, disableIdentityMap: true });
  }

  /**
   * Keeps the receipt of a slice of so many bytes, and the row's {@link Transfer.attemptsStuck}, if the row is still the
   * caller's.
   */
  async saveReceipt(row: Transfer, index: number, receipt: unknown, bytes: number): Promise<boolean> {
    const { id, fence, attemptsStuck } = row;
    return this.#storage.transaction(async (em) => {
      // Locks the row, so that the claim counts until the transaction ends.
      const changes = { attemptsStuck, bytesSent: raw('bytes_sent + ?', [bytes]) };
      const count = await em.nativeUpdate(Transfer, { id, fence, state: 'RUNNING' }, changes);
      if (count === 0) return false;
      await em.upsert(TransferSlice, { transferId: row.id, index, receipt }, { disableIdentityMap: true });
      return true;
    });
  }

  /** Keeps a provider's new session, and forgets the receipts of the one before. */
  async saveSession(row: Transfer, driverSession: unknown): Promise<boolean> {
    return this.#storage.transaction(async (em) => {
      if (!(await isOwn(em, row))) return false;
      await em.nativeDelete(TransferSlice, { transferId: row.id });
      await em.nativeUpdate(Transfer, { id: row.id }, { driverSession, bytesSent: 0 });
      return true;
    });
  }

  async forget(transferId: string): Promise<void> {
    await this.#storage.fork().nativeDelete(TransferSlice, { transferId });
  }
}
