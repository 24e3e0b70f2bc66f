import {
  AlreadyExistsError,
  CancelledError,
  ConflictError,
  type DomainError,
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
} from '../lib/errors.ts';

/** What went wrong on a drive, in the words of the engine: decisions match on these, never on text or class. */
export const DRIVE_ERROR_CATEGORIES = [
  'not_found',
  'already_exists',
  'wrong_kind',
  'conflict',
  'invalid_argument',
  'unsupported',
  'too_large',
  'unauthenticated',
  'permission_denied',
  'blocked',
  'quota_exceeded',
  'rate_limited',
  'unavailable',
  'timeout',
  'cancelled',
  'corrupted',
  'unexpected',
] as const;
export type DriveErrorCategory = (typeof DRIVE_ERROR_CATEGORIES)[number];

const RETRYABLE: ReadonlySet<DriveErrorCategory> = new Set(['rate_limited', 'unavailable', 'timeout']);

export interface DriveErrorInit {
  /** ProviderId: LOCAL, BAIDU… */
  readonly provider: string;
  /** The driver's act, as in `list` or `upload.begin`; filled in by the layers where left out. */
  readonly operation?: string;
  /** The provider's own code, as it stands in its table. */
  readonly providerCode?: string | null;
  /** What to check, for a person. */
  readonly hint?: string | null;
  /** The default is that of the category. */
  readonly retryable?: boolean;
  readonly retryAfterMs?: number | null;
  /** With `already_exists`: what stands there. */
  readonly existingRef?: string | null;
  /** With `unsupported`: which ability is missing. */
  readonly ability?: string | null;
  readonly cause?: unknown;
}

/** The one error that a driver throws. The message is for a person; the provider's words stay in `cause`. */
export class DriveError extends Error {
  override readonly name = 'DriveError';
  readonly category: DriveErrorCategory;
  readonly provider: string;
  readonly operation: string | null;
  readonly providerCode: string | null;
  readonly hint: string | null;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly existingRef: string | null;
  readonly ability: string | null;

  constructor(category: DriveErrorCategory, message: string, init: DriveErrorInit) {
    super(message, { cause: init.cause });
    this.category = category;
    this.provider = init.provider;
    this.operation = init.operation ?? null;
    this.providerCode = init.providerCode ?? null;
    this.hint = init.hint ?? null;
    this.retryable = init.retryable ?? RETRYABLE.has(category);
    this.retryAfterMs = init.retryAfterMs ?? null;
    this.existingRef = init.existingRef ?? null;
    this.ability = init.ability ?? null;
  }
}

/** The same failure as the API tells it. `accountId` is the drive's account. */
export function domainErrorOf(error: DriveError, accountId: string, now: Date): DomainError {
  const retryAt = error.retryAfterMs === null ? null : new Date(now.getTime() + error.retryAfterMs);
  const init = { cause: error, retryable: error.retryable, retryAt };
  switch (error.category) {
    case 'not_found':
      return new NotFoundError(error.message, init);
    case 'already_exists':
      return new AlreadyExistsError(error.message, {
        ...init,
        existing: error.existingRef === null ? null : { accountId, ref: error.existingRef },
      });
    case 'wrong_kind':
    case 'invalid_argument':
      return new InvalidInputError([{ path: ['input'], message: error.message }], init);
    case 'conflict':
      return new ConflictError(error.message, init);
    case 'unsupported':
      return new UnsupportedError(error.message, error.ability, init);
    case 'too_large':
      return new TooLargeError(error.message, init);
    case 'unauthenticated':
      return new ReauthorizationRequiredError(error.message, accountId, init);
    case 'permission_denied':
      return new PermissionDeniedError(error.message, init);
    case 'quota_exceeded':
      return new StorageFullError(error.message, init);
    case 'rate_limited':
      return new RateLimitedError(error.message, init);
    case 'cancelled':
      return new CancelledError(error.message, init);
    case 'corrupted':
      return new IntegrityError(error.message, init);
    case 'unavailable':
    case 'timeout':
      if (error.provider === 'LOCAL') return new UnavailableError(error.message, init);
      return new ProviderError(error.message, { ...init, ...error });
    case 'blocked':
    case 'unexpected':
      return new ProviderError(error.message, { ...init, ...error });
  }
}
