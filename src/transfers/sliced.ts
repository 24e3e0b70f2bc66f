import type { SlicedUpload, SliceReceipt, UploadPlan, UploadSession } from '../drives/contract/upload.ts';
import type { CallContext } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import type { TransferSlice } from '../storage/entities/transfer.ts';
import { beginCommit, ClaimLostError, type Delivered, type Delivery, keep } from './delivery.ts';

export type Sent = Pick<Delivered, 'entry' | 'route'>;

/** Slices of one transfer that are in memory at once, whatever the drive allows: memory is this × the slice × transfers. */
const SLICES_AT_ONCE_MAX = 4;

/**
 * Sends the file in slices. The session and the receipt of every slice are stored, so that whoever goes on after a crash
 * sends only what the drive does not have. A session that the drive no longer knows is begun anew, once.
 */
export async function sendSlices(delivery: Delivery, upload: SlicedUpload, plan: UploadPlan): Promise<Sent> {
  const kept = delivery.row.driverSession;
  try {
    return kept == null
      ? await begin(delivery, upload, plan)
      : await goOn(delivery, upload, plan, { session: kept as UploadSession, isAnew: false, isFresh: false });
  } catch (error) {
    // Only of a session that there was: a folder that is gone has none.
    const isLost = error instanceof DriveError && error.category === 'not_found' && delivery.row.driverSession != null;
    if (!isLost) throw error;
  }
  return begin(delivery, upload, { ...plan, anew: true });
}

async function begin(delivery: Delivery, upload: SlicedUpload, plan: UploadPlan): Promise<Sent> {
  await keep(delivery, { phase: 'NEGOTIATING' });
  const begun = await upload.begin(plan, delivery.call);
  if ('instant' in begun) return { entry: begun.instant, route: 'INSTANT' };
  await keepSession(delivery, upload, begun.session);
  return goOn(delivery, upload, plan, { session: begun.session, isAnew: plan.anew === true, isFresh: true });
}

/** Keeps a new session; one that nobody would know of is ended at once. */
export async function keepSession(
  { row, store, log }: Delivery,
  upload: SlicedUpload,
  session: UploadSession,
): Promise<void> {
  if (await store.slices.saveSession(row, session)) {
    row.driverSession = session;
    return;
  }
  await abort(upload, session, log);
  throw new ClaimLostError();
}

/** Ends the session that is kept, and forgets its receipts. */
export async function dropSession({ row, driver, store, log }: Delivery): Promise<void> {
  const session = row.driverSession;
  if (session == null) return;
  if (!(await store.slices.saveSession(row, null))) throw new ClaimLostError();
  row.driverSession = null;
  if (driver.upload) await abort(driver.upload, session as UploadSession, log);
}

async function abort(upload: SlicedUpload, session: UploadSession, log: Delivery['log']): Promise<void> {
  try {
    await upload.abort(session, { signal: new AbortController().signal, priority: 'bulk' });
  } catch (error) {
    log.warn({ err: error }, 'an upload that was given up could not be ended at its drive; it expires by itself');
  }
}

interface Begun {
  readonly session: UploadSession;
  /** In place of one that the drive forgot: what it takes once more is no progress. */
  readonly isAnew: boolean;
  /** Begun just now: the provider has nothing of it yet. */
  readonly isFresh: boolean;
}

async function goOn(delivery: Delivery, upload: SlicedUpload, plan: UploadPlan, begun: Begun): Promise<Sent> {
  const { session } = begun;
  const { row, store, call } = delivery;
  await keep(delivery, { phase: 'SENDING', route: 'SLICED' });
  const receipts = new Map((await store.slices.receipts(row.id)).map((slice) => [slice.index, receiptOf(slice)]));
  if (!begun.isFresh && receipts.size < session.sliceCount)
    await askWhatIsHeld(delivery, upload, plan, session, receipts);
  await sendMissing(delivery, { ...begun, upload, plan, receipts });

  await beginCommit(delivery);
  const inOrder = [...receipts.values()].toSorted((left, right) => left.index - right.index);
  return { entry: await upload.complete(plan, session, inOrder, call), route: 'SLICED' };
}

/** The provider knows better than the receipts what it has. Once all is sent, only the end is asked for. */
async function askWhatIsHeld(
  delivery: Delivery,
  upload: SlicedUpload,
  plan: UploadPlan,
  session: UploadSession,
  receipts: Map<number, SliceReceipt>,
): Promise<void> {
  const { row, store, call } = delivery;
  const held = await upload.heldSlices?.(plan, session, [...receipts.values()], call);
  if (!held) return;
  const unknown = held.filter(({ index }) => !receipts.has(index));
  receipts.clear();
  for (const receipt of held) receipts.set(receipt.index, receipt);
  for (const receipt of unknown) {
    if (!(await store.slices.saveReceipt(row, receipt.index, receipt, 0))) throw new ClaimLostError();
  }
  const bytesSent = held.reduce((sum, { index }) => sum + rangeOf(index, session, plan).length, 0);
  await keep(delivery, { bytesSent });
}

function rangeOf(index: number, { sliceBytes }: UploadSession, { sizeBytes }: UploadPlan) {
  const start = index * sliceBytes;
  return { start, length: Math.min(sliceBytes, sizeBytes - start) };
}

const receiptOf = ({ receipt }: TransferSlice): SliceReceipt => receipt as SliceReceipt;

interface Sending extends Begun {
  readonly upload: SlicedUpload;
  readonly plan: UploadPlan;
  /** By index; grows. */
  readonly receipts: Map<number, SliceReceipt>;
}

/** Several slices at once, as many as the drive takes; the first failure stops the others. */
async function sendMissing(delivery: Delivery, sending: Sending): Promise<void> {
  const { session, receipts, upload } = sending;
  const missing = Array.from({ length: session.sliceCount }, (_, index) => index).filter(
    (index) => !receipts.has(index),
  );
  const failed = new AbortController();
  const call = { ...delivery.call, signal: AbortSignal.any([delivery.call.signal, failed.signal]) };
  const next = missing.values();
  const worker = async (): Promise<void> => {
    // One for all of its slices: with one for each, those that were sent would lie about until they are collected.
    const buffer = Buffer.allocUnsafeSlow(Math.min(session.sliceBytes, sending.plan.sizeBytes));
    for (const index of next) {
      call.signal.throwIfAborted();
      await sendSlice(delivery, { ...sending, buffer }, index, call);
    }
  };
  const workers = Array.from({ length: Math.min(upload.concurrency, SLICES_AT_ONCE_MAX, missing.length) }, async () => {
    try {
      await worker();
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
  const [failure] = (await Promise.allSettled(workers)).filter((result) => result.status === 'rejected');
  if (failed.signal.aborted) throw failed.signal.reason;
  if (failure) throw failure.reason;
}

async function sendSlice(
  { row, spool, store, progress }: Delivery,
  { upload, plan, session, isAnew, receipts, buffer }: Sending & { readonly buffer: Buffer },
  index: number,
  call: CallContext,
): Promise<void> {
  const range = rangeOf(index, session, plan);
  const bytes = await spool.read(row.id, range, buffer);
  const receipt = await upload.putSlice(plan, session, index, bytes, call);
  if (!isAnew) row.attemptsStuck = 0;
  if (!(await store.slices.saveReceipt(row, index, receipt, range.length))) throw new ClaimLostError();
  receipts.set(index, receipt);
  progress.report('SENDING', Math.min(receipts.size * session.sliceBytes, plan.sizeBytes));
}
