import type { DriveErrorCategory } from '../../lib/drive-error.ts';
import { isObject } from '../../lib/json.ts';
import type { Classify } from '../../transport/classify.ts';
import { classify, isTrue, pan115Error } from './errors.ts';

/** What the storage says, as far as it means more than its HTTP status. */
export const OSS_ERRORS: Readonly<Record<string, DriveErrorCategory>> = {
  // The credentials ran out: new ones are asked for, and the request is sent once more.
  SecurityTokenExpired: 'unauthenticated',
  InvalidSecurityToken: 'unauthenticated',
  InvalidAccessKeyId: 'unauthenticated',
  // The upload is gone, or cannot be gone on with: it is begun anew.
  NoSuchUpload: 'not_found',
  NoSuchKey: 'not_found',
  NoSuchBucket: 'not_found',
  PartNotSequential: 'conflict',
  PartAlreadyExist: 'conflict',
  InvalidPart: 'conflict',
  InvalidPartOrder: 'conflict',
  FileAlreadyExists: 'already_exists',
  EntityTooSmall: 'invalid_argument',
  EntityTooLarge: 'too_large',
  InvalidDigest: 'corrupted',
  BadDigest: 'corrupted',
  AccessDenied: 'permission_denied',
  SignatureDoesNotMatch: 'permission_denied',
  RequestTimeTooSkewed: 'permission_denied',
  SecondLevelDomainForbidden: 'permission_denied',
  RequestTimeout: 'unavailable',
  SlowDown: 'rate_limited',
  ServiceUnavailable: 'unavailable',
  InternalError: 'unavailable',
  CallbackFailed: 'unavailable',
};

const HINTS: Readonly<Record<string, string>> = {
  RequestTimeTooSkewed: 'Check the clock of this server.',
  EntityTooLarge: 'Its storage was seen to refuse files of any size from servers outside China.',
};

/** The code of 115's refusal of a file that its storage has. */
export const CALLBACK_REFUSED = 'callback refused';
export const CALLBACK_FAILED = 'CallbackFailed';

/** The error in a reply of the storage. The answer to the last call of an upload is 115's own, which it fetched. */
export const classifyOss: Classify = (reply, request) => {
  const { status, text } = reply;
  const code = /<Code>\s*([^<\s]+)\s*<\/Code>/.exec(text ?? '')?.[1];
  const isError = /<Error[\s>]/.test(text ?? '') || status >= 300;
  if (code !== undefined && isError) {
    const category = OSS_ERRORS[code] ?? (status >= 500 ? 'unavailable' : 'unexpected');
    return pan115Error(category, `could not store the file (${code}).`, code, {
      hint: HINTS[code] ?? null,
      cause: new Error((text ?? '').slice(0, 1000)),
      // The credentials were refused before anything was done.
      ...(category === 'unauthenticated' ? { nothingDone: true } : {}),
    });
  }
  if (request.endpoint !== 'oss.complete' || !isObject(reply.json)) return null;
  if (isTrue(reply.json.state) && isObject(reply.json.data)) return null;
  const told = classify(reply, { ...request, endpoint: 'callback' });
  return pan115Error('corrupted', 'did not take the file that was sent.', CALLBACK_REFUSED, {
    hint: 'Send it again.',
    cause: told ?? new Error('no data'),
  });
};
