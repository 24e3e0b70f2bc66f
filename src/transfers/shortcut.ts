import { buffer } from 'node:stream/consumers';
import type { CallContext, DriveEntry, Driver } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import type { EntrySource } from '../storage/entities/transfer.ts';
import { type Delivered, type Delivery, keep, planOf } from './delivery.ts';
import { skipped, takenBy } from './made.ts';
import { makeOnce } from './naming.ts';
import { type RouteChoice, type RouteFacts, routesInto } from './routes.ts';
import { keepSession } from './sliced.ts';
import { COMMIT_PHASE } from './states.ts';
import { verifyEntry } from './verification.ts';

/**
 * Bytes of the source that a drive may ask for as a proof before it says whether it has them: fewer than these. One that
 * asks for more wants to read the file, and gets it from the spool instead.
 */
export const PROOF_BYTES_MAX = 1024 * 1024;

/**
 * Makes a file of a drive's file without moving its bytes through this machine: copied by the provider, or found there by
 * a hash that the source tells. Null when neither is possible, and then the bytes must come.
 */
export async function takeShortcut(delivery: Delivery): Promise<Delivered | null> {
  const { row } = delivery;
  const { source } = row;
  if (source.type !== 'entry') return null;
  const isBegun = row.phase === 'RECEIVING' && row.bytesDone === 0;
  const isCopied = row.phase === COMMIT_PHASE && row.route === 'SERVER_SIDE';
  if (!isBegun && !isCopied) return null;

  // What has the name may be what a try before made.
  if (row.onConflict === 'SKIP' && delivery.claimedBefore === null) {
    const there = await takenBy(delivery);
    if (there) return skipped(there);
  }
  const choices = routesInto(delivery.driver, factsOf(delivery, source)).filter(isShort);
  if (choices.length === 0) return null;
  const wanted = { sizeBytes: row.bytesTotal ?? null, hashes: source.hashes, route: 'INSTANT' } as const;
  return makeOnce(delivery, wanted, async () => {
    for (const choice of choices) {
      const delivered = await take(delivery, source, choice);
      if (delivered) return delivered;
    }
    return null;
  });
}

type ShortChoice = Extract<RouteChoice, { readonly route: 'SERVER_SIDE' | 'INSTANT' }>;

const isShort = (choice: RouteChoice): choice is ShortChoice =>
  choice.route === 'SERVER_SIDE' || choice.route === 'INSTANT';

const factsOf = ({ row }: Delivery, { accountId, sameProvider, hashes, kind }: EntrySource): RouteFacts => ({
  from: accountId === row.accountId ? 'sameAccount' : sameProvider ? 'sameProvider' : 'elsewhere',
  kind,
  hashes,
  sizeBytes: row.bytesTotal ?? null,
});

const take = (delivery: Delivery, source: EntrySource, choice: ShortChoice): Promise<Delivered | null> =>
  choice.route === 'SERVER_SIDE' ? copyThere(delivery, source, choice) : askForHit(delivery, source, choice.reason);

/** By the provider itself; null when it does not want to. */
async function copyThere(
  delivery: Delivery,
  source: EntrySource,
  { act, reason }: ShortChoice & { readonly route: 'SERVER_SIDE' },
): Promise<Delivered | null> {
  const { row, driver, call } = delivery;
  const expected = { sizeBytes: row.bytesTotal ?? null, hashes: source.hashes };
  const { parentRef, name, onConflict } = planOf(delivery, source.hashes, unread);
  await keep(delivery, { phase: COMMIT_PHASE, route: 'SERVER_SIDE' });
  try {
    const options = { name, onConflict };
    const from = { accountId: source.accountId, ref: source.ref };
    const copying =
      act === 'copy'
        ? driver.copy?.(source.ref, parentRef, options, call)
        : driver.copyFromAccount?.(from, parentRef, options, call);
    if (!copying) return null;
    const entry = await copying;
    await verifyEntry(delivery, entry, expected);
    return { entry, route: 'SERVER_SIDE', reason, hashes: source.hashes };
  } catch (error) {
    if (!(error instanceof DriveError) || error.category !== 'unsupported') throw error;
    await keep(delivery, { phase: 'RECEIVING', route: null });
    return null;
  }
}

const unread = async (): Promise<Uint8Array> => {
  throw new Error('a copy by the provider reads nothing');
};

/** By the hash that the source tells; null when the drive does not have the bytes, or wants to read more than a proof. */
async function askForHit(delivery: Delivery, source: EntrySource, reason: string): Promise<Delivered | null> {
  const { row, driver, call } = delivery;
  const drive = await delivery.openSourceDrive(source.accountId);
  const proof = { bytes: 0 };
  const plan = planOf(delivery, source.hashes, ({ start, length }) => {
    proof.bytes += length;
    if (proof.bytes >= PROOF_BYTES_MAX) throw new Error('more than a proof is asked for');
    return rangeOf(drive, source.ref, { start, end: start + length - 1 }, call);
  });
  const hit = (entry: DriveEntry): Delivered => ({ entry, route: 'INSTANT', reason, hashes: source.hashes });
  try {
    const entry = await driver.instantUpload?.(plan, call);
    if (entry) return hit(entry);
    if (!driver.upload?.instantHashes?.length || row.driverSession != null) return null;
    const begun = await driver.upload.begin(plan, call);
    if ('instant' in begun) return hit(begun.instant);
    // It goes on with it when the bytes are here.
    await keepSession(delivery, driver.upload, begun.session);
    return null;
  } catch (error) {
    if (proof.bytes >= PROOF_BYTES_MAX) return null;
    throw error;
  }
}

async function rangeOf(
  drive: Driver,
  ref: string,
  range: { readonly start: number; readonly end: number },
  call: CallContext,
): Promise<Uint8Array> {
  return buffer(await drive.read(ref, range, call));
}
