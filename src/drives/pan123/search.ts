import { z } from 'zod';
import type { CallContext, Driver, SearchRequest } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import { idOf, invalid, type Pan123Client } from './client.ts';
import { kindOf, pageLimit, placeIn } from './listing.ts';
import { isLastPage, isLive, ROOT_REF, toEntry, type WireFile } from './wire.ts';

/** Similar names too: the exact mode finds whole names only. */
const FUZZY = 0;
/** Pages of 123pan's that one page of hits may cost. */
const PAGES_MAX = 10;

const PLACE = z.tuple([z.string(), z.string().regex(/^\d{1,19}$/)]);

export const createSearch = (pan123: Pan123Client) =>
  ({
    async searchByName(request, page, call) {
      const searchData = queryOf(request);
      const limit = pageLimit(page);
      let [, after] = placeIn(page, PLACE, 'name') ?? ['name', null];
      const below = request.folderRef ?? ROOT_REF;
      idOf(below);
      if (after === null) await pan123.checkFolder(below, call);
      // No name has such a character.
      if (/\p{Cc}/u.test(searchData)) return { items: [], nextCursor: null, totalCount: null };
      const insides = new Insides(pan123, below);
      for (let pages = 1; ; pages += 1) {
        const query = { parentFileId: ROOT_REF, limit, searchData, searchMode: FUZZY, lastFileId: after };
        const { lastFileId, fileList } = await pan123.listPage(query, call);
        const shown = await insides.of(
          fileList.filter((file) => isHit(file, searchData, request)),
          call,
        );
        const ended = isLastPage(lastFileId, after, fileList);
        if (shown.length > 0 || ended || pages === PAGES_MAX) {
          return {
            items: shown.map(toEntry),
            nextCursor: ended ? null : encodeCursor(['name', lastFileId]),
            totalCount: null,
          };
        }
        after = lastFileId;
      }
    },
  }) satisfies Partial<Driver>;

/** Names are compared composed, as keyboards type them. */
const folded = (text: string): string => text.normalize('NFC').toLowerCase();

function queryOf({ query }: SearchRequest): string {
  const text = query.trim().normalize('NFC');
  if (text === '') throw invalid('cannot search for nothing.');
  return text;
}

/** The service also gives what is only like it, and what is in the recycle bin. */
const isHit = (file: WireFile, query: string, { kind }: SearchRequest): boolean =>
  isLive(file) && folded(file.filename).includes(folded(query)) && (!kind || kindOf(file) === kind);

/** Tells which hits are below a folder: the service always searches all of the drive. */
class Insides {
  readonly #pan123: Pan123Client;
  readonly #below: string;
  readonly #parents = new Map<string, string>();

  constructor(pan123: Pan123Client, below: string) {
    this.#pan123 = pan123;
    this.#below = below;
  }

  async of(hits: readonly WireFile[], call: CallContext): Promise<readonly WireFile[]> {
    if (this.#below === ROOT_REF) return hits;
    await this.#learn(
      hits.map(({ parentFileId }) => parentFileId),
      call,
    );
    return hits.filter(({ parentFileId }) => this.#isInside(parentFileId));
  }

  /** Level by level, all folders of one level in one question. */
  async #learn(refs: readonly string[], call: CallContext): Promise<void> {
    let unknown = this.#unknownOf(refs);
    while (unknown.length > 0) {
      const found = await this.#pan123.infos(unknown, call);
      for (const ref of unknown) this.#parents.set(ref, found.get(ref)?.parentFileId ?? ROOT_REF);
      unknown = this.#unknownOf(unknown.map((ref) => this.#parents.get(ref) ?? ROOT_REF));
    }
  }

  #unknownOf(refs: readonly string[]): string[] {
    return [...new Set(refs)].filter((ref) => ref !== ROOT_REF && ref !== this.#below && !this.#parents.has(ref));
  }

  #isInside(ref: string): boolean {
    if (ref === this.#below) return true;
    const parent = this.#parents.get(ref);
    return parent !== undefined && this.#isInside(parent);
  }
}
