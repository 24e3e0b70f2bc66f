import {
  AllowanceExceededError,
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
  USER_ERROR_CODES,
  type UserErrorCode,
} from '../../lib/errors.ts';
import { builder } from '../builder.ts';

const CODE_DESCRIPTIONS: Readonly<Record<UserErrorCode, string>> = {
  INVALID_INPUT: 'An argument is missing or malformed; nothing was changed.',
  NOT_FOUND: 'There is no such thing, or it is not yours: both answer the same.',
  ALREADY_EXISTS: 'The name is taken.',
  CONFLICT: 'The object changed meanwhile, or its state does not allow this now.',
  PERMISSION_DENIED: 'You may not do that.',
  UNSUPPORTED: 'The provider cannot do it. Nothing was sent to it.',
  RATE_LIMITED: 'Too many requests; `retryAt` tells when to come back.',
  ALLOWANCE_EXCEEDED: 'The daily allowance is used up.',
  STORAGE_FULL: 'The drive, or the server, has no room left.',
  TOO_LARGE: 'More bytes or items than is taken.',
  INTEGRITY: 'The bytes are not what was promised: wrong length or hash.',
  REAUTHORIZATION_REQUIRED: 'The linked account must be authorized again by its owner.',
  PROVIDER_FAILED: 'The provider failed or refused; see its code and hint.',
  CANCELLED: 'It was cancelled before it was done.',
  UNAVAILABLE: 'This server cannot do it just now; try again.',
};

const UserErrorCodeEnum = builder.enumType('UserErrorCode', {
  description: 'What kind of failure it is. A client should expect values that it does not know yet.',
  values: Object.fromEntries(
    USER_ERROR_CODES.map((code) => [code, { description: CODE_DESCRIPTIONS[code] }]),
  ) as Record<UserErrorCode, { description: string }>,
});

/** What every expected failure tells. */
export const UserError = builder.interfaceRef<DomainError>('UserError').implement({
  description: 'A failure that the caller can act on. Ask any result for `... on UserError { code message }`.',
  fields: (t) => ({
    code: t.expose('code', { type: UserErrorCodeEnum, description: 'What kind of failure it is.' }),
    message: t.exposeString('message', { description: 'What failed and what to do, for a person.' }),
    retryable: t.exposeBoolean('retryable', { description: 'Whether the same request can succeed later.' }),
    retryAt: t.expose('retryAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When another try makes sense; null when unknown, or never.',
    }),
  }),
  // An error within a list, or stored with a transfer, finds its type by its class.
  resolveType: (error) => error.name,
});

/** An error as the value of a field: the executor would throw what is an Error. */
export const errorData = (error: DomainError): DomainError => ({ ...error, name: error.name, message: error.message });

const InputIssue = builder
  .objectRef<{ readonly path: readonly (string | number)[]; readonly message: string }>('InputIssue')
  .implement({
    description: 'One fault of the input.',
    fields: (t) => ({
      path: t.stringList({
        description: 'Where it is, from the argument down: `["input", "name"]`; places in a list are numbers from 0.',
        resolve: ({ path }) => path.map(String),
      }),
      message: t.exposeString('message', { description: 'What is expected there.' }),
    }),
  });

builder.objectType(InvalidInputError, {
  name: 'InvalidInputError',
  description: 'An argument is missing or malformed. Nothing was changed.',
  interfaces: [UserError],
  fields: (t) => ({
    issues: t.field({
      type: [InputIssue],
      description: 'All faults at once.',
      resolve: ({ issues }) => [...issues],
    }),
  }),
});

/** The errors that say nothing beyond their code. */
const PLAIN_ERRORS = [
  [NotFoundError, 'There is no such thing, or it is not yours: both answer the same.'],
  [ConflictError, 'The object changed meanwhile, or its state does not allow this now. Read it again, then decide.'],
  [PermissionDeniedError, 'You may not do that.'],
  [RateLimitedError, 'Too many requests; `retryAt` tells when to come back.'],
  [StorageFullError, 'The drive, or the server, has no room left.'],
  [TooLargeError, 'More bytes or items than is taken.'],
  [IntegrityError, 'The bytes are not what was promised: wrong length or hash. Nothing became visible.'],
  [CancelledError, 'It was cancelled before it was done.'],
  [UnavailableError, 'This server cannot do it just now; try again.'],
] as const;
for (const [type, description] of PLAIN_ERRORS) {
  builder.objectType(type as typeof NotFoundError, { name: type.name, description, interfaces: [UserError] });
}

builder.objectType(ProviderError, {
  name: 'ProviderError',
  description: 'The provider failed or refused.',
  interfaces: [UserError],
  fields: (t) => ({
    provider: t.exposeString('provider', { description: 'Which provider, as in `ProviderId`.' }),
    providerCode: t.exposeString('providerCode', {
      nullable: true,
      description: "The provider's own code, as listed in `Provider.errorCodes`; null where it gave none.",
    }),
    hint: t.exposeString('hint', { nullable: true, description: 'What to check; null where nothing is known.' }),
  }),
});

/** Errors whose own data are objects of the graph get their fields beside those objects (types/entry.ts and others). */
export const AlreadyExistsErrorType = builder.objectType(AlreadyExistsError, {
  name: 'AlreadyExistsError',
  description: 'The name is taken.',
  interfaces: [UserError],
});
export const UnsupportedErrorType = builder.objectType(UnsupportedError, {
  name: 'UnsupportedError',
  description: 'The provider cannot do it. Nothing was sent to it.',
  interfaces: [UserError],
});
export const AllowanceExceededErrorType = builder.objectType(AllowanceExceededError, {
  name: 'AllowanceExceededError',
  description: 'The daily allowance is used up.',
  interfaces: [UserError],
});
export const ReauthorizationRequiredErrorType = builder.objectType(ReauthorizationRequiredError, {
  name: 'ReauthorizationRequiredError',
  description: 'The linked account must be authorized again by its owner.',
  interfaces: [UserError],
});

/** The members that every mutation's result has: whatever may go wrong anywhere. */
export const COMMON_ERRORS = [InvalidInputError, PermissionDeniedError, RateLimitedError, UnavailableError] as const;

/** The members of a mutation that speaks to a drive. */
export const DRIVE_ERRORS = [
  ...COMMON_ERRORS,
  NotFoundError,
  AlreadyExistsError,
  ConflictError,
  UnsupportedError,
  StorageFullError,
  TooLargeError,
  IntegrityError,
  ReauthorizationRequiredError,
  ProviderError,
  CancelledError,
] as const;
