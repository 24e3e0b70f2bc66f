import { hostname } from 'node:os';
import type { FilterQuery } from '@mikro-orm/core';
import { addMs, type Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { Spool as SpoolRow } from '../storage/entities/spool.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import type { Storage } from '../storage/orm.ts';

/** How long the processes of a spool are believed alive without a sign of them, in milliseconds: as long as a worker is. */
export const SPOOL_LIVE_MS = 30_000;
/**
 * How long the host of a spool may be away before whole files in it are given up, in milliseconds: it may just be started
 * again, and those who sent them have gone.
 */
export const SPOOL_KEPT_MS = 10 * 60_000;
/** When a spool is forgotten that nobody was seen with. */
const SPOOL_FORGOTTEN_MS = 30 * 24 * 3_600_000;

/** Which bytes a process can have: those of its own spool, and of whose it may take the place. */
export interface Reach {
  /** The own spool; null: there is no other. */
  readonly spoolId: string | null;
  /** Other spools, of which a process is alive. */
  readonly live: readonly string[];
  /** Other spools whose host may come back, with those that are alive. */
  readonly kept: readonly string[];
}

/** Of a process that has no neighbours. */
export const ALONE: Reach = { spoolId: null, live: [], kept: [] };

/**
 * The hosts of one database that each have a spool of their own. A transfer's row says in which spool its bytes are; of
 * one in another's spool
 * - no byte is taken in, and no source is read anew, while a process of that host is alive: it has what came so far;
 * - nothing that came whole is worked on before that host has been away for {@link SPOOL_KEPT_MS}.
 * After that, it is begun anew, or its bytes are told to be gone. Processes that share a folder have one spool, and
 * nothing of this keeps them from each other's work.
 */
export class Neighbours {
  readonly #spoolId: string;
  readonly #storage: Storage;
  readonly #clock: Clock;
  #timer: NodeJS.Timeout | null = null;

  constructor(spoolId: string, storage: Storage, clock: Clock) {
    this.#spoolId = spoolId;
    this.#storage = storage;
    this.#clock = clock;
  }

  /** Shows from now on that this host is alive. SQLite is one process's at a time, which needs no sign. */
  async start(log: Logger): Promise<void> {
    if (this.#storage.dialect === 'sqlite') return;
    await this.show();
    const beat = (): void => {
      this.show().catch((error) => log.warn({ err: error }, 'the sign that this host is alive could not be given'));
    };
    this.#timer = setInterval(beat, SPOOL_LIVE_MS / 3).unref();
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  async show(): Promise<void> {
    await this.#storage
      .fork()
      .upsert(SpoolRow, { id: this.#spoolId, host: hostname().slice(0, 64), seenAt: this.#clock.now() });
  }

  async reach(): Promise<Reach> {
    const spoolId = this.#spoolId;
    if (this.#storage.dialect === 'sqlite') return { ...ALONE, spoolId };
    const now = this.#clock.now();
    const others = await this.#storage
      .fork()
      .find(
        SpoolRow,
        { id: { $ne: spoolId }, seenAt: { $gt: addMs(now, -SPOOL_KEPT_MS) } },
        { disableIdentityMap: true },
      );
    const live = others.filter(({ seenAt }) => seenAt > addMs(now, -SPOOL_LIVE_MS));
    return { spoolId, live: live.map(({ id }) => id), kept: others.map(({ id }) => id) };
  }

  async sweep(): Promise<void> {
    const before = addMs(this.#clock.now(), -SPOOL_FORGOTTEN_MS);
    await this.#storage.fork().nativeDelete(SpoolRow, { seenAt: { $lt: before } });
  }
}

/** Transfers that a process may work on. */
export const withinReach = ({ live, kept }: Reach): FilterQuery<Transfer>[] =>
  kept.length === 0
    ? []
    : [
        {
          $or: [
            { spoolId: null },
            { spoolId: { $nin: [...kept] } },
            { phase: { $in: ['LISTING', 'RECEIVING'] }, bytesDone: 0 },
            { phase: { $in: ['LISTING', 'RECEIVING'] }, spoolId: { $nin: [...live] } },
          ],
        },
      ];

/** Uploads whose bytes a process may take in. */
export const receivable = ({ live }: Reach): FilterQuery<Transfer>[] =>
  live.length === 0 ? [] : [{ $or: [{ spoolId: null }, { bytesDone: 0 }, { spoolId: { $nin: [...live] } }] }];

/** Whether the bytes of an upload are at another host, or come in there just now. */
export const isReceivedElsewhere = (
  { spoolId, bytesDone, leaseUntil }: Transfer,
  { live }: Reach,
  now: Date,
): boolean => spoolId != null && live.includes(spoolId) && (bytesDone > 0 || (leaseUntil != null && leaseUntil >= now));

/** Whether the bytes of a transfer may be at a host that is, or may come back. */
export const isKeptElsewhere = ({ spoolId }: Transfer, { kept }: Reach): boolean =>
  spoolId != null && kept.includes(spoolId);
