import type { Readable } from 'node:stream';
import type { CallContext, Hashes } from '../drives/driver.ts';
import type { TransferSource } from '../storage/entities/transfer.ts';

/** The kinds of source that a worker brings the bytes of; those of the others come in by themselves. */
export const ACQUIRED_TYPES = ['entry', 'url', 'file', 'link'] as const;
export type AcquiredType = (typeof ACQUIRED_TYPES)[number];

export type AcquiredSource = Extract<TransferSource, { readonly type: AcquiredType }>;

export const isAcquired = (source: TransferSource): source is AcquiredSource =>
  (ACQUIRED_TYPES as readonly string[]).includes(source.type);

/** What is asked of a source. */
export interface SourceRequest<Source extends AcquiredSource> {
  readonly source: Source;
  readonly transferId: string;
  /** {@link Transfer.sealedSource}. */
  readonly sealed: string | null;
  /** Who asked for the transfer, and may have lost the right to the source since. */
  readonly userId: string;
  /** Bytes that are here already, and what they are of. */
  readonly offset: number;
  readonly version: string | null;
  /** Of the whole source, as it was known last; null: never. */
  readonly sizeBytes: number | null;
  /** The signal of the call also ends the body. */
  readonly call: CallContext;
}

/** A source that gives its bytes. */
export interface OpenedSource {
  readonly body: Readable;
  /** Where the body begins: at the offset asked for, or at 0, where the source is another by now or cannot go on. */
  readonly offset: number;
  /** Changes whenever the bytes do; null: untold, and then a body that breaks off is begun anew. */
  readonly version: string | null;
  /** Of the whole source; null: untold, and then it is whole when the body ends by itself. */
  readonly sizeBytes: number | null;
  /** Most bytes that are taken where the size is untold; left out: as many as of any. */
  readonly bytesMax?: number;
  /** What the file is called, where its user left that to the source. */
  readonly name?: string;
  readonly mimeType?: string | null;
  /** True hashes of the whole, where the source tells them: what came is compared with these. */
  readonly hashes?: Hashes;
}

/**
 * Finds a source and begins to give its bytes. Throws DriveErrors and DomainErrors, by whose category the transfer is
 * tried again or fails.
 */
export type OpenSource<Source extends AcquiredSource> = (request: SourceRequest<Source>) => Promise<OpenedSource>;

/** How the bytes of each kind of source are had; what is absent, this server does not take. */
export type Sources = {
  readonly [Type in AcquiredType]?: OpenSource<Extract<AcquiredSource, { readonly type: Type }>>;
};

/** The source of a row, opened by the entry of the table that is for its kind. Null: this server has none. */
export function openSource(sources: Sources, request: SourceRequest<AcquiredSource>): Promise<OpenedSource> | null {
  const open = sources[request.source.type] as OpenSource<AcquiredSource> | undefined;
  return open ? open(request) : null;
}
