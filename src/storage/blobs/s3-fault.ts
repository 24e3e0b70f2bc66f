import { ConfigError } from '../../lib/errors.ts';
import { BlobStoreError, type BlobStoreFault } from './errors.ts';
import type { S3Address } from './s3-address.ts';

/**
 * What an error code means. Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, read 2026-11-26;
 * those with X are MinIO's.
 */
const FAULTS: Readonly<Record<string, BlobStoreFault>> = {
  SlowDown: 'busy',
  RequestLimitExceeded: 'busy',
  Throttling: 'busy',
  ThrottlingException: 'busy',
  TooManyRequestsException: 'busy',
  AccessDenied: 'denied',
  InvalidAccessKeyId: 'denied',
  SignatureDoesNotMatch: 'denied',
  ExpiredToken: 'denied',
  InvalidToken: 'denied',
  AccountProblem: 'denied',
  AllAccessDisabled: 'denied',
  NoSuchBucket: 'denied',
  PermanentRedirect: 'denied',
  AuthorizationHeaderMalformed: 'denied',
  RequestTimeTooSkewed: 'denied',
  CredentialsProviderError: 'denied',
  EntityTooLarge: 'tooLarge',
  QuotaExceeded: 'full',
  XMinioStorageFull: 'full',
  XMinioAdminBucketQuotaExceeded: 'full',
};
/** For replies without a code, as HEAD has them. */
const FAULTS_OF_STATUS: Readonly<Record<number, BlobStoreFault>> = {
  401: 'denied',
  403: 'denied',
  413: 'tooLarge',
  429: 'busy',
  503: 'busy',
  507: 'full',
};

interface Reply {
  /** The store's code, the network's, or the name of the error. */
  readonly code: string;
  /** 0: there was no answer. */
  readonly status: number;
}

/** What is told of an error of the SDK. Nothing else of it is kept: it quotes what was signed. */
export function replyOf(error: unknown): Reply {
  const { name, code, $metadata } = (error ?? {}) as {
    readonly name?: unknown;
    readonly code?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  const said = [code, name].find((text) => typeof text === 'string' && text !== 'Error' && text !== '');
  return { code: (said as string | undefined) ?? 'unknown', status: $metadata?.httpStatusCode ?? 0 };
}

const faultOf = ({ code, status }: Reply): BlobStoreFault => FAULTS[code] ?? FAULTS_OF_STATUS[status] ?? 'unavailable';

const textOf = ({ code, status }: Reply): string => (status === 0 ? code : `${code}, HTTP ${status}`);

/** The failure of an operation, in a form that may be logged. */
export function storeError(operation: string, error: unknown): BlobStoreError {
  if (error instanceof BlobStoreError) return error;
  const reply = replyOf(error);
  return new BlobStoreError(faultOf(reply), `${operation}: ${textOf(reply)}`);
}

const MEND_KEYS = 'Mend BLOB_STORE_ACCESS_KEY_ID and BLOB_STORE_SECRET_ACCESS_KEY.';
const ADVICE: Readonly<Record<string, string>> = {
  NoSuchBucket: 'There is no such bucket there. Make it, or mend BLOB_STORE_URL.',
  NoSuchKey: 'It answers as no S3 store does. Mend the endpoint in BLOB_STORE_URL.',
  AccessDenied: `It does not let these keys list the bucket, read, write and delete. Grant them that. Or: ${MEND_KEYS}`,
  InvalidAccessKeyId: `It does not know this access key. ${MEND_KEYS}`,
  SignatureDoesNotMatch: `It refuses the secret of this access key. ${MEND_KEYS}`,
  ExpiredToken: 'The temporary keys have expired. Renew them.',
  InvalidToken: 'It refuses the session token of the temporary keys. Renew them.',
  CredentialsProviderError: `There are no keys for it. ${MEND_KEYS}`,
  PermanentRedirect: 'The bucket is in another region. Mend region=… in BLOB_STORE_URL.',
  AuthorizationHeaderMalformed: 'The bucket is in another region. Mend region=… in BLOB_STORE_URL.',
  RequestTimeTooSkewed: 'The clocks of this machine and of the store differ. Set them right.',
  ECONNREFUSED: 'Nothing listens there. Start the store, or mend the endpoint in BLOB_STORE_URL.',
  ENOTFOUND:
    'There is no such host. Mend BLOB_STORE_URL; where the bucket must not stand before the host, pathStyle=true.',
  EAI_AGAIN: 'The name of its host cannot be looked up just now. Try again, or mend BLOB_STORE_URL.',
  TimeoutError: 'It does not answer. Look at the network between, or mend the endpoint in BLOB_STORE_URL.',
  ECONNRESET: 'It ends the connection. Mend the endpoint in BLOB_STORE_URL: perhaps https is meant, or another port.',
  EPROTO: 'It does not speak TLS there. Mend the endpoint in BLOB_STORE_URL: perhaps http is meant.',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'Its certificate is its own. Name it in NODE_EXTRA_CA_CERTS.',
  SELF_SIGNED_CERT_IN_CHAIN: 'Its certificate is of an unknown authority. Name that in NODE_EXTRA_CA_CERTS.',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'Its certificate is of an unknown authority. Name that in NODE_EXTRA_CA_CERTS.',
};

/** A store that cannot be used at the start, in words for its operator. */
export function startFault(error: unknown, { bucket, endpoint, region }: S3Address): ConfigError {
  const reply = replyOf(error);
  const place = `The bucket ${bucket} at ${endpoint ?? `Amazon S3, ${region},`}`;
  const advice = ADVICE[reply.code] ?? 'Look whether BLOB_STORE_URL is right.';
  return new ConfigError(`${place} cannot be used (${textOf(reply)}). ${advice}`);
}
