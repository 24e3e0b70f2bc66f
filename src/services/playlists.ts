import { extname } from 'node:path/posix';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import type { DrivePart, DriveSubtitle, OpenMediaDownload } from '../drives/contract/media.ts';
import type { ByteRange, CallContext } from '../drives/driver.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { NotFoundError, ProviderError, UnsupportedError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { Storage } from '../storage/orm.ts';
import { type Cipher, SealBrokenError } from '../vault/cipher.ts';
import type { Accounts, OpenAccount } from './accounts.ts';
import type { EntryView } from './entries.ts';
import { isPlaylist, withAddresses } from './playlist-text.ts';
import type { Viewer } from './viewer.ts';

/** Where playlists, and what they name, are served. */
export const MEDIA_PATH = '/media/';

/** Life of an address: a long film with its pauses. It ends earlier with the sign-in, and when the provider says so. */
const TICKET_MS = 6 * 3_600_000;
/** Longest address that is handed out, in characters: Node takes 16 KiB for all headers of a request. */
const ADDRESS_MAX = 8_000;
/** Largest playlist that a playlist names, in bytes: one of ten hours has about 1 MiB. */
const PLAYLIST_BYTES_MAX = 8 * 1024 * 1024;

const EXTENSION = /^\.[a-z0-9]{1,8}$/i;

/** What an address says, sealed: by whose right, and what is read. */
const CLAIMS = z.object({
  userId: z.string(),
  grantId: z.string(),
  accountId: z.string(),
  /** Milliseconds since 1970. */
  until: z.number(),
  /** How the driver reads the playlist; of a part, `url` is there instead. */
  state: z.unknown().optional(),
  url: z.string().optional(),
  /** The part is a playlist itself. */
  nested: z.boolean().optional(),
  /** How the driver reads a download, and what the file is called; there in place of the others. */
  download: z.object({ state: z.unknown(), name: z.string() }).optional(),
});
type Claims = z.infer<typeof CLAIMS>;
type Right = Pick<Claims, 'userId' | 'grantId' | 'accountId' | 'until'>;

/** As handed out: the path is the right to it. */
export interface MediaAddress {
  readonly path: string;
  readonly expiresAt: Date;
}

/** What an address gives. */
export type MediaAnswer =
  | { readonly kind: 'playlist'; readonly text: string }
  | ({
      readonly kind: 'part';
      readonly range: ByteRange | null;
      /** What to save it as; null: it is for a player. */
      readonly fileName: string | null;
    } & DrivePart);

export interface PlaylistsOptions {
  readonly storage: Storage;
  readonly cipher: Cipher;
  readonly accounts: Accounts;
  readonly clock: Clock;
}

/**
 * Playlists of providers whose own addresses cannot be given away, by way of this server; and downloads of films, in the
 * same way. An address is short-lived, and holds all that it takes, sealed: nothing is kept for it. It ends with the
 * session or API key that asked for it.
 */
export class Playlists {
  readonly #options: PlaylistsOptions;

  constructor(options: PlaylistsOptions) {
    this.#options = options;
  }

  /** A playlist of the file; null where its drive is not one of those. @throws what the drive throws. */
  async open(
    viewer: Viewer,
    { account, entry }: EntryView,
    quality: string | null,
    call: CallContext,
  ): Promise<MediaAddress | null> {
    const { media } = this.#options.accounts.openVisible(account).driver;
    if (!media?.openPlaylist) return null;
    const { state, expiresAt } = await media.openPlaylist(entry.ref, quality, call);
    const right = this.#rightOf(viewer, account.id, expiresAt);
    return { path: this.#pathOf({ ...right, state }, '.m3u8'), expiresAt: new Date(right.until) };
  }

  /** The address of subtitles that the drive named. */
  subtitle(viewer: Viewer, accountId: string, { url, format }: DriveSubtitle): MediaAddress {
    const right = this.#rightOf(viewer, accountId, null);
    return { path: this.#pathOf({ ...right, url }, `.${format}`), expiresAt: new Date(right.until) };
  }

  /** The address of a download that the drive opened. */
  download(viewer: Viewer, accountId: string, { state, name }: OpenMediaDownload): MediaAddress {
    const right = this.#rightOf(viewer, accountId, null);
    const path = this.#pathOf({ ...right, download: { state, name } }, extensionOfName(name));
    return { path, expiresAt: new Date(right.until) };
  }

  /**
   * What an address leads to.
   * @throws NotFoundError, with one message, when it is none, its time is over, or the right to it has ended; ProviderError
   * where the provider gives no playlist; also what the drive throws.
   */
  async read(name: string, range: ByteRange | null, call: CallContext): Promise<MediaAnswer> {
    const claims = this.#claimsOf(name);
    if (!claims || claims.until <= this.#options.clock.now().getTime() || !(await this.#isGranted(claims))) {
      throw new NotFoundError('There is no such playlist, or its time is over. Ask for it again.');
    }
    const { accounts } = this.#options;
    const { account } = await accounts.openForUser(claims.userId, claims.accountId);
    return this.#readFrom(accounts.openVisible(account), claims, range, call);
  }

  async #readFrom(
    { account, driver: { media } }: OpenAccount,
    { state, url, nested = false, download, ...right }: Claims,
    range: ByteRange | null,
    call: CallContext,
  ): Promise<MediaAnswer> {
    if (download) {
      const part = await media?.readDownload?.(download.state, range, call);
      if (!part) throw new NotFoundError('There is no such download any more.');
      return { ...part, kind: 'part', range: part.isWhole ? null : range, fileName: download.name };
    }
    if (url === undefined) {
      const playlist = await media?.readPlaylist?.(state, call);
      if (!playlist || !isPlaylist(playlist.text)) throw noPlaylist(account.provider);
      return { kind: 'playlist', text: this.#rewritten(playlist.text, playlist.url, right) };
    }
    const part = await media?.readPart?.(url, nested ? null : range, call);
    if (!part) throw noPlaylist(account.provider);
    if (!nested) return { kind: 'part', range, fileName: null, ...part };
    const text = await textOf(part.bytes);
    if (text === null || !isPlaylist(text)) throw noPlaylist(account.provider);
    return { kind: 'playlist', text: this.#rewritten(text, url, right) };
  }

  #rewritten(text: string, baseUrl: string, right: Right): string {
    return withAddresses(text, baseUrl, (url, target) => {
      if (target === 'playlist') return this.#nameOf({ ...right, url, nested: true }, '.m3u8');
      return this.#nameOf({ ...right, url }, extensionOf(url));
    });
  }

  #rightOf({ userId, grantId }: Viewer, accountId: string, expiresAt: Date | null): Right {
    const latest = addMs(this.#options.clock.now(), TICKET_MS).getTime();
    return { userId, grantId, accountId, until: Math.min(latest, expiresAt?.getTime() ?? latest) };
  }

  #pathOf(claims: Claims, extension: string): string {
    return `${MEDIA_PATH}${this.#nameOf(claims, extension)}`;
  }

  /** Ends like a file of its kind: some players go by that. */
  #nameOf(claims: Claims, extension: string): string {
    const sealed = this.#options.cipher.seal(new Secret(JSON.stringify(claims)), PLACE);
    const name = `${encodeURIComponent(sealed)}${extension}`;
    if (name.length > ADDRESS_MAX) {
      throw new UnsupportedError("The provider's playlist has addresses too long to hand on.", 'MEDIA_PLAYLIST');
    }
    return name;
  }

  /** Null when it is not ours, or changed. */
  #claimsOf(name: string): Claims | null {
    const sealed = /^(.+)\.[a-z0-9]{1,8}$/i.exec(name)?.[1];
    if (sealed === undefined || name.length > ADDRESS_MAX) return null;
    try {
      const { data } = CLAIMS.safeParse(
        JSON.parse(this.#options.cipher.open(decodeURIComponent(sealed), PLACE).reveal()),
      );
      return data ?? null;
    } catch (error) {
      if (error instanceof SealBrokenError || error instanceof URIError) return null;
      throw error;
    }
  }

  async #isGranted({ userId, grantId }: Claims): Promise<boolean> {
    const now = this.#options.clock.now();
    const rows = await this.#options.storage
      .fork()
      .execute<unknown[]>(FIND_GRANT, [grantId, grantId, userId, now, now], { method: 'all', connectionType: 'read' });
    return rows.length > 0;
  }
}

/** No row of the database: what it is sealed for is told all the same, so that no other sealed value is taken for it. */
const PLACE = { row: 'address', field: 'media.address' } as const;

const FIND_GRANT = `
  select u.id from users u
  left join sessions s on s.id = ? and s.user_id = u.id
  left join api_keys k on k.id = ? and k.user_id = u.id
  where u.id = ? and u.disabled_at is null and (
    (s.id is not null and s.revoked_at is null and s.expires_at > ?) or
    (k.id is not null and k.revoked_at is null and (k.expires_at is null or k.expires_at > ?)))`;

function extensionOf(url: string): string {
  return extensionOfName(new URL(url).pathname);
}

function extensionOfName(name: string): string {
  const extension = extname(name);
  return EXTENSION.test(extension) ? extension.toLowerCase() : '.bin';
}

const noPlaylist = (provider: string): ProviderError =>
  new ProviderError('The provider gave no playlist. Try again later.', { provider, retryable: true });

/** Null when it is longer than any playlist. */
async function textOf(bytes: Readable): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > PLAYLIST_BYTES_MAX) return null; // Leaving the loop ends the stream.
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
