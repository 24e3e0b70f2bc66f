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

/** How long an upload's pace and speed outlive a request, in milliseconds: clients send the next at once, or are gone. */
const RESTING_MS = 5_000;

/** Tells of the work that this process does, seldom enough for a client to draw each. */
export class ProgressBoard {
  readonly #bus: EventBus;
  readonly #latest = new LRUCache<string, TransferProgress>({ max: REMEMBERED_MAX });
  readonly #resting = new LRUCache<string, ProgressTrack>({ max: REMEMBERED_MAX, ttl: RESTING_MS });

  constructor(bus: EventBus) {
    this.#bus = bus;
  }

  /** What this process last told of the transfer; null when it is not at work on it. */
  latest(transferId: string): TransferProgress | null {
    return this.#latest.get(transferId) ?? null;
  }

  /**
   * Begins to tell of a transfer, or goes on where it rests; `stop` is to be called before its next change of state, which
   * tells the rest.
   */
  track({ id, userId, revision }: Transfer): ProgressTrack {
    const tell: Tell = (progress) => {
      if (progress) this.#latest.set(id, progress);
      else this.#latest.delete(id);
      if (progress) void this.#bus.publish('transfer.changed', { userId, transferId: id, revision, progress });
    };
    const rested = this.#resting.get(id);
    this.#resting.delete(id);
    if (!rested) return new ProgressTrack(tell);
    rested.goOn(tell);
    return rested;
  }

  /** A request has ended, and the transfer waits for the next one: short ones are told of at the pace of a long one. */
  rest(id: string, track: ProgressTrack): void {
    track.rest();
    this.#resting.set(id, track);
  }
}

type Tell = (progress: TransferProgress | null) => void;

/** The progress of one transfer, told at most every {@link PROGRESS_INTERVAL_MS}, the last always. */
export class ProgressTrack {
  #tell: Tell;
  #isResting = false;
  #timer: NodeJS.Timeout | null = null;
  #phase: TransferPhase | null = null;
  #bytesDone = 0;
  #told: { readonly at: number; readonly bytesDone: number } | null = null;
  #bytesPerSecond: number | null = null;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  goOn(tell: Tell): void {
    this.#tell = tell;
    this.#isResting = false;
  }

  /** What was reported last is told yet, then nothing is remembered. */
  rest(): void {
    this.#isResting = true;
    if (!this.#timer) this.#tell(null);
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
    if (this.#isResting) this.#tell(null);
  }
}
