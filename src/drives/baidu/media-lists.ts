import { z } from 'zod';
import type { Media } from '../contract/media.ts';
import { encodeCursor } from '../shared/paging.ts';
import type { BaiduClient } from './client.ts';
import { pageLimit, placeIn } from './listing.ts';
import { dateOf, listOf, TIME } from './wire.ts';

/** Lists, or files of one, asked for at a time: no larger page is documented. */
const PAGE = 20;

const LISTS = z.object({
  list: listOf(
    z.object({
      mb_id: z.string(),
      name: z.string().catch(''),
      file_count: z.coerce.number().int().min(0).optional().catch(undefined),
      ctime: TIME,
      mtime: TIME,
    }),
  ),
  has_more: z.coerce.number(),
});
/** Its numbers come as text; what else it tells of files is told better, and as elsewhere, by their ids. */
const FILES = z.object({ list: listOf(z.object({ fs_id: z.string() })), has_more: z.coerce.number() });

const PLACE = z.tuple([z.string(), z.int().min(0)]);

/** 播单: lists of recordings, which people put together in Baidu's own application. */
export const createMediaLists = (baidu: BaiduClient): Required<Pick<Media, 'lists' | 'listFiles'>> => ({
  async lists(page, call) {
    const limit = pageLimit(page);
    const listing = 'media lists';
    const [, start] = placeIn(page, PLACE, listing) ?? [listing, 0];
    const query = { method: 'list', page: Math.floor(start / PAGE) + 1, psize: PAGE };
    const answer = await baidu.get(LISTS, 'broadcast.list', '/rest/2.0/xpan/broadcast/list', query, call);
    const { shown, nextCursor } = part(answer, { listing, start, limit });
    const items = shown.map(({ mb_id, name, file_count, ctime, mtime }) => ({
      ref: mb_id,
      name,
      fileCount: file_count ?? null,
      createdAt: dateOf(ctime),
      modifiedAt: dateOf(mtime),
    }));
    return { items, nextCursor, totalCount: null };
  },

  async listFiles(listRef, page, call) {
    const limit = pageLimit(page);
    const listing = `media list ${listRef}`;
    const [, start] = placeIn(page, PLACE, listing) ?? [listing, 0];
    const query = { mb_id: listRef, showmeta: 1, page: Math.floor(start / PAGE) + 1, psize: PAGE };
    const post = { url: '/rest/2.0/xpan/broadcast/filelist', query, form: {}, idempotent: true };
    const answer = await baidu.post(FILES, 'broadcast.filelist', post, call);
    const { shown, nextCursor } = part(answer, { listing, start, limit });
    const refs = shown.map(({ fs_id }) => fs_id);
    const metas = await baidu.metas(refs, call);
    const items = refs.flatMap((ref) => metas.get(ref) ?? []).map((file) => baidu.toEntry(file));
    return { items, nextCursor, totalCount: null };
  },
});

/** The part of a page of Baidu's that was asked for, and where the next one begins. */
function part<Item>(
  { list, has_more }: { readonly list: readonly Item[]; readonly has_more: number },
  { listing, start, limit }: { readonly listing: string; readonly start: number; readonly limit: number },
): { readonly shown: readonly Item[]; readonly nextCursor: string | null } {
  const from = start % PAGE;
  const shown = list.slice(from, from + limit);
  const hasMore = list.length > from + limit || (has_more === 1 && shown.length > 0);
  // The next page of Baidu's begins at its own place, however short this one was.
  const next = list.length > from + limit ? start + limit : start - from + PAGE;
  return { shown, nextCursor: hasMore ? encodeCursor([listing, next]) : null };
}
