import { GraphQLError } from 'graphql';
import {
  AllowanceExceededError,
  type DomainError,
  findDomainError,
  InvalidInputError,
  PermissionDeniedError,
  ProviderError,
  ReauthorizationRequiredError,
  UnauthenticatedError,
  USER_ERROR_CODES,
} from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { outageOf } from '../lib/outage.ts';
import type { GraphContext } from './context.ts';
import { encodeGlobalId } from './ids.ts';

/** The closed list of `extensions.code` of a top-level error. */
export const ERROR_CODES = [
  ...USER_ERROR_CODES,
  'UNAUTHENTICATED',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_TOO_COMPLEX',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_USER_INPUT',
  'BAD_REQUEST',
  'SHUTTING_DOWN',
  'INTERNAL_SERVER_ERROR',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

const KNOWN_CODES: ReadonlySet<string> = new Set(ERROR_CODES);

/** The server stops: the client should connect again, to whichever process answers then. */
export class ShuttingDownError extends Error {
  override readonly name = 'ShuttingDownError';

  constructor() {
    super('The server is restarting. Connect again.');
  }
}

/** An error of the request itself, with the HTTP status that it gets. */
export const requestError = (
  message: string,
  status: number,
  code: ErrorCode = 'BAD_REQUEST',
  headers: Readonly<Record<string, string>> = {},
): GraphQLError => new GraphQLError(message, { extensions: { code, http: { status, headers } } });

export const unknownOperation = (): GraphQLError =>
  requestError('The document has no such operation: name one of its operations.', 400, 'OPERATION_RESOLUTION_FAILURE');

/** Whoever sends a token should not be told to send one. */
export const TOKEN_REJECTED = 'The token has expired or was revoked. Refresh it, or sign in.';

export function unauthorizedError(_parent: unknown, context: object): Error {
  const { viewer, tokenRejected } = context as GraphContext;
  if (viewer === null && tokenRejected) return new UnauthenticatedError(TOKEN_REJECTED);
  return viewer === null
    ? new UnauthenticatedError('Sign in first: send the header `Authorization: Bearer <accessToken>`.')
    : new PermissionDeniedError('This session or API key has not the right to do that.');
}

export function complexityError(kind: 'Depth' | 'Breadth' | 'Complexity', found: number, most: number): GraphQLError {
  return requestError(
    `The operation is too large (${kind.toLowerCase()} ${found}, at most ${most}). Ask for less in one operation.`,
    400,
    'OPERATION_TOO_COMPLEX',
  );
}

export interface ErrorMaskOptions {
  readonly log: Logger;
  /** Whether messages may end in "Did you mean …?", which tells names of the schema. */
  readonly suggestions: boolean;
  /** Told the code of each error that goes out. */
  readonly onError?: (code: ErrorCode) => void;
}

export type ErrorMask = (error: unknown) => GraphQLError;

/** What a caller may know of a failure, for HTTP, SSE and WebSocket alike. Everything unexpected is masked and logged. */
export function createErrorMask(options: ErrorMaskOptions): ErrorMask {
  const told = new WeakSet<object>(); // An error passes by here more than once on some ways.
  return (error) => {
    if (error instanceof GraphQLError && told.has(error)) return error;
    const masked = mask(error, options);
    told.add(masked);
    options.onError?.(masked.extensions.code as ErrorCode);
    return masked;
  };
}

function mask(error: unknown, options: ErrorMaskOptions): GraphQLError {
  const wrapper = error instanceof GraphQLError ? error : null;
  const original = innermost(wrapper?.originalError ?? (wrapper ? null : error));
  if (wrapper && (original === null || original instanceof GraphQLError)) {
    const told = original ?? wrapper;
    if (!isUnfitResult(wrapper, told)) return ofDocument(wrapper, told, options);
  }
  if (original instanceof UnauthenticatedError) return rebuild(wrapper, original.message, { code: 'UNAUTHENTICATED' });
  if (original instanceof ShuttingDownError) return rebuild(wrapper, original.message, { code: 'SHUTTING_DOWN' });

  const expected = findDomainError(original);
  if (expected) return rebuild(wrapper, expected.message, domainExtensions(expected));

  const outage = outageOf(original);
  if (outage) {
    options.log.warn({ err: original, path: wrapper?.path }, 'the database was lost in a resolver');
    return rebuild(wrapper, outage.message, domainExtensions(outage));
  }

  options.log.error({ err: original, path: wrapper?.path }, 'unexpected error in a resolver');
  return rebuild(wrapper, 'Unexpected error. It has been logged.', { code: 'INTERNAL_SERVER_ERROR' });
}

/** GraphQL wraps an error once for each list or field on its way out. */
function innermost(error: unknown): unknown {
  let current = error;
  while (current instanceof GraphQLError && current.originalError) current = current.originalError;
  return current;
}

/** Whether a resolver gave what its type cannot hold: a bug of ours, though GraphQL words it like a fault of the input. */
const isUnfitResult = (wrapper: GraphQLError, { message, extensions }: GraphQLError): boolean =>
  wrapper.path !== undefined &&
  extensions.code === undefined &&
  / cannot represent /.test(message) &&
  !message.startsWith('Argument');

/** An error that GraphQL itself found, in the request, the document or its variables: its message is for the caller. */
function ofDocument(place: GraphQLError, error: GraphQLError, { suggestions }: ErrorMaskOptions): GraphQLError {
  const { originalError: _parsersOwn, code: told, http, ...extensions } = error.extensions;
  const code = knownCode(told, http as HttpHint | undefined);
  const message = error.message.replace(FOUND, '');
  return new GraphQLError(suggestions ? message : message.replace(SUGGESTION, ''), {
    nodes: place.nodes ?? null,
    source: place.source ?? null,
    positions: place.positions ?? null,
    path: place.path ?? null,
    extensions: { ...extensions, code, ...(http ? { http: httpHint(code, http as HttpHint) } : {}) },
  });
}

/** What an error asks of the HTTP answer: its status, or (spec) the one that GraphQL over HTTP gives for what is accepted. */
interface HttpHint {
  readonly status?: number;
  readonly spec?: boolean;
}

/** A request that is none has the same status whatever it accepts. */
const httpHint = (code: ErrorCode, http: HttpHint): HttpHint =>
  code === 'BAD_REQUEST' ? { ...http, spec: false } : http;

/** How graphql-js repeats a whole input, passwords and all, in what clients log. */
const FOUND = /(?:, found: .*(?=\.$)| Found: .*$)/s;

/** How graphql-js and the executor of Yoga end a message that guesses at what was meant. */
const SUGGESTION = / ?Did you mean .*\?/s;

function knownCode(code: unknown, http: HttpHint | undefined): ErrorCode {
  if (typeof code === 'string' && KNOWN_CODES.has(code)) return code as ErrorCode;
  if (code === undefined) return 'BAD_USER_INPUT'; // What the executor says of variables.
  return http?.status === 413 ? 'TOO_LARGE' : 'BAD_REQUEST';
}

function domainExtensions(error: DomainError): Record<string, unknown> & { code: ErrorCode } {
  return {
    code: error.code,
    retryable: error.retryable,
    retryAt: error.retryAt?.toISOString() ?? null,
    ...(error instanceof InvalidInputError ? { issues: error.issues } : {}),
    ...(error instanceof ProviderError
      ? { provider: error.provider, providerCode: error.providerCode, hint: error.hint }
      : {}),
    ...(error instanceof ReauthorizationRequiredError
      ? { accountId: encodeGlobalId('CloudAccount', error.accountId) }
      : {}),
    ...(error instanceof AllowanceExceededError ? { resetsAt: error.allowance.resetsAt.toISOString() } : {}),
  };
}

function rebuild(
  wrapper: GraphQLError | null,
  message: string,
  extensions: Readonly<Record<string, unknown>> & { readonly code: ErrorCode },
): GraphQLError {
  return new GraphQLError(message, {
    nodes: wrapper?.nodes ?? null,
    path: wrapper?.path ?? null,
    extensions: { ...extensions },
  });
}
