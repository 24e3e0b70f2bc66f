import { Buffer } from 'node:buffer';
import { type Capabilities, HASH_ALGORITHMS, type HashAlgorithm, type Hashes } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import { type InputIssue, InvalidInputError, TooLargeError } from '../lib/errors.ts';
import { entryNameFault } from '../lib/names.ts';
import { CONFLICT_POLICIES, type ConflictPolicy } from '../storage/entities/transfer.ts';
import { HASH_LENGTHS } from '../transfers/hasher.ts';

/** Largest file that is taken, in bytes: what ext4 holds. The disk is asked for room beside this. */
export const UPLOAD_BYTES_MAX = 16 * 2 ** 40;
/** Largest file that comes within an operation, in bytes: it is held in memory. */
export const SMALL_UPLOAD_BYTES_MAX = 8 * 1024 * 1024;

/** A hash that the client promises. */
export interface PromisedHash {
  readonly algorithm: HashAlgorithm;
  readonly value: string;
}

/** The hashes by algorithm. Faults are added to `issues`. */
export function promisedHashes(hashes: readonly PromisedHash[], issues: InputIssue[]): Hashes {
  const promised: Partial<Record<HashAlgorithm, string>> = {};
  for (const [index, { algorithm, value }] of hashes.entries()) {
    const fault = hashFault(algorithm, value) ?? (algorithm in promised ? 'is given twice' : null);
    if (fault) issues.push({ path: ['input', 'hashes', index, 'value'], message: fault });
    promised[algorithm] = value;
  }
  return promised;
}

function hashFault(algorithm: HashAlgorithm, value: string): string | null {
  if (!HASH_ALGORITHMS.includes(algorithm)) return `must be of ${HASH_ALGORITHMS.join(', ')}`;
  const digits = HASH_LENGTHS[algorithm];
  return new RegExp(`^[0-9a-f]{${digits}}$`).test(value) ? null : `must be ${digits} lower-case hex digits`;
}

/** What is null, nobody knows yet. @throws InvalidInputError with all faults at once; `issues` are those found so far. */
export function checkPlan(name: string | null, sizeBytes: number | null, issues: readonly InputIssue[]): void {
  const faults = [...issues];
  const fault = name === null ? null : entryNameFault(name);
  if (fault) faults.push({ path: ['input', 'name'], message: fault });
  if (sizeBytes !== null && (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)) {
    faults.push({ path: ['input', 'size'], message: 'must be a whole number of bytes' });
  }
  if (faults.length > 0) throw new InvalidInputError(faults);
}

/** @throws TooLargeError, InvalidInputError: what this drive cannot hold. */
export function checkFits(
  name: string | null,
  sizeBytes: number | null,
  { fileBytesMax, nameBytesMax, checkName }: Capabilities,
): void {
  const most = Math.min(fileBytesMax ?? UPLOAD_BYTES_MAX, UPLOAD_BYTES_MAX);
  if (sizeBytes !== null && sizeBytes > most)
    throw new TooLargeError(`A file on this drive can have at most ${most} bytes.`);
  if (name !== null && Buffer.byteLength(name) > nameBytesMax) {
    throw InvalidInputError.at('input.name', `must be at most ${nameBytesMax} bytes in UTF-8 on this drive`);
  }
  try {
    if (name !== null) checkName?.(name);
  } catch (error) {
    if (!(error instanceof DriveError)) throw error;
    throw InvalidInputError.at('input.name', error.message);
  }
}

/** @throws TooLargeError */
export function checkSmall(sizeBytes: number): void {
  if (sizeBytes <= SMALL_UPLOAD_BYTES_MAX) return;
  throw new TooLargeError(`At most ${SMALL_UPLOAD_BYTES_MAX} bytes are taken this way. Use startUpload for more.`);
}

/** The policy of that name; null: none is named. @throws InvalidInputError */
export function conflictPolicyOf(name: string | undefined): ConflictPolicy | null {
  if (name === undefined) return null;
  const policy = CONFLICT_POLICIES.find((known) => known === name);
  if (!policy) throw InvalidInputError.at('onConflict', `must be one of ${CONFLICT_POLICIES.join(', ')}`);
  return policy;
}
