import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { DriveSubtitle, Media } from '../contract/media.ts';
import type { CallContext } from '../driver.ts';
import { categoryOf } from '../shared/categories.ts';
import { ACCEPTED, type Pan115Client } from './client.ts';
import { fetchAddress } from './download.ts';
import { invalid, pan115Error } from './errors.ts';
import { dateOf, listOf, maybeObjectOf, type WireFile } from './wire.ts';

/** Queues for making a film ready to play: by membership, or paid with credits. */
const PUSHES = ['vip_push', 'pay_push'];

const LENGTH = z.coerce.number().positive().optional().catch(undefined);
const PLAY = z.object({
  /** Nothing at all where there is nothing to play. */
  data: maybeObjectOf(
    z.object({
      play_long: LENGTH,
      video_url: listOf(
        z.object({
          url: z.string().min(1),
          height: LENGTH,
          width: LENGTH,
          /** 1 to 5 from low to high, 100 for the film as it is. */
          definition_n: z.coerce.number().catch(0),
          title: z.coerce.string().catch(''),
          desc: z.coerce.string().catch(''),
        }),
      ),
    }),
  ),
});
const SUBTITLE = z.object({
  url: z.string().optional().catch(undefined),
  title: z.coerce.string().optional().catch(undefined),
  language: z.coerce.string().optional().catch(undefined),
  type: z.coerce.string().optional().catch(undefined),
});
const SUBTITLES = z.object({ data: maybeObjectOf(z.object({ list: listOf(SUBTITLE) })) });
const HISTORY = z.object({
  data: maybeObjectOf(
    z.object({
      add_time: z.coerce.number().optional().catch(undefined),
      time: z.coerce.number().min(0).optional().catch(undefined),
    }),
  ),
});

export const createMedia = (pan115: Pan115Client) =>
  ({
    async playlist(ref, quality, call) {
      const { video_url } = await play(pan115, await film(pan115, ref, call), call);
      const best = video_url.toSorted((a, b) => b.definition_n - a.definition_n);
      const wanted = quality?.toLowerCase();
      const found = best.find(
        ({ title, desc, definition_n }) =>
          wanted === undefined || [title, desc, String(definition_n)].some((name) => name.toLowerCase() === wanted),
      );
      if (!found) {
        const names = best.map(({ title, definition_n }) => title || String(definition_n)).join(', ');
        throw invalid(names === '' ? 'has nothing to play of this film.' : `plays this film as ${names}.`);
      }
      return { url: found.url, headers: {}, expiresAt: null };
    },

    async subtitles(ref, call) {
      const { isFolder, name, pickCode } = await pan115.info(ref, call);
      if (!isFilm({ isFolder, name })) return [];
      const query = { pick_code: pickCode };
      const { data } = await pan115.get(SUBTITLES, 'video.subtitles', '/open/video/subtitle', query, call);
      return (data?.list ?? []).flatMap(({ url, title, language, type }): DriveSubtitle[] =>
        url && URL.canParse(url)
          ? [{ url, name: title || null, language: language || null, format: (type || 'srt').toLowerCase() }]
          : [],
      );
    },

    /** The address comes from 115's own answer, and gets nothing of the account's: any public host may be it. */
    async readPart(url, range, call) {
      const { body, headers } = await fetchAddress(pan115, url, range, call);
      const length = headers.get('content-length');
      return { bytes: body, sizeBytes: length === null ? null : Number(length), mimeType: headers.get('content-type') };
    },

    /** How wide and high a film is, 115 tells only once it can be played. */
    async info(ref, call) {
      const file = await pan115.info(ref, call);
      const played = isFilm(file) ? await orNothing(play(pan115, file, call)) : null;
      const largest = played?.video_url.toSorted((a, b) => (b.height ?? 0) - (a.height ?? 0))[0];
      return {
        durationSeconds: file.durationSeconds ?? played?.play_long ?? null,
        width: largest?.width ?? null,
        height: largest?.height ?? null,
      };
    },

    /** 115 makes all qualities at once: what is named here is the queue. */
    async transcode(ref, quality, call) {
      if (!PUSHES.includes(quality)) {
        throw invalid(`makes all qualities at once: name ${PUSHES.join(' or ')} (which costs credits).`);
      }
      const { pickCode } = await film(pan115, ref, call);
      const form = { pick_code: pickCode, op: quality };
      await pan115.post(ACCEPTED, 'video.push', { url: '/open/video/video_push', form }, call);
    },

    async progress(ref, call) {
      const { isFolder, name, pickCode } = await pan115.info(ref, call);
      if (!isFilm({ isFolder, name })) return null;
      const query = { pick_code: pickCode };
      const { data } = await pan115.get(HISTORY, 'video.history', '/open/video/history', query, call);
      if (data?.time === undefined) return null;
      return { positionSeconds: data.time, at: dateOf(data.add_time) };
    },

    async saveProgress(ref, { positionSeconds, finished }, call) {
      const { pickCode } = await film(pan115, ref, call);
      const form = { pick_code: pickCode, time: Math.round(positionSeconds), watch_end: finished ? 1 : 0 };
      await pan115.post(ACCEPTED, 'video.history.save', { url: '/open/video/history', form, idempotent: true }, call);
    },
  }) satisfies Media;

const isFilm = ({ isFolder, name }: Pick<WireFile, 'isFolder' | 'name'>): boolean =>
  !isFolder && categoryOf(name) === 'VIDEO';

async function film(
  pan115: Pan115Client,
  ref: string,
  call: CallContext,
): Promise<WireFile & { readonly pickCode: string }> {
  const file = await pan115.info(ref, call);
  const { pickCode } = file;
  if (pickCode && isFilm(file)) return { ...file, pickCode };
  throw pan115Error('unsupported', 'plays films only.', null, { ability: 'MEDIA_PLAYLIST' });
}

const play = async (pan115: Pan115Client, { pickCode }: WireFile, call: CallContext) =>
  (await pan115.get(PLAY, 'video.play', '/open/video/play', { pick_code: pickCode }, call)).data ?? NOTHING_TO_PLAY;

const NOTHING_TO_PLAY = { play_long: undefined, video_url: [] };

/** Null where there is nothing to play, or not yet. */
async function orNothing<Value>(asked: Promise<Value>): Promise<Value | null> {
  try {
    return await asked;
  } catch (error) {
    const isNotReady = error instanceof DriveError && ['0', '300104'].includes(error.providerCode ?? '');
    if (isNotReady && !error.retryable && error.category !== 'rate_limited') return null;
    throw error;
  }
}
