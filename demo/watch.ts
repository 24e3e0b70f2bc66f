import type { Api } from './api.ts';
import type { ProgressBar } from './progress.ts';

interface TransferView {
  readonly state: string;
  readonly phase: string | null;
  readonly route: string | null;
  readonly routeReason: string | null;
  readonly verification: string | null;
  readonly bytesDone: number;
  readonly entry: { readonly id: string } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** How a transfer ended. */
export interface Watched {
  readonly entryId: string;
  /** How the bytes came into the drive: `SLICED`, `INSTANT`, … */
  readonly route: string;
  readonly routeReason: string | null;
  /** What the file was compared by afterwards. */
  readonly verification: string | null;
  readonly events: number;
}

const TRANSFER_UPDATED = `subscription ($id: ID!) {
  transferUpdated(id: $id) {
    state phase route routeReason verification bytesDone
    entry { id }
    error { code message }
  }
}`;

/** Follows a transfer to its end by WebSocket, with a bar where there is one. @throws Error when it did not succeed. */
export async function watchTransfer(
  api: Api,
  id: string,
  bar: ProgressBar | null,
  signal: AbortSignal,
): Promise<Watched> {
  let events = 0;
  let last: TransferView | null = null;
  const updates = api.subscribe<{ transferUpdated: TransferView }>(TRANSFER_UPDATED, { id }, signal);
  try {
    for await (const { transferUpdated } of updates) {
      events += 1;
      last = transferUpdated;
      bar?.show(last.bytesDone, last.phase ?? last.state);
    }
  } finally {
    bar?.clear();
  }
  signal.throwIfAborted();
  if (last?.state !== 'SUCCEEDED' || !last.entry) {
    const why = last?.error
      ? `${last.error.message} (${last.error.code})`
      : 'the subscription ended before the transfer';
    throw new Error(`The transfer did not succeed: ${why}`);
  }
  const { entry, route, routeReason, verification } = last;
  return { entryId: entry.id, route: route ?? 'unknown', routeReason, verification, events };
}
