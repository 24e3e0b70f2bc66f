import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';

/** A section of a form: text, bytes, or a source that is opened anew for each attempt and gives exactly `length` bytes. */
export type MultipartSection =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly filename: string; readonly contentType?: string; readonly bytes: Uint8Array }
  | {
      readonly name: string;
      readonly filename: string;
      readonly contentType?: string;
      readonly length: number;
      readonly open: () => Readable;
    };

export interface MultipartBody {
  readonly contentType: string;
  /** Of the whole body, in bytes. */
  readonly length: number;
  open(): Readable;
}

/** A `multipart/form-data` body (RFC 7578) in the order given, whose length is known before its sources are read. */
export function multipartBody(sections: readonly MultipartSection[]): MultipartBody {
  const boundary = `panql-${randomBytes(18).toString('base64url')}`;
  const parts = sections.map((section) => ({ head: headOf(section, boundary), section }));
  const foot = Buffer.from(`--${boundary}--\r\n`);
  const length = parts.reduce((sum, { head, section }) => sum + head.length + lengthOf(section) + CRLF.length, 0);
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    length: length + foot.length,
    open: () => Readable.from(write(parts, foot), { objectMode: false }),
  };
}

const CRLF = Buffer.from('\r\n');

async function* write(
  parts: readonly { readonly head: Buffer; readonly section: MultipartSection }[],
  foot: Buffer,
): AsyncGenerator<Uint8Array> {
  for (const { head, section } of parts) {
    yield head;
    if ('open' in section) yield* section.open();
    else yield 'bytes' in section ? section.bytes : Buffer.from(section.value);
    yield CRLF;
  }
  yield foot;
}

function headOf(section: MultipartSection, boundary: string): Buffer {
  const file =
    'filename' in section
      ? `; filename="${escaped(section.filename)}"\r\nContent-Type: ${section.contentType ?? 'application/octet-stream'}`
      : '';
  return Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${escaped(section.name)}"${file}\r\n\r\n`);
}

function lengthOf(section: MultipartSection): number {
  if ('value' in section) return Buffer.byteLength(section.value);
  return 'bytes' in section ? section.bytes.byteLength : section.length;
}

/** As browsers write names in a header (WHATWG HTML, multipart form data): a name cannot end its quotes or its line. */
const escaped = (name: string): string => name.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
