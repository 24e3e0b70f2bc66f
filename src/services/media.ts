import type {
  DriveMediaInfo,
  DriveMediaVersion,
  DriveSubtitle,
  DriveThumbnail,
  MediaDownloadKind,
  MediaProgress,
} from '../drives/contract/media.ts';
import type { CallContext, ProviderLink } from '../drives/driver.ts';
import { categoryOf } from '../drives/shared/categories.ts';
import { type Allowance, InvalidInputError, UnsupportedError } from '../lib/errors.ts';
import type { Accounts } from './accounts.ts';
import type { DownloadAllowances } from './allowance.ts';
import { type Entries, type EntryTarget, type EntryView, uncancelled } from './entries.ts';
import type { Links } from './links.ts';
import type { Playlists } from './playlists.ts';
import type { Viewer } from './viewer.ts';

/** What a provider knows of a medium, each asked when it is wanted. */
export interface MediaView {
  readonly info: () => Promise<DriveMediaInfo | null>;
  /** `quality` as the provider names it; null: its best. */
  readonly playlist: (quality: string | null) => Promise<ProviderLink | null>;
  /** Null where the provider has none of any file; empty where it has none of this one. */
  readonly subtitles: () => Promise<readonly SubtitleView[] | null>;
  /** Null where the provider remembers none, or it was never watched. */
  readonly progress: () => Promise<MediaProgress | null>;
  /** Null where the provider makes no versions. */
  readonly versions: () => Promise<readonly DriveMediaVersion[] | null>;
}

/** Subtitles at an address that any client can open. */
export interface SubtitleView extends Omit<DriveSubtitle, 'url'> {
  readonly url: string;
  readonly expiresAt: Date;
}

/** Longest name of a quality, in characters: providers' own are about 20 long. */
export const QUALITY_LENGTH_MAX = 64;

/** Beyond any film: a month, in seconds. */
const POSITION_SECONDS_MAX = 31 * 86_400;

/** A download at an address that any client can open. */
export interface MediaDownloadView {
  readonly url: string;
  readonly name: string;
  readonly expiresAt: Date;
}

export interface MediaOptions {
  readonly allowances: DownloadAllowances;
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly playlists: Playlists;
  readonly links: Links;
}

/** What providers make of pictures, sounds and films. */
export class Media {
  readonly #accounts: Accounts;
  readonly #entries: Entries;
  readonly #playlists: Playlists;
  readonly #links: Links;
  readonly #allowances: DownloadAllowances;

  constructor({ accounts, entries, playlists, links, allowances }: MediaOptions) {
    this.#allowances = allowances;
    this.#accounts = accounts;
    this.#entries = entries;
    this.#playlists = playlists;
    this.#links = links;
  }

  /** Small pictures of the file; null where the provider makes none. */
  async thumbnails({ account, entry }: EntryView, call: CallContext): Promise<readonly DriveThumbnail[] | null> {
    const { driver } = this.#accounts.openVisible(account);
    return (await driver.media?.thumbnails?.(entry.ref, call)) ?? null;
  }

  /** Where the file can be looked at without its bytes; null where the provider has no such view of it. */
  async preview({ account, entry }: EntryView, call: CallContext): Promise<ProviderLink | null> {
    const { driver } = this.#accounts.openVisible(account);
    try {
      return (await driver.media?.preview?.(entry.ref, call)) ?? null;
    } catch (error) {
      if (error instanceof UnsupportedError) return null; // Of other files it has one.
      throw error;
    }
  }

  /** What the provider knows of a video, sound or picture; null where it tells nothing. Nothing is asked yet. */
  of(viewer: Viewer, view: EntryView, call: CallContext): MediaView | null {
    const { account, entry } = view;
    const { media } = this.#accounts.openVisible(account).driver;
    if (!media?.info && !media?.playlist && !media?.openPlaylist) return null;
    let info: Promise<DriveMediaInfo> | undefined;
    const playlists = new Map<string | null, Promise<ProviderLink | null>>();
    return {
      info: async () => {
        info ??= media.info?.(entry.ref, call);
        return (await info) ?? null;
      },
      playlist: async (quality) => {
        if (quality !== null) checkQuality(quality, 'quality');
        const asked = playlists.get(quality) ?? this.#playlist(viewer, view, quality, call);
        playlists.set(quality, asked);
        return asked;
      },
      subtitles: async () => {
        const subtitles = isPlayed(view) ? ((await media.subtitles?.(entry.ref, call)) ?? null) : null;
        return subtitles?.map((subtitle) => this.#subtitle(viewer, account.id, subtitle)) ?? null;
      },
      versions: async () => (isPlayed(view) ? ((await media.versions?.(entry.ref, call)) ?? null) : null),
      progress: async () => (isPlayed(view) ? ((await media.progress?.(entry.ref, call)) ?? null) : null),
    };
  }

  /** By this server where the drive says so; else as the provider gives it. */
  async #playlist(
    viewer: Viewer,
    view: EntryView,
    quality: string | null,
    call: CallContext,
  ): Promise<ProviderLink | null> {
    if (!isPlayed(view)) return null;
    const own = await this.#playlists.open(viewer, view, quality, call);
    if (own) return { url: this.#links.absolute(own.path), headers: {}, expiresAt: own.expiresAt };
    const { media } = this.#accounts.openVisible(view.account).driver;
    try {
      return (await media?.playlist?.(view.entry.ref, quality, call)) ?? null;
    } catch (error) {
      if (error instanceof UnsupportedError) return null; // Of other files it has one: of films, say, but not of sounds.
      throw error;
    }
  }

  #subtitle(viewer: Viewer, accountId: string, subtitle: DriveSubtitle): SubtitleView {
    const { path, expiresAt } = this.#playlists.subtitle(viewer, accountId, subtitle);
    return { ...subtitle, url: this.#links.absolute(path), expiresAt };
  }

  /**
   * Asks the provider to make a version of a film in a quality. It goes on there when this returns.
   * @throws InvalidInputError, NotFoundError, UnsupportedError; what the drive throws.
   */
  async transcode(viewer: Viewer, file: EntryTarget, quality: string): Promise<EntryView> {
    checkQuality(quality, 'input.quality');
    const call = uncancelled();
    const { account, entry, run } = await this.#entries.resolve(viewer, file, call);
    if (entry.kind !== 'FILE') throw InvalidInputError.at('input.file', 'must be a file, and is a folder');
    await run('media.transcode', entry.ref, quality, call);
    return { account, entry };
  }

  /**
   * Gives the right to what the provider has of a film for download, and charges it to the viewer's daily allowance: once,
   * however often it is used. Nothing is charged while the provider still packs it.
   * @throws AllowanceExceededError; InvalidInputError, NotFoundError, UnsupportedError; what the drive throws.
   */
  async createDownload(
    viewer: Viewer,
    file: EntryTarget,
    kind: MediaDownloadKind,
  ): Promise<{ readonly download: MediaDownloadView; readonly allowance: Allowance }> {
    const call = uncancelled();
    const { account, entry, run } = await this.#entries.resolve(viewer, file, call);
    if (entry.kind !== 'FILE') throw InvalidInputError.at('input.file', 'must be a file, and is a folder');
    const opened = await run('media.openDownload', entry.ref, kind, call);
    const { path, expiresAt } = this.#playlists.download(viewer, account.id, opened);
    const allowance = await this.#allowances.charge(viewer.userId);
    return { download: { url: this.#links.absolute(path), name: opened.name, expiresAt }, allowance };
  }

  /**
   * Deletes the versions of a film that its provider made; the film stays.
   * @throws InvalidInputError, NotFoundError, UnsupportedError; what the drive throws.
   */
  async deleteVersions(viewer: Viewer, file: EntryTarget): Promise<EntryView> {
    const call = uncancelled();
    const { account, entry, run } = await this.#entries.resolve(viewer, file, call);
    if (entry.kind !== 'FILE') throw InvalidInputError.at('input.file', 'must be a file, and is a folder');
    await run('media.deleteVersions', entry.ref, call);
    return { account, entry };
  }

  /**
   * Tells the provider how far a film was watched.
   * @throws InvalidInputError, NotFoundError, UnsupportedError; what the drive throws.
   */
  async saveProgress(
    viewer: Viewer,
    file: EntryTarget,
    { positionSeconds, finished }: { readonly positionSeconds: number; readonly finished: boolean },
  ): Promise<EntryView> {
    if (!(positionSeconds >= 0 && positionSeconds <= POSITION_SECONDS_MAX)) {
      throw InvalidInputError.at('input.positionSeconds', `must be from 0 to ${POSITION_SECONDS_MAX}`);
    }
    const call = uncancelled();
    const { account, entry, run } = await this.#entries.resolve(viewer, file, call);
    if (entry.kind !== 'FILE') throw InvalidInputError.at('input.file', 'must be a file, and is a folder');
    await run('media.saveProgress', entry.ref, { positionSeconds, finished }, call);
    return { account, entry };
  }
}

/** Of anything else a provider has no playlist: it is not asked. */
const isPlayed = ({ entry }: EntryView): boolean =>
  ['VIDEO', 'AUDIO'].includes(entry.category ?? categoryOf(entry.name));

function checkQuality(quality: string, at: string): void {
  if (/^[\p{L}\p{N}_. -]+$/u.test(quality) && quality.length <= QUALITY_LENGTH_MAX) return;
  throw InvalidInputError.at(at, `must name a quality, in at most ${QUALITY_LENGTH_MAX} letters and digits`);
}
