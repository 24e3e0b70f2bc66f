import { LockMode, raw } from '@mikro-orm/core';
import type { EventBus } from '../events/bus.ts';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { Transfer } from '../storage/entities/transfer.ts';
import type { EntityManager } from '../storage/orm.ts';
import { UNTRIED } from './failures.ts';
import { recordEvent } from './journal.ts';

/** What a transfer is made with; the rest of its row begins empty. */
export type NewTransfer = Pick<
  Transfer,
  'userId' | 'kind' | 'state' | 'accountId' | 'parentRef' | 'name' | 'source' | 'bytesTotal'
> &
  Partial<Transfer>;

/** What a change may set beside the state. */
export type TransferChanges = Partial<Omit<Transfer, 'id' | 'userId' | 'state' | 'revision' | 'fence'>>;

/** A whole row of what is given, due at once. */
export const newRow = (given: NewTransfer, now: Date) => ({
  ...EMPTY_ROW,
  id: newId(),
  runAfter: now,
  createdAt: now,
  ...given,
});

// Made anew for each query: a raw fragment belongs to one.
export const nextRevision = () => ({ revision: raw('revision + 1') });
export const nextFence = () => ({ fence: raw('fence + 1') });

export const rowOf = (em: EntityManager, id: string): Promise<Transfer> =>
  em.findOneOrFail(Transfer, { id }, { disableIdentityMap: true });

/** Whether the caller's claim still counts; locks the row, so that it does until the transaction ends. */
export async function isOwn(em: EntityManager, { id, fence }: Transfer): Promise<boolean> {
  const row = await em.findOne(
    Transfer,
    { id, fence, state: 'RUNNING' },
    { fields: ['id'], lockMode: LockMode.PESSIMISTIC_WRITE, disableIdentityMap: true },
  );
  return row !== null;
}

/** Tells of changes: in the journal, within their transaction; on the bus, after its commit. */
export class Announcer {
  readonly #bus: EventBus;
  readonly #clock: Clock;

  constructor(bus: EventBus, clock: Clock) {
    this.#bus = bus;
    this.#clock = clock;
  }

  /** Records the row as it is now, as the last act of the transaction. */
  async record(em: EntityManager, id: string): Promise<Transfer> {
    const row = await rowOf(em, id);
    return (await this.recorded(em, row)) ?? row;
  }

  /** Of an item, no event is kept: its tree's are, and thousands of items would bury them. */
  async recorded<Row extends Transfer | null>(em: EntityManager, row: Row): Promise<Row> {
    if (row && row.treeId == null) await recordEvent(em, row, this.#clock.now());
    return row;
  }

  /** Not awaited: a bus whose transport is down must not hold up the work. */
  announce({ id, userId, revision, state }: Transfer): void {
    void this.#bus.publish('transfer.changed', { userId, transferId: id, revision });
    if (state === 'QUEUED') this.queued(id);
  }

  /** There is something to claim: the transfer, or items of it. */
  queued(transferId: string): void {
    void this.#bus.publish('transfer.queued', { transferId });
  }
}

const EMPTY_ROW = {
  phase: null,
  route: null,
  routeReason: null,
  verification: null,
  sourceAccountId: null,
  priority: 0,
  treeId: null,
  itemPath: null,
  listing: null,
  itemsTotal: null,
  itemsSucceeded: null,
  itemsFailed: null,
  itemsCancelled: null,
  onConflict: 'FAIL' as const,
  sourceVersion: null,
  sealedSource: null,
  batchId: null,
  mimeType: null,
  expectedHashes: {},
  hashAlgorithms: [],
  spoolHashes: null,
  bytesDone: 0,
  bytesReceived: 0,
  bytesSent: 0,
  spoolId: null,
  uploadTokenHash: null,
  uploadMetadata: null,
  driverSession: null,
  claimedName: null,
  entryRef: null,
  failure: null,
  ...UNTRIED,
  revision: 1,
  leaseOwner: null,
  leaseUntil: null,
  fence: 0,
  expiresAt: null,
  startedAt: null,
  finishedAt: null,
};
