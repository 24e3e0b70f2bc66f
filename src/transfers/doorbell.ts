import type { EventBus } from '../events/bus.ts';
import type { Topics, TransferProgress } from '../events/topics.ts';

type TransferChanged = Topics['transfer.changed'];

/** Progress that was announced, and the revision of the row that it belongs to. */
export interface AnnouncedProgress {
  readonly transferId: string;
  /** Null: of any. */
  readonly revision: number | null;
  readonly progress: TransferProgress;
}

export interface Ring {
  /** Something was stored since the last look. */
  readonly stored: boolean;
  /** The newest of each transfer since the last look. */
  readonly progress: readonly AnnouncedProgress[];
}

/**
 * Tells a subscriber that there is something to read. It keeps no events: what is stored is read from the database, so
 * that a subscriber may be as slow as it likes and misses no state; of progress, only the newest counts.
 */
export class Doorbell {
  readonly #unlisten: () => void;
  readonly #progress = new Map<string, AnnouncedProgress>();
  #stored = false;
  #wake: (() => void) | null = null;

  constructor(bus: EventBus, concerns: (event: TransferChanged) => boolean) {
    this.#unlisten = bus.on('transfer.changed', (event) => {
      if (!concerns(event)) return;
      const { transferId, revision = null, progress } = event;
      if (progress) this.#progress.set(transferId, { transferId, revision, progress });
      else this.#stored = true;
      this.#wake?.();
    });
  }

  /** What rang since the last call. */
  take(): Ring {
    const ring = { stored: this.#stored, progress: [...this.#progress.values()] };
    this.#stored = false;
    this.#progress.clear();
    return ring;
  }

  /** Resolves when it rings or has rung, after `waitMs`, or when the signal aborts; false when nothing rang. */
  async wait(waitMs: number, signal: AbortSignal): Promise<boolean> {
    const rang = (): boolean => this.#stored || this.#progress.size > 0;
    if (rang() || signal.aborted) return rang();
    const { promise, resolve } = Promise.withResolvers<void>();
    const ended = (): void => resolve();
    const timer = setTimeout(resolve, waitMs).unref();
    signal.addEventListener('abort', ended);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', ended);
    this.#wake = null;
    return rang();
  }

  close(): void {
    this.#unlisten();
    this.#wake?.();
  }
}
