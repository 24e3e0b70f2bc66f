import { addMs, type Clock } from '../lib/clock.ts';
import { ConflictError, type DomainError, InvalidInputError, NotFoundError } from '../lib/errors.ts';
import { isRowId } from '../lib/ids.ts';
import { Transfer, type TransferRoute, type TransferState } from '../storage/entities/transfer.ts';
import type { Storage } from '../storage/orm.ts';
import { failureOf, UNTRIED } from '../transfers/failures.ts';
import type { TransferWorks } from '../transfers/open.ts';
import type { NewTransfer } from '../transfers/rows.ts';
import { isAcquired } from '../transfers/sources.ts';
import { COMMIT_PHASE, isFinal, STATE_DEADLINES_MS, statesBefore } from '../transfers/states.ts';
import type { TransferView } from '../transfers/watch.ts';
import type { ItemPage, PageQuery } from './pages.ts';
import { BY_ID, rowPage } from './row-pages.ts';
import type { Viewer } from './viewer.ts';

export type { PhaseProgress } from '../transfers/phases.ts';
export type { TransferView } from '../transfers/watch.ts';

/** An event of `transferEvents`. */
export interface TransferNotice {
  /** Give it back to go on behind this event. */
  readonly cursor: string;
  readonly transfer: TransferView;
}

export interface TransfersOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly works: TransferWorks;
  readonly uploadExpiryMs: number;
}

/** What is done already, to be told as a transfer. With an `id` that is recorded already, that row stays as it is. */
export type DoneTransfer = Pick<Transfer, 'userId' | 'kind' | 'accountId' | 'parentRef' | 'name' | 'bytesTotal'> &
  Pick<NewTransfer, 'id' | 'batchId' | 'onConflict' | 'mimeType' | 'expectedHashes' | 'bytesDone'> & {
    readonly entryRef: string;
    /** Null: nothing had to be moved. */
    readonly route: TransferRoute | null;
  };

/** A user's transfers. Each is its owner's only: to everybody else it does not exist. */
export class Transfers {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #works: TransferWorks;
  readonly #uploadExpiryMs: number;

  constructor({ storage, clock, works, uploadExpiryMs }: TransfersOptions) {
    this.#storage = storage;
    this.#clock = clock;
    this.#works = works;
    this.#uploadExpiryMs = uploadExpiryMs;
  }

  /** The viewer's own transfers with these ids, in the order asked; null for what is not theirs. */
  async findMany(viewer: Viewer, ids: readonly string[]): Promise<readonly (TransferView | null)[]> {
    const rows = await this.#works.store.findMany(ids.filter(isRowId));
    const own = new Map(rows.filter(({ userId }) => userId === viewer.userId).map((row) => [row.id, row]));
    return ids.map((id) => {
      const row = own.get(id);
      return row ? this.#works.watch.view(row) : null;
    });
  }

  /** @throws NotFoundError */
  async get(viewer: Viewer, id: string): Promise<TransferView> {
    const [transfer] = await this.findMany(viewer, [id]);
    if (!transfer) throw noSuchTransfer();
    return transfer;
  }

  /** The viewer's transfers in these states (null: in all), the newest first. */
  async page(
    viewer: Viewer,
    states: readonly TransferState[] | null,
    query: PageQuery,
  ): Promise<ItemPage<TransferView>> {
    const page = await rowPage(query, BY_ID, (behind, limit) =>
      this.#storage.fork().find(
        Transfer,
        {
          userId: viewer.userId,
          treeId: null,
          ...(states ? { state: { $in: [...states] } } : {}),
          ...(behind === null ? {} : { id: { $lt: behind } }),
        },
        { orderBy: { id: 'desc' }, limit, disableIdentityMap: true },
      ),
    );
    return { ...page, items: page.items.map((row) => this.#works.watch.view(row)) };
  }

  /** A page of what belongs to a folder's transfer: a transfer for each file and folder in it, as they were found. */
  async items(
    { id, itemsTotal }: TransferView,
    states: readonly TransferState[] | null,
    query: PageQuery,
  ): Promise<ItemPage<TransferView>> {
    if (itemsTotal == null) return { items: [], cursors: [], hasNextPage: false };
    const page = await rowPage(query, BY_ID, (behind, limit) =>
      this.#works.store.trees.items(id, states, behind, limit),
    );
    return { ...page, items: page.items.map((row) => this.#works.watch.view(row)) };
  }

  /** What ended the transfer, or is tried again; null: nothing went wrong so far. */
  failure({ failure }: TransferView): DomainError | null {
    return failure ? failureOf(failure) : null;
  }

  /**
   * Holds a transfer until it is resumed; an upload takes no bytes meanwhile, and keeps those that it has. Of a folder,
   * all that is in it; and each item of a folder can be held, resumed, cancelled and retried by itself.
   * @throws NotFoundError; ConflictError when it has ended, is paused, or is just being finished.
   */
  async pause(viewer: Viewer, id: string): Promise<TransferView> {
    const row = await this.#own(viewer, id);
    // First, so that what has come in counts.
    if (row.state === 'WAITING') await this.#works.receiver.release(id);
    const expiresAt = addMs(this.#clock.now(), STATE_DEADLINES_MS.PAUSED);
    const paused = await this.#works.store.change(id, 'pause', { expiresAt }, NOT_COMMITTING);
    if (!paused) throw await this.#refusal('pause', row);
    this.#works.stop(id);
    return this.#works.watch.view(paused);
  }

  /** @throws NotFoundError; ConflictError when it is not paused, or when its folder's transfer is. */
  async resume(viewer: Viewer, id: string): Promise<TransferView> {
    const row = await this.#own(viewer, id);
    const { store, watch } = this.#works;
    const now = this.#clock.now();
    const resumed =
      row.source.type === 'upload' && row.phase === 'RECEIVING'
        ? await store.change(id, 'awaitBytes', { expiresAt: addMs(now, this.#uploadExpiryMs) })
        : await store.change(id, 'resume', {
            expiresAt: queuedUntil(row, now),
            runAfter: now,
            ...UNTRIED,
          });
    if (!resumed) throw await this.#refusal('resume', row);
    return watch.view(resumed);
  }

  /**
   * Ends a transfer, and frees its bytes.
   * @throws NotFoundError; ConflictError when it has ended, or is just being finished.
   */
  cancel(viewer: Viewer, id: string): Promise<TransferView> {
    return this.cancelAs(viewer.userId, id);
  }

  /** As {@link cancel}, for whoever has shown by other means that it may. */
  async cancelAs(userId: string, id: string): Promise<TransferView> {
    const row = await this.#own({ userId }, id);
    const changes = { phase: null, sealedSource: null, finishedAt: this.#clock.now(), expiresAt: null };
    const cancelled = await this.#works.store.change(id, 'cancel', changes, NOT_COMMITTING);
    if (!cancelled) throw await this.#refusal('cancel', row);
    await this.#works.discard(cancelled);
    return this.#works.watch.view(cancelled);
  }

  /**
   * Tries a failed transfer once more. With an item of a folder, the folder's transfer goes on for this one.
   * @throws NotFoundError; ConflictError when it has not failed, or its bytes are no longer here.
   */
  async retry(viewer: Viewer, id: string): Promise<TransferView> {
    const row = await this.#own(viewer, id);
    const { store, watch } = this.#works;
    const isFolder = row.listing != null;
    const isHere = !isFolder && (await this.#hasBytes(row));
    if (row.state === 'FAILED' && !isHere && !isAcquired(row.source)) {
      throw new ConflictError('The bytes of this transfer are no longer here. Upload the file again.');
    }
    const now = this.#clock.now();
    const queued = await store.change(id, 'retry', {
      phase: isFolder ? 'LISTING' : isHere ? 'HASHING' : 'RECEIVING',
      failure: null,
      finishedAt: null,
      ...UNTRIED,
      runAfter: now,
      expiresAt: queuedUntil(row, now),
    });
    if (!queued) throw await this.#refusal('retry', row);
    return watch.view(queued);
  }

  /** Whether its bytes are here; or with another host, which kept them for a retry. */
  async #hasBytes(row: Transfer): Promise<boolean> {
    const { spool, keptElsewhere } = this.#works;
    if (row.bytesTotal != null && (await spool.size(row.id)) === row.bytesTotal) return true;
    return !isAcquired(row.source) && row.expiresAt != null && (await keptElsewhere(row));
  }

  /**
   * The transfer now, then as it changes, until its end.
   * @throws NotFoundError
   */
  async watch(viewer: Viewer, id: string, signal: AbortSignal): Promise<AsyncIterable<TransferView>> {
    await this.#own(viewer, id);
    return this.#works.watch.transfer(id, signal);
  }

  /**
   * Every change of the viewer's transfers behind a cursor, then live; without one, the unfinished ones as they are first.
   * @throws InvalidInputError when it is no cursor.
   */
  events(viewer: Viewer, after: string | null, signal: AbortSignal): AsyncIterable<TransferNotice> {
    const sequence = after === null ? null : sequenceOf(after);
    return noticesOf(this.#works.watch.transfers(viewer.userId, sequence, signal));
  }

  /** The transfer when it has ended, or as it is after `waitMs`. */
  async settled(id: string, waitMs: number, signal: AbortSignal): Promise<TransferView> {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(waitMs)]);
    for await (const transfer of this.#works.watch.transfer(id, patience)) {
      if (isFinal(transfer.state)) return transfer;
    }
    const row = await this.#works.store.find(id);
    if (!row) throw noSuchTransfer();
    return this.#works.watch.view(row);
  }

  /** Records what is done already, as a transfer that succeeded. */
  async recordDone(done: DoneTransfer): Promise<TransferView> {
    const { store, watch } = this.#works;
    const recorded = done.id === undefined ? null : await store.find(done.id);
    if (recorded) return watch.view(recorded);
    const now = this.#clock.now();
    const row = await store.create({
      bytesDone: done.bytesTotal ?? 0,
      ...done,
      state: 'SUCCEEDED',
      source: { type: 'none' },
      startedAt: now,
      finishedAt: now,
    });
    return watch.view(row);
  }

  async #own(viewer: Pick<Viewer, 'userId'>, id: string): Promise<Transfer> {
    const row = isRowId(id) ? await this.#works.store.find(id) : null;
    if (row?.userId !== viewer.userId) throw noSuchTransfer();
    return row;
  }

  /** Why a change was not possible, by what the transfer is now. */
  async #refusal(action: keyof typeof DONE, before: Transfer): Promise<ConflictError> {
    const { store } = this.#works;
    const { state, phase, treeId } = (await store.find(before.id)) ?? before;
    const done = DONE[action];
    if (state === 'RUNNING' && phase === COMMIT_PHASE) {
      return new ConflictError(`The transfer is just being finished, and cannot be ${done} any more.`, {
        retryable: true,
      });
    }
    const tree = treeId != null && statesBefore(action).includes(state) ? await store.find(treeId) : null;
    if (!tree) return new ConflictError(`The transfer is ${state}, and cannot be ${done}.`);
    return new ConflictError(`The transfer of its folder is ${tree.state}: a part of it cannot be ${done} by itself.`);
  }
}

const DONE = { pause: 'paused', resume: 'resumed', cancel: 'cancelled', retry: 'retried' } as const;

/** Of a part of a folder, the whole has a deadline. */
const queuedUntil = ({ treeId }: Transfer, now: Date): Date | null =>
  treeId == null ? addMs(now, STATE_DEADLINES_MS.QUEUED) : null;

/** Nobody can tell whether the entry is there while the drive makes it. */
const NOT_COMMITTING = {
  $or: [{ state: { $ne: 'RUNNING' as const } }, { phase: null }, { phase: { $ne: COMMIT_PHASE } }],
};

const noSuchTransfer = (): NotFoundError => new NotFoundError('There is no such transfer.');

async function* noticesOf(
  notices: ReturnType<TransferWorks['watch']['transfers']>,
): AsyncGenerator<TransferNotice, void> {
  for await (const { sequence, transfer } of notices) yield { cursor: String(sequence), transfer };
}

function sequenceOf(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw InvalidInputError.at('after', 'must be the cursor of an event');
}
