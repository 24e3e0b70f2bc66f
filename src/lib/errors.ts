/** The closed list of what a caller can act on; `UserErrorCode` in the schema. */
export const USER_ERROR_CODES = [
  'INVALID_INPUT',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'CONFLICT',
  'PERMISSION_DENIED',
  'UNSUPPORTED',
  'RATE_LIMITED',
  'ALLOWANCE_EXCEEDED',
  'STORAGE_FULL',
  'TOO_LARGE',
  'INTEGRITY',
  'REAUTHORIZATION_REQUIRED',
  'PROVIDER_FAILED',
  'CANCELLED',
  'UNAVAILABLE',
] as const;
export type UserErrorCode = (typeof USER_ERROR_CODES)[number];

export interface DomainErrorInit {
  readonly cause?: unknown;
  readonly retryable?: boolean;
  readonly retryAt?: Date | null;
}

/**
 * A failure that the caller can act on. Its message is written for a person and names nothing secret: no path of the
 * server, no SQL, no token. Everything else that is thrown is a bug or an outage, and is masked.
 */
export abstract class DomainError extends Error {
  abstract readonly code: UserErrorCode;
  readonly retryable: boolean;
  /** When another try can succeed; null when unknown or never. */
  readonly retryAt: Date | null;

  constructor(message: string, init: DomainErrorInit = {}) {
    super(message, { cause: init.cause });
    this.name = new.target.name;
    this.retryable = init.retryable ?? false;
    this.retryAt = init.retryAt ?? null;
  }
}

export interface InputIssue {
  /** Where in the input, as in `input.name`; segments of a list are numbers. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export class InvalidInputError extends DomainError {
  readonly code = 'INVALID_INPUT';
  readonly issues: readonly InputIssue[];

  constructor(issues: readonly InputIssue[], init?: DomainErrorInit) {
    super(issues.map(wordsOf).join('; '), init);
    this.issues = issues;
  }

  static at(path: string, message: string): InvalidInputError {
    return new InvalidInputError([{ path: path.split('.'), message }]);
  }
}

/** What is wrong with the input as a whole is a sentence of its own. */
const wordsOf = ({ path, message }: InputIssue): string =>
  path.join() === 'input' ? message : `${path.join('.')} ${message}`;

export class NotFoundError extends DomainError {
  readonly code = 'NOT_FOUND';
}

/** The name is taken; `existing` is what stands there, where the caller may see it. */
export class AlreadyExistsError extends DomainError {
  readonly code = 'ALREADY_EXISTS';
  readonly existing: { readonly accountId: string; readonly ref: string } | null;

  constructor(message: string, init: DomainErrorInit & { existing?: AlreadyExistsError['existing'] } = {}) {
    super(message, init);
    this.existing = init.existing ?? null;
  }
}

export class ConflictError extends DomainError {
  readonly code = 'CONFLICT';
}

export class PermissionDeniedError extends DomainError {
  readonly code = 'PERMISSION_DENIED';
}

/** The provider cannot do it; said before any request is made. */
export class UnsupportedError extends DomainError {
  readonly code = 'UNSUPPORTED';
  readonly ability: string | null;

  constructor(message: string, ability: string | null, init?: DomainErrorInit) {
    super(message, init);
    this.ability = ability;
  }
}

export class RateLimitedError extends DomainError {
  readonly code = 'RATE_LIMITED';

  constructor(message: string, init: DomainErrorInit = {}) {
    super(message, { retryable: true, ...init });
  }
}

export interface Allowance {
  readonly limit: number;
  readonly used: number;
  readonly remaining: number;
  readonly resetsAt: Date;
}

export class AllowanceExceededError extends DomainError {
  readonly code = 'ALLOWANCE_EXCEEDED';
  readonly allowance: Allowance;

  constructor(message: string, allowance: Allowance) {
    super(message, { retryable: true, retryAt: allowance.resetsAt });
    this.allowance = allowance;
  }
}

export class StorageFullError extends DomainError {
  readonly code = 'STORAGE_FULL';
}

export class TooLargeError extends DomainError {
  readonly code = 'TOO_LARGE';
}

/** Bytes are not what was promised: wrong length or hash. */
export class IntegrityError extends DomainError {
  readonly code = 'INTEGRITY';
}

export class ReauthorizationRequiredError extends DomainError {
  readonly code = 'REAUTHORIZATION_REQUIRED';
  readonly accountId: string;

  constructor(message: string, accountId: string, init?: DomainErrorInit) {
    super(message, init);
    this.accountId = accountId;
  }
}

export interface ProviderErrorInit extends DomainErrorInit {
  readonly provider: string;
  readonly providerCode?: string | null;
  /** What to check, from the provider's own table of error codes. */
  readonly hint?: string | null;
}

export class ProviderError extends DomainError {
  readonly code = 'PROVIDER_FAILED';
  readonly provider: string;
  readonly providerCode: string | null;
  readonly hint: string | null;

  constructor(message: string, init: ProviderErrorInit) {
    super(message, init);
    this.provider = init.provider;
    this.providerCode = init.providerCode ?? null;
    this.hint = init.hint ?? null;
  }
}

export class CancelledError extends DomainError {
  readonly code = 'CANCELLED';
}

/** This server cannot do it just now: full disk, busy database, shutting down. */
export class UnavailableError extends DomainError {
  readonly code = 'UNAVAILABLE';

  constructor(message: string, init: DomainErrorInit = {}) {
    super(message, { retryable: true, ...init });
  }
}

/** The settings do not allow a start: all faults together, each naming the setting and what is expected of it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Nobody is signed in, or the token no longer counts. Not data: a top-level error, as every field would have it. */
export class UnauthenticatedError extends Error {
  override readonly name = 'UnauthenticatedError';
}

/** The DomainError in an error's chain of causes, or null. */
export function findDomainError(error: unknown): DomainError | null {
  for (let current = error, depth = 0; current instanceof Error && depth < 8; current = current.cause, depth += 1) {
    if (current instanceof DomainError) return current;
  }
  return null;
}
