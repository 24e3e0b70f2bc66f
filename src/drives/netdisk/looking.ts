import { z } from 'zod';
import { entryNameFault } from '../../lib/names.ts';
import type { Driver } from '../driver.ts';
import { cursorsOf, decodeCursor, encodeCursor, limitOf } from '../shared/paging.ts';
import type { NetdiskClient } from './client.ts';
import { invalid, notFound } from './errors.ts';
import { childRef } from './paths.ts';

export const SEARCH_PAGE_MAX = 1000;

const PLACE = z.int().min(0);

/** There is no list: an entry is looked up by searching for its name. */
export const createLooking = (netdisk: NetdiskClient) =>
  ({
    stat: (ref, call) => netdisk.entry(ref, call),

    async resolve(segments, call) {
      if (segments.some((segment) => entryNameFault(segment) !== null)) throw notFound();
      return netdisk.entry(childRef(segments), call);
    },

    /** The server tells all at once; a page is a part of that. */
    async searchByName({ query, kind, folderRef }, page, call) {
      const limit = limitOf(page, SEARCH_PAGE_MAX);
      const start = page.cursor === null ? 0 : decodeCursor(page.cursor, PLACE);
      if (limit === null || start === null) throw invalid('cannot page so: the cursor or the size is none.');
      if (query.trim() === '') throw invalid('finds nothing by no name.');
      const folder = folderRef === undefined ? '/' : (await netdisk.folder(folderRef, call)).ref;
      if (query.includes('\0')) return { items: [], nextCursor: null, totalCount: 0 }; // No name has it.
      const found = await netdisk.search(query, folder, call);
      const all = kind ? found.filter((entry) => entry.kind === kind) : found;
      const items = all.slice(start, start + limit);
      const end = start + items.length;
      return {
        items,
        nextCursor: end < all.length ? encodeCursor(end) : null,
        totalCount: all.length,
        itemCursors: cursorsOf(items.length, (index) => encodeCursor(start + index + 1)),
      };
    },
  }) satisfies Partial<Driver>;
