import { addMs } from '../lib/clock.ts';
import { InvalidInputError } from '../lib/errors.ts';
import type { EntrySource, TransferRoute, Verification } from '../storage/entities/transfer.ts';
import { type AcquireLimits, acquire } from './acquire.ts';
import { type Delivered, type Delivery, keep } from './delivery.ts';
import { versionOf } from './entry-source.ts';
import { copyFolder } from './folders.ts';
import { endMove, endTreeMove } from './moving.ts';
import { takeShortcut } from './shortcut.ts';
import type { Sources } from './sources.ts';
import { COMMIT_PHASE } from './states.ts';
import { deliver } from './strategy.ts';
import { verificationOf } from './verification.ts';

/** What came of a transfer. */
export interface Outcome {
  readonly entryRef: string;
  readonly route: TransferRoute | null;
  readonly routeReason: string | null;
  readonly verification: Verification | null;
}

/** How long what a listing told of a file is taken for true, in milliseconds; then it is asked again before it is used. */
const LISTED_FRESH_MS = 10 * 60_000;

/** Does what is left of a transfer. Null: it is a tree whose items have to end first. */
export async function work(delivery: Delivery, sources: Sources, limits: AcquireLimits): Promise<Outcome | null> {
  const { source } = delivery.row;
  return source.type === 'entry' && source.kind === 'FOLDER'
    ? workFolder(delivery, source)
    : workFile(delivery, sources, limits);
}

async function workFolder(delivery: Delivery, source: EntrySource): Promise<Outcome | null> {
  const { row } = delivery;
  const outcome = { route: row.route ?? null, routeReason: row.routeReason ?? null, verification: null };
  if (row.phase === COMMIT_PHASE) {
    await endTreeMove(delivery, source);
    return { ...outcome, entryRef: row.entryRef ?? '' };
  }
  await copyFolder(delivery, source);
  return row.treeId == null ? null : { ...outcome, entryRef: row.entryRef ?? '' };
}

async function workFile(delivery: Delivery, sources: Sources, limits: AcquireLimits): Promise<Outcome> {
  const { row } = delivery;
  const { source } = row;
  if (row.entryRef == null) {
    const delivered = await bring(delivery, sources, limits);
    const outcome = outcomeOf(delivery, delivered);
    const isMoved = row.kind === 'MOVE' && delivered.route !== null;
    if (!isMoved) return outcome;
    // From here on the copy is there: who goes on after a crash has only the source left to remove.
    await keep(delivery, { ...outcome, phase: COMMIT_PHASE });
  }
  const { entryRef, route = null, routeReason = null } = row;
  if (source.type !== 'entry') throw new Error('only what is in a drive can be moved');
  const hashes = { ...source.hashes, ...row.spoolHashes };
  const verification = await endMove(delivery, source, { sizeBytes: row.bytesTotal ?? null, hashes });
  return { entryRef: entryRef ?? '', route, routeReason, verification };
}

async function bring(delivery: Delivery, sources: Sources, limits: AcquireLimits): Promise<Delivered> {
  await refreshSource(delivery);
  const delivered = await takeShortcut(delivery);
  if (delivered) return delivered;
  await acquire(delivery, sources, limits);
  return deliver(delivery);
}

function outcomeOf({ row }: Delivery, { entry, route, reason, hashes }: Delivered): Outcome {
  const expected = { sizeBytes: row.bytesTotal ?? null, hashes };
  const verification = route === null ? null : verificationOf(entry, expected);
  return { entryRef: entry.ref, route, routeReason: reason, verification };
}

/** Looks at the source before anything of it is used, unless it was listed just now. */
async function refreshSource(delivery: Delivery): Promise<void> {
  const { row, call } = delivery;
  const { source } = row;
  if (source.type !== 'entry' || row.phase !== 'RECEIVING' || row.bytesDone > 0) return;
  const isFresh = addMs(row.createdAt, LISTED_FRESH_MS) > (row.startedAt ?? row.createdAt);
  if (row.attempts === 1 && row.sourceVersion != null && isFresh) return;
  const drive = await delivery.openSourceDrive(source.accountId);
  const entry = await drive.stat(source.ref, call);
  if (entry.kind !== 'FILE') throw new InvalidInputError([{ path: ['input'], message: 'Only files have bytes.' }]);
  await keep(delivery, {
    source: { ...source, hashes: entry.hashes },
    sourceVersion: versionOf(entry),
    bytesTotal: entry.sizeBytes,
    expectedHashes: entry.hashes,
  });
}
