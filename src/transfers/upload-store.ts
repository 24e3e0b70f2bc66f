import { addMs, type Clock } from '../lib/clock.ts';
import { Transfer } from '../storage/entities/transfer.ts';
import type { Storage } from '../storage/orm.ts';
import { ALONE, type Reach, receivable } from './neighbours.ts';
import { nextFence } from './rows.ts';

/**
 * How long a connection that receives is believed alive without a sign of it, in milliseconds: less than a client's next
 * request waits for the one before it, so that after the death of a process the client goes on with its first try, where
 * it would be told 423 and give up.
 */
export const RECEIVE_LEASE_MS = 9_000;

/** Uploads that wait for their bytes: who may send them, and which connection does. */
export class UploadStore {
  readonly #storage: Storage;
  readonly #clock: Clock;

  constructor(storage: Storage, clock: Clock) {
    this.#storage = storage;
    this.#clock = clock;
  }

  /** How many uploads of the user wait for bytes, or are paused. */
  countWaiting(userId: string): Promise<number> {
    return this.#storage.fork().count(Transfer, { userId, treeId: null, state: { $in: ['WAITING', 'PAUSED'] } });
  }

  async setToken(id: string, uploadTokenHash: string): Promise<void> {
    await this.#storage.fork().nativeUpdate(Transfer, { id }, { uploadTokenHash });
  }

  /** From now on the upload lives with this session or API key. */
  async setGrant(id: string, grantId: string): Promise<void> {
    await this.#storage.fork().nativeUpdate(Transfer, { id }, { source: { type: 'upload', grantId } });
  }

  findByToken(uploadTokenHash: string): Promise<Transfer | null> {
    return this.#storage.fork().findOne(Transfer, { uploadTokenHash }, { disableIdentityMap: true });
  }

  /**
   * Whether its user may still send bytes, who shows nothing but the upload's address: not after the session or API key
   * that began it was ended, nor once the user is disabled. A session that ran out by itself goes on: the upload has an
   * end of its own, and who uploads for days by the address alone refreshes nothing.
   */
  async senderOf({ userId, source }: Transfer): Promise<'granted' | 'ended' | 'disabled'> {
    const grantId = source.type === 'upload' ? (source.grantId ?? null) : null;
    const [row] = await this.#storage.fork().execute<{ disabled: number | string; grants: number | string }[]>(
      `select (select count(*) from users where id = ? and disabled_at is not null) as disabled,
           (select count(*) from sessions where id = ? and revoked_at is null) +
           (select count(*) from api_keys where id = ? and revoked_at is null) as grants`,
      [userId, grantId ?? '', grantId ?? ''],
    );
    if (Number(row?.disabled) > 0) return 'disabled';
    return grantId === null || Number(row?.grants) > 0 ? 'granted' : 'ended';
  }

  /**
   * The right to write to an upload's file: one connection of one process at a time. Null while another has it, or bytes of
   * it are at another host.
   */
  async claimReceiving(id: string, owner: string, reach: Reach = ALONE): Promise<Transfer | null> {
    const now = this.#clock.now();
    return this.#storage.transaction(async (em) => {
      const count = await em.nativeUpdate(
        Transfer,
        {
          id,
          state: 'WAITING',
          $or: [{ leaseOwner: null }, { leaseOwner: owner }, { leaseUntil: { $lt: now } }],
          $and: receivable(reach),
        },
        { leaseOwner: owner, leaseUntil: addMs(now, RECEIVE_LEASE_MS), spoolId: reach.spoolId, ...nextFence() },
      );
      return count === 0 ? null : em.findOneOrFail(Transfer, { id }, { disableIdentityMap: true });
    });
  }
}
