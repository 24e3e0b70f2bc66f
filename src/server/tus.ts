import { Buffer } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { UploadRefusal } from '../lib/upload-refusal.ts';

/** The words of tus 1.0. Source: https://tus.io/protocols/resumable-upload, read November 2026. */
export const TUS_VERSION = '1.0.0';
export const TUS_EXTENSIONS = 'creation,creation-with-upload,expiration,checksum,termination';
export const CHUNK_TYPE = 'application/offset+octet-stream';

/** The algorithms of Upload-Checksum by their names there. */
const CHECKSUMS = { sha1: 'SHA1', sha256: 'SHA256', md5: 'MD5', crc32: 'CRC32' } as const;
export const TUS_CHECKSUMS = Object.keys(CHECKSUMS).join(',');
const DIGEST_BYTES = { SHA1: 20, SHA256: 32, MD5: 16, CRC32: 4 } as const;

/** A request that breaks the rules of the protocol. */
export class TusError extends Error {
  override readonly name = 'TusError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What each refusal is in HTTP. tus-js-client asks for the offset and goes on after 409, 423 and 5xx, and gives up after the rest. */
export const REFUSAL_STATUSES: Readonly<Record<UploadRefusal, number>> = {
  unknown: 404,
  gone: 410,
  ended: 403,
  paused: 423,
  locked: 423,
  elsewhere: 503,
  finished: 409,
  offset: 409,
  tooLarge: 413,
  checksum: 460, // Of the protocol's own, "Checksum Mismatch".
};

/** The method, with the way around for clients that cannot say PATCH or DELETE. */
export function methodOf(method: string, headers: IncomingHttpHeaders): string {
  const override = headers['x-http-method-override'];
  return method === 'POST' && typeof override === 'string' ? override.toUpperCase() : method;
}

/** A whole number of a header, from 0; null when it is left out. @throws TusError when it is anything else. */
export function byteCount(
  headers: IncomingHttpHeaders,
  name: 'upload-offset' | 'upload-length' | 'content-length',
): number | null {
  const value = headers[name];
  if (value === undefined) return null;
  const bytes = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw new TusError(400, `${name} must be a whole number of bytes.`);
  return bytes;
}

export function required<Value>(value: Value | null, name: string): Value {
  if (value === null) throw new TusError(400, `${name} is missing.`);
  return value;
}

/** Upload-Checksum; null when it is left out. @throws TusError */
export function checksumOf(headers: IncomingHttpHeaders) {
  const header = headers['upload-checksum'];
  if (header === undefined) return null;
  const [name = '', encoded = '', ...rest] = String(header).split(' ');
  const algorithm = Object.hasOwn(CHECKSUMS, name) ? CHECKSUMS[name as keyof typeof CHECKSUMS] : null;
  if (!algorithm) throw new TusError(400, `Upload-Checksum must be of ${TUS_CHECKSUMS}.`);
  const digest = Buffer.from(encoded, 'base64');
  if (rest.length > 0 || digest.length !== DIGEST_BYTES[algorithm] || digest.toString('base64') !== encoded) {
    throw new TusError(400, `Upload-Checksum must be ${name} and the digest in Base64.`);
  }
  return { algorithm, value: digest.toString('hex') };
}

/** Upload-Metadata: values by their keys. @throws TusError */
export function metadataOf(header: string): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  for (const pair of header.split(',')) {
    const [key = '', encoded = '', ...rest] = pair.trim().split(' ');
    const value = Buffer.from(encoded, 'base64');
    const isPair = /^[!-+\--~]+$/.test(key) && rest.length === 0 && value.toString('base64') === encoded;
    if (!isPair || metadata.has(key)) {
      throw new TusError(400, 'Upload-Metadata must be pairs of a key and a value in Base64, each key once.');
    }
    metadata.set(key, value.toString('utf8'));
  }
  return metadata;
}
