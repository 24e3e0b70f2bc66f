/** A field of a form; `filename` null when it is text. */
export interface Part {
  readonly name: string;
  readonly filename: string | null;
  readonly bytes: Buffer;
}

/** The fields of a multipart body in their order, or in words why it is none. */
export function partsOf(contentType: string, body: Buffer): Part[] | string {
  const [, quoted, plain] = /^multipart\/form-data;.*\bboundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return 'the body is not multipart/form-data';
  const opening = Buffer.from(`--${boundary}\r\n`);
  if (!body.subarray(0, opening.length).equals(opening)) return 'the body does not open with its boundary';
  const mark = Buffer.from(`\r\n--${boundary}`);
  const parts: Part[] = [];
  for (let at = opening.length; ; ) {
    const headEnd = body.indexOf('\r\n\r\n', at);
    const end = body.indexOf(mark, headEnd + 2);
    if (headEnd === -1 || end === -1) return 'the body has no end';
    const head = body.subarray(at, headEnd).toString();
    const [, name] = /^content-disposition:\s*form-data;.*?\bname="([^"]*)"/im.exec(head) ?? [];
    const [, filename = null] = /\bfilename="([^"]*)"/i.exec(head) ?? [];
    if (name === undefined) return 'a field has no name';
    parts.push({ name, filename, bytes: body.subarray(headEnd + 4, end) });
    at = end + mark.length;
    if (body.subarray(at, at + 2).toString() === '--') return parts;
    at += 2;
  }
}
