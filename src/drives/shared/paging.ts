import { Buffer } from 'node:buffer';
import type { z } from 'zod';
import type { Cursors, Page, PageRequest } from '../driver.ts';

/** A place in a listing as an opaque string: base64url of JSON. */
export const encodeCursor = (place: unknown): string => Buffer.from(JSON.stringify(place)).toString('base64url');

/** What {@link encodeCursor} was given; null when the cursor is not of this kind of listing. */
export function decodeCursor<Place>(cursor: string, shape: z.ZodType<Place>): Place | null {
  try {
    return shape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch {
    return null; // Cursors come from clients: any fault in one means the same.
  }
}

/** Cursors that are made when they are asked for. */
export function cursorsOf(length: number, make: (index: number) => string): Cursors {
  return {
    length,
    at(place) {
      const index = place < 0 ? place + length : place;
      return index >= 0 && index < length ? make(index) : undefined;
    },
  };
}

/** A page of rows that were read with a limit one above the page's, in order to see whether more follow. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
  placeOf: (row: Row) => unknown,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const itemCursors = cursorsOf(shown.length, (index) => encodeCursor(placeOf(shown[index] as Row)));
  return {
    items: shown.map(toItem),
    itemCursors,
    nextCursor: rows.length > limit ? (itemCursors.at(-1) ?? null) : null,
    totalCount: null,
  };
}

/** The size of the page to read, within the drive's; null when it is not a size at all. */
export const limitOf = (page: PageRequest, max: number): number | null =>
  Number.isSafeInteger(page.limit) && page.limit > 0 ? Math.min(page.limit, max) : null;

/**
 * How a driver reads what it is asked for.
 * @param invalid Its error of the category `invalid_argument`, with what is wrong behind its name.
 * @param pageMax The entries of its largest page.
 */
export const pageReader = (invalid: (message: string) => Error, pageMax: number) => ({
  /** The page's size, at most `max`; throws when it is none. */
  pageLimit(page: PageRequest, max: number = pageMax): number {
    const limit = limitOf(page, max);
    if (limit === null) throw invalid('shows pages of at least one entry.');
    return limit;
  },

  /** Where the page begins; null at the beginning. The first part of a place names its listing; throws at another's. */
  placeIn<Place extends readonly [string, ...unknown[]]>(
    { cursor }: PageRequest,
    shape: z.ZodType<Place>,
    listing: string,
  ): Place | null {
    if (cursor === null) return null;
    const place = decodeCursor(cursor, shape);
    if (place?.[0] !== listing) throw invalid('has no listing that this cursor belongs to.');
    return place;
  },
});
