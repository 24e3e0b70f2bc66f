/** Where the program waits, so that a test can let time pass. */
export interface Timer {
  /** Milliseconds on a clock that never jumps; only differences mean something. */
  nowMs(): number;
  /** Runs `task` after `delayMs`; gives the function that prevents it. */
  after(delayMs: number, task: () => void): () => void;
}

/** Node runs a task at once when its delay is longer than this, in milliseconds (2³¹ − 1, about 25 days). */
const DELAY_MAX_MS = 2_147_483_647;

export const systemTimer: Timer = {
  nowMs: () => performance.now(),
  after: (delayMs, task) => {
    const handle = setTimeout(task, Math.min(Math.max(0, delayMs), DELAY_MAX_MS));
    return () => clearTimeout(handle);
  },
};

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. */
export const sleep = (timer: Timer, delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const cancel = timer.after(delayMs, () => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
    const abort = (): void => {
      cancel();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
  });
