import type { DriveError } from '../lib/drive-error.ts';
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

// Defined in lib, because the transport below throws it too.
export * from '../lib/drive-error.ts';

/** Acts that need traffic, or space that the provider has for this alone. */
const TRAFFIC_ACTS: ReadonlySet<string> = new Set([
  'read',
  'link',
  'media.openPlaylist',
  'media.playlist',
  'media.openDownload',
  'media.readDownload',
]);

/** The same failure as the API tells it. `accountId` is the drive's account. */
export function domainErrorOf(error: DriveError, accountId: string, now: Date): DomainError {
  const retryAt = error.retryAfterMs === null ? null : new Date(now.getTime() + error.retryAfterMs);
  const init = { cause: error, retryable: error.retryable || error.persistent, retryAt };
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
      // What reading uses up is no space of the drive: who reads learns what to do about it.
      if (TRAFFIC_ACTS.has(error.operation ?? '')) return new ProviderError(error.message, { ...error, ...init });
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
      return new ProviderError(error.message, { ...error, ...init });
    case 'blocked':
    case 'unexpected':
      return new ProviderError(error.message, { ...error, ...init });
  }
}
