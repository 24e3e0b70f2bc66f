import type { Readable } from 'node:stream';
import { type MultipartSection, multipartBody } from './multipart.ts';
import { formText, type QueryValues } from './request.ts';

/** What is sent. Each kind can be sent again for another attempt; its length is always known, so nothing is sent chunked. */
export type OutboundBody =
  | { readonly form: QueryValues }
  /** Any value that JSON can write; numbers beyond 2⁵³ by {@link jsonInteger}. */
  | { readonly json: unknown }
  | { readonly bytes: Uint8Array; readonly contentType?: string }
  | { readonly multipart: readonly MultipartSection[] }
  /** `open` is called for each attempt and gives exactly `length` bytes. */
  | { readonly open: () => Readable; readonly length: number; readonly contentType?: string };

export interface EncodedBody {
  readonly contentType: string;
  readonly length: number;
  readonly payload: Uint8Array | Readable;
}

/** The body of one attempt. */
export function encodeBody(body: OutboundBody): EncodedBody {
  if ('form' in body) return encodeText(formText(body.form), 'application/x-www-form-urlencoded');
  if ('json' in body) return encodeText(JSON.stringify(body.json), 'application/json');
  if ('multipart' in body) {
    const { contentType, length, open } = multipartBody(body.multipart);
    return { contentType, length, payload: open() };
  }
  const contentType = body.contentType ?? 'application/octet-stream';
  if ('bytes' in body) return { contentType, length: body.bytes.byteLength, payload: body.bytes };
  return { contentType, length: body.length, payload: body.open() };
}

function encodeText(text: string, contentType: string): EncodedBody {
  const payload = Buffer.from(text);
  return { contentType, length: payload.length, payload };
}
