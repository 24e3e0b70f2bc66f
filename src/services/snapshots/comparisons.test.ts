import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DATABASES, type TestStorage } from '../../../test/support/databases.ts';
import { listing } from '../../../test/support/listing.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ManualTimer } from '../../../test/support/manual-timer.ts';
import { type MemoryDrive, memoryDrive } from '../../../test/support/memory-drive.ts';
import type { DriveDefinition, DriveEntry, Driver } from '../../drives/driver.ts';
import { DriveError } from '../../drives/errors.ts';
import type { EventBus } from '../../events/bus.ts';
import { Hub } from '../../events/hub.ts';
import { newId } from '../../lib/ids.ts';
import { createLog } from '../../lib/log.ts';
import { systemTimer } from '../../lib/timer.ts';
import { Account } from '../../storage/entities/account.ts';
import { ComputedChange, Snapshot } from '../../storage/entities/snapshot.ts';
import { Accounts, type OpenAccount } from '../accounts.ts';
import { Drives } from '../drives.ts';
import { CHANGES_KEPT, Comparisons, REST_MAX_MS, REST_MS } from './comparisons.ts';
import { DOUBTS_MAX, ENTRIES_MAX } from './reading.ts';

const log = createLog({ level: 'silent' });
const call = { signal: new AbortController().signal };
const broken = new DriveError('unavailable', 'The drive is out of order.', { provider: 'NETDISK' });

for (const { dialect, skip, open } of DATABASES) {
  describe(`changes found by comparing (${dialect})`, { skip, timeout: 120_000 }, () => {
    let database: TestStorage;
    let events: EventBus;
    const clock = new ManualClock();

    before(async () => {
      database = await open();
      events = await Hub.open(log, null);
    });
    after(async () => {
      await events.close();
      await database.close();
    });

    let memory: MemoryDrive;
    /** The drive as somebody elsewhere changes it. */
    let elsewhere: Driver;
    let opened: OpenAccount;
    let comparisons: Comparisons;
    const newComparisons = (): Comparisons =>
      new Comparisons({ storage: database.storage, events, clock, timer: systemTimer, log });

    const openOn = async (definition: DriveDefinition): Promise<OpenAccount> => {
      const { storage } = database;
      const drives = new Drives(undefined as never, {}, [definition]);
      const accounts = new Accounts({ storage, drives, events, clock });
      const id = newId();
      const now = clock.now();
      const rest = {
        label: 'A drive',
        shared: false,
        status: 'ACTIVE' as const,
        settings: {},
        createdAt: now,
        updatedAt: now,
      };
      await storage.fork().insert(Account, { id, ownerId: newId(), provider: 'NETDISK', ...rest });
      return accounts.openVisible(await storage.fork().findOneOrFail(Account, { id }));
    };
    beforeEach(async () => {
      memory = memoryDrive({ pageMax: 2, acts: ['createFolder', 'move', 'remove'] });
      memory.put('/docs/a.txt', '/docs/b.txt', '/c.txt', '/d.txt', '/e.txt');
      elsewhere = memory.definition.create({ id: '', settings: {} }, undefined as never);
      opened = await openOn(memory.definition);
      comparisons = newComparisons();
      memory.calls.length = 0;
    });

    const page = (after: string | null = null, limit = 100) => comparisons.page(opened, { limit, after }, call);
    const told = async (after: string | null = null): Promise<readonly string[]> =>
      (await page(after)).items.map(({ kind, path }) => `${kind} ${path}`);
    const rest = (): void => clock.advance(REST_MAX_MS);
    const entryAt = async (...names: string[]): Promise<DriveEntry> => {
      let entry = await elsewhere.stat('root', call);
      for (const name of names) {
        const { items } = await listing(elsewhere)(entry.ref, {}, { cursor: null, limit: 1000 }, call);
        const second = await listing(elsewhere)(entry.ref, {}, { cursor: '2', limit: 1000 }, call);
        const found = [...items, ...second.items].find((child) => child.name === name);
        assert.ok(found, name);
        entry = found;
      }
      return entry;
    };

    it('are none at first: what is there is noted', async () => {
      const first = await page();
      assert.deepEqual([first.items, first.complete, first.comparedAt], [[], true, clock.now()]);
    });

    it('are told once each, with cursors that outlive the process', async () => {
      await page();
      await elsewhere.createFolder?.('root', 'new', call);
      await elsewhere.move?.((await entryAt('docs', 'a.txt')).ref, 'root', { onConflict: 'FAIL' }, call);
      await elsewhere.remove?.((await entryAt('docs', 'b.txt')).ref, {}, call);
      rest();
      assert.deepEqual(await told(), ['MOVED /a.txt', 'CREATED /new', 'DELETED /docs/b.txt']);
      const first = await page(null, 2);
      assert.equal(first.hasNextPage, true);
      const cursor = first.cursors.at(1) ?? '';

      await comparisons.close();
      comparisons = newComparisons();
      const second = await page(cursor);
      assert.deepEqual(
        [second.items.map(({ kind }) => kind), second.hasNextPage, second.complete],
        [['DELETED'], false, true],
      );
      rest();
      assert.deepEqual(await told(second.cursors.at(-1) ?? null), []);
      await elsewhere.createFolder?.('root', 'newer', call);
      rest();
      assert.deepEqual(await told(second.cursors.at(-1) ?? null), ['CREATED /newer']);
    });

    it('are not told of a reading that failed on page 3 of 5, and all are told by the next that is whole', async () => {
      memory.put(...Array.from({ length: 6 }, (_, index) => `/more ${index}.txt`)); // Ten in the root: five pages.
      await page();
      memory.put('/added.txt');
      memory.fail('list', broken, 2);
      rest();
      await assert.rejects(page(), { name: 'ProviderError' });
      memory.mend();
      assert.equal(await database.storage.fork().count(ComputedChange, { accountId: opened.account.id }), 0);
      await assert.rejects(page(), { name: 'ProviderError' }, 'what was just tried is not tried again at once');
      clock.advance(3 * REST_MS);
      assert.deepEqual(await told(), ['CREATED /added.txt']);
    });

    it('are looked for no more often than the provider bears, by all who ask together', async () => {
      const requests = () => memory.calls.filter((act) => act === 'list').length;
      await Promise.all([page(), page(), page()]);
      const first = requests();
      assert.equal(first, 3); // Two pages of the root, one of the folder in it.
      memory.put('/later.txt');
      clock.advance(first * REST_MS - 1);
      assert.deepEqual([await told(), requests()], [[], first]);
      clock.advance(1);
      assert.deepEqual(await told(), ['CREATED /later.txt']);
    });

    it('are looked for by one process of several, and the other one sees them', async () => {
      const other = newComparisons();
      await Promise.all([page(), other.page(opened, { limit: 10, after: null }, call)]);
      assert.equal(memory.calls.filter((act) => act === 'list').length, 3);
      memory.put('/later.txt');
      rest();
      await page();
      const { items } = await other.page(opened, { limit: 10, after: null }, call);
      assert.deepEqual(
        items.map(({ path }) => path),
        ['/later.txt'],
      );
    });

    it('are looked for again when a process died in the midst of it', async () => {
      await page();
      const { storage } = database;
      const where = { accountId: opened.account.id };
      memory.put('/later.txt');
      rest();
      await storage.fork().nativeUpdate(Snapshot, where, { readingUntil: new Date(clock.now().getTime() + 60_000) });
      assert.deepEqual(await told(), []);
      clock.advance(60_001);
      assert.deepEqual(await told(), ['CREATED /later.txt']);
    });

    it('are looked for recursively where the provider can', async () => {
      const { definition } = memory;
      const recursive: DriveDefinition = {
        ...definition,
        create: (...args) => {
          const driver = definition.create(...args);
          return {
            ...driver,
            listRecursive: async (_ref, request, context) => {
              const folder = await entryAt('docs');
              return listing(driver)(
                request.cursor === null ? 'root' : folder.ref,
                {},
                { cursor: null, limit: 2 },
                context,
              ).then((part) => ({
                ...part,
                nextCursor: request.cursor === null ? 'docs' : null,
              }));
            },
          };
        },
      };
      opened = await openOn(recursive);
      await page();
      rest();
      memory.fail('list', broken, 1000);
      const removed = await entryAt('docs', 'b.txt');
      await elsewhere.remove?.(removed.ref, {}, call);
      assert.deepEqual(await told(), ['DELETED /docs/b.txt']);
    });

    it('take nothing for deleted that the provider still knows, before two readings missed it', async () => {
      const { definition } = memory;
      let hidden = '';
      opened = await openOn({
        ...definition,
        create: (...args) => {
          const driver = definition.create(...args);
          const list: Driver['list'] = async (...request) => {
            const shown = await listing(driver)(...request);
            return { ...shown, items: shown.items.filter(({ name }) => name !== hidden) };
          };
          return { ...driver, list };
        },
      });
      await page();
      hidden = 'c.txt';
      rest();
      assert.deepEqual(await told(), []);
      hidden = '';
      rest();
      assert.deepEqual(await told(), []);
      hidden = 'c.txt';
      for (let time = 0; time < 2; time += 1) {
        rest();
        await page();
      }
      assert.deepEqual(await told(), ['DELETED /c.txt']);
    });

    it('are waited for only so long, and found all the same', async () => {
      const timer = new ManualTimer();
      const go = Promise.withResolvers<void>();
      const asked = Promise.withResolvers<void>();
      const { definition } = memory;
      opened = await openOn({
        ...definition,
        create: (...args) => {
          const driver = definition.create(...args);
          const list: Driver['list'] = async (...request) => {
            asked.resolve();
            await go.promise;
            return driver.list?.(...request) ?? assert.fail('it lists');
          };
          return { ...driver, list };
        },
      });
      comparisons = new Comparisons({ storage: database.storage, events, clock, timer, log });
      const leaving = new AbortController();
      const left = comparisons.page(opened, { limit: 1, after: null }, { signal: leaving.signal });
      await asked.promise;
      leaving.abort();
      await assert.rejects(left, { name: 'AbortError' });
      const impatient = page();
      await timer.advance(20_000);
      const { complete, comparedAt, items } = await impatient;
      assert.deepEqual([complete, comparedAt, items], [false, null, []]);
      go.resolve();
      assert.equal((await page()).complete, true);
    });

    it('are begun anew by the next process when this one stops in the midst of it', async () => {
      const asked = Promise.withResolvers<void>();
      const { definition } = memory;
      let stuck = true;
      opened = await openOn({
        ...definition,
        create: (...args) => {
          const driver = definition.create(...args);
          const list: Driver['list'] = (folderRef, options, at, context) => {
            if (!stuck) return driver.list?.(folderRef, options, at, context) ?? assert.fail('it lists');
            asked.resolve();
            return new Promise((_resolve, reject) => context.signal.addEventListener('abort', () => reject(broken)));
          };
          return { ...driver, list };
        },
      });
      const cut = page();
      await asked.promise;
      await Promise.all([assert.rejects(cut), comparisons.close()]);
      stuck = false;
      comparisons = newComparisons();
      assert.equal((await page()).complete, true);
    });

    it('are refused when very many seem gone and are not', async () => {
      const names = Array.from({ length: DOUBTS_MAX + 50 }, (_, index) => `/many/${index}.txt`);
      const { definition } = memory;
      memory.put(...names);
      let empty = false;
      opened = await openOn({
        ...definition,
        create: (...args) => {
          const driver = definition.create(...args);
          const list: Driver['list'] = async (...request) =>
            empty ? { items: [], nextCursor: null, totalCount: null } : listing(driver)(...request);
          return { ...driver, list };
        },
      });
      await page();
      empty = true;
      rest();
      await assert.rejects(page(), { name: 'UnavailableError' });
      empty = false;
      rest();
      assert.deepEqual(await told(), []);
    });

    it('are refused of a drive with too many entries, and not tried again for a long time', async () => {
      const entry = await entryAt('c.txt');
      let lists = 0;
      opened = await openOn({
        ...memory.definition,
        create: (...args) => ({
          ...memory.definition.create(...args),
          list: async (_ref, _options, { cursor }) => {
            lists += 1;
            const first = Number(cursor ?? 0);
            const items = Array.from({ length: 10_000 }, (_, index) => ({ ...entry, ref: `${first + index}` }));
            return { items, nextCursor: `${first + items.length}`, totalCount: null };
          },
        }),
      });
      await assert.rejects(page(), { name: 'TooLargeError', message: new RegExp(`${ENTRIES_MAX} entries`) });
      const asked = lists;
      clock.advance(REST_MAX_MS - 1);
      await assert.rejects(page(), { name: 'TooLargeError' });
      assert.equal(lists, asked);
    });

    it('are not read behind a cursor that is none of theirs', async () => {
      const other = await openOn(memory.definition);
      await page();
      memory.put('/later.txt');
      rest();
      const cursor = (await page()).cursors.at(0) ?? '';
      memory.calls.length = 0;
      for (const after of [
        '',
        'garbage',
        '!',
        Buffer.from('[1]').toString('base64url'),
        Buffer.from(`["${opened.account.id}",-1]`).toString('base64url'),
      ]) {
        await assert.rejects(page(after), { name: 'InvalidInputError', message: /^after must be a cursor/ }, after);
      }
      await assert.rejects(comparisons.page(other, { limit: 1, after: cursor }, call), { name: 'InvalidInputError' });
      assert.deepEqual(memory.calls, []);
    });

    it('are kept only so many, and a reader who comes too late is told', async () => {
      await page();
      memory.put('/first.txt');
      rest();
      const early = (await page()).cursors.at(0) ?? '';
      const { id: accountId } = opened.account;
      const rows = Array.from({ length: CHANGES_KEPT }, (_, index) => ({
        accountId,
        kind: 'CREATED' as const,
        entryRef: `${index}`,
        entryKind: 'FILE' as const,
        path: null,
        at: clock.now(),
      }));
      for (let from = 0; from < rows.length; from += 1000) {
        await database.storage.fork().insertMany(ComputedChange, rows.slice(from, from + 1000));
      }
      assert.equal((await page(early)).complete, true);
      memory.put('/last.txt');
      rest();
      const late = await page(early);
      assert.deepEqual([late.complete, late.items.length], [false, 100]);
      assert.equal(await database.storage.fork().count(ComputedChange, { accountId }), CHANGES_KEPT);
      assert.equal((await page(late.cursors.at(0) ?? null)).complete, true);
    });

    it('are announced to the folders in which they are seen', async () => {
      await page();
      const docs = await entryAt('docs');
      const moved = await entryAt('docs', 'a.txt');
      await elsewhere.move?.(moved.ref, 'root', { onConflict: 'FAIL' }, call);
      const announced = events.subscribe('entry.changed');
      rest();
      await page();
      const { value } = await announced.next();
      assert.deepEqual([value.kind, value.entryRef, value.folderRefs], ['MOVED', moved.ref, [docs.ref, 'root']]);
      await announced.return?.();
    });
  });
}
