import type { CallContext, DriveMediaInfo, DriveThumbnail, ProviderLink } from '../drives/driver.ts';
import { InvalidInputError, UnsupportedError } from '../lib/errors.ts';
import type { Accounts } from './accounts.ts';
import { type Entries, type EntryTarget, type EntryView, uncancelled } from './entries.ts';
import type { Viewer } from './viewer.ts';

/** What a provider knows of a medium, each asked when it is wanted. */
export interface MediaView {
  readonly info: () => Promise<DriveMediaInfo | null>;
  /** `quality` as the provider names it; null: its best. */
  readonly playlist: (quality: string | null) => Promise<ProviderLink | null>;
}

/** Longest name of a quality, in characters: providers' own are about 20 long. */
export const QUALITY_LENGTH_MAX = 64;

export interface MediaOptions {
  readonly accounts: Accounts;
  readonly entries: Entries;
}

/** What providers make of pictures, sounds and films. */
export class Media {
  readonly #accounts: Accounts;
  readonly #entries: Entries;

  constructor({ accounts, entries }: MediaOptions) {
    this.#accounts = accounts;
    this.#entries = entries;
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
  of({ account, entry }: EntryView, call: CallContext): MediaView | null {
    const { media } = this.#accounts.openVisible(account).driver;
    if (!media?.info && !media?.playlist) return null;
    let info: Promise<DriveMediaInfo> | undefined;
    const playlists = new Map<string | null, Promise<ProviderLink>>();
    return {
      info: async () => {
        info ??= media.info?.(entry.ref, call);
        return (await info) ?? null;
      },
      playlist: async (quality) => {
        if (quality !== null) checkQuality(quality, 'quality');
        const asked = playlists.get(quality) ?? media.playlist?.(entry.ref, quality, call);
        if (asked) playlists.set(quality, asked);
        return (await asked) ?? null;
      },
    };
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
}

function checkQuality(quality: string, at: string): void {
  if (/^[\p{L}\p{N}_. -]+$/u.test(quality) && quality.length <= QUALITY_LENGTH_MAX) return;
  throw InvalidInputError.at(at, `must name a quality, in at most ${QUALITY_LENGTH_MAX} letters and digits`);
}
