import type { Readable } from 'node:stream';
import type { ByteRange, CallContext, DriveEntry, Page, PageRequest, ProviderLink } from '../driver.ts';

export interface DriveThumbnail {
  readonly url: string;
  readonly width: number | null;
  readonly height: number | null;
  readonly expiresAt: Date | null;
}

export interface DriveMediaInfo {
  readonly durationSeconds: number | null;
  readonly width: number | null;
  readonly height: number | null;
}

export const MEDIA_VERSION_STATES = ['AVAILABLE', 'PENDING', 'RUNNING', 'READY', 'FAILED'] as const;
export type MediaVersionState = (typeof MEDIA_VERSION_STATES)[number];

/** A version of a film that the provider makes for streaming. */
export interface DriveMediaVersion {
  /** As {@link Media.transcode} and the playlists take it. */
  readonly quality: string;
  readonly state: MediaVersionState;
  /** When it was asked for; null: not yet, or not told. */
  readonly requestedAt: Date | null;
}

/** How a playlist is read again, for as long as it is played. */
export interface OpenPlaylist {
  /** The driver's own; JSON. It may be secret: clients get it sealed. */
  readonly state: unknown;
  /** Until when it can be read; null: not told. */
  readonly expiresAt: Date | null;
}

/** A playlist (HLS) as the provider gives it. */
export interface DrivePlaylist {
  readonly text: string;
  /** Where it came from: relative addresses in it begin there. */
  readonly url: string;
}

/** Something that a playlist names (a segment, a key, another playlist, subtitles), or a download of a medium. */
export interface DrivePart {
  readonly bytes: Readable;
  /** Of `bytes`; null: not told. */
  readonly sizeBytes: number | null;
  readonly mimeType: string | null;
}

export interface DriveSubtitle {
  /** For {@link Media.readPart}. */
  readonly url: string;
  /** A person's name for it. */
  readonly name: string | null;
  /** BCP 47, as `zh`; null: not told. */
  readonly language: string | null;
  /** `srt`, `vtt`, `ass`. */
  readonly format: string;
}

export const MEDIA_DOWNLOAD_KINDS = ['ORIGINAL', 'VERSIONS'] as const;
/** What a provider that makes versions of films gives of them: the film as it got it, or all versions in one ZIP file. */
export type MediaDownloadKind = (typeof MEDIA_DOWNLOAD_KINDS)[number];

/** How a download is read, as often as wanted. */
export interface OpenMediaDownload {
  /** The driver's own; JSON. It may be secret: clients get it sealed. */
  readonly state: unknown;
  /** What the file is called. */
  readonly name: string;
}

/** Films and sounds that the account's owner put in an order, in the provider's own application. */
export interface DriveMediaList {
  readonly ref: string;
  readonly name: string;
  /** Null: not told. */
  readonly fileCount: number | null;
  readonly createdAt: Date | null;
  readonly modifiedAt: Date | null;
}

/** How far the account's owner has watched. */
export interface MediaProgress {
  readonly positionSeconds: number;
  /** When that was told; null where unknown. */
  readonly at: Date | null;
}

/**
 * Playlists: either `playlist`, whose address any client can open, or `openPlaylist`, `readPlaylist` and `readPart`, by
 * which this server serves them itself: for providers whose addresses hold a token, or want headers that no player sends.
 */
export interface Media {
  thumbnails?(ref: string, call: CallContext): Promise<readonly DriveThumbnail[]>;
  preview?(ref: string, call: CallContext): Promise<ProviderLink>;
  /** `quality` as the provider names it; null: its best. */
  playlist?(ref: string, quality: string | null, call: CallContext): Promise<ProviderLink>;
  /**
   * Makes sure that there is such a playlist, and that it is whole: one that the provider still works on is `unavailable`.
   * May wait, as for an advertisement. `quality` as with {@link playlist}.
   */
  openPlaylist?(ref: string, quality: string | null, call: CallContext): Promise<OpenPlaylist>;
  readPlaylist?(state: unknown, call: CallContext): Promise<DrivePlaylist>;
  /** Without any secret of the account's: the address is whatever the provider wrote into a playlist. */
  readPart?(url: string, range: ByteRange | null, call: CallContext): Promise<DrivePart>;
  /** Makes sure that there is such a download. One that the provider still packs is `unavailable`, with when to ask again. */
  openDownload?(ref: string, kind: MediaDownloadKind, call: CallContext): Promise<OpenMediaDownload>;
  /** Its bytes, by this server only: the provider's address may hold a token. What does not take ranges gives the whole. */
  readDownload?(
    state: unknown,
    range: ByteRange | null,
    call: CallContext,
  ): Promise<DrivePart & { readonly isWhole: boolean }>;
  subtitles?(ref: string, call: CallContext): Promise<readonly DriveSubtitle[]>;
  lists?(page: PageRequest, call: CallContext): Promise<Page<DriveMediaList>>;
  /** In the order of the list; what is outside of the drive, or gone, is left out. */
  listFiles?(listRef: string, page: PageRequest, call: CallContext): Promise<Page<DriveEntry>>;
  info?(ref: string, call: CallContext): Promise<DriveMediaInfo>;
  transcode?(ref: string, quality: string, call: CallContext): Promise<void>;
  /** The versions that there are, are being made, or can be made; none while the provider knows nothing of the file. */
  versions?(ref: string, call: CallContext): Promise<readonly DriveMediaVersion[]>;
  /** Deletes all versions that were made; the file itself stays. */
  deleteVersions?(ref: string, call: CallContext): Promise<void>;
  /** Null: never watched. */
  progress?(ref: string, call: CallContext): Promise<MediaProgress | null>;
  saveProgress?(
    ref: string,
    progress: { readonly positionSeconds: number; readonly finished: boolean },
    call: CallContext,
  ): Promise<void>;
}
