import type { DriveEntry, Driver, HashAlgorithm, Hashes, UploadPlan } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { IntegrityError, UnsupportedError } from '../lib/errors.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { findChild } from './children.ts';
import { beginCommit, type Delivered, type Delivery, keep } from './delivery.ts';
import { Hasher, mismatches } from './hasher.ts';
import { sendSlices } from './sliced.ts';
import { COMMIT_PHASE } from './states.ts';

/**
 * Brings the bytes into the drive by the best way that it has: taking the file over, finding that it has the bytes
 * already, or in slices. What the drive can do decides, never which drive it is. The entry appears only when the bytes
 * are whole and are those that were promised.
 * @throws IntegrityError when they are not; then they are of no use.
 */
export async function deliver(delivery: Delivery): Promise<Delivered> {
  const { row, driver, call } = delivery;
  const hashes = await verifiedHashes(delivery);
  const plan = planOf(delivery, hashes);

  if (driver.adopt) {
    // Names the transfer, so that a drive that made the entry before a crash finds it again.
    await beginCommit(delivery);
    const file = { path: delivery.spool.path(row.id), sizeBytes: plan.sizeBytes, hashes };
    return { entry: await driver.adopt(plan, file, call), route: 'STREAMED' };
  }

  const made = row.phase === COMMIT_PHASE ? await findMade(delivery, plan) : null;
  if (made) return { entry: made, route: row.route ?? 'SLICED' };
  if (driver.instantUpload) {
    await keep(delivery, { phase: 'NEGOTIATING' });
    const entry = await driver.instantUpload(plan, call);
    if (entry) return { entry, route: 'INSTANT' };
  }
  if (!driver.upload) throw new UnsupportedError('This drive does not take uploads.', 'UPLOAD');
  const sent = await sendSlices(delivery, driver.upload, plan);
  await verifyEntry(delivery, sent.entry, plan);
  return sent;
}

function planOf({ row, spool }: Delivery, hashes: Hashes): UploadPlan {
  return {
    parentRef: row.parentRef,
    name: row.name,
    sizeBytes: row.bytesTotal ?? 0,
    hashes,
    mimeType: row.mimeType ?? null,
    onConflict: row.onConflict,
    transferId: row.id,
    readSource: (range) => spool.read(row.id, range),
  };
}

/** The hashes of the spooled bytes, those of them computed now that were not while the bytes came in. */
async function verifiedHashes(delivery: Delivery): Promise<Hashes & { readonly SHA256: string }> {
  const { row, spool, driver } = delivery;
  const size = await spool.size(row.id);
  const committing = row.phase === COMMIT_PHASE && row.spoolHashes != null;
  // A drive that took the file over just before a crash has it at its own place.
  if (size === null && !committing) throw new IntegrityError('The bytes of this upload are gone. Send them again.');
  if (size !== null && size !== row.bytesTotal) {
    throw new IntegrityError(`${size} bytes are here where ${row.bytesTotal} were promised. Send the file again.`);
  }

  const wanted = wantedHashes(row, driver);
  const known: Hashes = row.spoolHashes ?? {};
  const hashes = size === null || hasAll(known, wanted) ? known : await computed(delivery, wanted);
  const wrong = mismatches(row.expectedHashes, hashes);
  if (wrong.length > 0) {
    throw new IntegrityError(
      `The bytes do not have the ${wrong.join(' and ')} that was promised. Send the file again.`,
    );
  }
  if (!hasAll(hashes, ['SHA256'])) throw new Error('the SHA-256 of the spooled file is unknown');
  return hashes;
}

/** What identifies the bytes here, what was promised, and what a drive asks for that has to be sent to. */
const wantedHashes = (row: Transfer, driver: Driver): HashAlgorithm[] => [
  ...new Set<HashAlgorithm>([
    'SHA256',
    ...(Object.keys(row.expectedHashes) as HashAlgorithm[]),
    ...(driver.adopt ? [] : driver.capabilities.hashes),
  ]),
];

const hasAll = <Algorithm extends HashAlgorithm>(
  hashes: Hashes,
  algorithms: readonly Algorithm[],
): hashes is Hashes & Readonly<Record<Algorithm, string>> =>
  algorithms.every((algorithm) => hashes[algorithm] !== undefined);

async function computed(delivery: Delivery, algorithms: readonly HashAlgorithm[]): Promise<Hashes> {
  const { row, spool, progress, call } = delivery;
  await keep(delivery, { phase: 'HASHING' });
  const report = (bytes: number): void => progress.report('HASHING', bytes);
  const hasher = await Hasher.ofFile(spool.path(row.id), algorithms, call.signal, report);
  const spoolHashes = { ...hasher.hashes() };
  await keep(delivery, { spoolHashes });
  return spoolHashes;
}

/** What an attempt made whose end nobody saw: a file of that name with these bytes. */
async function findMade({ row, driver, call }: Delivery, plan: UploadPlan): Promise<DriveEntry | null> {
  const entry = await findChild(driver, plan.parentRef, plan.name, call);
  if (entry?.kind !== 'FILE' || entry.sizeBytes !== plan.sizeBytes) return null;
  if (differs(entry, plan)) return null;
  const since = row.startedAt ?? row.createdAt;
  return Object.keys(entry.hashes).length > 0 || (entry.modifiedAt !== null && entry.modifiedAt >= since)
    ? entry
    : null;
}

/** Compares what the drive says that it has with what was sent; a file that is another does not stay. */
async function verifyEntry({ driver, call, log }: Delivery, entry: DriveEntry, plan: UploadPlan): Promise<void> {
  if (!differs(entry, plan)) return;
  const remove = driver.removePermanently ?? driver.remove;
  try {
    await remove?.call(driver, entry.ref, {}, call);
  } catch (error) {
    if (!(error instanceof DriveError)) throw error;
    log.warn({ err: error }, 'a damaged upload could not be removed from its drive');
  }
  throw new IntegrityError('The drive has other bytes than were sent to it. The file was removed; send it again.');
}

const differs = (entry: DriveEntry, plan: UploadPlan): boolean =>
  (entry.sizeBytes !== null && entry.sizeBytes !== plan.sizeBytes) ||
  (Object.entries(entry.hashes) as [HashAlgorithm, string][]).some(
    ([algorithm, hash]) => plan.hashes[algorithm] !== undefined && plan.hashes[algorithm] !== hash,
  );
