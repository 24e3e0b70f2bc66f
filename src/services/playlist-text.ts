/** What an address in a playlist leads to. */
export type PlaylistTarget = 'playlist' | 'part';

/** Tags after which the next line is the address of another playlist. */
const VARIANT = /^#EXT-X-STREAM-INF:/;
/** Tags whose URI is another playlist; and those where it may as well be a file of subtitles. */
const PLAYLIST_TAG = /^#EXT-X-(?:I-FRAME-STREAM-INF|RENDITION-REPORT):/;
const MEDIA_TAG = /^#EXT-X-MEDIA:/;
const URI_ATTRIBUTE = /\bURI="([^"]*)"/g;

/** Whether it is a playlist at all: providers answer with a page or with JSON where they give none. */
export const isPlaylist = (text: string): boolean => text.replace(/^\ufeff/, '').startsWith('#EXTM3U');

/**
 * A playlist (HLS, RFC 8216) with another address in place of each that it has, relative ones made absolute before. What is
 * no address of HTTP stays as it is.
 */
export function withAddresses(
  text: string,
  baseUrl: string,
  replace: (url: string, target: PlaylistTarget) => string,
): string {
  const replaced = (address: string, target: PlaylistTarget): string => {
    const url = URL.parse(address.trim(), baseUrl);
    return url && /^https?:$/.test(url.protocol) ? replace(url.href, target) : address;
  };
  let isVariant = false;
  return text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .map((line) => {
      if (line.trim() === '') return line;
      if (!line.startsWith('#')) {
        const target = isVariant ? 'playlist' : 'part';
        isVariant = false;
        return replaced(line, target);
      }
      if (VARIANT.test(line)) isVariant = true;
      if (!line.startsWith('#EXT')) return line;
      return line.replace(URI_ATTRIBUTE, (_all, address: string) => {
        const isPlaylist = PLAYLIST_TAG.test(line) || (MEDIA_TAG.test(line) && /\.m3u8?(?:[?#]|$)/i.test(address));
        return `URI="${replaced(address, isPlaylist ? 'playlist' : 'part')}"`;
      });
    })
    .join('\n');
}
