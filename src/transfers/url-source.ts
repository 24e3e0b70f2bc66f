import type { Readable } from 'node:stream';
import mime from 'mime';
import { DriveError } from '../drives/errors.ts';
import { NotFoundError, PermissionDeniedError, TooLargeError } from '../lib/errors.ts';
import { plainMimeType } from '../lib/mime-type.ts';
import { mendedName } from '../lib/names.ts';
import type { UrlSource } from '../storage/entities/transfer.ts';
import type { OpenSource } from './sources.ts';

/** A file of which nobody says what it is called. */
const NAMELESS = 'download';

/** Where a file is fetched from. */
export interface Address {
  readonly url: string;
  /** For its own origin only. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What fetches: outbound HTTP with the guard of addresses, which is passed in. */
export interface RemoteFiles {
  open(
    request: Address & {
      readonly from: { readonly offset: number; readonly validator: string; readonly totalBytes: number | null } | null;
      readonly signal: AbortSignal;
    },
  ): Promise<{
    readonly body: Readable;
    readonly start: number;
    readonly totalBytes: number | null;
    readonly validator: string | null;
    readonly names: readonly string[];
    readonly mimeType: string | null;
  }>;
}

export interface UrlSourceParts {
  readonly remoteFiles: RemoteFiles;
  /** The address of a transfer; it is kept sealed, because any part of it may be a secret. */
  readonly addressOf: (transfer: { readonly id: string; readonly sealed: string | null }) => Address;
  /** Most bytes of one file, and most time for one try to get it. */
  readonly bytesMax: number;
  readonly timeMaxMs: number;
}

/** The bytes behind an address, which the guard of addresses lets through. */
export const urlSource =
  ({ remoteFiles, addressOf, bytesMax, timeMaxMs }: UrlSourceParts): OpenSource<UrlSource> =>
  async ({ source, transferId, sealed, offset, version, call }) => {
    const expiry = new AbortController();
    const timer = setTimeout(() => expiry.abort(tookTooLong(timeMaxMs)), timeMaxMs).unref();
    const signal = AbortSignal.any([call.signal, expiry.signal]);
    const from = placeOf(offset, version);
    try {
      const address = addressOf({ id: transferId, sealed });
      const file = await remoteFiles.open({ ...address, from, signal }).catch(refusal);
      file.body.once('close', () => clearTimeout(timer));
      if (file.totalBytes !== null && file.totalBytes > bytesMax) {
        file.body.on('error', () => {}).destroy();
        throw new TooLargeError(`The file has ${file.totalBytes} bytes. At most ${bytesMax} are fetched.`);
      }
      const mimeType = plainMimeType(file.mimeType);
      return {
        body: file.body,
        offset: file.start,
        version: file.validator && `${file.totalBytes ?? '?'} ${file.validator}`,
        sizeBytes: file.totalBytes,
        bytesMax,
        mimeType,
        ...(source.named ? {} : { name: nameOf(file.names, mimeType) }),
      };
    } catch (error) {
      clearTimeout(timer);
      throw error;
    }
  };

/** Of {@link OpenedSource.version}: the length, and what tells whether the file is still the same. */
function placeOf(offset: number, version: string | null) {
  const [, totalBytes, validator] = /^(\d+|\?) (.+)$/s.exec(version ?? '') ?? [];
  if (offset === 0 || validator === undefined) return null;
  return { offset, validator, totalBytes: totalBytes === '?' ? null : Number(totalBytes) };
}

/** The first name that is one; the type gives the ending where none is. */
export function nameOf(names: readonly string[], mimeType: string | null): string {
  const name = names.map(mendedName).find((mended) => mended !== null);
  if (name !== undefined) return name;
  const extension = mimeType === null ? null : mime.getExtension(mimeType);
  return extension === null ? NAMELESS : `${NAMELESS}.${extension}`;
}

const tookTooLong = (limitMs: number): DriveError =>
  new DriveError('timeout', `The file did not come within ${Math.ceil(limitMs / 3_600_000)} hours.`, {
    provider: 'URL',
    retryable: false,
  });

/** What says something about the address, and nothing about an account of the user's. */
function refusal(error: unknown): never {
  if (error instanceof DriveError && error.category === 'unauthenticated') {
    throw new PermissionDeniedError('The server there asks for a sign-in or a key.', { cause: error });
  }
  if (error instanceof DriveError && error.providerCode === 'ENOTFOUND') {
    throw new NotFoundError('There is no server of that name. Look whether the address is whole.', { cause: error });
  }
  throw error;
}
