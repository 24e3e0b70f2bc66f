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
export const DONE = 255;
/** Deletes the copy in the transcoding space and what was made of it. */
const WITH_RESULTS = 2;
const BUSINESS = 2;

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
/** Of accounts that came by the operator's application. */
const APPLICATION_LIST = z.object({
  list: listOf(
    z
      .object({ url: z.string().nullish(), resolution: z.string(), status: NUMBER, updateAt: z.unknown() })
      .transform(({ url, updateAt, ...version }): Version => ({ ...version, link: url, create_at: updateAt })),
  ),
});

/** Films that 123pan makes into versions for streaming, in a space of their own: a film is brought there first. */
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

export async function recordsOf(
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
export function stateOf(status: number): MediaVersionState {
  if (status === DONE) return 'READY';
  if (status === 2) return 'RUNNING';
  return status <= 1 ? 'PENDING' : 'FAILED';
}

/** It is told as `1080p`, and wanted as `1080P`. */
export const qualityOf = (resolution: string): string => resolution.trim().toUpperCase();
export const heightOf = (quality: string): number => Number.parseInt(quality, 10) || 0;
const splitted = (list: string | null | undefined): string[] => (list ?? '').split(',').filter(Boolean).map(qualityOf);
