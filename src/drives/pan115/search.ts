import { z } from 'zod';
import type { Driver } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import type { Pan115Client } from './client.ts';
import { invalid, notFound } from './errors.ts';
import { pageLimit, placeIn } from './listing.ts';
import { REF, ROOT_REF, SEARCH, toEntry } from './wire.ts';

/** Place and size of a page together reach no further. */
const HITS_MAX = 10_000;
const FOLDERS = 1;
const FILES = 2;
/** Pages of 115's that one page of hits may cost, where all of one are in the recycle bin. */
const PAGES_MAX = 3;

const PLACE = z.tuple([z.string(), z.int().min(0).max(HITS_MAX)]);

export const createSearch = (pan115: Pan115Client) =>
  ({
    /** The count that 115 tells is an estimate, and a page may be short although more follow: the end is an empty page. */
    async searchByName({ query, kind, folderRef = ROOT_REF }, page, call) {
      const text = query.trim().normalize('NFC');
      if (text === '') throw invalid('cannot search for nothing.');
      if (folderRef !== ROOT_REF && !REF.test(folderRef)) throw notFound();
      let [, offset] = placeIn(page, PLACE, 'search') ?? ['search', 0];
      const limit = Math.min(pageLimit(page), HITS_MAX - offset);
      const nothing = { items: [], nextCursor: null, totalCount: null };
      // No name has such a character.
      if (/\p{Cc}/u.test(text) || limit <= 0) return nothing;
      const fc = kind === undefined ? null : kind === 'FOLDER' ? FOLDERS : FILES;
      for (let pages = 1; ; pages += 1) {
        const asked = { search_value: text, limit: Math.min(limit, HITS_MAX - offset), offset, cid: folderRef, fc };
        const { data } = await pan115.get(SEARCH, 'search', '/open/ufile/search', asked, call);
        // Nothing may be found because the folder is not there.
        if (data.length === 0 && offset === 0 && folderRef !== ROOT_REF) {
          await pan115.page(folderRef, { offset: 0, limit: 1 }, call);
        }
        offset += data.length;
        const items = data.filter(({ isGone }) => !isGone).map(({ file }) => toEntry(file));
        const isEnd = data.length === 0 || offset >= HITS_MAX;
        if (items.length > 0 || isEnd || pages === PAGES_MAX) {
          return { items, nextCursor: isEnd ? null : encodeCursor(['search', offset]), totalCount: null };
        }
      }
    },
  }) satisfies Partial<Driver>;
