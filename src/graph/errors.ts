import { GraphQLError } from 'graphql';
import {
  AllowanceExceededError,
  findDomainError,
  InvalidInputError,
  PermissionDeniedError,
  ProviderError,
  ReauthorizationRequiredError,
  UnauthenticatedError,
  USER_ERROR_CODES,
} from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
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

export function unauthorizedError(_parent: unknown, context: object): Error {
  return (context as GraphContext).viewer === null
    ? new UnauthenticatedError('Sign in first: send the header `Authorization: Bearer <accessToken>`.')
    : new PermissionDeniedError('This session or API key has not the right to do that.');
}

export function complexityError(kind: string, result: object): GraphQLError {
  const limits = Object.entries(result)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
  return new GraphQLError(
    `The operation is too large (${kind.toLowerCase()}: ${limits}). Ask for less in one operation.`,
    {
      extensions: { code: 'OPERATION_TOO_COMPLEX' satisfies ErrorCode },
    },
  );
}

/** What a caller may know of a failure, for HTTP, SSE and WebSocket alike. Everything unexpected is masked and logged. */
export function createErrorMask(log: Logger): (error: unknown) => GraphQLError {
  return (error) => {
    const wrapper = error instanceof GraphQLError ? error : null;
    const original = wrapper?.originalError ?? (wrapper ? null : error);
    if (wrapper && !original) {
      const code = wrapper.extensions.code;
      if (typeof code === 'string' && KNOWN_CODES.has(code)) return wrapper;
      return withCode(wrapper, 'BAD_USER_INPUT');
    }

    if (original instanceof GraphQLError) {
      return createErrorMask(log)(original);
    }
    if (original instanceof UnauthenticatedError) {
      return rebuild(wrapper, original.message, { code: 'UNAUTHENTICATED', http: { status: 401 } });
    }
    const expected = findDomainError(original);
    if (expected) {
      return rebuild(wrapper, expected.message, {
        code: expected.code,
        retryable: expected.retryable,
        retryAt: expected.retryAt?.toISOString() ?? null,
        ...(expected instanceof InvalidInputError ? { issues: expected.issues } : {}),
        ...(expected instanceof ProviderError
          ? { provider: expected.provider, providerCode: expected.providerCode, hint: expected.hint }
          : {}),
        ...(expected instanceof ReauthorizationRequiredError
          ? { accountId: encodeGlobalId('CloudAccount', expected.accountId) }
          : {}),
        ...(expected instanceof AllowanceExceededError ? { resetsAt: expected.allowance.resetsAt.toISOString() } : {}),
      });
    }

    log.error({ err: original, path: wrapper?.path }, 'unexpected error in a resolver');
    return rebuild(wrapper, 'Unexpected error. It has been logged.', { code: 'INTERNAL_SERVER_ERROR' });
  };
}

function withCode(error: GraphQLError, code: ErrorCode): GraphQLError {
  return new GraphQLError(error.message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    path: error.path ?? null,
    extensions: { ...error.extensions, code },
  });
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
