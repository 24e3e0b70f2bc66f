import type { Readable } from 'node:stream';
import type { DriveEntry } from '../drives/driver.ts';
import type { LinkSource } from '../storage/entities/transfer.ts';
import { versionOf } from './entry-source.ts';
import type { OpenSource } from './sources.ts';

/** The file behind a direct link, for whoever has the right that the link gives. */
export interface LinkedFile {
  readonly entry: DriveEntry;
  /** The bytes from `start` on, which is 0 where the size is untold; counted as a visit of the link. */
  read(start: number, signal: AbortSignal): Promise<Readable>;
}

export interface LinkSourceParts {
  /** Throws DomainErrors: NotFoundError when the link or its file is no more. */
  readonly openLink: (linkId: string, signal: AbortSignal) => Promise<LinkedFile>;
}

/** The bytes behind a direct link of this server: asked for anew each time, so that they end with the link. */
export const linkSource =
  ({ openLink }: LinkSourceParts): OpenSource<LinkSource> =>
  async ({ source, offset, version: known, call }) => {
    const { entry, read } = await openLink(source.linkId, call.signal);
    const version = versionOf(entry);
    const { sizeBytes, hashes } = entry;
    const isSame = version !== null && version === known && sizeBytes !== null && offset <= sizeBytes;
    const start = isSame ? offset : 0;
    return { body: await read(start, call.signal), offset: start, version, sizeBytes, hashes };
  };
