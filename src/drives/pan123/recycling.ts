import { z } from 'zod';
import type { CallContext, RecycleBin } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import { ACCEPTED, IDS_MAX, idOf, LIST_PAGE_MAX, notFound, type Pan123Client } from './client.ts';
import { freeName } from './editing.ts';
import { pan123Error } from './errors.ts';
import { pageLimit, placeIn } from './listing.ts';
import { deleteForEver, renameTo } from './manager.ts';
import { aside } from './side-folder.ts';
import { BIN_PAGE, ID, isFolder, isLive, listOf, ROOT_REF, toEntry, type WireFile } from './wire.ts';

const PLACE = z.tuple([z.string(), z.int().min(0)]);
const RECOVERED = z
  .object({ abnormalFileIDs: listOf(z.union([ID, z.number().transform(String)])).catch([]) })
  .nullish()
  .transform((data) => data?.abnormalFileIDs ?? []);
/** Batches of one emptying: beyond, the bin does not shrink. */
const BATCHES_MAX = 1000;

/** The recycle bin. Only the first version of the list shows it, which accounts without membership may ask each 5 s. */
export const createRecycleBin = (pan123: Pan123Client): RecycleBin => ({
  async list(page, call) {
    const limit = pageLimit(page);
    const [, start] = placeIn(page, PLACE, 'bin') ?? ['bin', 0];
    // Pages are counted in their own size: a place that does not fit into this one's is reached by the longest pages.
    const size = start % limit === 0 ? limit : LIST_PAGE_MAX;
    const { total, fileList } = await binPage(pan123, { page: Math.floor(start / size) + 1, limit: size }, call);
    const shown = fileList.slice(start % size, (start % size) + limit);
    const next = start + shown.length;
    const hasMore = next < total || fileList.length > (start % size) + limit;
    return {
      items: shown.map(toEntry),
      nextCursor: hasMore && shown.length > 0 ? encodeCursor(['bin', next]) : null,
      totalCount: total,
    };
  },

  async restore(ref, call) {
    const file = await inBin(pan123, ref, call);
    const parent = file.parentFileId;
    const home = parent === ROOT_REF ? null : (await pan123.infos([parent], call)).get(parent);
    const folderRef = home && isLive(home) && isFolder(home) ? parent : ROOT_REF;
    const names = new Map<string, WireFile>();
    for await (const child of pan123.children(folderRef, call)) names.set(child.filename, child);
    if (names.has(file.filename)) await restoreNumbered(pan123, file, folderRef, names, call);
    else if (folderRef === parent) await restoreHome(pan123, ref, call);
    else await restoreInto(pan123, ref, folderRef, call);
    return toEntry(await pan123.file(ref, call));
  },

  async purge(ref, call) {
    await inBin(pan123, ref, call);
    await deleteForEver(pan123, [ref], call);
  },

  async empty(call) {
    for (let batches = 0; batches < BATCHES_MAX; batches += 1) {
      const { fileList } = await binPage(pan123, { page: 1, limit: IDS_MAX }, call);
      if (fileList.length === 0) return;
      const refs = fileList.map(({ fileId }) => fileId);
      await deleteForEver(pan123, refs, call);
    }
    throw pan123Error('unavailable', 'still has entries in the recycle bin.', null, {}).spent();
  },
});

const binPage = (pan123: Pan123Client, page: { readonly page: number; readonly limit: number }, call: CallContext) =>
  pan123.get(
    BIN_PAGE,
    '/api/v1/file/list',
    { parentFileId: ROOT_REF, ...page, orderBy: 'file_id', orderDirection: 'asc', trashed: true },
    call,
  );

/** @throws DriveError `not_found` */
async function inBin(pan123: Pan123Client, ref: string, call: CallContext): Promise<WireFile> {
  const file = (await pan123.infos([ref], call)).get(ref);
  if (!file || isLive(file)) throw notFound();
  return file;
}

/** To where it was; the service lists what it could not put there. */
async function restoreHome(pan123: Pan123Client, ref: string, call: CallContext): Promise<void> {
  const abnormal = await pan123.post(RECOVERED, '/api/v1/file/recover', { fileIDs: [idOf(ref)] }, call);
  if (abnormal.includes(ref)) await restoreInto(pan123, ref, ROOT_REF, call);
}

async function restoreInto(pan123: Pan123Client, ref: string, folderRef: string, call: CallContext): Promise<void> {
  const json = { fileIDs: [idOf(ref)], parentFileID: idOf(folderRef) };
  await pan123.post(ACCEPTED, '/api/v1/file/recover/by_path', json, call);
}

/** What a name that is taken comes to is not documented: it gets another one where nothing is in its way. */
async function restoreNumbered(
  pan123: Pan123Client,
  file: WireFile,
  folderRef: string,
  names: ReadonlyMap<string, unknown>,
  call: CallContext,
): Promise<void> {
  await aside(pan123, folderRef, call, async (sideRef) => {
    await restoreInto(pan123, file.fileId, sideRef, call);
    await renameTo(pan123, { ...file, parentFileId: sideRef }, freeName(file.filename, names), call);
    return file.fileId;
  });
}
