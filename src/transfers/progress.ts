import { LRUCache } from 'lru-cache';
import type { EventBus } from '../events/bus.ts';
import type { TransferProgress } from '../events/topics.ts';
import type { Transfer, TransferPhase } from '../storage/entities/transfer.ts';

/**
 * Least time between two announcements of one transfer's progress, in milliseconds. Five a second, beside the four changes
 * of state that a quick upload may have in the same second, keep below the ten that clients are promised.
 */
export const PROGRESS_INTERVAL_MS = 200;

/** How much the newest measurement counts in the speed that is told: about the last second of work. */
const SPEED_WEIGHT = 0.2;

/** Transfers whose last progress is remembered for queries; each takes some hundred bytes. */
const REMEMBERED_MAX = 10_000;

/** Tells of the work that this process does, seldom enough for a client to draw each. */
export class ProgressBoard {
  readonly #bus: EventBus;
  readonly #latest = new LRUCache<string, TransferProgress>({ max: REMEMBERED_MAX });

  constructor(bus: EventBus) {
    this.#bus = bus;
  }

  /** What this process last told of the transfer; null when it is not at work on it. */
  latest(transferId: string): TransferProgress | null {
    return this.#latest.get(transferId) ?? null;
  }

  /** Begins to tell of a transfer; `stop` is to be called before its next change of state, which tells the rest. */
  track({ id, userId, revision }: Transfer): ProgressTrack {
    return new ProgressTrack((progress) => {
      if (progress) this.#latest.set(id, progress);
      else this.#latest.delete(id);
      if (progress) void this.#bus.publish('transfer.changed', { userId, transferId: id, revision, progress });
    });
  }
}

/** The progress of one transfer, told at once and then at most every {@link PROGRESS_INTERVAL_MS}, the last always. */
export class ProgressTrack {
  readonly #tell: (progress: TransferProgress | null) => void;
  #timer: NodeJS.Timeout | null = null;
  #phase: TransferPhase | null = null;
  #bytesDone = 0;
  #told: { readonly at: number; readonly bytesDone: number } | null = null;
  #bytesPerSecond: number | null = null;

  constructor(tell: (progress: TransferProgress | null) => void) {
    this.#tell = tell;
  }

  report(phase: TransferPhase, bytesDone: number): void {
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#told = null;
      this.#bytesPerSecond = null;
    }
    this.#bytesDone = bytesDone;
    // The first report waits as the others do: the change of state that came just before has told as much.
    this.#timer ??= setTimeout(() => this.#flush(), PROGRESS_INTERVAL_MS).unref();
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#tell(null);
  }

  #flush(): void {
    this.#timer = null;
    const at = performance.now();
    if (this.#told) {
      const speed = ((this.#bytesDone - this.#told.bytesDone) * 1000) / Math.max(1, at - this.#told.at);
      this.#bytesPerSecond =
        this.#bytesPerSecond === null ? speed : this.#bytesPerSecond * (1 - SPEED_WEIGHT) + speed * SPEED_WEIGHT;
    }
    this.#told = { at, bytesDone: this.#bytesDone };
    this.#tell({ phase: this.#phase, bytesDone: this.#bytesDone, bytesPerSecond: this.#bytesPerSecond });
  }
}
