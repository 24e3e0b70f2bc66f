import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { DriveMediaVersion, Media, MediaVersionState } from '../contract/media.ts';
import type { CallContext } from '../driver.ts';
import { mimeTypeOf } from '../shared/categories.ts';
import { ACCEPTED, idOf, invalid, type Pan123Client } from './client.ts';
import { PROVIDER, pan123Error, TITLE } from './errors.ts';
import { filmOf, findFilm } from './transcode-space.ts';
import { listOf, NUMBER, timeOf, type WireFile } from './wire.ts';

/** While it reads what a film is made of, the documents want ten seconds between two questions. */
const PROBE_MS = 10_000;
const PROBES_MAX = 30;
const DONE = 255;
/** Deletes the copy in the transcoding space and what was made of it. */
const WITH_RESULTS = 2;
const BUSINESS = 2;
const PLAYLIST = 1;
/** Of a playlist: far above the longest film's. */
const PLAYLIST_BYTES_MAX = 4 * 1024 * 1024;

const PROBE = z.object({
  IsGetResolution: z.boolean().nullish().transform(Boolean),
  Resolutions: z.string().nullish(),
  NowOrFinishedResolutions: z.string().nullish(),
  CodecNames: z.string().nullish(),
  VideoTime: NUMBER.nullish().catch(null),
});
type Probe = z.infer<typeof PROBE>;
const RECORD = z.object({
  create_at: z.unknown(),
  resolution: z.string(),
  status: NUMBER,
  link: z.string().nullish(),
});
type Version = z.infer<typeof RECORD>;
const RECORDS = z.object({ UserTranscodeVideoRecordList: listOf(RECORD) });
/** Of each version, its files; only that of the playlist has an address. */
const RESULTS = z.object({
  UserTranscodeVideoList: listOf(
    z.object({ Resolution: z.string(), Status: NUMBER, Files: listOf(z.object({ Url: z.string().nullish() })) }),
  ),
});
const DOWNLOAD = z.object({ downloadUrl: z.string().nullish(), isFull: z.boolean().nullish().transform(Boolean) });
/** Of accounts that came by the operator's application. */
const APPLICATION_LIST = z.object({
  list: listOf(
    z
      .object({ url: z.string().nullish(), resolution: z.string(), status: NUMBER, updateAt: z.unknown() })
      .transform(({ url, updateAt, ...version }): Version => ({ ...version, link: url, create_at: updateAt })),
  ),
});
const STATE = z.object({ ref: z.string(), quality: z.string() });

/**
 * Films that 123pan makes into versions for streaming, in a space of their own: a film is brought there first. Links to
 * playlists are good only where they were asked for, so this server reads them for its clients.
 */
export const createMedia = (pan123: Pan123Client): Media => ({
  async transcode(ref, quality, call) {
    const film = await filmOf(pan123, await videoOf(pan123, ref, call), call);
    const probe = await probed(pan123, film, call);
    const possible = splitted(probe.Resolutions);
    if (splitted(probe.NowOrFinishedResolutions).includes(qualityOf(quality))) return;
    if (!possible.includes(qualityOf(quality))) {
      throw invalid('cannot make this version of the film.', `It makes: ${possible.join(', ') || 'none of it'}.`);
    }
    await pan123.post(
      ACCEPTED,
      '/api/v1/transcode/video',
      {
        fileId: idOf(film),
        codecName: probe.CodecNames?.split(',')[0] ?? '',
        videoTime: probe.VideoTime ?? 0,
        resolutions: qualityOf(quality),
      },
      call,
    );
  },

  async versions(ref, call) {
    const file = await videoOf(pan123, ref, call);
    const film = pan123.isOfApplication ? null : await findFilm(pan123, file, call);
    if (film === null && !pan123.isOfApplication) return [];
    const [made, probe] = await Promise.all([
      recordsOf(pan123, ref, film, call),
      film === null ? null : probeOnce(pan123, film, call),
    ]);
    const known = new Map(made.map((version) => [qualityOf(version.resolution), toVersion(version)]));
    for (const quality of splitted(probe?.Resolutions)) {
      if (!known.has(quality)) known.set(quality, { quality, state: 'AVAILABLE', requestedAt: null });
    }
    return [...known.values()].toSorted((one, other) => heightOf(one.quality) - heightOf(other.quality));
  },

  async deleteVersions(ref, call) {
    const film = await findFilm(pan123, await videoOf(pan123, ref, call), call);
    if (film === null) throw noVersion();
    const json = { fileId: idOf(film), businessType: BUSINESS, trashed: WITH_RESULTS };
    await pan123.post(ACCEPTED, '/api/v1/transcode/delete', json, call);
  },

  async openPlaylist(ref, quality, call) {
    const version = await readyVersion(pan123, ref, quality, call);
    return { state: { ref, quality: version.quality }, expiresAt: null };
  },

  /** By a fresh link each time: how long one is good is not told. */
  async readPlaylist(state, call) {
    const { data } = STATE.safeParse(state);
    if (!data) throw invalid('has no playlist that this belongs to.');
    const { url } = await readyVersion(pan123, data.ref, data.quality, call);
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
    return { text: body, url: from };
  },

  async readPart(url, range, call) {
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
  },
});

/** @throws DriveError `unsupported` when it is no film */
export async function videoOf(pan123: Pan123Client, ref: string, call: CallContext): Promise<WireFile> {
  const file = await pan123.file(ref, call);
  if (file.type !== 1 && (file.category === VIDEO || mimeTypeOf(file.filename)?.startsWith('video/'))) return file;
  throw new DriveError('unsupported', `${TITLE} makes versions of films only.`, {
    provider: PROVIDER,
    ability: 'TRANSCODE',
  });
}
const VIDEO = 2;

const probeOnce = (pan123: Pan123Client, film: string, call: CallContext): Promise<Probe> =>
  pan123.post(PROBE, '/api/v1/transcode/video/resolutions', { fileId: idOf(film) }, call, { idempotent: true });

async function probed(pan123: Pan123Client, film: string, call: CallContext): Promise<Probe> {
  for (let probes = 0; probes < PROBES_MAX; probes += 1) {
    if (probes > 0) await pan123.pause(PROBE_MS, call);
    const probe = await probeOnce(pan123, film, call);
    if (!probe.IsGetResolution) return probe;
  }
  throw pan123Error('timeout', 'is still reading the film. Try again later.', null, {}).spent();
}

async function recordsOf(
  pan123: Pan123Client,
  ref: string,
  film: string | null,
  call: CallContext,
): Promise<readonly Version[]> {
  if (film === null) {
    return (await pan123.get(APPLICATION_LIST, '/api/v1/video/transcode/list', { fileId: ref }, call)).list;
  }
  const json = { fileId: idOf(film) };
  const records = await pan123.post(RECORDS, '/api/v1/transcode/video/record', json, call, { idempotent: true });
  return records.UserTranscodeVideoRecordList;
}

/** The best one that is ready, or the one that is asked for. @throws DriveError `not_found`, `unavailable` */
async function readyVersion(
  pan123: Pan123Client,
  ref: string,
  quality: string | null,
  call: CallContext,
): Promise<{ readonly quality: string; readonly url: string }> {
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
  const json = { fileId: idOf(film), resolution: found.quality, type: PLAYLIST };
  const { downloadUrl, isFull } = await pan123.post(DOWNLOAD, '/api/v1/transcode/m3u8_ts/download', json, call, {
    idempotent: true,
  });
  if (downloadUrl) return { ...found, url: downloadUrl };
  if (isFull) throw fullSpace();
  throw pan123Error('unavailable', 'gives no link to this playlist. Try again later.', null, {}).spent();
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

export const fullSpace = () =>
  pan123Error('quota_exceeded', 'gives no link to this: the transcoding space is full.', null, {
    hint: 'Delete versions of other films.',
  });

export const noVersion = () =>
  pan123Error('not_found', 'has no such version of the film.', null, { hint: 'Ask for one by transcodeFile.' });

const toVersion = ({ resolution, status, create_at }: Version): DriveMediaVersion => ({
  quality: qualityOf(resolution),
  state: stateOf(status),
  requestedAt: timeOf(create_at),
});

/** 1 prepared, 2 running, 255 done; what is between failed. */
function stateOf(status: number): MediaVersionState {
  if (status === DONE) return 'READY';
  if (status === 2) return 'RUNNING';
  return status <= 1 ? 'PENDING' : 'FAILED';
}

/** It is told as `1080p`, and wanted as `1080P`. */
const qualityOf = (resolution: string): string => resolution.trim().toUpperCase();
const heightOf = (quality: string): number => Number.parseInt(quality, 10) || 0;
const splitted = (list: string | null | undefined): string[] => (list ?? '').split(',').filter(Boolean).map(qualityOf);
