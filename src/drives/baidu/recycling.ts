import { z } from 'zod';
import type { CallContext, DriveEntry, RecycleBin } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import { type BaiduClient, isRef, notFound } from './client.ts';
import { pageLimit, placeIn } from './listing.ts';
import { finished, isTask, oneTask } from './manager.ts';
import { WEB_APP, WEB_HEADERS, WEB_QUERY } from './web.ts';
import { FILE_LIST, type WireFile } from './wire.ts';

/** Asked for at a time, whatever is shown: the page's own size. */
const PAGE = 100;
/** Entries that one call deletes or restores: the number that is safe for other changes. */
const BATCH = 100;
/** Pages that are gone through to empty the part of the bin that is this drive's. */
const PAGES_MAX = 1_000;

const PLACE = z.tuple([z.string(), z.int().min(0)]);
const LISTING = 'bin';

const CHANGED = z.object({
  faillist: z.array(z.union([z.string(), z.number()])).optional(),
  taskid: z.union([z.string(), z.number()]).optional(),
});

/**
 * The recycle bin of Baidu's own page, which no document opens to applications: it took access tokens in 2023. The bin is
 * the account's: what was deleted outside of the application's folder is neither shown nor touched. Since when an entry is
 * in it is not told: `leftTime` has no documented unit.
 */
export const createRecycleBin = (baidu: BaiduClient): RecycleBin => ({
  async list(page, call) {
    const limit = pageLimit(page);
    const [, start] = placeIn(page, PLACE, LISTING) ?? [LISTING, 0];
    const files = await listPage(baidu, Math.floor(start / PAGE) + 1, call);
    const from = start % PAGE;
    const shown = files.slice(from, from + limit);
    const hasMore = files.length > from + limit || (files.length >= PAGE && shown.length > 0);
    return {
      items: shown.filter((file) => baidu.owns(file)).map((file) => baidu.toEntry(file)),
      nextCursor: hasMore ? encodeCursor([LISTING, start + shown.length]) : null,
      totalCount: null,
    };
  },

  async restore(ref, call): Promise<DriveEntry> {
    await change(baidu, 'restore', [ref], call);
    return baidu.toEntry(await baidu.meta(ref, call));
  },

  async purge(ref, call) {
    await change(baidu, 'delete', [ref], call);
  },

  /** Of an application's folder only what is its own: the call for everything would take the rest of the account along. */
  async empty(call) {
    if (baidu.root === '') {
      return oneTask(baidu, call, async () => untilDone(baidu, (await post(baidu, 'clear', {}, call)).taskid, call));
    }
    const refs: string[] = [];
    for (let page = 1; page <= PAGES_MAX; page += 1) {
      const files = await listPage(baidu, page, call);
      refs.push(...files.filter((file) => baidu.owns(file)).map(({ fs_id }) => fs_id));
      if (files.length < PAGE) break;
    }
    for (let at = 0; at < refs.length; at += BATCH) {
      await change(baidu, 'delete', refs.slice(at, at + BATCH), call);
    }
  },
});

async function listPage(baidu: BaiduClient, page: number, call: CallContext): Promise<readonly WireFile[]> {
  const query = { page, num: PAGE, ...WEB_QUERY, ...WEB_APP };
  const { list } = await baidu.get(FILE_LIST, 'recycle', '/api/recycle/list', query, call, WEB_HEADERS);
  return list;
}

/** @throws DriveError `not_found` when one of them is not in the bin */
async function change(
  baidu: BaiduClient,
  act: 'restore' | 'delete',
  refs: readonly string[],
  call: CallContext,
): Promise<void> {
  if (!refs.every(isRef)) throw notFound();
  // Written as text: ids are whole numbers here, some of them larger than a float holds.
  await oneTask(baidu, call, async () => {
    const { faillist = [], taskid } = await post(baidu, act, { fidlist: `[${refs.join(',')}]` }, call);
    if (faillist.length > 0) throw notFound();
    await untilDone(baidu, taskid, call);
  });
}

const post = (
  baidu: BaiduClient,
  act: 'restore' | 'delete' | 'clear',
  form: { readonly fidlist?: string },
  call: CallContext,
) =>
  baidu.post(
    CHANGED,
    'recycle',
    { url: `/api/recycle/${act}`, query: { async: 1, ...WEB_QUERY, ...WEB_APP }, headers: WEB_HEADERS, form },
    call,
  );

async function untilDone(baidu: BaiduClient, taskid: string | number | undefined, call: CallContext): Promise<void> {
  if (isTask(taskid)) await finished(baidu, String(taskid), null, call);
}
