import type { Readable } from 'node:stream';

/** A file that somebody has the right to download, as it is now. */
export interface Download {
  readonly name: string;
  /** Null where the provider does not tell: then only the whole can be had. */
  readonly sizeBytes: number | null;
  readonly mimeType: string | null;
  /** Another one whenever the bytes are others; of letters, digits, - and _. Null where the provider does not tell. */
  readonly version: string | null;
  readonly modifiedAt: Date | null;
  /** To be saved rather than shown. */
  readonly attachment: boolean;
  /** The bytes of the span, both ends included; null: all. The signal ends the stream. */
  read(span: { readonly start: number; readonly end: number } | null, signal: AbortSignal): Promise<Readable>;
}
