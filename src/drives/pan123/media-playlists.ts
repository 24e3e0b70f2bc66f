import { z } from 'zod';
import type { DrivePart, Media } from '../contract/media.ts';
import type { ByteRange, CallContext } from '../driver.ts';
import { mimeTypeOf } from '../shared/categories.ts';
import { idOf, invalid, type Pan123Client } from './client.ts';
import { byFreshLink } from './download.ts';
import { pan123Error } from './errors.ts';
import { DONE, fullSpace, heightOf, noVersion, qualityOf, recordsOf, stateOf, videoOf } from './media.ts';
import { findFilm } from './transcode-space.ts';
import { listOf, NUMBER } from './wire.ts';

/** Of a playlist: far above the longest film's. */
const PLAYLIST_BYTES_MAX = 4 * 1024 * 1024;
/** What `m3u8_ts/download` gives a link to. */
const PLAYLIST = 1;
const SEGMENT = 2;
/** Where segments are, of a playlist that came as a file: no address, but what it takes to ask for the link to one. */
const SEGMENTS = 'https://segments.123pan.invalid';
const SEGMENT_PATH = /^\/(\d+)\/(\w+)\/([^/]+)\.ts$/;

/** Of each version, its files; only that of the playlist has an address. */
const RESULTS = z.object({
  UserTranscodeVideoList: listOf(
    z.object({ Resolution: z.string(), Status: NUMBER, Files: listOf(z.object({ Url: z.string().nullish() })) }),
  ),
});
const DOWNLOAD = z.object({ downloadUrl: z.string().nullish(), isFull: z.boolean().nullish().transform(Boolean) });
const STATE = z.object({ ref: z.string(), quality: z.string() });

interface Found {
  readonly quality: string;
  readonly url: string;
  /** Of a playlist that is a file of the transcoding space: the film there. */
  readonly film?: string;
}

/** Links to playlists are good only where they were asked for, so this server reads them for its clients. */
export const createMediaPlaylists = (pan123: Pan123Client) =>
  ({
    async openPlaylist(ref, quality, call) {
      const version = await readyVersion(pan123, ref, quality, call);
      return { state: { ref, quality: version.quality }, expiresAt: null };
    },

    /** By a fresh link each time: how long one is good is not told. */
    async readPlaylist(state, call) {
      const { data } = STATE.safeParse(state);
      if (!data) throw invalid('has no playlist that this belongs to.');
      const { url, film, quality } = await readyVersion(pan123, data.ref, data.quality, call);
      const { body, url: from } = await pan123.sendBytes(
        {
          method: 'GET',
          url,
          endpoint: 'download',
          as: 'text',
          idempotent: true,
          maxBodyBytes: PLAYLIST_BYTES_MAX,
          redirects: { hosts: ['*'] },
        },
        call,
      );
      if (!/^\ufeff?#EXTM3U/.test(body)) {
        throw pan123Error(
          'unavailable',
          'gives something in the place of the playlist. Try again later.',
          null,
          {},
        ).spent();
      }
      // What a playlist that came as a file names is beside it in the space, and not at the link to the file.
      return { text: body, url: film ? `${SEGMENTS}/${film}/${quality}/playlist.m3u8` : from };
    },

    async readPart(url, range, call) {
      const segment = segmentOf(url);
      if (segment === null) return partOf(pan123, url, range, call);
      return byFreshLink(async () => partOf(pan123, await linkTo(pan123, segment, SEGMENT, call), range, call));
    },
  }) satisfies Media;

async function partOf(
  pan123: Pan123Client,
  url: string,
  range: ByteRange | null,
  call: CallContext,
): Promise<DrivePart> {
  const { body, headers } = await pan123.sendBytes(
    { method: 'GET', url, endpoint: 'download', as: 'stream', idempotent: true, range, redirects: { hosts: ['*'] } },
    call,
  );
  const length = headers.get('content-length');
  return {
    bytes: body,
    sizeBytes: length === null ? null : Number(length),
    mimeType: headers.get('content-type') ?? mimeTypeOf(URL.parse(url)?.pathname ?? ''),
  };
}

interface Segment {
  readonly film: string;
  readonly quality: string;
  /** Without its suffix; of the playlist itself, none. */
  readonly name?: string;
}

/** The segment of a playlist that came as a file; null for any other address. */
function segmentOf(url: string): Segment | null {
  const { origin, pathname } = new URL(url);
  const [, film, quality, name] = (origin === SEGMENTS && SEGMENT_PATH.exec(pathname)) || [];
  if (film !== undefined && quality !== undefined && name !== undefined) {
    return { film, quality, name: decodeURIComponent(name) };
  }
  if (origin === SEGMENTS) throw pan123Error('not_found', 'has no such part of the film.', null, {});
  return null;
}

async function linkTo(
  pan123: Pan123Client,
  { film, quality, name }: Segment,
  type: typeof PLAYLIST | typeof SEGMENT,
  call: CallContext,
): Promise<string> {
  const json = { fileId: idOf(film), resolution: quality, type, ...(name === undefined ? {} : { tsName: name }) };
  const { downloadUrl, isFull } = await pan123.post(DOWNLOAD, '/api/v1/transcode/m3u8_ts/download', json, call, {
    idempotent: true,
  });
  if (downloadUrl) return downloadUrl;
  if (isFull) throw fullSpace();
  throw pan123Error('unavailable', 'gives no link to this. Try again later.', null, {}).spent();
}

/** The best one that is ready, or the one that is asked for. @throws DriveError `not_found`, `unavailable` */
async function readyVersion(
  pan123: Pan123Client,
  ref: string,
  quality: string | null,
  call: CallContext,
): Promise<Found> {
  const file = await videoOf(pan123, ref, call);
  const film = pan123.isOfApplication ? null : await findFilm(pan123, file, call);
  const made = film === null && !pan123.isOfApplication ? [] : await recordsOf(pan123, ref, film, call);
  const wanted = made
    .filter(({ resolution }) => quality === null || qualityOf(resolution) === qualityOf(quality))
    .toSorted((one, other) => heightOf(other.resolution) - heightOf(one.resolution));
  const ready = wanted.find(({ status }) => status === DONE);
  if (!ready) {
    if (wanted.some(({ status }) => stateOf(status) === 'RUNNING' || stateOf(status) === 'PENDING')) {
      throw pan123Error('unavailable', 'is still making this version of the film. Try again later.', null, {}).spent();
    }
    throw noVersion();
  }
  const found = { quality: qualityOf(ready.resolution) };
  if (ready.link) return { ...found, url: ready.link };
  if (film === null) throw noVersion();
  const resultUrl = await resultOf(pan123, film, found.quality, call);
  if (resultUrl) return { ...found, url: resultUrl };
  return { ...found, url: await linkTo(pan123, { film, quality: found.quality }, PLAYLIST, call), film };
}

/** The address of a version's playlist, where what was made of the film tells it. */
async function resultOf(
  pan123: Pan123Client,
  film: string,
  quality: string,
  call: CallContext,
): Promise<string | null> {
  const json = { fileId: idOf(film) };
  const path = '/api/v1/transcode/video/result';
  const { UserTranscodeVideoList: made } = await pan123.post(RESULTS, path, json, call, { idempotent: true });
  const version = made.find(({ Resolution, Status }) => Status === DONE && qualityOf(Resolution) === quality);
  return version?.Files.find(({ Url }) => Url)?.Url ?? null;
}
