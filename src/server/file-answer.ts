import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { create as contentDisposition } from 'content-disposition';
import type { ByteSpan, Download } from '../services/download.ts';
import { parseRange, type RangeRequest } from './byte-range.ts';
import { evaluatePreconditions, rangeApplies, type Validators } from './preconditions.ts';

/** The head of an answer, and which bytes follow it. */
export interface FileAnswer {
  readonly status: 200 | 206 | 304 | 412 | 416;
  readonly headers: OutgoingHttpHeaders;
  /** Null: no body. */
  readonly body: { readonly span: ByteSpan | null; readonly lengthBytes: number | null } | null;
}

/**
 * What a stored file may do when a browser shows it: be drawn in an origin of its own, with its own styles and with media
 * of this server. No script, no form, no request elsewhere.
 */
const FILE_POLICY =
  "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'";

/** On every answer about a file. */
export const SAFETY_HEADERS: OutgoingHttpHeaders = {
  'content-security-policy': FILE_POLICY,
  'x-content-type-options': 'nosniff',
  // The address is the right to the file: it must not go to where a link in the file leads.
  'referrer-policy': 'no-referrer',
  // Apps on other origins show pictures and play films by such an address, which nobody can guess.
  'cross-origin-resource-policy': 'cross-origin',
  // A stored copy is asked about first, so that it ends with the right; a proxy that packs the bytes would break ranges.
  'cache-control': 'private, no-cache, no-transform',
};

/** What uploaders and providers call a type may be anything: only this gets into the header. */
const MIME_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/i;

/** Decides a GET or HEAD of a file by RFC 9110: conditions first, then the range. */
export function answerFile(method: string | undefined, headers: IncomingHttpHeaders, file: Download): FileAnswer {
  const validators: Validators = {
    etag: file.version === null ? null : `"${file.version}"`,
    modifiedAt: file.modifiedAt,
  };
  const common = { ...SAFETY_HEADERS, ...validatorHeaders(validators) };
  const precondition = evaluatePreconditions(headers, validators);
  if (precondition === 'failed') return { status: 412, headers: { ...common, 'content-length': 0 }, body: null };
  if (precondition === 'not-modified') return { status: 304, headers: common, body: null };

  const { sizeBytes } = file;
  const range = requestedRange(method, headers, validators, sizeBytes);
  if (range.kind === 'unsatisfiable') {
    const unsatisfied = { 'content-range': `bytes */${sizeBytes}`, 'content-length': 0 };
    return { status: 416, headers: { ...common, ...unsatisfied }, body: null };
  }
  const span =
    range.kind === 'part' && range.span.start <= (file.partStartMax ?? Number.POSITIVE_INFINITY) ? range.span : null;
  const lengthBytes = span ? span.end - span.start + 1 : sizeBytes;
  return {
    status: span ? 206 : 200,
    headers: {
      ...common,
      'content-type': contentTypeOf(file.mimeType),
      'content-disposition': contentDisposition(file.name, { type: file.attachment ? 'attachment' : 'inline' }),
      // Of a file that is measured only when a part is asked for, nothing is said before.
      ...(sizeBytes === null && file.measured ? {} : { 'accept-ranges': sizeBytes === null ? 'none' : 'bytes' }),
      ...(lengthBytes === null ? {} : { 'content-length': lengthBytes }),
      ...(span ? { 'content-range': `bytes ${span.start}-${span.end}/${sizeBytes}` } : {}),
    },
    body: method === 'HEAD' ? null : { span, lengthBytes },
  };
}

/** A Range header counts only with GET (§14.2), and only for the file that If-Range names. */
function requestedRange(
  method: string | undefined,
  headers: IncomingHttpHeaders,
  validators: Validators,
  sizeBytes: number | null,
): RangeRequest {
  if (method !== 'GET' || sizeBytes === null || !rangeApplies(headers['if-range']?.toString(), validators))
    return { kind: 'whole' };
  return parseRange(headers.range, sizeBytes);
}

const validatorHeaders = ({ etag, modifiedAt }: Validators): OutgoingHttpHeaders => ({
  ...(etag === null ? {} : { etag }),
  ...(modifiedAt === null ? {} : { 'last-modified': modifiedAt.toUTCString() }),
});

/** Text is taken for UTF-8: without a charset a browser would guess by its reader's country. */
export function contentTypeOf(mimeType: string | null): string {
  if (mimeType === null || !MIME_TYPE.test(mimeType)) return 'application/octet-stream';
  return mimeType.startsWith('text/') ? `${mimeType}; charset=utf-8` : mimeType;
}
