import { InvalidInputError } from '../lib/errors.ts';
import type { ItemPage, PageQuery } from '../services/pages.ts';
import { PAGE_DEFAULT, PAGE_MAX } from './limits.ts';

export type { ItemPage, PageQuery } from '../services/pages.ts';

export interface PageArguments {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
}

/**
 * Checks the arguments of a connection.
 * @throws InvalidInputError when `first` is not 1 … {@link PAGE_MAX}.
 */
export function pageQuery({ first, after }: PageArguments): PageQuery {
  const limit = first ?? PAGE_DEFAULT;
  if (limit < 1 || limit > PAGE_MAX) throw InvalidInputError.at('first', `must be from 1 to ${PAGE_MAX}`);
  return { limit, after: after ?? null };
}

/** The page in the shape of a Relay connection; its cursors are made when they are asked for. */
export function toConnection<Item, Node = Item>(
  page: ItemPage<Item>,
  after: string | null,
  map?: (item: Item) => Node,
) {
  const { cursors } = page;
  const edges = page.items.map((item, index) => ({
    get cursor() {
      return cursors.at(index) ?? '';
    },
    node: map ? map(item) : (item as unknown as Node),
  }));
  return {
    edges,
    pageInfo: {
      hasNextPage: page.hasNextPage,
      hasPreviousPage: after !== null,
      get startCursor() {
        return cursors.at(0) ?? null;
      },
      get endCursor() {
        return cursors.at(-1) ?? null;
      },
    },
    totalCount: page.totalCount ?? null,
  };
}

/** The complexity of a connection field: what stands below it counts once for each item of the page. */
export const connectionComplexity = ({ first }: PageArguments) => ({
  field: 1,
  multiplier: Math.min(Math.max(first ?? PAGE_DEFAULT, 1), PAGE_MAX),
});
