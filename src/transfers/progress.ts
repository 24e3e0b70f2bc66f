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
  readonly #trees = new Map<string, TreeProgress>();
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
  track(row: Transfer): ProgressTrack {
    const { id, userId, revision } = row;
    const tree = this.#treeOf(row);
    const tell: Tell = (progress) => {
      if (progress) this.#latest.set(id, progress);
      else this.#latest.delete(id);
      if (progress) void this.#bus.publish('transfer.changed', { userId, transferId: id, revision, progress });
      tree?.item(id, progress, track);
    };
    const track = this.#resting.get(id) ?? new ProgressTrack(tell, row.bytesDone);
    this.#resting.delete(id);
    track.goOn(tell);
    return track;
  }

  #treeOf({ treeId, userId }: Transfer): TreeProgress | null {
    if (treeId == null) return null;
    const known = this.#trees.get(treeId);
    if (known) return known;
    const tree = new TreeProgress((progress) => {
      if (progress) this.#latest.set(treeId, progress);
      else {
        this.#latest.delete(treeId);
        this.#trees.delete(treeId);
      }
      if (progress) void this.#bus.publish('transfer.changed', { userId, transferId: treeId, progress });
    });
    this.#trees.set(treeId, tree);
    return tree;
  }

  /** A request has ended, and the transfer waits for the next one: short ones are told of at the pace of a long one. */
  rest(id: string, track: ProgressTrack): void {
    track.rest();
    this.#resting.set(id, track);
  }
}

/**
 * The progress of a tree's items that this process is at work on. Its bytes are those that the items under way have sent,
 * and those that came in for them: those of the items that ended stand in the tree's row.
 */
class TreeProgress {
  readonly #track: ProgressTrack;
  readonly #tell: Tell;
  readonly #items = new Map<string, { readonly sent: number; readonly received: number; readonly fresh: number }>();
  /** What has moved of the items that are under way no more, for the speed. */
  #sent = 0;
  #received = 0;

  constructor(tell: Tell) {
    this.#tell = tell;
    this.#track = new ProgressTrack(tell);
  }

  /** An item told of itself; null: it is under way no more. */
  item(id: string, progress: TransferProgress | null, track: ProgressTrack): void {
    const { sentBytes: sent, receivedBytes: received, keptBytes } = track;
    const fresh = Math.max(0, received - keptBytes);
    if (progress) this.#items.set(id, { sent, received, fresh });
    else {
      this.#sent += sent;
      this.#received += fresh;
      this.#items.delete(id);
    }
    const sum = (of: 'sent' | 'received' | 'fresh'): number =>
      [...this.#items.values()].reduce((bytes, item) => bytes + item[of], 0);
    const out = sum('sent');
    const incoming = { bytesDone: sum('received'), bytesMoved: this.#received + sum('fresh') };
    this.#track.report('SENDING', out, this.#sent + out, incoming);
    // The end of the last one is told yet.
    if (this.#items.size === 0) this.#track.rest();
    else this.#track.goOn(this.#tell);
  }
}

type Tell = (progress: TransferProgress | null) => void;

/** The progress of one transfer, told at most every {@link PROGRESS_INTERVAL_MS}, the last always. */
export class ProgressTrack {
  /** What was here before. */
  readonly keptBytes: number;
  #tell: Tell;
  #isResting = false;
  #timer: NodeJS.Timeout | null = null;
  #phase: TransferPhase | null = null;
  #bytesDone = 0;
  #bytesMoved = 0;
  #receivedBytes: number;
  #beside: Moved | null = null;
  #reports = 0;
  readonly #speed = new Speedometer();
  readonly #speedBeside = new Speedometer();

  constructor(tell: Tell, keptBytes = 0) {
    this.#tell = tell;
    this.keptBytes = keptBytes;
    this.#receivedBytes = keptBytes;
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

  /** How often something was reported: it grows while anything moves. */
  get reports(): number {
    return this.#reports;
  }

  /** What the drive has got. */
  get sentBytes(): number {
    return this.#phase === 'SENDING' ? this.#bytesDone : 0;
  }

  /** What is here, or was. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /**
   * @param bytesMoved What the speed is measured by, where that is another number.
   * @param received What comes in at the same time, of a tree.
   */
  report(phase: TransferPhase, bytesDone: number, bytesMoved = bytesDone, received: Moved | null = null): void {
    this.#reports += 1;
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#speed.reset();
    }
    if (phase === 'RECEIVING') this.#receivedBytes = bytesDone;
    this.#bytesDone = bytesDone;
    this.#bytesMoved = bytesMoved;
    this.#beside = received;
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
    const bytesPerSecond = this.#speed.at(at, this.#bytesMoved);
    const beside = this.#beside && {
      received: {
        bytesDone: this.#beside.bytesDone,
        bytesPerSecond: this.#speedBeside.at(at, this.#beside.bytesMoved),
      },
    };
    this.#tell({ phase: this.#phase, bytesDone: this.#bytesDone, bytesPerSecond, ...beside });
    if (this.#isResting) this.#tell(null);
  }
}

interface Moved {
  readonly bytesDone: number;
  readonly bytesMoved: number;
}

/** Bytes a second, from the second look on. */
class Speedometer {
  #last: { readonly at: number; readonly bytesMoved: number } | null = null;
  #bytesPerSecond: number | null = null;

  reset(): void {
    this.#last = null;
    this.#bytesPerSecond = null;
  }

  /** @param at By a monotonic clock, in milliseconds. */
  at(at: number, bytesMoved: number): number | null {
    if (this.#last) {
      const speed = ((bytesMoved - this.#last.bytesMoved) * 1000) / Math.max(1, at - this.#last.at);
      this.#bytesPerSecond =
        this.#bytesPerSecond === null ? speed : this.#bytesPerSecond * (1 - SPEED_WEIGHT) + speed * SPEED_WEIGHT;
    }
    this.#last = { at, bytesMoved };
    return this.#bytesPerSecond;
  }
}
