import { DriveError, type DriveErrorCategory, type DriveErrorInit } from '../lib/drive-error.ts';
import { BlockedAddressError } from './guard.ts';
import type { Peer } from './request.ts';

/** A DriveError of the peer's. */
export const peerError = (
  { provider }: Peer,
  category: DriveErrorCategory,
  message: string,
  init: Omit<DriveErrorInit, 'provider'> = {},
): DriveError => new DriveError(category, message, { provider, ...init });

export const cancelledError = (peer: Peer, cause: unknown): DriveError =>
  peerError(peer, 'cancelled', `The request to ${peer.title} was cancelled.`, { cause });

/** The promise's result, or `cancelled` as soon as the signal aborts. */
export async function orCancelled<Value>(promise: Promise<Value>, signal: AbortSignal, peer: Peer): Promise<Value> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(cancelledError(peer, signal.reason));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** The connection was never made, so nothing can have been done. */
const UNREACHED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);
/** Codes of OpenSSL's certificate checks and of Node's TLS, such as DEPTH_ZERO_SELF_SIGNED_CERT or ERR_TLS_CERT_ALTNAME_INVALID. */
const DISTRUSTED = /CERT|SIGNATURE|_CRL|^ERR_TLS|^ERR_SSL/;
/** What the sockets and the HTTP parser of Node and undici say when a conversation breaks. */
const BROKEN = /^(?:UND_ERR_|HPE_|ECONN|EPIPE$|ETIMEDOUT$|ERR_STREAM_PREMATURE_CLOSE$|EPROTO$)/;

/** Why there is no whole answer, as a DriveError; matched by code, as undici asks. A DriveError stays what it is. */
export function faultOf(peer: Peer, error: unknown, signal: AbortSignal): DriveError {
  if (error instanceof DriveError) return error;
  if (signal.aborted) {
    return signal.reason instanceof DriveError ? signal.reason : cancelledError(peer, signal.reason);
  }
  const { title } = peer;
  if (error instanceof BlockedAddressError) {
    return peerError(peer, 'permission_denied', `${title} is at an address that this server does not contact.`, {
      cause: error,
      nothingDone: true,
      hint: `${error.message} The operator can allow it by OUTBOUND_ALLOW_CIDRS.`,
    });
  }
  const code = codeOf(error);
  if (UNREACHED.has(code)) {
    return peerError(peer, 'unavailable', `${title} cannot be reached. Try again later.`, {
      cause: error,
      nothingDone: true,
      providerCode: code,
    });
  }
  if (DISTRUSTED.test(code)) {
    return peerError(peer, 'unavailable', `${title} did not prove who it is: its certificate is not trusted.`, {
      cause: error,
      retryable: false,
      nothingDone: true,
      providerCode: code,
      hint: 'Check the name and the certificate of the server; a private authority is named by NODE_EXTRA_CA_CERTS.',
    });
  }
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return cancelledError(peer, error);
  if (code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH') {
    return peerError(peer, 'corrupted', `The bytes to send to ${title} were fewer or more than announced.`, {
      cause: error,
    });
  }
  if (code === 'UND_ERR_BODY_TIMEOUT') {
    return peerError(peer, 'timeout', `${title} stopped sending. Try again.`, { cause: error });
  }
  if (BROKEN.test(code)) {
    return peerError(peer, 'unavailable', `The connection to ${title} broke. Try again.`, { cause: error });
  }
  return peerError(peer, 'unexpected', `The request to ${title} failed for an unknown reason.`, { cause: error });
}

/** The code of an error, or of the first of several tries to connect. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error.name === 'HTTPParserError' ? 'HPE_' : ''; // Of undici's errors the only one that can lack a code.
}
