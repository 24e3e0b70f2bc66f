import type { TransferProgress } from '../events/topics.ts';
import type { Transfer, TransferPhase } from '../storage/entities/transfer.ts';

/** How far one of the phases is in which bytes move, or are read. */
export interface PhaseProgress {
  readonly phase: Extract<TransferPhase, 'RECEIVING' | 'HASHING' | 'SENDING'>;
  readonly bytesDone: number;
  /** Null: not known yet. */
  readonly bytesTotal: number | null;
  /** Null: nothing moves just now, or another process is at work. */
  readonly bytesPerSecond: number | null;
}

/**
 * The phases that the bytes of a transfer pass, in their order, whatever it does just now: what is behind it stays told.
 * None where no byte passes this server, which is known once its route is.
 */
export function phasesOf(row: Transfer, progress: TransferProgress | null): readonly PhaseProgress[] {
  if (row.itemsTotal != null) return phasesOfTree(row, progress).filter(isSomething);
  if (row.listing != null || row.source.type === 'none') return [];
  if (row.state === 'SUCCEEDED') return phasesOfDone(row).filter(isSomething);
  return row.route === 'SERVER_SIDE' ? [] : phasesOfFile(row, progress);
}

const isSomething = ({ bytesDone, bytesTotal }: PhaseProgress): boolean => bytesDone > 0 || bytesTotal !== 0;

function phasesOfFile(row: Transfer, progress: TransferProgress | null): readonly PhaseProgress[] {
  const bytesTotal = row.bytesTotal ?? null;
  const told = (phase: PhaseProgress['phase'], stored: number): PhaseProgress => {
    const live = progress?.phase === phase ? progress : null;
    return { phase, bytesDone: live?.bytesDone ?? stored, bytesTotal, bytesPerSecond: live?.bytesPerSecond ?? null };
  };
  const isHashed = row.phase !== 'RECEIVING' && row.spoolHashes != null;
  return [
    told('RECEIVING', row.bytesDone), // What its row has of a transfer before its end is what came in.
    told('HASHING', isHashed ? row.bytesDone : 0),
    told('SENDING', row.bytesSent),
  ];
}

function phasesOfDone({ bytesReceived, bytesSent }: Transfer): readonly PhaseProgress[] {
  const all = (phase: PhaseProgress['phase'], bytes: number): PhaseProgress => ({
    ...{ phase, bytesDone: bytes, bytesTotal: bytes, bytesPerSecond: null },
  });
  return [all('RECEIVING', bytesReceived), all('HASHING', bytesReceived), all('SENDING', bytesSent)];
}

/** Of a tree, what its ended items took, and what those under way have. What took a shortcut is no part of a phase. */
function phasesOfTree(row: Transfer, progress: TransferProgress | null): readonly PhaseProgress[] {
  const { bytesDone, bytesReceived, bytesSent } = row;
  const told = (phase: PhaseProgress['phase'], ended: number, live: LiveBytes | null): PhaseProgress => {
    const bytesTotal = row.bytesTotal == null ? null : Math.max(0, row.bytesTotal - (bytesDone - ended));
    // The row may have counted one of the items under way already.
    const done = Math.min(ended + (live?.bytesDone ?? 0), bytesTotal ?? Number.MAX_SAFE_INTEGER);
    return { phase, bytesDone: done, bytesTotal, bytesPerSecond: live?.bytesPerSecond ?? null };
  };
  return [told('RECEIVING', bytesReceived, progress?.received ?? null), told('SENDING', bytesSent, progress)];
}

type LiveBytes = Pick<TransferProgress, 'bytesDone' | 'bytesPerSecond'>;
