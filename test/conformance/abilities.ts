import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ABILITIES, abilityOfAct } from '../../src/drives/abilities.ts';
import type { DriveChange, Page } from '../../src/drives/driver.ts';
import { FACETS, findAct, type Operation } from '../../src/drives/operations.ts';
import { call, everyItem, failure, type Subject } from './subject.ts';

/** A drive does what it claims, refuses the rest, and listens to its caller. */
export function abilitiesSuite(drive: Subject): void {
  /** Every act that stands for an ability, and those that stand for none. */
  const acts = Object.keys(EXAMPLE_ARGS) as Operation[];

  describe('abilities', () => {
    it('claims no ability without an act, and has no act without its ability', () => {
      for (const act of acts) {
        const ability = abilityOfAct(act);
        if (ability && findAct(drive.driver, act)) assert.ok(drive.drive.abilities.has(ability), act);
      }
      for (const ability of drive.drive.abilities) assert.ok(ABILITIES.includes(ability));
    });

    for (const act of acts.filter((path) => !findAct(drive.driver, path))) {
      it(`refuses ${act}, which it does not have`, async () => {
        const error = await failure(runAny(act), 'unsupported');
        assert.equal(error.ability, abilityOfAct(act));
        assert.equal(error.operation, act);
      });
    }

    it('has no facet without an act', () => {
      for (const facet of FACETS) {
        const part = drive.driver[facet];
        assert.ok(part === undefined || Object.values(part).some((value) => typeof value === 'function'), facet);
      }
    });

    it('states limits that can be', () => {
      const { nameBytesMax, fileBytesMax, listPageMax } = drive.driver.capabilities;
      for (const limit of [nameBytesMax, listPageMax, fileBytesMax ?? 1])
        assert.ok(Number.isSafeInteger(limit) && limit > 0);
    });
  });

  describe('a caller who went away', () => {
    for (const act of acts.filter((path) => findAct(drive.driver, path))) {
      it(`cancels ${act}`, async () => {
        const gone = AbortSignal.abort(new Error('the client hung up'));
        await failure(runAny(act, gone), 'cancelled');
      });
    }

    it('changes nothing', async () => {
      const folder = await drive.newFolder();
      const gone = { signal: AbortSignal.abort() };
      await failure(drive.run('createFolder', folder.ref, 'x', gone), 'cancelled');
      assert.deepEqual(await drive.names(folder.ref), []);
    });
  });

  describe('what the drive tells about itself', () => {
    it('tells how full it is', { skip: drive.driver.usage ? false : 'this drive does not tell' }, async () => {
      await drive.put((await drive.newFolder()).ref, 'ten.txt', '0123456789');
      const { usedBytes, totalBytes, freeBytes, byCategory } = await drive.run('usage', call);
      assert.ok(usedBytes >= 10);
      assert.ok((totalBytes ?? usedBytes) >= usedBytes);
      assert.ok((freeBytes ?? 0) >= 0);
      const documents = byCategory?.find(({ category }) => category === 'DOCUMENT');
      assert.ok(byCategory === null || (documents?.count ?? 0) >= 1);
    });

    it('tells whose it is', { skip: drive.driver.profile ? false : 'this drive does not tell' }, async () => {
      const profile = await drive.run('profile', call);
      assert.deepEqual(Object.keys(profile).toSorted(), PROFILE_FACTS);
    });

    it('tells what changed, in order', { skip: drive.lacks('CHANGES', 'DELETE') }, async () => {
      const before = await changeCursor();
      const folder = await drive.newFolder();
      const file = await drive.put(folder.ref, 'a.txt');
      await drive.run('remove', file.ref, {}, call);
      const changes = await everyItem(
        (page) => drive.run('changes', { ...page, cursor: page.cursor ?? before }, call),
        2,
      );
      const mine = changes.filter(({ entryRef }) => entryRef === folder.ref || entryRef === file.ref);
      const { complete } = await drive.run('changes', { cursor: before, limit: 1 }, call);
      const expected = [
        ['CREATED', folder.ref, true],
        ['CREATED', file.ref, false],
        ...(complete ? [['DELETED', file.ref, false]] : []),
      ];
      assert.deepEqual(
        mine.map(({ kind, entryRef, entry }) => [kind, entryRef, entry !== null]),
        expected,
      );
    });
  });

  async function changeCursor(): Promise<string | null> {
    let cursor: string | null = null;
    for (;;) {
      const { itemCursors, nextCursor }: Page<DriveChange> = await drive.run('changes', { cursor, limit: 50 }, call);
      cursor = itemCursors?.at(-1) ?? nextCursor ?? cursor;
      if (nextCursor === null) return cursor;
    }
  }

  function runAny(act: Operation, signal = call.signal): Promise<unknown> {
    const run = drive.drive.run as (path: string, ...args: unknown[]) => Promise<unknown>;
    return run(act, ...EXAMPLE_ARGS[act], { signal });
  }
}

const PROFILE_FACTS = ['avatarUrl', 'membership', 'membershipExpiresAt', 'name', 'providerUserId'];

const PAGE = { cursor: null, limit: 1 };
const PLAN = { parentRef: 'x', name: 'x', sizeBytes: 1, hashes: {}, onConflict: 'FAIL' };
const SESSION = { sliceBytes: 1, sliceCount: 1, state: null };
const SHARE = { days: null, password: null, remark: null, ticket: null };

/** Every act of the contract with arguments that have the right shape. */
const EXAMPLE_ARGS: Readonly<Record<Operation, readonly unknown[]>> = {
  list: ['x', {}, PAGE],
  stat: ['x'],
  read: ['x', null],
  count: ['x', {}],
  statMany: [['x']],
  measure: ['x'],
  resolve: [['x']],
  pathOf: ['x'],
  listRecursive: ['x', PAGE],
  listByCategory: ['IMAGE', null, PAGE],
  searchByName: [{ query: 'x' }, PAGE],
  searchByMeaning: [{ query: 'x' }, PAGE],
  createFolder: ['x', 'x'],
  rename: ['x', 'x', {}],
  renameMany: [[{ ref: 'x', name: 'x' }]],
  move: ['x', 'x', { onConflict: 'FAIL' }],
  copy: ['x', 'x', { onConflict: 'FAIL' }],
  copyFromAccount: [{ accountId: 'x', ref: 'x' }, 'x', { onConflict: 'FAIL' }],
  remove: ['x', {}],
  removePermanently: ['x', {}],
  profile: [],
  usage: [],
  changes: [PAGE],
  instantUpload: [PLAN],
  adopt: [PLAN, { path: '/nowhere', sizeBytes: 1, hashes: { SHA256: '0'.repeat(64) } }],
  link: ['x'],
  'recycleBin.list': [PAGE],
  'recycleBin.restore': ['x'],
  'recycleBin.purge': ['x'],
  'recycleBin.empty': [],
  'upload.begin': [PLAN],
  'upload.putSlice': [PLAN, SESSION, 0, new Uint8Array(1)],
  'upload.heldSlices': [PLAN, SESSION, []],
  'upload.complete': [PLAN, SESSION, []],
  'upload.settleReplace': [{ ref: 'x', name: 'x', parentRef: 'x' }],
  'upload.abort': [SESSION],
  'upload.putWhole': [PLAN, new Uint8Array(1)],
  'shares.create': [['x'], SHARE],
  'shares.list': [PAGE],
  'shares.update': ['x', {}],
  'shares.cancel': ['x'],
  'shares.save': ['https://share.example/x', null, 'x'],
  'offline.add': [['https://file.example/x'], null],
  'offline.readTorrent': ['x'],
  'offline.addTorrent': ['x', null, null],
  'offline.list': [PAGE],
  'offline.stat': ['x'],
  'offline.cancel': ['x', { deleteFiles: false }],
  'offline.clear': ['SUCCEEDED'],
  'offline.allowance': [],
  'media.thumbnails': ['x'],
  'media.preview': ['x'],
  'media.playlist': ['x', null],
  'media.openPlaylist': ['x', null],
  'media.readPlaylist': [{ path: '/x', type: 'x', adToken: null }],
  'media.readPart': ['https://media.example/x.ts', null],
  'media.openDownload': ['x', 'ORIGINAL'],
  'media.readDownload': [{ film: '1', kind: 'ORIGINAL', name: 'x' }, null],
  'media.subtitles': ['x'],
  'media.lists': [PAGE],
  'media.listFiles': ['x', PAGE],
  'media.info': ['x'],
  'media.transcode': ['x', '720P'],
  'media.versions': ['x'],
  'media.deleteVersions': ['x'],
  'media.progress': ['x'],
  'media.saveProgress': ['x', { positionSeconds: 1, finished: false }],
};
