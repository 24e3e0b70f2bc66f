import { Buffer } from 'node:buffer';

/** A header's value as its sender meant it: Node reads headers as Latin-1, and who writes other letters writes UTF-8. */
export function headerText(value: string): string {
  const text = Buffer.from(value, 'latin1').toString('utf8');
  return text.includes('\ufffd') ? value : text;
}
