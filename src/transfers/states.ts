import type { TransferPhase, TransferState } from '../storage/entities/transfer.ts';

/** What may happen to a transfer. */
export const TRANSFER_ACTIONS = [
  'receive',
  'claim',
  'succeed',
  'fail',
  'requeue',
  'park',
  'pause',
  'awaitBytes',
  'resume',
  'cancel',
  'retry',
] as const;
export type TransferAction = (typeof TRANSFER_ACTIONS)[number];

/**
 * The one table of states: by action, from which state it leads to which. What is not written here does not happen.
 * - `receive`: the last byte came in.
 * - `claim`: a worker takes it; of a running one, because its worker's lease ran out.
 * - `requeue`: to be tried again later: after a failure that may pass, or because the server shuts down.
 * - `park`: to be worked on when its account is authorized again, which nobody knows when: not counted as a try.
 * - `awaitBytes` and `resume`: the two ways out of a pause, for bytes that are still to come and for those that are here.
 * - `fail`: for good, or until somebody retries it; also when the deadline of a state passes.
 */
export const TRANSITIONS: Readonly<Record<TransferAction, Readonly<Partial<Record<TransferState, TransferState>>>>> = {
  receive: { WAITING: 'QUEUED' },
  claim: { QUEUED: 'RUNNING', RUNNING: 'RUNNING' },
  succeed: { RUNNING: 'SUCCEEDED' },
  fail: { WAITING: 'FAILED', QUEUED: 'FAILED', RUNNING: 'FAILED', PAUSED: 'FAILED' },
  requeue: { RUNNING: 'QUEUED' },
  park: { RUNNING: 'QUEUED' },
  pause: { WAITING: 'PAUSED', QUEUED: 'PAUSED', RUNNING: 'PAUSED' },
  awaitBytes: { PAUSED: 'WAITING' },
  resume: { PAUSED: 'QUEUED' },
  cancel: { WAITING: 'CANCELLED', QUEUED: 'CANCELLED', RUNNING: 'CANCELLED', PAUSED: 'CANCELLED' },
  retry: { FAILED: 'QUEUED' },
};

/** States that the owner sees as the end. A failed transfer may be retried as long as its bytes are kept. */
export const FINAL_STATES = ['SUCCEEDED', 'FAILED', 'CANCELLED'] as const satisfies readonly TransferState[];

export const isFinal = (state: TransferState): boolean => (FINAL_STATES as readonly TransferState[]).includes(state);

/** The states in which `action` is possible. */
export const statesBefore = (action: TransferAction): readonly TransferState[] =>
  Object.keys(TRANSITIONS[action]) as TransferState[];

/** The state that `action` leads to: always the same one. */
export function stateAfter(action: TransferAction): TransferState {
  const [state] = Object.values(TRANSITIONS[action]);
  if (!state) throw new Error(`the action ${action} leads nowhere`);
  return state;
}

/**
 * The phase in which the drive makes the entry. Until it is over nobody can tell whether the entry is there, so the
 * transfer can be neither paused nor cancelled, and a worker that finds it begun looks for the entry first.
 */
export const COMMIT_PHASE: TransferPhase = 'VERIFYING';

const HOUR_MS = 3_600_000;

/**
 * How long a transfer stays in a state without any progress before it is given up, in milliseconds; of WAITING, the
 * setting UPLOAD_EXPIRY_HOURS. QUEUED and RUNNING allow for a day's outage of a provider; PAUSED for a week away.
 */
export const STATE_DEADLINES_MS = { QUEUED: 24 * HOUR_MS, RUNNING: 24 * HOUR_MS, PAUSED: 7 * 24 * HOUR_MS } as const;

/** The same for what is queued behind an account that must be authorized again: a week, for its owner to come back. */
export const PARKED_DEADLINE_MS = 7 * 24 * HOUR_MS;

/**
 * How long after its beginning a transfer goes on that breaks off again and again and gets on in between, in milliseconds:
 * a server that gives a byte with each try would keep it for ever. Then its tries are counted as those of any other.
 */
export const STRETCHED_MAX_MS = 7 * 24 * HOUR_MS;

/** How long the bytes of a failed transfer are kept for a retry, in milliseconds. */
export const RETRY_WINDOW_MS = 24 * HOUR_MS;
