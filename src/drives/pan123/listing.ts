import { z } from 'zod';
import type { Driver, EntryKind } from '../driver.ts';
import { DriveError } from '../errors.ts';
import { encodeCursor, pageReader } from '../shared/paging.ts';
import { idOf, invalid, LIST_PAGE_MAX, notFound, type Pan123Client } from './client.ts';
import { PROVIDER, TITLE } from './errors.ts';
import { isFolder, isLastPage, isLive, ROOT_ENTRY, ROOT_REF, toEntry, type WireFile } from './wire.ts';

/** Pages of 123pan's that one page may cost, when all on them is in the recycle bin, or of another kind. */
const PAGES_MAX = 10;
/** Folders above one another. */
const DEPTH_MAX = 1000;

const PLACE = z.tuple([z.string(), z.string().regex(/^\d{1,19}$/)]);

/** What lists and looks up, and changes nothing. */
export const createListing = (pan123: Pan123Client) =>
  ({
    async list(folderRef, { orderBy, kind }, page, call) {
      if (orderBy) throw new DriveError('unsupported', `${TITLE} sorts nothing.`, { provider: PROVIDER });
      const limit = pageLimit(page);
      const listing = `list ${kind ?? ''}`;
      const [, start] = placeIn(page, PLACE, listing) ?? [listing, null];
      idOf(folderRef);
      let after = start;
      for (let pages = 1; ; pages += 1) {
        const query = { parentFileId: folderRef, limit, lastFileId: after };
        const { lastFileId, fileList } = await pan123.listPage(query, call);
        const shown = fileList.filter((file) => isLive(file) && (!kind || kindOf(file) === kind));
        const ended = isLastPage(lastFileId, after, fileList);
        if (shown.length === 0 && !ended && pages < PAGES_MAX) {
          after = lastFileId;
          continue;
        }
        // What is no folder is answered as an empty one.
        if (shown.length === 0 && start === null) await pan123.checkFolder(folderRef, call);
        return {
          items: shown.map(toEntry),
          nextCursor: ended ? null : encodeCursor([listing, lastFileId]),
          totalCount: null,
        };
      }
    },

    async stat(ref, call) {
      return ref === ROOT_REF ? ROOT_ENTRY : toEntry(await pan123.file(ref, call));
    },

    async statMany(refs, call) {
      const found = await pan123.infos(refs, call);
      return refs.map((ref) => {
        const file = found.get(ref);
        if (ref === ROOT_REF) return ROOT_ENTRY;
        return file && isLive(file) ? toEntry(file) : null;
      });
    },

    /** Folder by folder upwards: the service knows no paths. */
    async pathOf(ref, call) {
      const names: string[] = [];
      for (let at = ref; at !== ROOT_REF; ) {
        const file = await pan123.file(at, call);
        names.unshift(file.filename);
        at = file.parentFileId;
        if (names.length > DEPTH_MAX) throw notFound();
      }
      return `/${names.join('/')}`;
    },
  }) satisfies Partial<Driver>;

export const { pageLimit, placeIn } = pageReader(invalid, LIST_PAGE_MAX);

export const kindOf = (file: WireFile): EntryKind => (isFolder(file) ? 'FOLDER' : 'FILE');
