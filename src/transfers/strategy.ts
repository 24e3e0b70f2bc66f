import type { HashAlgorithm, Hashes } from '../drives/driver.ts';
import { IntegrityError, UnsupportedError } from '../lib/errors.ts';
import { beginCommit, type Delivered, type Delivery, keep, planOf } from './delivery.ts';
import { Hasher, mismatches, wantedHashes } from './hasher.ts';
import { makeOnce } from './naming.ts';
import { sendingRoute } from './routes.ts';
import { sendSlices } from './sliced.ts';
import { COMMIT_PHASE } from './states.ts';
import { verifyEntry } from './verification.ts';
import { sendWhole } from './whole.ts';

/**
 * Brings bytes that are here into the drive by the best way that it has: taking the file over, finding that it has the
 * bytes already, or in slices. What the drive can do decides, never which drive it is. The entry appears only when the
 * bytes are whole and are those that were promised.
 * @throws IntegrityError when they are not; then they are of no use.
 */
export async function deliver(delivery: Delivery): Promise<Delivered> {
  const hashes = await verifiedHashes(delivery);
  const sizeBytes = delivery.row.bytesTotal ?? null;
  const route = sendingRoute(delivery.driver)?.route ?? 'SLICED';
  return makeOnce(delivery, { sizeBytes, hashes, route }, () => send(delivery, hashes));
}

async function send(delivery: Delivery, hashes: Hashes & { readonly SHA256: string }): Promise<Delivered> {
  const { row, driver, spool, call } = delivery;
  const plan = planOf(delivery, hashes, (range) => spool.read(row.id, range));
  const sending = sendingRoute(driver);

  if (driver.adopt && sending) {
    // Names the transfer, so that a drive that made the entry before a crash finds it again.
    await beginCommit(delivery);
    const file = { path: spool.path(row.id), sizeBytes: plan.sizeBytes, hashes };
    return { entry: await driver.adopt(plan, file, call), route: 'STREAMED', reason: sending.reason, hashes };
  }

  if ((await spool.size(row.id)) === null) throw new BytesGoneError(); // No try before has made the entry.
  if (driver.instantUpload) {
    await keep(delivery, { phase: 'NEGOTIATING' });
    const entry = await driver.instantUpload(plan, call);
    if (entry) return { entry, route: 'INSTANT', reason: HIT, hashes };
  }
  if (!driver.upload || !sending) throw new UnsupportedError('This drive does not take uploads.', 'UPLOAD');
  const whole = await sendWhole(delivery, driver.upload, plan);
  const sent = whole ? ({ entry: whole, route: 'SLICED' } as const) : await sendSlices(delivery, driver.upload, plan);
  await verifyEntry(delivery, sent.entry, plan);
  return { ...sent, reason: sent.route === 'INSTANT' ? HIT : sending.reason, hashes };
}

/** The bytes that came in are not here: the file was lost, or the host that has it. */
export class BytesGoneError extends IntegrityError {
  constructor() {
    super('The bytes of this upload are gone. Send them again.');
  }
}

const HIT = 'The drive had the bytes already, and was asked by their hash.';

/** The hashes of the spooled bytes, those of them computed now that were not while the bytes came in. */
async function verifiedHashes(delivery: Delivery): Promise<Hashes & { readonly SHA256: string }> {
  const { row, spool, driver } = delivery;
  const size = await spool.size(row.id);
  const committing = row.phase === COMMIT_PHASE && row.spoolHashes != null;
  // A drive that took the file over just before a crash has it at its own place.
  if (size === null && !committing) throw new BytesGoneError();
  if (size !== null && size !== row.bytesTotal) {
    throw new IntegrityError(`${size} bytes are here where ${row.bytesTotal} were promised. Send the file again.`);
  }

  const wanted = wantedHashes(row.expectedHashes, driver);
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
