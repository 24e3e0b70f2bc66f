import { z } from 'zod';
import type { Driver, SearchRequest } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import { type BaiduClient, invalid, XPAN_FILE } from './client.ts';
import { parsed } from './linking.ts';
import { kindOf, pageLimit, placeIn } from './listing.ts';
import { isInside, ROOT_REF, SEARCH, UNISEARCH, type WireFile } from './wire.ts';

const KEY_CHARACTERS_MAX = 30;
/** Hits on a page of name search, whatever one asks for; and the most of semantic search. */
const HITS_MAX = 500;
const SEMANTIC = 1;
/** Pages of Baidu's that one page of hits may cost. */
const PAGES_MAX = 5;

/** Page, place on it, and what began the page before. */
const PLACE = z.tuple([z.string(), z.int().min(1), z.int().min(0).max(HITS_MAX), z.string().nullable()]);

export const createSearch = (baidu: BaiduClient) =>
  ({
    async searchByName(request, page, call) {
      const key = queryOf(request);
      if ([...key].length > KEY_CHARACTERS_MAX) {
        throw invalid(`searches for up to ${KEY_CHARACTERS_MAX} characters.`, 'Search for a part of the name.');
      }
      const limit = pageLimit(page);
      let [, number, index, before] = placeIn(page, PLACE, 'name') ?? ['name', 1, 0, null];
      const below = request.folderRef ?? ROOT_REF;
      const dir = await baidu.folderPath(below, call);
      for (let pages = 1; ; pages += 1) {
        // The first page goes without its number, which newer documents no longer name.
        const query = { method: 'search', key, dir, recursion: 1, page: number > 1 ? number : null };
        const { list, has_more } = await baidu.orEmpty(below, { list: [], has_more: 0 }, () =>
          baidu.get(SEARCH, 'search', XPAN_FILE, query, call),
        );
        // Newer documents name no pages: who gives the same hits again has no others.
        const first = list[0]?.fs_id ?? null;
        const isRepeated = before !== null && first === before;
        const hits = isRepeated ? [] : wanted(baidu, list, request, dir);
        const shown = hits.slice(index, index + limit);
        const hasMore = has_more === 1 && first !== null && !isRepeated;
        const next =
          hits.length > index + limit ? [number, index + limit, before] : hasMore ? [number + 1, 0, first] : null;
        if (shown.length > 0 || next === null || pages === PAGES_MAX) {
          return {
            items: shown.map((file) => baidu.toEntry(file)),
            nextCursor: next === null ? null : encodeCursor(['name', ...next]),
            totalCount: null,
          };
        }
        number += 1;
        index = 0;
        before = first;
      }
    },

    /** Only applications that Baidu granted it to may; it gives its best hits at once. */
    async searchByMeaning(request, page, call) {
      const text = queryOf(request);
      const limit = pageLimit(page);
      const [, , index] = placeIn(page, PLACE, 'meaning') ?? ['meaning', 1, 0, null];
      const dir = await baidu.folderPath(request.folderRef ?? ROOT_REF, call);
      const query = {
        scene: 'mcpserver',
        query: text,
        dir: JSON.stringify([dir]),
        num: HITS_MAX,
        search_type: SEMANTIC,
      };
      const { body } = await baidu.send(
        {
          method: 'POST',
          url: '/xpan/unisearch',
          query,
          body: { json: {} },
          endpoint: 'unisearch',
          as: 'json',
          idempotent: true,
        },
        call,
      );
      const { data } = parsed(UNISEARCH, body);
      // A file stands under each source that found it.
      const merged = new Map(data.flatMap(({ list }) => list).map((file) => [file.fs_id, file]));
      const hits = wanted(baidu, [...merged.values()], request, dir);
      return {
        items: hits.slice(index, index + limit).map((file) => baidu.toEntry(file)),
        nextCursor: hits.length > index + limit ? encodeCursor(['meaning', 1, index + limit, null]) : null,
        totalCount: hits.length,
      };
    },
  }) satisfies Partial<Driver>;

/** Names are stored composed, as keyboards type them. */
function queryOf({ query }: SearchRequest): string {
  const text = query.trim().normalize('NFC');
  if (text === '') throw invalid('cannot search for nothing.');
  return text;
}

/** Baidu's filter by folder is a soft one, and it knows none by kind. */
const wanted = (
  baidu: BaiduClient,
  files: readonly WireFile[],
  { kind }: SearchRequest,
  dir: string,
): readonly WireFile[] =>
  files.filter(
    (file) => baidu.owns(file) && isInside(file.path, dir) && file.path !== dir && (!kind || kindOf(file) === kind),
  );
