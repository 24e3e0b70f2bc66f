import { Readable } from 'node:stream';
import type { UploadPlan } from '../contract/upload.ts';
import type { CallContext } from '../driver.ts';
import { DriveError } from '../errors.ts';
import type { Operation } from '../operations.ts';
import type { DriveCall, DriveLayer } from './call.ts';

/** For acts that answer at once or after a few requests, with the waits for the provider's rate between them. */
const QUICK_MS = 60_000;
/** For acts that move a slice, hash a file or walk a tree: a slice of 64 MiB takes 9 minutes at 1 Mbit/s. */
const SLOW_MS = 600_000;

const SLOW_ACTS: ReadonlySet<string> = new Set<Operation>([
  'upload.begin',
  'upload.putSlice',
  'upload.heldSlices',
  'upload.putWhole',
  'upload.complete',
  'upload.settleReplace',
  'instantUpload',
  'adopt',
  'renameMany',
  'move',
  'copy',
  'copyFromAccount',
  'remove',
  'removePermanently',
  'recycleBin.restore',
  'recycleBin.purge',
  'recycleBin.empty',
  'shares.save',
  'media.transcode',
]);

/** Acts with a plan in which all of a file may be sent: the built-in drive's, where its bytes are in a store. */
const WHOLE_FILE_ACTS: ReadonlySet<string> = new Set<Operation>(['adopt', 'upload.complete']);
/** 1 Mbit/s. */
const SLOWEST_BYTES_PER_MS = 125;
const WHOLE_FILE_MAX_MS = 24 * 3_600_000;

/** How long an act may take, in milliseconds; of a read, until its stream begins. What has time may wait for its turn. */
export function deadlineMsOf(
  operation: string,
  priority: CallContext['priority'] = 'interactive',
  args: readonly unknown[] = [],
): number {
  const limitMs = priority === 'bulk' || SLOW_ACTS.has(operation) ? SLOW_MS : QUICK_MS;
  if (!WHOLE_FILE_ACTS.has(operation)) return limitMs;
  const { sizeBytes = 0 } = (args[0] ?? {}) as Partial<UploadPlan>;
  return limitMs + Math.min(WHOLE_FILE_MAX_MS, sizeBytes / SLOWEST_BYTES_PER_MS);
}

/**
 * Ends an act that takes too long as `timeout`, and one whose caller went away as `cancelled`, also when the driver
 * does not listen: what it gives later is thrown away. What it changed meanwhile stays changed.
 */
export const deadlineLayer =
  (limitMsOf: typeof deadlineMsOf = deadlineMsOf): DriveLayer =>
  async (call, next) => {
    const { signal } = call.context;
    if (signal.aborted) throw cancelled(call, signal.reason);

    const expiry = new AbortController();
    const timer = setTimeout(() => expiry.abort(), limitMsOf(call.operation, call.context.priority, call.args));
    const either = AbortSignal.any([signal, expiry.signal]);
    const fault = (cause: unknown): DriveError => (signal.aborted ? cancelled(call, cause) : timedOut(call, cause));
    const ended = Promise.withResolvers<never>();
    const end = (): void => ended.reject(fault(either.reason));
    either.addEventListener('abort', end, { once: true });

    const result = next({ ...call, context: { ...call.context, signal: either } });
    result.then((late) => either.aborted && discard(late), ignore);
    try {
      return await Promise.race([result, ended.promise]);
    } catch (error) {
      // Whatever the driver threw because of the abort tells less than which abort it was.
      throw either.aborted && !(error instanceof DriveError && error.category === 'timeout') ? fault(error) : error;
    } finally {
      // From here on only the caller's own signal counts: a download may take longer than its beginning.
      clearTimeout(timer);
      either.removeEventListener('abort', end);
    }
  };

const cancelled = ({ provider, operation }: DriveCall, cause: unknown): DriveError =>
  new DriveError('cancelled', 'The request was cancelled.', { provider, operation, cause });

const timedOut = ({ provider, operation }: DriveCall, cause: unknown): DriveError =>
  new DriveError('timeout', `The drive (${provider}) did not answer in time. Try again later.`, {
    provider,
    operation,
    cause,
  });

/**
 * A stream that nobody will read would keep its file or connection open. The abort may already have failed it, which
 * would end the process when nobody listens.
 */
function discard(result: unknown): void {
  if (result instanceof Readable) result.on('error', ignore).destroy();
}

/** The race has told the failure already. */
const ignore = (): void => {};
