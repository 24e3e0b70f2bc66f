/** The bytes of the one file of a multipart body, or in words why there is not exactly one named `file`. */
export function filePart(contentType: string, body: Buffer): Buffer | string {
  const [, quoted, plain] = /^multipart\/form-data;.*\bboundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return 'the slice is not multipart/form-data';
  const opening = Buffer.from(`--${boundary}\r\n`);
  const closing = Buffer.from(`\r\n--${boundary}`);
  if (!body.subarray(0, opening.length).equals(opening)) return 'the multipart body does not open with its boundary';
  const headEnd = body.indexOf('\r\n\r\n');
  const end = body.indexOf(closing, headEnd + 2);
  if (headEnd === -1 || end === -1) return 'the multipart body has no end';
  const head = body.subarray(opening.length, headEnd).toString();
  if (!/^content-disposition:\s*form-data;.*\bname="file"/im.test(head))
    return 'the field of the slice is not named file';
  if (!/\bfilename="/i.test(head)) return 'the field of the slice is not a file';
  if (body.subarray(end + closing.length, end + closing.length + 2).toString() !== '--') {
    return 'the multipart body has more than one field';
  }
  return body.subarray(headEnd + 4, end);
}
