import { z } from 'zod';
import type { Cursors, Page, PageRequest } from '../drives/driver.ts';
import { cursorsOf, decodeCursor, encodeCursor } from '../drives/shared/paging.ts';
import { InvalidInputError } from '../lib/errors.ts';

/** A page as services give it: at most `limit` items, each with the cursor behind which the next page begins. */
export interface ItemPage<Item> {
  readonly items: readonly Item[];
  readonly cursors: Cursors;
  readonly hasNextPage: boolean;
  readonly totalCount?: number | null;
  /** When the oldest of it was read from the provider; null: it is as now. */
  readonly fetchedAt?: Date | null;
}

/** What a service is asked for. */
export interface PageQuery {
  /** From 1 on; checked by whoever takes it from a caller. */
  readonly limit: number;
  /** A cursor of the same listing; null: from the beginning. */
  readonly after: string | null;
}

/**
 * A page of a driver's listing, with a cursor behind each item also where the provider has pages only: the cursor then
 * tells the provider's page and how many of its items stand before. Asks the driver as often as the page needs.
 * @param list Reads a page; `isRest`: one of which a part was given out already, so what was read then will do.
 * @param pageMax The driver's largest page.
 * @param whole Asks for that one whatever the caller's is: what it does not get now is read before long, and remembered.
 * @throws InvalidInputError when `after` is no cursor of a listing.
 */
export async function readPage<Item>(
  list: (page: PageRequest, isRest: boolean) => Promise<Page<Item>>,
  { limit, after }: PageQuery,
  pageMax: number,
  whole = false,
): Promise<ItemPage<Item>> {
  const items: Item[] = [];
  const cursors: (() => string)[] = [];
  let fetchedAt: Date | null = null;
  let place = after === null ? START : placeOf(after);
  for (;;) {
    const size = place.skip > 0 ? place.size : whole ? pageMax : Math.min(limit - items.length, pageMax);
    const isRest = place.skip > 0;
    const page = await read(
      (request) => list(request, isRest),
      { cursor: place.cursor, limit: size },
      items.length === 0 && after !== null,
    );
    if (page.fetchedAt && (fetchedAt === null || page.fetchedAt < fetchedAt)) fetchedAt = page.fetchedAt;
    const shown = page.items.slice(place.skip, place.skip + limit - items.length);
    const at = { ...place, size };
    for (const [index, item] of shown.entries()) {
      items.push(item);
      cursors.push(() => cursorBehind(page, at, at.skip + index));
    }
    const isCutShort = page.items.length > place.skip + shown.length;
    if (isCutShort || page.nextCursor === null || items.length === limit) {
      const hasNextPage = isCutShort || page.nextCursor !== null;
      return {
        items,
        cursors: cursorsOf(items.length, (index) => cursors[index]?.() ?? ''),
        hasNextPage,
        totalCount: page.totalCount,
        fetchedAt,
      };
    }
    place = { ...START, cursor: page.nextCursor };
  }
}

async function read<Item>(
  list: (page: PageRequest) => Promise<Page<Item>>,
  request: PageRequest,
  isCallersCursor: boolean,
): Promise<Page<Item>> {
  try {
    return await list(request);
  } catch (error) {
    throw isCallersCursor && error instanceof InvalidInputError ? notOurCursor(error) : error;
  }
}

const notOurCursor = (cause?: unknown): InvalidInputError =>
  new InvalidInputError([{ path: ['after'], message: 'must be a cursor that this list gave' }], { cause });

/** A place in a driver's listing. */
interface Place {
  readonly cursor: string | null;
  /** Items of the page there that stand before the place. */
  readonly skip: number;
  /** How long the page is, as a driver's pages may depend on it; of no meaning without `skip`. */
  readonly size: number;
}

const START: Place = { cursor: null, skip: 0, size: 0 };
const PLACE = z.union([
  z.tuple([z.string()]),
  z.tuple([z.string().nullable(), z.int().min(1), z.int().min(1).max(1000)]),
]);

function placeOf(cursor: string): Place {
  const [at, skip = 0, size = 0] = decodeCursor(cursor, PLACE) ?? [];
  if (at === undefined) throw notOurCursor();
  return { cursor: at, skip, size };
}

function cursorBehind<Item>(page: Page<Item>, place: Place, index: number): string {
  const own = page.itemCursors?.at(index);
  const isLast = index === page.items.length - 1;
  if (own !== undefined) return encodeCursor([own]);
  if (isLast && page.nextCursor !== null) return encodeCursor([page.nextCursor]);
  return encodeCursor([place.cursor, index + 1, place.size]);
}

/** A page of what is in memory; the cursor is the place in it. @throws InvalidInputError when `after` is no such place. */
export function slicePage<Item>(all: readonly Item[], { limit, after }: PageQuery): ItemPage<Item> {
  if (after !== null && !/^\d{1,9}$/.test(after)) {
    throw InvalidInputError.at('after', 'must be a cursor that this list gave');
  }
  const start = after === null ? 0 : Number(after) + 1;
  const items = all.slice(start, start + limit);
  return {
    items,
    cursors: cursorsOf(items.length, (index) => String(start + index)),
    hasNextPage: start + items.length < all.length,
  };
}
