import type { SpooledFile, UploadSession } from '../contract/upload.ts';
import type { Drive } from '../open.ts';

/** What a provider can be made to do wrong; an imitation of the wire supports those that its provider shows. */
export const FAULTS = [
  /** 5xx. */
  'server_error',
  /** A page of HTML where JSON was due. */
  'html',
  /** The connection ends within the answer. */
  'cut',
  /** Throttled, with and without a delay to wait. */
  'rate_limited',
  'rate_limited_with_delay',
  /** The access token ran out; a refresh mends it. */
  'expired_token',
  /** No token helps any more. */
  'revoked',
  /** The answer never comes. */
  'hang',
  /** A ranged read that is answered with the whole file. */
  'range_ignored',
] as const;
export type Fault = (typeof FAULTS)[number];

export const QUIRKS = [
  /** A file of no bytes is refused as `invalid_argument`. */
  'no_empty_files',
  /** Every sort shows folders first. */
  'folders_first',
  /** Nothing ends an upload but time. */
  'no_abort',
  /** The recycle bin does not tell since when an entry is in it. */
  'untold_deletion',
  /** What comes back from the recycle bin brings its folder along, when that is gone. */
  'restores_folders',
] as const;
export type Quirk = (typeof QUIRKS)[number];

export interface FaultSwitch {
  readonly supported: ReadonlySet<Fault>;
  /** The next requests fail so: so many of them, or all until `clear`. */
  arm(fault: Fault, times?: number): void;
  clear(): void;
  /** Requests that reached the provider since the start. */
  readonly requests: number;
}

/** One drive with something behind it, as the conformance suite uses it. */
export interface OpenFixture {
  readonly drive: Drive;
  readonly faults?: FaultSwitch;
  /** Names that this drive refuses beside those that no drive takes. */
  readonly forbiddenNames?: readonly string[];
  /** What the provider does otherwise than drives do, where its documents say so. */
  readonly quirks?: ReadonlySet<Quirk>;
  /** A file as the transfer engine hands it to `adopt`; absent: the drive adopts nothing. */
  spool?(bytes: Uint8Array): Promise<SpooledFile>;
  /** The names in a folder, of a drive that cannot list: as what stands behind it knows them. */
  namesIn?(folderRef: string): Promise<readonly string[]>;
  /** Makes the provider forget an upload. */
  expireUpload?(session: UploadSession): Promise<void>;
  close(): Promise<void>;
}

/** What the conformance suite needs to test a drive: each `fake.ts` exports a list of these as `fixtures`. */
export interface DriveFixture {
  /** Where it differs from others of the same drive: the database, say. */
  readonly title: string;
  /** For the `skip` option of a suite: false, or the printed reason. */
  readonly skip: string | false;
  open(): Promise<OpenFixture>;
}
