import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext } from '../driver.ts';
import { ACCEPTED, idOf, LIST_PAGE_MAX, type Pan123Client } from './client.ts';
import { pan123Error } from './errors.ts';
import { hashOf, ID, isLastPage, isLive, type WireFile } from './wire.ts';

const FOLDER = z.object({ fileID: ID });
/** Files of the transcoding space, in lists. */
const BUSINESS = 2;
/** A film that is brought there is looked for so often, each second. */
const LOOKS_MAX = 30;
const LOOK_MS = 1_000;

/** The film's copy in the transcoding space, by its id there; it is brought there when it is not. */
export async function filmOf(pan123: Pan123Client, file: WireFile, call: CallContext): Promise<string> {
  const there = await findFilm(pan123, file, call);
  if (there !== null) return there;
  await bring(pan123, file, call);
  for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
    const film = await findFilm(pan123, file, call);
    if (film !== null) return film;
    await pan123.pause(LOOK_MS, call);
  }
  throw pan123Error(
    'timeout',
    'is still bringing the film to its transcoding space. Try again later.',
    null,
    {},
  ).spent();
}

/** Null when it is not there. What was brought is told by its bytes and its name, as the answer to bringing it names nothing. */
export async function findFilm(pan123: Pan123Client, file: WireFile, call: CallContext): Promise<string | null> {
  const { fileID } = await pan123.post(FOLDER, '/api/v1/transcode/folder/info', {}, call, { idempotent: true });
  let lastFileId: string | null = null;
  for (;;) {
    const query = { parentFileId: fileID, limit: LIST_PAGE_MAX, businessType: BUSINESS, lastFileId };
    const page: Awaited<ReturnType<Pan123Client['listPage']>> = await pan123.listPage(query, call);
    const found = page.fileList.find((film) => isLive(film) && isSame(film, file));
    if (found) return found.fileId;
    if (isLastPage(page.lastFileId, lastFileId, page.fileList)) return null;
    lastFileId = page.lastFileId;
  }
}

const isSame = (film: WireFile, file: WireFile): boolean =>
  film.size === file.size && hashOf(film) === hashOf(file) && film.filename === file.filename;

/** The documents show a bare list; clients wrap it. Both are tried, the documents' form first: how a wrong one is refused is not told. */
async function bring(pan123: Pan123Client, file: WireFile, call: CallContext): Promise<void> {
  const path = '/api/v1/transcode/upload/from_cloud_disk';
  const items = [{ fileId: idOf(file.fileId) }];
  try {
    await pan123.post(ACCEPTED, path, items, call);
  } catch (error) {
    if (!(error instanceof DriveError) || !MAYBE_FORM.has(error.category) || error.retryAfterMs !== null) throw error;
    await pan123.post(ACCEPTED, path, { fileId: items }, call);
  }
}

const MAYBE_FORM: ReadonlySet<string> = new Set(['invalid_argument', 'unexpected', 'unavailable']);
