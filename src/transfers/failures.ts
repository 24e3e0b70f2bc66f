import { DriveError, domainErrorOf } from '../drives/errors.ts';
import {
  AlreadyExistsError,
  CancelledError,
  ConflictError,
  DomainError,
  type DomainErrorInit,
  IntegrityError,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  ProviderError,
  RateLimitedError,
  ReauthorizationRequiredError,
  StorageFullError,
  TooLargeError,
  UnavailableError,
  UnsupportedError,
  type UserErrorCode,
} from '../lib/errors.ts';
import type { StoredFailure } from '../storage/entities/transfer.ts';

/**
 * Times that a transfer is tried by itself without getting on; then it is FAILED, and its owner may retry it. What gets on
 * a little with each try goes on, up to {@link STRETCHED_MAX_MS}.
 */
export const ATTEMPTS_MAX = 6;
/** A transfer as often tried as a new one: when its owner wants it to go on. */
export const UNTRIED = { attempts: 0, attemptsStuck: 0 } as const;
/** The first wait between two tries by what went wrong, doubled with each, and the longest, in milliseconds. */
const BACKOFF_FIRST_MS = 2_000;
const BACKOFF_FIRST_MS_OF: Readonly<Partial<Record<UserErrorCode, number>>> = {
  /** A provider that says no when also resents being asked. */
  RATE_LIMITED: 30_000,
  /** Room comes when other transfers end. */
  STORAGE_FULL: 60_000,
};
const BACKOFF_MAX_MS = 10 * 60_000;

/** How long to wait after the given attempt (from 1), with jitter, so that what failed together does not come back together. */
export const backoffMs = (attempt: number, code: UserErrorCode, random: () => number): number =>
  Math.min(BACKOFF_MAX_MS, (BACKOFF_FIRST_MS_OF[code] ?? BACKOFF_FIRST_MS) * 2 ** (attempt - 1)) * (0.5 + random() / 2);

/** What went wrong with a transfer, as the API tells it; null: a bug or an outage, which nobody can be told. */
export function domainFailure(error: unknown, accountId: string, now: Date): DomainError | null {
  if (error instanceof DriveError) return domainErrorOf(error, accountId, now);
  return error instanceof DomainError ? error : null;
}

/** Categories after which nobody knows whether the drive did what it was asked. */
const UNCERTAIN: ReadonlySet<string> = new Set(['unavailable', 'timeout', 'cancelled', 'unexpected']);

/** Whether the drive may have done what failed. */
export const isUncertain = (error: unknown): boolean =>
  error instanceof DriveError ? !error.nothingDone && UNCERTAIN.has(error.category) : !(error instanceof DomainError);

/** The failure as the transfer's row keeps it. */
export function storedFailureOf(error: DomainError): StoredFailure {
  return {
    code: error.code,
    message: error.message,
    retryable: error.retryable,
    retryAt: error.retryAt?.toISOString() ?? null,
    ...(error instanceof ProviderError
      ? { provider: error.provider, providerCode: error.providerCode, hint: error.hint }
      : {}),
    ...(error instanceof ReauthorizationRequiredError ? { accountId: error.accountId } : {}),
    ...(error instanceof AlreadyExistsError ? { existing: error.existing } : {}),
    ...(error instanceof UnsupportedError ? { ability: error.ability } : {}),
    ...(error instanceof InvalidInputError ? { issues: error.issues } : {}),
  };
}

/** The same failure again, of the class that it had. */
export function failureOf(stored: StoredFailure): DomainError {
  const { message } = stored;
  const init = { retryable: stored.retryable, retryAt: stored.retryAt === null ? null : new Date(stored.retryAt) };
  switch (stored.code) {
    case 'INVALID_INPUT':
      return new InvalidInputError(stored.issues ?? [{ path: ['input'], message }], init);
    case 'ALREADY_EXISTS':
      return new AlreadyExistsError(message, { ...init, existing: stored.existing ?? null });
    case 'UNSUPPORTED':
      return new UnsupportedError(message, stored.ability ?? null, init);
    case 'REAUTHORIZATION_REQUIRED':
      return new ReauthorizationRequiredError(message, stored.accountId ?? '', init);
    case 'PROVIDER_FAILED':
      return new ProviderError(message, {
        ...init,
        provider: stored.provider ?? '',
        providerCode: stored.providerCode ?? null,
        hint: stored.hint ?? null,
      });
    default: {
      const Failure = PLAIN_FAILURES[stored.code] ?? UnavailableError;
      return new Failure(message, init);
    }
  }
}

const PLAIN_FAILURES: Readonly<Record<string, new (message: string, init: DomainErrorInit) => DomainError>> = {
  NOT_FOUND: NotFoundError,
  CONFLICT: ConflictError,
  PERMISSION_DENIED: PermissionDeniedError,
  RATE_LIMITED: RateLimitedError,
  STORAGE_FULL: StorageFullError,
  TOO_LARGE: TooLargeError,
  INTEGRITY: IntegrityError,
  CANCELLED: CancelledError,
  UNAVAILABLE: UnavailableError,
};
