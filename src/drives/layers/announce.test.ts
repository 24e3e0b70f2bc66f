import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listing } from '../../../test/support/listing.ts';
import { memoryDrive } from '../../../test/support/memory-drive.ts';
import type { DriveEntry } from '../driver.ts';
import { DriveError } from '../errors.ts';
import { openDrive } from '../open.ts';
import { type DriveNotice, Places } from './announce.ts';

const call = { signal: new AbortController().signal };
const PAGE = { cursor: null, limit: 100 };
const docs = 'ref/docs:1';
const a = 'ref/a.txt:2';

function setUp() {
  const memory = memoryDrive({ acts: ['createFolder', 'move', 'remove', 'shares', 'usage'] });
  memory.put('/docs/a.txt');
  const notices: DriveNotice[] = [];
  const changes = { announce: (notice: DriveNotice) => void notices.push(notice), places: new Places() };
  const { definition } = memory;
  const open = (overrides: object = {}) =>
    openDrive(
      { ...definition, create: (...args) => ({ ...definition.create(...args), ...overrides }) },
      { id: 'account', settings: {} },
      undefined as never,
      { changes },
    ).driver;
  const told = () =>
    notices.splice(0).map(({ kind, entryRef, folderRefs, everywhere }) => [kind, entryRef, folderRefs, everywhere]);
  return { memory, driver: open(), open, told };
}

describe('changes by our own acts are announced', () => {
  it('in the folder that they name, once they are done', async () => {
    const { driver, told } = setUp();
    const made = await driver.createFolder?.(docs, 'new', call);
    assert.deepEqual(told(), [['CREATED', made?.ref, [docs], false]]);
    await assert.rejects(async () => driver.createFolder?.(docs, 'new', call));
    await driver.usage?.(call);
    assert.deepEqual(told(), []);
  });

  it('in the folder where an entry was last seen, of a move in both', async () => {
    const { driver, told } = setUp();
    await listing(driver)(docs, {}, PAGE, call);
    await driver.move?.(a, 'root', { onConflict: 'FAIL' }, call);
    assert.deepEqual(told(), [['MOVED', a, [docs, 'root'], false]]);
    await driver.remove?.(a, {}, call);
    assert.deepEqual(told(), [['DELETED', a, ['root'], false]]);
  });

  it('everywhere when it is not known where the entry was', async () => {
    const { driver, told } = setUp();
    await driver.move?.(a, 'root', { onConflict: 'FAIL' }, call);
    assert.deepEqual(told(), [['MOVED', a, ['root'], true]]);
    const other = setUp();
    await other.driver.remove?.(a, {}, call);
    assert.deepEqual(other.told(), [['DELETED', a, [], true]]);
  });

  it('of several that were renamed, for those that were', async () => {
    const { driver, open, told } = setUp();
    const entry = await driver.stat(a, call);
    const error = new DriveError('already_exists', 'taken', { provider: 'NETDISK' });
    const results = [
      { entry: { ...entry, name: 'b.txt' }, error: null },
      { entry: null, error },
    ];
    const renamings = [a, 'ref/other:9'].map((ref) => ({ ref, name: 'b.txt' }));
    await open({ renameMany: async () => results }).renameMany?.(renamings, call);
    assert.deepEqual(told(), [['MOVED', a, [docs], false]]);
  });

  it('as other content when an upload puts bytes under a ref that was there', async () => {
    const { driver, open, told } = setUp();
    const entry = await driver.stat(a, call);
    const plan = { parentRef: docs, name: 'a.txt', sizeBytes: 1, hashes: {}, onConflict: 'REPLACE' as const };
    const fresh: DriveEntry = { ...entry, ref: 'fresh', parentRef: null };
    const uploaded = (result: DriveEntry) =>
      open({ upload: { concurrency: 1, begin: async () => ({ instant: result }) } }).upload?.begin(plan, call);
    await uploaded(entry);
    await uploaded(fresh);
    assert.deepEqual(told(), [
      ['MODIFIED', a, [docs], false],
      ['CREATED', 'fresh', [docs], false],
    ]);
  });

  it('of what was saved from a share', async () => {
    const { driver, told } = setUp();
    const [saved] = (await driver.shares?.save?.('https://share.example', 'right', docs, call)) ?? [];
    assert.deepEqual(told(), [['CREATED', saved?.ref, [docs], false]]);
  });
});
