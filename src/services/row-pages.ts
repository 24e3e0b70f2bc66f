import { InvalidInputError } from '../lib/errors.ts';
import { isRowId } from '../lib/ids.ts';
import type { ItemPage, PageQuery } from './pages.ts';

/** How a list is kept in order: by a key that grows with time. */
export interface RowOrder<Row, Key> {
  readonly keyOf: (row: Row) => Key;
  /** The key that a client gives back; null when it is none. */
  readonly parse: (cursor: string) => Key | null;
}

/** By the row's id: a UUID of version 7 begins with its time. */
export const BY_ID: RowOrder<{ readonly id: string }, string> = {
  keyOf: ({ id }) => id,
  parse: (cursor) => (isRowId(cursor) ? cursor : null),
};

/**
 * A page of our own rows, read with one more than the page has, to see whether more follow.
 * @param read The rows behind a key (null: from the beginning), at most `count`, in order.
 * @throws InvalidInputError when `after` is no cursor of such a list.
 */
export async function rowPage<Row extends Base, Base, Key extends string | number>(
  { limit, after }: PageQuery,
  order: RowOrder<Base, Key>,
  read: (behind: Key | null, count: number) => Promise<readonly Row[]>,
): Promise<ItemPage<Row>> {
  const behind = after === null ? null : order.parse(after);
  if (after !== null && behind === null) throw InvalidInputError.at('after', 'must be a cursor that this list gave');
  const rows = await read(behind, limit + 1);
  const items = rows.slice(0, limit);
  return { items, cursors: items.map((row) => String(order.keyOf(row))), hasNextPage: rows.length > limit };
}
