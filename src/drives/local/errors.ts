import { DeadlockException, LockWaitTimeoutException, UniqueConstraintViolationException } from '@mikro-orm/core';
import { BlobDamagedError, BlobStoreError, type BlobStoreFault, BlobSweptError } from '../../storage/blobs/errors.ts';
import { DriveError, type DriveErrorCategory, type DriveErrorInit } from '../errors.ts';

export const PROVIDER = 'LOCAL';

/** An error of the built-in drive. */
export const localError = (
  category: DriveErrorCategory,
  message: string,
  init: Omit<DriveErrorInit, 'provider'> = {},
): DriveError => new DriveError(category, message, { provider: PROVIDER, ...init });

export const notFound = (what = 'entry'): DriveError =>
  localError('not_found', `There is no such ${what} on this drive. It may have been deleted.`);

export const badCursor = (): DriveError =>
  localError('invalid_argument', 'The cursor does not belong to this listing. Begin again without one.');

/** What a store of blobs across a network does not do, as it is told to a user; its own words are the cause. */
const OF_STORE: Readonly<Record<BlobStoreFault, readonly [DriveErrorCategory, string]>> = {
  busy: ['rate_limited', "The server's file store is busy. Try again in a moment."],
  unavailable: ['unavailable', "The server's file store does not answer just now. Try again in a moment."],
  denied: ['unavailable', "The server's file store refuses this server. Its operator must look at the settings."],
  full: ['quota_exceeded', "The server's file store is full. Free some space and try again."],
  tooLarge: ['too_large', "The file is larger than the server's file store takes."],
};

const DISK_FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'SQLITE_FULL', '53100']);
const DATABASE_AWAY: ReadonlySet<string> = new Set([
  'SQLITE_BUSY',
  'SQLITE_BUSY_SNAPSHOT',
  'SQLITE_LOCKED',
  'ECONNREFUSED',
  'ECONNRESET',
  '57P01',
  '57P03',
  '53300',
]);

/**
 * What the disk or the database says, as a DriveError; null when it is a bug. Codes are of Node's file system, SQLite's
 * result codes and PostgreSQL's SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
export function classify(error: unknown): DriveError | null {
  if (error instanceof DriveError) return error;
  if (error instanceof BlobDamagedError)
    return localError('corrupted', 'The stored bytes of this file are damaged.', { cause: error });
  if (error instanceof BlobStoreError) {
    const [category, message] = OF_STORE[error.fault];
    return localError(category, message, { cause: error });
  }
  if (error instanceof BlobSweptError)
    return localError('unavailable', 'The bytes took too long to be kept. Try again.', { cause: error });
  if (error instanceof UniqueConstraintViolationException)
    return localError('conflict', 'Something else changed this folder just now. Try again.', { cause: error });
  if (!(error instanceof Error)) return null;
  if (error.name === 'AbortError') return localError('cancelled', 'The request was cancelled.', { cause: error });

  const code = 'code' in error ? String(error.code) : '';
  if (DISK_FULL.has(code))
    return localError('quota_exceeded', "The server's disk is full. Free some space and try again.", { cause: error });
  if (DATABASE_AWAY.has(code) || error instanceof DeadlockException || error instanceof LockWaitTimeoutException)
    return localError('unavailable', 'The drive is busy just now. Try again in a moment.', { cause: error });
  return null;
}
