import { z } from 'zod';
import type { Driver, EntryKind, EntrySort, FileCategory, ListOptions } from '../driver.ts';
import { categoryOf } from '../shared/categories.ts';
import { checkEntryName } from '../shared/names.ts';
import { encodeCursor, pageReader } from '../shared/paging.ts';
import { LIST_PAGE_MAX, type Pan115Client } from './client.ts';
import { invalid, notFound, PROVIDER, pan115Error } from './errors.ts';
import { REF, ROOT_ENTRY, ROOT_REF, toEntry, type WireFile } from './wire.ts';

const ORDERS: Readonly<Record<EntrySort, string>> = {
  NAME: 'file_name',
  SIZE: 'file_size',
  MODIFIED_AT: 'user_utime',
};

/** What 115 calls the kinds of file, one after the other where it has several for one of ours. */
const KINDS: Readonly<Partial<Record<FileCategory, readonly Readonly<Record<string, string | number>>[]>>> = {
  DOCUMENT: [{ type: 1 }, { type: 7 }],
  IMAGE: [{ type: 2 }],
  AUDIO: [{ type: 3 }],
  VIDEO: [{ type: 4 }],
  APPLICATION: [{ type: 6 }],
  TORRENT: [{ suffix: 'torrent' }],
};

/**
 * Pages of a folder are counted, so a deletion before a place moves what follows up. A cursor therefore names the last
 * entries before it, and they are looked for this far back: rather an entry twice than one left out.
 */
const OVERLAP = 20;
const REMEMBERED = 5;
/** Pages of 115's that one page of one kind may cost. */
const PAGES_MAX = 10;

const LIST_PLACE = z.tuple([z.string(), z.int().min(0), z.array(z.string().max(20)).max(REMEMBERED)]);
const KIND_PLACE = z.tuple([z.string(), z.int().min(0), z.int().min(0)]);

/** What lists and looks up, and changes nothing. */
export const createListing = (pan115: Pan115Client) =>
  ({
    /** 115 always shows folders first here; its other order pins nothing, but sorts folders by sizes that it does not show. */
    async list(folderRef, { orderBy, kind }, page, call) {
      const limit = pageLimit(page);
      const listing = `list ${orderBy?.by ?? ''} ${orderBy?.direction ?? ''} ${kind ?? ''}`;
      const [, start, last] = placeIn(page, LIST_PLACE, listing) ?? [listing, 0, []];
      const order = orderBy ? orderOf(orderBy) : {};

      const base = Math.max(0, start - (last.length > 0 ? OVERLAP : 0));
      const files: (WireFile & { readonly place: number })[] = [];
      const wanted = () => placesOf(files, last, kind);
      let offset = base;
      let total: number | null = null;
      let ended = false;
      for (let pages = 0; pages < PAGES_MAX && !ended; pages += 1) {
        const asked = kind ? LIST_PAGE_MAX : Math.min(LIST_PAGE_MAX, start - base + limit + 1);
        const got = await pan115.page(folderRef, { offset, limit: asked, ...order }, call);
        const from = offset;
        const known = new Set(files.map(({ id }) => id));
        files.push(
          ...got.files.filter(({ id }) => !known.has(id)).map((file, index) => ({ ...file, place: from + index })),
        );
        offset += got.length;
        total = got.total;
        ended = got.isLast;
        if (!kind || wanted().length > limit) break;
      }
      const shown = wanted().slice(0, limit);
      const isCut = wanted().length > limit;
      const lastShown = shown.at(-1) ?? 0;
      const end = isCut ? lastShown + 1 : files.length;
      const remembered = files.slice(Math.max(0, end - REMEMBERED), end).map(({ id }) => id);
      const next = isCut ? (files[lastShown]?.place ?? 0) + 1 : offset;
      return {
        items: shown.flatMap((index) => files[index] ?? []).map(toEntry),
        nextCursor: isCut || !ended ? encodeCursor([listing, next, remembered]) : null,
        totalCount: kind ? null : total,
      };
    },

    async stat(ref, call) {
      return ref === ROOT_REF ? ROOT_ENTRY : toEntry(await pan115.info(ref, call));
    },

    async resolve(segments, call) {
      for (const segment of segments) checkEntryName(segment, PROVIDER);
      const file = await fileAt(segments);
      return file === null ? ROOT_ENTRY : toEntry(file);

      /** Null for the root. What 115 does not find by its path may be too new: then its folder is looked through. */
      async function fileAt(path: readonly string[]): Promise<WireFile | null> {
        const name = path.at(-1);
        if (name === undefined) return null;
        // The other separator of 115's paths: a name with it cannot be told from two.
        const isPlain = !path.some((segment) => segment.includes('>'));
        const found = isPlain ? await pan115.infoAt(`/${path.join('/')}`, call) : null;
        if (found?.name === name) return found;
        const folder = await fileAt(path.slice(0, -1));
        if (folder && !folder.isFolder) throw notFound();
        const { files } = await pan115.children(folder?.id ?? ROOT_REF, call);
        const child = files.find((file) => file.name === name);
        if (!child) throw notFound();
        return child;
      }
    },

    async listByCategory(category, folderRef, page, call) {
      const limit = pageLimit(page);
      const kinds = KINDS[category];
      if (!kinds) {
        throw pan115Error('unsupported', 'cannot list the files that are of no kind.', null, {
          ability: 'LIST_BY_CATEGORY',
        });
      }
      const listing = `category ${category}`;
      const [, part, offset] = placeIn(page, KIND_PLACE, listing) ?? [listing, 0, 0];
      const kind = kinds[part];
      if (!kind) throw invalid('has no listing that this cursor belongs to.');
      const cid = folderRef ?? ROOT_REF;
      if (cid !== ROOT_REF && !REF.test(cid)) throw notFound();
      const order = { custom_order: 2, o: 'file_name', asc: 1 };
      const list = await pan115.files({ cid, limit, offset, show_dir: 0, cur: 0, ...order, ...kind }, call);
      // Another folder was listed: this says which it is that is not there.
      if (list.cid !== undefined && list.cid !== cid) await pan115.page(cid, { offset: 0, limit: 1 }, call);
      const end = offset + list.data.length;
      const isEnd = list.data.length === 0 || (list.count !== undefined && end >= list.count);
      const next = !isEnd ? [part, end] : part + 1 < kinds.length ? [part + 1, 0] : null;
      return {
        items: list.data
          .filter(({ isGone, file }) => !isGone && !file.isFolder && categoryOf(file.name) === category)
          .map(({ file }) => toEntry(file)),
        nextCursor: next === null ? null : encodeCursor([listing, ...next]),
        totalCount: null,
      };
    },

    async pathOf(ref, call) {
      if (ref === ROOT_REF) return '/';
      const { path } = toEntry(await pan115.info(ref, call));
      if (path === null) throw pan115Error('unsupported', 'does not tell where this is.', null, {});
      return path;
    },
  }) satisfies Partial<Driver>;

export const { pageLimit, placeIn } = pageReader(invalid, LIST_PAGE_MAX);

const orderOf = ({ by, direction }: NonNullable<ListOptions['orderBy']>) => ({
  order: { o: ORDERS[by], asc: direction === 'ASC' ? 1 : 0 } as const,
});

export const kindOf = ({ isFolder }: WireFile): EntryKind => (isFolder ? 'FOLDER' : 'FILE');

/** Where in `files` the entries are that come after the `last` ones seen. */
function placesOf(files: readonly WireFile[], last: readonly string[], kind: EntryKind | undefined): number[] {
  const from = files.findLastIndex(({ id }) => last.includes(id)) + 1;
  return [...files.keys()].filter((index) => {
    const file = files[index];
    return index >= from && file !== undefined && (!kind || kindOf(file) === kind);
  });
}
