import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { isObject, parseLossless } from '../../lib/json.ts';
import { sleep } from '../../lib/timer.ts';
import type { DriveSubtitle, Media } from '../contract/media.ts';
import type { CallContext } from '../driver.ts';
import { type BaiduClient, invalid, XPAN_FILE } from './client.ts';
import { baiduError, itemError, PROVIDER, TITLE } from './errors.ts';
import { membershipOf } from './profile.ts';
import { CATEGORIES, isFolder, type WireMeta } from './wire.ts';

/** Baidu's names; the numbers stand for the first three. */
const VIDEO_TYPES = ['M3U8_AUTO_480', 'M3U8_AUTO_720', 'M3U8_AUTO_1080', 'M3U8_FLV_264_480'];
const AUDIO_TYPES = ['M3U8_HLS_MP3_128', 'M3U8_MP3_128'];
const SUBTITLE_TYPE = 'M3U8_SUBTITLE_SRT';
const SUPER_MEMBER = 2;

/** How long the token lives that Baidu gives for an advertisement, in milliseconds. */
const AD_TOKEN_MS = 10 * 3_600_000;
/** Longest advertisement that is waited for: Baidu says 5 seconds. */
const AD_MS_MAX = 30_000;
/** A playlist of ten hours has 3,600 segments of up to about 1 KiB each. */
const PLAYLIST_BYTES_MAX = 8 * 1024 * 1024;

const STATE = z.object({ path: z.string(), type: z.string(), adToken: z.string().nullable() });
type State = z.infer<typeof STATE>;

const AD = z.object({ adToken: z.string().min(1), ltime: z.coerce.number().min(0) });
type Ad = z.infer<typeof AD>;

/** `streaming`: two steps, an advertisement between them, for all but super members. */
export const createPlaylists = (baidu: BaiduClient) =>
  ({
    async openPlaylist(ref, quality, call) {
      const file = await baidu.meta(ref, call);
      const type = await typeOf(baidu, file, quality, call);
      const { state } = await playlistAfterAd(baidu, { path: file.path, type, adToken: null }, call);
      return { state, expiresAt: state.adToken === null ? null : addMs(baidu.now(), AD_TOKEN_MS) };
    },

    async readPlaylist(state, call) {
      const { text } = await playlistAfterAd(baidu, STATE.parse(state), call);
      return { text, url: baidu.settings.panUrl };
    },

    /** The address comes from Baidu's own answer, and gets nothing of the account's: any public host may be it. */
    async readPart(url, range, call) {
      const { body, headers } = await baidu.sendBare(
        {
          method: 'GET',
          url,
          headers: { 'user-agent': userAgentOf(VIDEO_TYPES[0] ?? '') },
          endpoint: 'segment',
          as: 'stream',
          idempotent: true,
          range,
          redirects: { hosts: ['*'], keepHeaders: ['user-agent'] },
        },
        call,
      );
      const length = headers.get('content-length');
      return { bytes: body, sizeBytes: length === null ? null : Number(length), mimeType: headers.get('content-type') };
    },

    async subtitles(ref, call) {
      const file = await baidu.meta(ref, call);
      try {
        const state = { path: file.path, type: SUBTITLE_TYPE, adToken: null };
        return subtitlesIn((await playlistAfterAd(baidu, state, call)).text);
      } catch (error) {
        if (error instanceof DriveError && (error.providerCode === NO_SUBTITLES || error.category === 'unsupported')) {
          return [];
        }
        throw error;
      }
    },
  }) satisfies Partial<Media>;

const NO_SUBTITLES = '31649';

async function typeOf(baidu: BaiduClient, file: WireMeta, quality: string | null, call: CallContext): Promise<string> {
  const category = isFolder(file) ? null : CATEGORIES[(file.category ?? 0) - 1];
  if (category !== 'VIDEO' && category !== 'AUDIO') throw notPlayable();
  const types = category === 'AUDIO' ? AUDIO_TYPES : VIDEO_TYPES;
  if (quality !== null) {
    const type = types.find((name) => name === quality || name === `M3U8_AUTO_${quality.replace(/p$/i, '')}`);
    if (type === undefined) throw invalid(`streams this file as ${types.join(', ')}.`);
    return type;
  }
  if (category === 'AUDIO') return AUDIO_TYPES[0] ?? '';
  // More than 480 lines are for super members.
  return (await membershipOf(baidu, call)) === SUPER_MEMBER ? 'M3U8_AUTO_1080' : 'M3U8_AUTO_480';
}

const notPlayable = () =>
  new DriveError('unsupported', `${TITLE} streams sounds and films only.`, {
    provider: PROVIDER,
    ability: 'MEDIA_PLAYLIST',
  });

/** The playlist, after the advertisement where there is one; `state` gets it again without another. */
async function playlistAfterAd(
  baidu: BaiduClient,
  state: State,
  call: CallContext,
): Promise<{ readonly text: string; readonly state: State }> {
  const first = await ask(baidu, state, call);
  if (typeof first === 'string') return { text: whole(first, state), state };
  await sleep(baidu.timer, Math.min(first.ltime * 1000, AD_MS_MAX), call.signal);
  const watched = { ...state, adToken: first.adToken };
  const second = await ask(baidu, watched, call);
  if (typeof second !== 'string') throw itemError('133', 'streaming');
  return { text: whole(second, state), state: watched };
}

/** The text of the playlist, or the advertisement that comes before it. Its type says nothing: the body decides. */
async function ask(baidu: BaiduClient, { path, type, adToken }: State, call: CallContext): Promise<string | Ad> {
  const { body } = await baidu.send(
    {
      method: 'GET',
      url: XPAN_FILE,
      query: { method: 'streaming', path, type, ...(adToken === null ? { nom3u8: 1 } : { adToken }) },
      headers: { 'user-agent': userAgentOf(type) },
      endpoint: 'streaming',
      as: 'text',
      idempotent: true,
      maxBodyBytes: PLAYLIST_BYTES_MAX,
    },
    call,
  );
  const text = body.replace(/^\ufeff/, '');
  if (text.startsWith('#EXTM3U')) return text;
  const { data } = AD.safeParse(jsonOf(text));
  if (data) return data;
  throw baiduError('unavailable', 'gave neither a playlist nor a reason.', null, {});
}

/** Without its end Baidu is still at work on it: a player would take the part for the film. */
function whole(text: string, { type }: State): string {
  const isMaster = text.includes('#EXT-X-STREAM-INF') || type === SUBTITLE_TYPE;
  if (!isMaster && !/^#EXT-X-ENDLIST\s*$/m.test(text)) throw itemError('31341', 'streaming');
  return text;
}

function subtitlesIn(text: string): DriveSubtitle[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const attribute = (name: string): string | null => new RegExp(`[:,]${name}="([^"]*)"`).exec(line)?.[1] ?? null;
    const url = line.startsWith('#EXT-X-MEDIA:') && /[:,]TYPE=SUBTITLES\b/.test(line) ? attribute('URI') : null;
    if (url === null || !URL.canParse(url)) return [];
    return [{ url, name: attribute('NAME'), language: attribute('LANGUAGE'), format: 'srt' }];
  });
}

/** The form that streaming wants; the first word names the kind. */
const userAgentOf = (type: string): string =>
  `${AUDIO_TYPES.includes(type) ? 'xpanaudio' : 'xpanvideo'};PanQL;1.0;Node;24;ts`;

function jsonOf(text: string): unknown {
  try {
    const json = parseLossless(text, new Set());
    return isObject(json) ? json : null;
  } catch {
    return null;
  }
}
