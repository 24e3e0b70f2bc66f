import { checkReadable } from './lists.ts';
import type { Entry } from './tree.ts';
import { categoryOf, isDirectory } from './tree.ts';
import { signedUrl } from './views.ts';
import type { Call, Endpoint } from './wire.ts';
import { Refusal, Reply } from './wire.ts';
import type { User, World } from './world.ts';

const AD_SECONDS = 15;
const WAIT_SECONDS = 5;
const AD_TOKEN_MS = 10 * 3_600_000;
const SEGMENT_SECONDS = 3600;
const VIDEO_TYPES = ['M3U8_AUTO_480', 'M3U8_AUTO_720', 'M3U8_AUTO_1080', 'M3U8_FLV_264_480'];
const AUDIO_TYPES = ['M3U8_MP3_128', 'M3U8_HLS_MP3_128'];
const SUBTITLE_TYPE = 'M3U8_SUBTITLE_SRT';

interface AdTicket {
  readonly user: User;
  readonly path: string;
  readonly issuedMs: number;
}

/** `streaming`: the playlist of a recording, after an advertisement for all but super members. */
export function streamingEndpoints(world: World): Endpoint[] {
  const tickets = new Map<string, AdTicket>();
  return [
    {
      role: 'pan',
      auth: 'token',
      envelope: 'errno',
      requestId: 'number',
      verbs: ['GET'],
      name: 'streaming',
      path: '/rest/2.0/xpan/file',
      method: 'streaming',
      query: 'path! type! nom3u8:flag adToken',
      handle: (call, user) => streaming(world, call, { user, tickets }),
    },
  ];
}

interface Viewer {
  readonly user: User;
  readonly tickets: Map<string, AdTicket>;
}

function streaming(world: World, call: Call, viewer: Viewer): Reply {
  const { query } = call;
  const path = query.get('path') ?? '';
  const type = query.get('type') ?? '';
  checkReadable(world, path);
  if (![...VIDEO_TYPES, ...AUDIO_TYPES, SUBTITLE_TYPE].includes(type)) world.refuse(2, `type=${type} does not exist`);
  checkUserAgent(world, call, type);
  const entry = world.find(viewer.user, path);
  if (!entry) throw new Refusal(31066, 'file does not exist');
  checkPlayable(entry, type);
  if (viewer.user.vipType !== 2) passAd(world, query, viewer);
  return new Reply(200, { 'content-type': 'text/html; charset=UTF-8' }, playlist(world, entry, type));
}

function checkUserAgent(world: World, call: Call, type: string): void {
  const first = AUDIO_TYPES.includes(type) ? 'xpanaudio' : 'xpanvideo';
  const form = new RegExp(`^${first};[^;]+;[^;]+;[^;]+;[^;]+;ts$`);
  if (form.test(call.headers['user-agent'] ?? '')) return;
  world.refuse(2, `streaming has the User-Agent ${call.headers['user-agent']} in place of ${first};…;ts`);
}

function checkPlayable(entry: Entry, type: string): void {
  const category = categoryOf(entry);
  if (isDirectory(entry) || (category !== 1 && category !== 2)) throw new Refusal(31301, 'not audio or video');
  if (category === 2 && !AUDIO_TYPES.includes(type)) throw new Refusal(31304, 'the format cannot be played');
  const { streaming: state = 'ready', subtitles } = entry.media;
  if (typeof state === 'number') throw new Refusal(state, 'the file cannot be played');
  if (type === SUBTITLE_TYPE && subtitles === undefined) throw new Refusal(31649, 'no subtitle');
}

/** First a ticket, then so many seconds of advertisement, then the playlist. */
function passAd(world: World, query: URLSearchParams, { user, tickets }: Viewer): void {
  const path = query.get('path') ?? '';
  const token = query.get('adToken');
  const ticket = tickets.get(token ?? '');
  if (token === null && query.get('nom3u8') !== '1') world.refuse(2, 'the first call of streaming lacks nom3u8=1');
  if (token !== null && (ticket?.user !== user || ticket.path !== path)) {
    world.refuse(2, 'adToken is not the one that streaming gave for this file');
  }
  const ageMs = ticket ? world.nowMs - ticket.issuedMs : Number.POSITIVE_INFINITY;
  if (ageMs >= WAIT_SECONDS * 1000 && ageMs < AD_TOKEN_MS) return;
  const isEarly = token !== null && ageMs < AD_TOKEN_MS;
  // A token with signs that only one encoding survives.
  const adToken = isEarly ? token : `${world.nonce('t')}+/=`;
  if (!isEarly) tickets.set(adToken, { user, path, issuedMs: world.nowMs });
  const ltime = isEarly ? Math.ceil(WAIT_SECONDS - ageMs / 1000) : WAIT_SECONDS;
  throw new Refusal(133, '', { extra: { adTime: AD_SECONDS, adToken, ltime } });
}

function playlist(world: World, entry: Entry, type: string): string {
  const params = { fid: entry.fsId, type };
  if (type === SUBTITLE_TYPE) {
    const url = signedUrl(world, '/subtitle', params, SEGMENT_SECONDS);
    return `#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="auto",LANGUAGE="zh",URI="${url}"\n`;
  }
  const isPartial = entry.media.streaming === 'partial';
  const segments = (isPartial ? [0] : [0, 1, 2]).map(
    (index) => `#EXTINF:10,\n${signedUrl(world, `/segment/${index}.ts`, params, SEGMENT_SECONDS)}\n`,
  );
  const head = '#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:15\n#EXT-X-MEDIA-SEQUENCE:0\n';
  return `${head}${segments.join('')}${isPartial ? '' : '#EXT-X-ENDLIST\n'}`;
}
