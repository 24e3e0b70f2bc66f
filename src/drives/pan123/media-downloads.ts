import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import { MEDIA_DOWNLOAD_KINDS, type Media } from '../contract/media.ts';
import type { ByteRange, CallContext } from '../driver.ts';
import { mimeTypeOf } from '../shared/categories.ts';
import { idOf, invalid, type Pan123Client } from './client.ts';
import { byFreshLink } from './download.ts';
import { pan123Error } from './errors.ts';
import { fullSpace, noVersion, videoOf } from './media.ts';
import { NAME_CHARACTERS_MAX } from './names.ts';
import { findFilm } from './transcode-space.ts';
import { ID } from './wire.ts';

/** While it packs versions, the documents want ten seconds between two questions. So often it is waited for here. */
const PACK_MS = 10_000;
const PACK_WAITS_MAX = 3;

const LINK = z.object({
  downloadUrl: z.string().nullish(),
  isFull: z.boolean().nullish().transform(Boolean),
  /** Of an archive: it is still being packed. */
  isDownloading: z.boolean().nullish().transform(Boolean),
});
const STATE = z.object({ film: ID, kind: z.enum(MEDIA_DOWNLOAD_KINDS), name: z.string() });
type State = z.infer<typeof STATE>;

/**
 * The original of a film in the transcoding space, and all that was made of it in one archive. The link to the archive
 * holds an access token, and each link is used where it was asked for: nobody but this server sees them.
 */
export const createMediaDownloads = (pan123: Pan123Client) =>
  ({
    async openDownload(ref, kind, call) {
      const file = await videoOf(pan123, ref, call);
      const film = await findFilm(pan123, file, call);
      if (film === null) throw noVersion();
      const name = kind === 'ORIGINAL' ? file.filename : archiveNameOf(file.filename);
      const state: State = { film, kind, name };
      await linkTo(pan123, state, call);
      return { state, name };
    },

    async readDownload(state, range, call) {
      const { data } = STATE.safeParse(state);
      if (!data) throw invalid('has no download that this belongs to.');
      const read = (wanted: ByteRange | null) => byFreshLink(() => bytesOf(pan123, data, wanted, call));
      if (range === null) return { ...(await read(null)), isWhole: true };
      try {
        return { ...(await read(range)), isWhole: false };
      } catch (error) {
        // Whether its servers know ranges of these is not documented.
        if (!(error instanceof DriveError) || error.category !== 'corrupted') throw error;
        return { ...(await read(null)), isWhole: true };
      }
    },
  }) satisfies Media;

function archiveNameOf(filename: string): string {
  const stem = filename.replace(/\.[^.]*$/, '') || filename;
  return `${[...stem].slice(0, NAME_CHARACTERS_MAX - '.zip'.length).join('')}.zip`;
}

/** A fresh one each time: how long one is good is not told. */
async function linkTo(pan123: Pan123Client, { film, kind, name }: State, call: CallContext): Promise<string> {
  const fileId = idOf(film);
  for (let waits = 0; ; waits += 1) {
    const { downloadUrl, isFull, isDownloading } =
      kind === 'ORIGINAL'
        ? await ask(pan123, '/api/v1/transcode/file/download', { fileId }, call)
        : await ask(pan123, '/api/v1/transcode/file/download/all', { fileId, zipName: name }, call);
    if (isFull) throw fullSpace();
    if (downloadUrl && !isDownloading) return downloadUrl;
    if (!isDownloading) throw pan123Error('unavailable', 'gives no link to this. Try again later.', null, {}).spent();
    if (waits === PACK_WAITS_MAX) {
      const init = { retryAfterMs: PACK_MS };
      throw pan123Error('unavailable', 'is still packing the versions of the film.', null, init).spent();
    }
    await pan123.pause(PACK_MS, call);
  }
}

const ask = (pan123: Pan123Client, path: string, json: Readonly<Record<string, unknown>>, call: CallContext) =>
  pan123.post(LINK, path, json, call, { idempotent: true });

async function bytesOf(pan123: Pan123Client, state: State, range: ByteRange | null, call: CallContext) {
  const { body, headers } = await pan123.sendBytes(
    {
      method: 'GET',
      url: await linkTo(pan123, state, call),
      endpoint: 'download',
      as: 'stream',
      idempotent: true,
      range,
      hidden: true,
      redirects: { hosts: ['*'] },
    },
    call,
  );
  const length = headers.get('content-length');
  return { bytes: body, sizeBytes: length === null ? null : Number(length), mimeType: mimeTypeOf(state.name) };
}
