import type { EventBus } from '../events/bus.ts';
import type { TransferProgress } from '../events/topics.ts';
import type { Transfer, TransferEvent, TransferSnapshot } from '../storage/entities/transfer.ts';
import { type AnnouncedProgress, Doorbell, type Ring } from './doorbell.ts';
import type { Journal } from './journal.ts';
import { type PhaseProgress, phasesOf } from './phases.ts';
import type { ProgressBoard } from './progress.ts';
import { isFinal } from './states.ts';
import type { TransferStore } from './store.ts';

/** How often a subscription reads the database without being told to, in milliseconds: an announcement may be lost. */
export const RECHECK_MS = 15_000;
/** Rows read at once. */
const BATCH = 100;

/** A transfer as it is shown: its row, with what is known of its progress just now. */
export type TransferView = Omit<Transfer, never> & {
  readonly bytesPerSecond: number | null;
  readonly phases: readonly PhaseProgress[];
};

export interface TransferNotice {
  /** The last stored event that the subscriber has seen, this one included. */
  readonly sequence: number;
  readonly transfer: TransferView;
}

export interface WatchParts {
  readonly store: TransferStore;
  readonly journal: Journal;
  readonly bus: EventBus;
  readonly progress: ProgressBoard;
}

/** What subscribers see of transfers. */
export class Watch {
  readonly #parts: WatchParts;

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  /** The row with the progress that this process knows of. */
  view(row: Transfer): TransferView {
    return viewOf(row, isFinal(row.state) ? null : this.#parts.progress.latest(row.id));
  }

  /** The transfer as it is now, then each change until its end; progress in between. Ends when the signal aborts. */
  async *transfer(id: string, signal: AbortSignal): AsyncGenerator<TransferView, void> {
    const bell = new Doorbell(this.#parts.bus, ({ transferId }) => transferId === id);
    try {
      for (let shown = 0; !signal.aborted; await bell.wait(RECHECK_MS, signal)) {
        const [announced] = bell.take().progress;
        const row = await this.#parts.store.find(id);
        if (!row) return;
        if (row.revision > shown) yield this.view(row);
        else if (announced && belongs(announced, row)) yield viewOf(row, announced.progress);
        shown = row.revision;
        if (isFinal(row.state)) return;
      }
    } finally {
      bell.close();
    }
  }

  /**
   * Every stored change of a user's transfers after the event `after`, then live, with progress in between. Without
   * `after`, or where the events behind it are no longer kept, the transfers that are not final come first as they are.
   */
  async *transfers(userId: string, after: number | null, signal: AbortSignal): AsyncGenerator<TransferNotice, void> {
    const bell = new Doorbell(this.#parts.bus, (event) => event.userId === userId);
    try {
      const stream = new UserStream(this.#parts, userId);
      yield* stream.begin(after);
      let ring: Ring = { stored: true, progress: [] };
      while (!signal.aborted) {
        if (ring.stored) yield* stream.replay();
        yield* stream.live(ring);
        const rang = await bell.wait(RECHECK_MS, signal);
        ring = rang ? bell.take() : { stored: true, progress: [] };
      }
    } finally {
      bell.close();
    }
  }
}

/** One subscriber's way through a user's events. */
class UserStream {
  readonly #parts: WatchParts;
  readonly #userId: string;
  /** The revision that was shown last of each transfer that is not final. */
  readonly #shown = new Map<string, number>();
  #sequence = 0;

  constructor(parts: WatchParts, userId: string) {
    this.#parts = parts;
    this.#userId = userId;
  }

  async *begin(after: number | null): AsyncGenerator<TransferNotice, void> {
    const { lastSequence, sweptThrough } = await this.#parts.journal.bounds(this.#userId);
    const isKept = after !== null && after >= sweptThrough && after <= lastSequence;
    this.#sequence = isKept ? after : lastSequence;
    if (isKept) return;
    if (after !== null && after < sweptThrough) this.#sequence = sweptThrough;
    for (let last: string | null = null; ; ) {
      const rows: Transfer[] = await this.#parts.store.unfinished(this.#userId, last, BATCH);
      for (const row of rows) yield this.#notice(viewOf(row, this.#parts.progress.latest(row.id)));
      if (rows.length < BATCH) return;
      last = rows.at(-1)?.id ?? null;
    }
  }

  async *replay(): AsyncGenerator<TransferNotice, void> {
    for (;;) {
      const events = await this.#parts.journal.after(this.#userId, this.#sequence, BATCH);
      const rows = await this.#rowsOf(events);
      for (const { sequence, transferId, revision, snapshot } of events) {
        this.#sequence = sequence;
        const row = rows.get(transferId);
        if (row && revision > (this.#shown.get(transferId) ?? 0)) {
          yield this.#notice(viewOf({ ...row, ...restored(snapshot), revision }, null));
        }
      }
      if (events.length < BATCH) return;
    }
  }

  async *live({ progress }: Ring): AsyncGenerator<TransferNotice, void> {
    for (const announced of progress) {
      const row = await this.#parts.store.find(announced.transferId);
      // Of an item, the tree tells.
      if (!row || row.treeId != null || !belongs(announced, row)) continue;
      if ((this.#shown.get(row.id) ?? row.revision) === row.revision) {
        yield this.#notice(viewOf(row, announced.progress));
      }
    }
  }

  #notice(transfer: TransferView): TransferNotice {
    if (isFinal(transfer.state)) this.#shown.delete(transfer.id);
    else this.#shown.set(transfer.id, transfer.revision);
    return { sequence: this.#sequence, transfer };
  }

  async #rowsOf(events: readonly TransferEvent[]): Promise<ReadonlyMap<string, Transfer>> {
    const rows = await this.#parts.store.findMany([...new Set(events.map(({ transferId }) => transferId))]);
    return new Map(rows.map((row) => [row.id, row]));
  }
}

/** An older revision's progress is over; a newer one's state is on its way through the journal. */
const belongs = ({ revision }: AnnouncedProgress, row: Transfer): boolean =>
  !isFinal(row.state) && (revision === null || revision === row.revision);

function viewOf(row: Transfer, progress: TransferProgress | null): TransferView {
  const phases = phasesOf(row, progress);
  const bytesPerSecond = progress?.bytesPerSecond ?? null;
  if (row.itemsTotal != null) {
    // Of a tree, the progress is that of the items under way. The row may have counted one of them already.
    const bytesDone = Math.min(row.bytesDone + (progress?.bytesDone ?? 0), row.bytesTotal ?? Number.MAX_SAFE_INTEGER);
    return { ...row, phases, bytesDone, bytesPerSecond };
  }
  const phase = progress ? (progress.phase as Transfer['phase']) : (row.phase ?? null);
  const stored = phases.find((each) => each.phase === phase)?.bytesDone ?? row.bytesDone;
  return { ...row, phases, phase, bytesDone: progress?.bytesDone ?? stored, bytesPerSecond };
}

const restored = ({ startedAt, finishedAt, ...rest }: TransferSnapshot): Partial<Transfer> => ({
  ...rest,
  startedAt: startedAt === null ? null : new Date(startedAt),
  finishedAt: finishedAt === null ? null : new Date(finishedAt),
});
