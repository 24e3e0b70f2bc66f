import { z } from 'zod';
import type { DriveEntry, Driver, EntryKind, EntrySort, FileCategory, Page } from '../driver.ts';
import { checkEntryName } from '../shared/names.ts';
import { encodeCursor, pageReader } from '../shared/paging.ts';
import { type BaiduClient, invalid, LIST_PAGE_MAX, notFound, XPAN_FILE, XPAN_MULTIMEDIA } from './client.ts';
import { PROVIDER } from './errors.ts';
import { CATEGORIES, CURSOR_LIST, isFolder, joined, ROOT_ENTRY, ROOT_REF, TYPED_LIST, type WireFile } from './wire.ts';

const ORDERS: Readonly<Record<EntrySort, string>> = { NAME: 'name', SIZE: 'size', MODIFIED_AT: 'time' };
const TYPED: Readonly<Partial<Record<FileCategory, string>>> = {
  VIDEO: 'videolist',
  IMAGE: 'imagelist',
  DOCUMENT: 'doclist',
  TORRENT: 'btlist',
};

/**
 * Pages of a folder are counted, so a deletion before a place moves what follows up. A cursor therefore names the last
 * entries before it, and they are looked for this far back: rather an entry twice than one left out.
 */
const OVERLAP = 20;
const REMEMBERED = 5;
/** Pages of Baidu's that one page of one kind may cost. */
const PAGES_MAX = 10;

const LIST_PLACE = z.tuple([z.string(), z.int().min(0), z.array(z.string().max(20)).max(REMEMBERED)]);
const CURSOR_PLACE = z.tuple([z.string(), z.int().min(0)]);

/** What lists and looks up, and changes nothing. */
export const createListing = (baidu: BaiduClient) =>
  ({
    async list(folderRef, { orderBy = { by: 'NAME', direction: 'ASC' }, kind }, page, call) {
      const limit = pageLimit(page);
      const listing = `list ${orderBy.by} ${orderBy.direction} ${kind ?? ''}`;
      const [, start, last] = placeIn(page, LIST_PLACE, listing) ?? [listing, 0, []];
      const dir = await baidu.folderPath(folderRef, call);
      const order = { order: ORDERS[orderBy.by], desc: orderBy.direction === 'DESC' ? 1 : 0 } as const;

      const base = Math.max(0, start - (last.length > 0 ? OVERLAP : 0));
      const files: WireFile[] = [];
      const wanted = () => placesOf(files, last, kind);
      let ended = false;
      for (let pages = 0; pages < PAGES_MAX && !ended; pages += 1) {
        const asked = kind ? LIST_PAGE_MAX : Math.min(LIST_PAGE_MAX, start - base + limit + 1);
        const place = { start: base + files.length, limit: asked, ...order };
        const got = await baidu.orEmpty(folderRef, [], () => baidu.listPage(dir, place, call));
        files.push(...got);
        ended = got.length < asked;
        if (!kind || wanted().length > limit) break;
      }
      const shown = wanted().slice(0, limit);
      const isCut = wanted().length > limit;
      const end = isCut ? (shown.at(-1) ?? 0) + 1 : files.length;
      const remembered = files.slice(Math.max(0, end - REMEMBERED), end).map(({ fs_id }) => fs_id);
      return {
        items: shown.flatMap((index) => files[index] ?? []).map((file) => baidu.toEntry(file, folderRef)),
        nextCursor: isCut || !ended ? encodeCursor([listing, base + end, remembered]) : null,
        totalCount: null,
      };
    },

    async stat(ref, call) {
      return ref === ROOT_REF ? ROOT_ENTRY : baidu.toEntry(await baidu.meta(ref, call));
    },

    async statMany(refs, call) {
      const metas = await baidu.metas(refs, call);
      return refs.map((ref) => {
        const meta = metas.get(ref);
        return ref === ROOT_REF ? ROOT_ENTRY : meta ? baidu.toEntry(meta) : null;
      });
    },

    async resolve(segments, call) {
      for (const segment of segments) checkEntryName(segment, PROVIDER);
      const name = segments.at(-1);
      if (name === undefined) return ROOT_ENTRY;
      const dir = segments.slice(0, -1).reduce(joined, baidu.rootPath);
      const file = await baidu.findChild(dir, name, call);
      if (!file) throw notFound();
      return baidu.toEntry(file);
    },

    async listRecursive(folderRef, page, call) {
      const limit = pageLimit(page);
      const [, start] = placeIn(page, CURSOR_PLACE, 'all') ?? ['all', 0];
      const path = await baidu.folderPath(folderRef, call);
      const query = { method: 'listall', path, recursion: 1, start, limit };
      const answer = await baidu.orEmpty(folderRef, NOTHING, () =>
        baidu.get(CURSOR_LIST, 'listall', XPAN_MULTIMEDIA, query, call),
      );
      return cursorPage(baidu, 'all', answer);
    },

    async listByCategory(category, folderRef, page, call) {
      const limit = pageLimit(page);
      const listing = `category ${category}`;
      const [, start] = placeIn(page, CURSOR_PLACE, listing) ?? [listing, 0];
      const below = folderRef ?? ROOT_REF;
      const parent_path = await baidu.folderPath(below, call);
      const method = TYPED[category];
      if (method === undefined) {
        const number = CATEGORIES.indexOf(category) + 1;
        const query = { method: 'categorylist', category: number, parent_path, recursion: 1, start, limit };
        const answer = await baidu.orEmpty(below, NOTHING, () =>
          baidu.get(CURSOR_LIST, 'categorylist', XPAN_MULTIMEDIA, query, call),
        );
        return cursorPage(baidu, listing, answer);
      }
      // Pages are counted in their own size: a place that does not fit into this one's is reached by the longest pages.
      const num = start % limit === 0 ? limit : LIST_PAGE_MAX;
      const query = { method, parent_path, recursion: 1, page: Math.floor(start / num) + 1, num };
      const { info } = await baidu.orEmpty(below, { info: [] }, () =>
        baidu.get(TYPED_LIST, method, XPAN_FILE, query, call),
      );
      const shown = info.slice(start % num, (start % num) + limit);
      const hasMore = info.length === num || info.length > (start % num) + limit;
      return {
        items: shown.map((file) => baidu.toEntry(file)),
        nextCursor: hasMore && shown.length > 0 ? encodeCursor([listing, start + shown.length]) : null,
        totalCount: null,
      };
    },
  }) satisfies Partial<Driver>;

export const { pageLimit, placeIn } = pageReader(invalid, LIST_PAGE_MAX);

export const kindOf = (file: WireFile): EntryKind => (isFolder(file) ? 'FOLDER' : 'FILE');

/** Where in `files` the entries are that come after the `last` ones seen. */
function placesOf(files: readonly WireFile[], last: readonly string[], kind: EntryKind | undefined): number[] {
  const from = files.findLastIndex(({ fs_id }) => last.includes(fs_id)) + 1;
  return [...files.keys()].filter((index) => {
    const file = files[index];
    return index >= from && file !== undefined && (!kind || kindOf(file) === kind);
  });
}

const NOTHING: z.infer<typeof CURSOR_LIST> = { list: [], has_more: 0 };

/** A page whose next one Baidu names itself. */
function cursorPage(
  baidu: BaiduClient,
  listing: string,
  { list, has_more, cursor }: z.infer<typeof CURSOR_LIST>,
): Page<DriveEntry> {
  return {
    items: list.filter((file) => baidu.owns(file)).map((file) => baidu.toEntry(file)),
    nextCursor: has_more === 1 && cursor !== undefined ? encodeCursor([listing, cursor]) : null,
    totalCount: null,
  };
}
