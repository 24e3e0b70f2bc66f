import type { DriveShare } from '../drives/contract/shares.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { Share } from '../storage/entities/share.ts';
import type { EntityManager, Storage } from '../storage/orm.ts';
import type { Vault } from '../vault/vault.ts';
import type { ItemPage, PageQuery } from './pages.ts';
import { BY_ID, rowPage } from './row-pages.ts';

/** How long a share that ended is still known, in milliseconds. */
const ENDED_SHARE_KEPT_MS = 30 * 24 * 3_600_000;

export interface ShareRecordsOptions {
  readonly storage: Storage;
  readonly vault: Vault;
  readonly clock: Clock;
}

/** Whose share it is, and where. */
export interface ShareOwner {
  readonly userId: string;
  readonly accountId: string;
}

/** What this server knows of the shares that were made through it. */
export class ShareRecords {
  readonly #storage: Storage;
  readonly #vault: Vault;
  readonly #clock: Clock;

  constructor({ storage, vault, clock }: ShareRecordsOptions) {
    this.#storage = storage;
    this.#vault = vault;
    this.#clock = clock;
  }

  /** Keeps a share that was just made. A provider that gives a ref again means the new share by it. */
  async add(em: EntityManager, owner: ShareOwner, share: DriveShare, entryRefs: readonly string[]): Promise<Share> {
    const id = newId();
    const row = {
      ...owner,
      ...this.#columnsOf(id, share),
      id,
      ref: share.ref,
      entryRefs,
      createdAt: share.createdAt ?? this.#clock.now(),
      cancelledAt: null,
    };
    await em.nativeDelete(Share, { ...owner, ref: share.ref });
    const record = em.create(Share, row);
    await em.flush();
    return record;
  }

  /** Writes what a share is after a change; gives the record as it is then, null when it is no longer kept. */
  async change(em: EntityManager, { id }: Share, share: DriveShare): Promise<Share | null> {
    const record = await em.findOne(Share, { id });
    return record && em.assign(record, this.#columnsOf(id, share));
  }

  async cancel(em: EntityManager, { id }: Share): Promise<void> {
    await em.nativeUpdate(Share, { id, cancelledAt: null }, { cancelledAt: this.#clock.now() });
  }

  /** The owner's records with these refs, by ref. */
  async find(owner: ShareOwner, refs: readonly string[]): Promise<ReadonlyMap<string, Share>> {
    const wanted = refs.filter((ref) => !ref.includes('\0')); // PostgreSQL refuses it in a text.
    if (wanted.length === 0) return new Map();
    const rows = await this.#storage
      .fork()
      .find(Share, { ...owner, ref: { $in: wanted } }, { disableIdentityMap: true });
    return new Map(rows.map((row) => [row.ref, row]));
  }

  /** The owner's records of an account, the newest first. */
  page(owner: ShareOwner, query: PageQuery): Promise<ItemPage<Share>> {
    return rowPage(query, BY_ID, (behind, limit) =>
      this.#storage
        .fork()
        .find(
          Share,
          { ...owner, ...(behind === null ? {} : { id: { $lt: behind } }) },
          { orderBy: { id: 'desc' }, limit, disableIdentityMap: true },
        ),
    );
  }

  /** The share as its provider told it when it was made or changed; its password is told by {@link passwordOf}. */
  shareOf({ ref, url, createdAt, ...record }: Share): DriveShare {
    const expiresAt = record.expiresAt ?? null;
    const isOver = Boolean(record.cancelledAt) || (expiresAt !== null && expiresAt <= this.#clock.now());
    return { ref, url, remark: record.remark ?? null, createdAt, expiresAt, password: null, active: !isOver };
  }

  /** @throws SealBrokenError when it cannot be opened. */
  passwordOf({ id, sealedPassword }: Share): string | null {
    return sealedPassword ? (this.#vault.openJson(sealedPassword, placeOf(id)) as string) : null;
  }

  /** Removes what ended long ago. */
  async sweep(): Promise<void> {
    const before = addMs(this.#clock.now(), -ENDED_SHARE_KEPT_MS);
    await this.#storage
      .fork()
      .nativeDelete(Share, { $or: [{ expiresAt: { $lt: before } }, { cancelledAt: { $lt: before } }] });
  }

  #columnsOf(id: string, { url, password, remark, expiresAt }: DriveShare) {
    const sealedPassword = password === null ? null : this.#vault.sealJson(password, placeOf(id));
    return { url, remark, expiresAt, sealedPassword };
  }
}

const placeOf = (id: string) => ({ row: id, field: 'shares.sealed_password' }) as const;
