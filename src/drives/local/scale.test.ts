import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type LocalFixture, openLocalFixture } from '../../../test/conformance/fixtures/local.ts';
import { DATABASES } from '../../../test/support/databases.ts';
import { listing } from '../../../test/support/listing.ts';
import { newId } from '../../lib/ids.ts';
import { LocalEntry } from '../../storage/entities/local-drive.ts';
import type { DriveEntry, Driver, PageRequest } from '../driver.ts';

const FEW = 200;
const MANY = 50_000;
/** More than are copied or deleted in one transaction. */
const SEVERAL = 2_600;
const call = { signal: new AbortController().signal };
const FIRST: PageRequest = { cursor: null, limit: 100 };

interface Statement {
  readonly sql: string;
  readonly params: readonly unknown[];
}

for (const database of DATABASES) {
  describe(`folders of ${FEW} and of ${MANY} entries (${database.dialect})`, { skip: database.skip }, () => {
    let fixture: LocalFixture;
    let driver: Driver;
    let few: DriveEntry;
    let many: DriveEntry;
    let statements: Statement[] = [];
    let execute: (sql: string, params: readonly unknown[]) => Promise<Record<string, unknown>[]>;

    before(async () => {
      fixture = await openLocalFixture(database);
      driver = fixture.drive.driver;
      few = await fixture.drive.run('createFolder', driver.rootRef, 'few', call);
      many = await fixture.drive.run('createFolder', driver.rootRef, 'many', call);
      await fill(few.ref, FEW);
      await fill(many.ref, MANY);
      if (database.dialect === 'postgres') await fixture.storage.fork().execute('analyze');
      listenToStatements();
    });
    after(() => fixture.close());

    for (const by of ['NAME', 'SIZE', 'MODIFIED_AT'] as const) {
      for (const direction of ['ASC', 'DESC'] as const) {
        for (const kind of [undefined, 'FILE'] as const) {
          it(`lists both with the same statements, from an index: ${by} ${direction} ${kind ?? 'of both kinds'}`, async () => {
            const options = { orderBy: { by, direction }, ...(kind ? { kind } : {}) };
            const ofFew = await statementsOf(() => twoPages((page) => listing(driver)(few.ref, options, page, call)));
            const ofMany = await statementsOf(() => twoPages((page) => listing(driver)(many.ref, options, page, call)));
            assert.equal(ofMany.length, ofFew.length);
            for (const statement of ofMany) await usesIndexes(statement);
          });
        }
      }
    }

    for (const [what, read] of [
      ['all entries', (page: PageRequest) => driver.listRecursive?.(driver.rootRef, page, call)],
      ['a category', (page: PageRequest) => driver.listByCategory?.('DOCUMENT', null, page, call)],
      ['a search with many hits', (page: PageRequest) => driver.searchByName?.({ query: 'entry' }, page, call)],
      ['a search for two letters', (page: PageRequest) => driver.searchByName?.({ query: 'en' }, page, call)],
    ] as const) {
      it(`pages ${what} with few statements, from an index`, async () => {
        const seen = await statementsOf(() => twoPages(async (page) => (await read(page)) ?? assert.fail()));
        assert.equal(seen.length, 6, 'for each page: the folder, the rows, the paths');
        for (const statement of seen) await usesIndexes(statement);
      });
    }

    it('looks up a hundred entries with two statements', async () => {
      const { items } = await listing(driver)(many.ref, {}, FIRST, call);
      const refs = items.map(({ ref }) => ref);
      const seen = await statementsOf(() => driver.statMany?.(refs, call));
      assert.equal(seen.length, 2);
    });

    it('moves a folder of many with as many statements as one of few', async () => {
      const target = await fixture.drive.run('createFolder', driver.rootRef, 'target', call);
      const options = { onConflict: 'FAIL' } as const;
      const ofFew = await statementsOf(() => fixture.drive.run('move', few.ref, target.ref, options, call));
      const ofMany = await statementsOf(() => fixture.drive.run('move', many.ref, target.ref, options, call));
      assert.equal(ofMany.length, ofFew.length);
    });

    it('deletes a folder of many with as many statements as one of few, and gives it back so', async () => {
      const ofFew = await statementsOf(() => fixture.drive.run('remove', few.ref, {}, call));
      const ofMany = await statementsOf(() => fixture.drive.run('remove', many.ref, {}, call));
      assert.equal(ofMany.length, ofFew.length);
      const back = await statementsOf(() => fixture.drive.run('recycleBin.restore', many.ref, call));
      assert.ok(back.length < 20, `${back.length} statements`);
      assert.equal(await driver.count?.(many.ref, {}, call), MANY);
    });

    it('copies and deletes for ever in steps, so that others get their turn', async () => {
      let turns = 0;
      let done = false;
      const others = (async () => {
        for (; !done; turns += 1) {
          await driver.stat(driver.rootRef, call);
          await setImmediate();
        }
      })();
      const several = await fixture.drive.run('createFolder', driver.rootRef, 'several', call);
      await fill(several.ref, SEVERAL);
      const copy = await fixture.drive.run('copy', several.ref, driver.rootRef, { onConflict: 'RENAME' }, call);
      assert.equal(await driver.count?.(copy.ref, {}, call), SEVERAL);
      await fixture.drive.run('removePermanently', copy.ref, {}, call);
      done = true;
      await others;
      assert.ok(turns > (2 * SEVERAL) / 500, `others were answered ${turns} times meanwhile`);
      const [left] = await execute('select count(*) as count from local_entries where hidden_by is not null', []);
      assert.equal(Number(left?.count), FEW + 1, 'nothing is left but the folder in the recycle bin');
    });

    async function fill(parentId: string, count: number): Promise<void> {
      for (let first = 0; first < count; first += 1000) {
        const rows = Array.from({ length: Math.min(1000, count - first) }, (_, offset) =>
          rowOf(parentId, first + offset),
        );
        await fixture.storage.fork().insertMany(LocalEntry, rows);
      }
    }

    function rowOf(parentId: string, index: number) {
      const isFolder = index % 50 === 0;
      return {
        id: newId(),
        accountId: fixture.drive.accountId,
        parentId,
        kind: isFolder ? ('FOLDER' as const) : ('FILE' as const),
        name: `Entry ${index}`,
        nameKey: `entry ${index}`,
        sizeBytes: isFolder ? 0 : (index * 7919) % 10_007,
        category: isFolder ? null : ('DOCUMENT' as const),
        createdAt: new Date(),
        modifiedAt: new Date(1.7e12 + ((index * 104_729) % 1e9)),
      };
    }

    /** Whatever goes to the database passes here. */
    function listenToStatements(): void {
      // PostgreSQL reads and writes by one.
      const connections = (['read', 'write'] as const).map((type) => fixture.storage.orm.em.getConnection(type));
      for (const connection of new Set(connections)) {
        const original = connection.execute.bind(connection);
        execute = original as typeof execute;
        connection.execute = ((sql: string, params: readonly unknown[] = [], ...rest: never[]) => {
          statements.push({ sql, params });
          return original(sql, [...params], ...rest);
        }) as typeof connection.execute;
      }
    }

    async function statementsOf(work: () => Promise<unknown> | undefined): Promise<Statement[]> {
      statements = [];
      await work();
      return statements;
    }

    /** No statement may read all rows of the table; a folder's are read by the index of their sort. */
    async function usesIndexes({ sql, params }: Statement): Promise<void> {
      const explain = database.dialect === 'sqlite' ? 'explain query plan' : 'explain';
      const rows = await execute(`${explain} ${sql}`, params);
      const plan = rows.map((row) => String(row.detail ?? row['QUERY PLAN'])).join('\n');
      assert.doesNotMatch(plan, /SCAN (e|f|local_entries)$|AUTOMATIC|Seq Scan on local_entries/m, `${sql}\n${plan}`);
      if (sql.includes('e.parent_id = ?')) assert.match(plan, /local_entries_by_(name|size|time)/, plan);
    }
  });
}

async function twoPages(read: (page: PageRequest) => Promise<{ readonly nextCursor: string | null }>): Promise<void> {
  const first = await read(FIRST);
  assert.ok(first.nextCursor);
  await read({ cursor: first.nextCursor, limit: 50 });
}
