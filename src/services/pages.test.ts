import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Page, PageRequest } from '../drives/driver.ts';
import { InvalidInputError } from '../lib/errors.ts';
import { type ItemPage, readPage } from './pages.ts';

/** A listing of the numbers from 0, by a provider that has pages only, or cursors of items too. */
const numbers =
  (count: number, options: { readonly pageMax: number; readonly itemCursors?: boolean; readonly stingy?: boolean }) =>
  async ({ cursor, limit }: PageRequest): Promise<Page<number>> => {
    const from = cursor === null ? 0 : Number(cursor);
    const size = Math.min(limit, options.pageMax);
    const to = Math.min(count, from + (options.stingy ? Math.ceil(size / 2) : size));
    const items = Array.from({ length: to - from }, (_, index) => from + index);
    return {
      items,
      nextCursor: to < count ? String(to) : null,
      totalCount: null,
      ...(options.itemCursors ? { itemCursors: items.map((item) => String(item + 1)) } : {}),
    };
  };

describe('paging through a driver', () => {
  it('gives every item once and in order, whatever the pages of driver and caller', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          count: fc.integer({ min: 0, max: 40 }),
          pageMax: fc.integer({ min: 1, max: 12 }),
          itemCursors: fc.boolean(),
          stingy: fc.boolean(),
          whole: fc.boolean(),
          limits: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        }),
        async ({ count, limits, whole, ...options }) => {
          const list = numbers(count, options);
          const seen: number[] = [];
          let after: string | null = null;
          for (let turn = 0; ; turn += 1) {
            const limit = limits[turn % limits.length] ?? 1;
            const page: ItemPage<number> = await readPage(list, { limit, after }, options.pageMax, whole);
            assert.ok(page.items.length <= limit);
            assert.equal(page.cursors.length, page.items.length);
            seen.push(...page.items);
            if (!page.hasNextPage) break;
            assert.equal(page.items.length, limit, 'a page is short only at the end');
            after = page.cursors.at(-1) ?? null;
          }
          assert.deepEqual(
            seen,
            Array.from({ length: count }, (_, index) => index),
          );
        },
      ),
    );
  });

  it('asks the same question for all parts of a page that is dear', async () => {
    const asked: PageRequest[] = [];
    const list = numbers(25, { pageMax: 10 });
    let after: string | null = null;
    do {
      const page: ItemPage<number> = await readPage(
        (request) => {
          asked.push(request);
          return list(request);
        },
        { limit: 5, after },
        10,
        true,
      );
      after = page.hasNextPage ? (page.cursors.at(-1) ?? null) : null;
    } while (after !== null);
    assert.deepEqual(
      asked.map(({ cursor, limit }) => [cursor, limit]),
      [
        [null, 10],
        [null, 10],
        ['10', 10],
        ['10', 10],
        ['20', 10],
      ],
    );
  });

  it('begins behind any item, not only the last of a page', async () => {
    for (const itemCursors of [true, false]) {
      const list = numbers(25, { pageMax: 10, itemCursors });
      const { items, cursors } = await readPage(list, { limit: 25, after: null }, 10);
      for (const [index, item] of items.entries()) {
        const next = await readPage(list, { limit: 3, after: cursors.at(index) ?? null }, 10);
        assert.deepEqual(
          next.items,
          [1, 2, 3].map((step) => item + step).filter((number) => number < 25),
        );
      }
    }
  });

  it('asks the driver for what is wanted, and no more', async () => {
    const asked: number[] = [];
    const list = numbers(100, { pageMax: 40 });
    const noted = (request: PageRequest): Promise<Page<number>> => {
      asked.push(request.limit);
      return list(request);
    };
    await readPage(noted, { limit: 90, after: null }, 40);
    assert.deepEqual(asked, [40, 40, 10]);
  });

  it('fails as a whole when a later page fails', async () => {
    const list = numbers(50, { pageMax: 10 });
    const failing = async (request: PageRequest): Promise<Page<number>> => {
      if (request.cursor === '20') throw new Error('cut');
      return list(request);
    };
    await assert.rejects(readPage(failing, { limit: 50, after: null }, 10), /cut/);
  });

  it('passes on how many there are, where a page tells', async () => {
    const list = async (): Promise<Page<number>> => ({ items: [1], nextCursor: null, totalCount: 7 });
    assert.equal((await readPage(list, { limit: 1, after: null }, 10)).totalCount, 7);
  });

  it('refuses cursors that it never gave', async () => {
    const list = numbers(5, { pageMax: 10 });
    const encode = (place: unknown): string => Buffer.from(JSON.stringify(place)).toString('base64url');
    for (const after of ['', 'x', encode(null), encode([]), encode([1]), encode(['a', 0, 1]), encode(['a', 1, 1e9])]) {
      await assert.rejects(readPage(list, { limit: 1, after }, 10), InvalidInputError, after);
    }
  });
});
