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

/** Whether another try may succeed, where nothing else says so. */
export const isRetryable = (category: DriveErrorCategory): boolean => RETRYABLE.has(category);

export interface DriveErrorInit {
  /** ProviderId: LOCAL, BAIDU… */
  readonly provider: string;
  /** The driver's act, as in `list` or `upload.begin`; filled in by the layers where left out. */
  readonly operation?: string | null;
  /** The provider's own code, as it stands in its table. */
  readonly providerCode?: string | null;
  /** What to check, for a person. */
  readonly hint?: string | null;
  /** The default is that of the category. */
  readonly retryable?: boolean;
  /** See {@link DriveError.persistent}. Default false. */
  readonly persistent?: boolean;
  /** See {@link DriveError.nothingDone}. The default is that of the category: `rate_limited` only. */
  readonly nothingDone?: boolean;
  readonly retryAfterMs?: number | null;
  /** With `already_exists`: what stands there. */
  readonly existingRef?: string | null;
  /** With `unsupported`: which ability is missing. */
  readonly ability?: string | null;
  readonly cause?: unknown;
}

/**
 * The one error that a driver throws. The message is for a person; the provider's words stay in `cause`. Its fields are
 * named as those of its init, so that `new DriveError(e.category, e.message, { ...e, operation, cause: e })` is a copy.
 */
export class DriveError extends Error {
  override readonly name = 'DriveError';
  readonly category: DriveErrorCategory;
  readonly provider: string;
  readonly operation: string | null;
  readonly providerCode: string | null;
  readonly hint: string | null;
  /** Another try right away, or after `retryAfterMs`, may succeed. */
  readonly retryable: boolean;
  /** It was `retryable`, and the tries are used up: nobody tries again now, but another time it may succeed. */
  readonly persistent: boolean;
  /** The provider was never reached, or refused before acting: also what is not idempotent may be sent again. */
  readonly nothingDone: boolean;
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
    this.retryable = init.retryable ?? isRetryable(category);
    this.persistent = init.persistent ?? false;
    this.nothingDone = init.nothingDone ?? category === 'rate_limited';
    this.retryAfterMs = init.retryAfterMs ?? null;
    this.existingRef = init.existingRef ?? null;
    this.ability = init.ability ?? null;
  }

  /** The same failure after the last try, so that no layer further out tries again; itself when it was not retryable. */
  spent(): DriveError {
    if (!this.retryable) return this;
    return new DriveError(this.category, this.message, { ...this, retryable: false, persistent: true, cause: this });
  }
}
