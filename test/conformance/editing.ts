import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RenameResult } from '../../src/drives/contract/renaming.ts';
import { call, FIRST_PAGE, failure, type Subject } from './subject.ts';

/** The tree changes as asked, or not at all. */
export function editingSuite(drive: Subject): void {
  describe('creating folders', () => {
    it('gives the new folder', async () => {
      const parent = await drive.newFolder();
      const made = await drive.run('createFolder', parent.ref, 'new', call);
      assert.equal(made.kind, 'FOLDER');
      assert.equal(made.name, 'new');
      assert.equal(made.parentRef, parent.ref);
      assert.equal(made.sizeBytes, null);
      assert.deepEqual(made.hashes, {});
    });

    it('refuses a name that is taken, and says by what', async () => {
      const parent = await drive.newFolder();
      const folder = await drive.run('createFolder', parent.ref, 'one', call);
      const file = await drive.put(parent.ref, 'two');
      for (const [name, ref] of [
        ['one', folder.ref],
        ['two', file.ref],
      ] as const) {
        const error = await failure(drive.run('createFolder', parent.ref, name, call), 'already_exists');
        assert.equal(error.existingRef, ref);
      }
      assert.equal((await drive.names(parent.ref)).length, 2);
    });

    it('makes one folder when two ask for one name at once', async () => {
      const parent = await drive.newFolder();
      const asked = await Promise.allSettled(
        Array.from({ length: 5 }, () => drive.run('createFolder', parent.ref, 'same', call)),
      );
      const made = asked.filter((result) => result.status === 'fulfilled');
      assert.equal(made.length, 1);
      for (const result of asked) {
        if (result.status === 'fulfilled') continue;
        const error = await failure(Promise.reject(result.reason), 'already_exists');
        assert.equal(error.existingRef, made[0]?.value.ref);
      }
      assert.deepEqual(await drive.names(parent.ref), ['same']);
    });

    it('needs a folder to put it in', async () => {
      const file = await drive.put((await drive.newFolder()).ref, 'file.txt');
      await failure(drive.run('createFolder', file.ref, 'x', call), 'wrong_kind');
      await failure(drive.run('createFolder', 'no such folder', 'x', call), 'not_found');
    });
  });

  describe('renaming', { skip: drive.lacks('RENAME') }, () => {
    it('gives the entry with its new name, and keeps what is in it', async () => {
      const parent = await drive.newFolder();
      const folder = await drive.run('createFolder', parent.ref, 'before', call);
      await drive.put(folder.ref, 'inside.txt', 'kept');
      const renamed = await drive.run('rename', folder.ref, 'after', {}, call);
      assert.equal(renamed.name, 'after');
      assert.deepEqual(await drive.names(parent.ref), ['after']);
      assert.deepEqual(await drive.names(renamed.ref), ['inside.txt']);
      if (drive.lacks('LIST')) return;
      const { items } = await drive.run('list', renamed.ref, {}, FIRST_PAGE, call);
      assert.equal(String(await drive.content(items[0]?.ref ?? '')), 'kept');
    });

    it('may change only the case, or nothing', async () => {
      const parent = await drive.newFolder();
      const file = await drive.put(parent.ref, 'Read Me.txt');
      const same = await drive.run('rename', file.ref, 'Read Me.txt', {}, call);
      const other = await drive.run('rename', same.ref, 'READ ME.txt', {}, call);
      assert.equal(other.name, 'READ ME.txt');
      assert.deepEqual(await drive.names(parent.ref), ['READ ME.txt']);
    });

    it('refuses a name that is taken', async () => {
      const parent = await drive.newFolder();
      const file = await drive.put(parent.ref, 'a.txt');
      const other = await drive.put(parent.ref, 'b.txt');
      const error = await failure(drive.run('rename', file.ref, 'b.txt', {}, call), 'already_exists');
      assert.equal(error.existingRef, other.ref);
      assert.deepEqual((await drive.names(parent.ref)).toSorted(), ['a.txt', 'b.txt']);
    });

    it('refuses what is missing, and the root', async () => {
      await failure(drive.run('rename', 'no such entry', 'x', {}, call), 'not_found');
      await failure(drive.run('rename', drive.driver.rootRef, 'x', {}, call), 'invalid_argument');
    });

    it('refuses an entry that has changed since', async (context) => {
      const file = await drive.put((await drive.newFolder()).ref, 'a.txt');
      if (file.revision === null) return context.skip('this drive has no revisions');
      const renamed = await drive.run('rename', file.ref, 'b.txt', { ifRevision: file.revision }, call);
      assert.notEqual(renamed.revision, file.revision);
      await failure(drive.run('rename', renamed.ref, 'c.txt', { ifRevision: file.revision }, call), 'conflict');
      assert.equal((await drive.driver.stat(renamed.ref, call)).name, 'b.txt');
    });
  });

  const lacksMany = drive.driver.renameMany ? false : 'this drive renames one after the other';
  describe('renaming several at once', { skip: lacksMany }, () => {
    it('gives a result for each, in their order, and one failure stops no other', async () => {
      const parent = await drive.newFolder();
      const [first = '', second = '', third = '', gone = ''] = await files(
        parent.ref,
        'a.txt',
        'b.txt',
        'c.txt',
        'd.txt',
      );
      const folder = await drive.run('createFolder', parent.ref, 'folder', call);
      await drive.run('remove', gone, {}, call);
      const results = await drive.run(
        'renameMany',
        [
          { ref: third, name: '3 文件.txt' },
          { ref: 'no such entry', name: 'x' },
          { ref: first, name: 'no/name' },
          { ref: folder.ref, name: 'other folder' },
          { ref: gone, name: 'y' },
          { ref: drive.driver.rootRef, name: 'z' },
          { ref: second, name: 'b.txt' },
        ],
        call,
      );
      assert.deepEqual(results.map(told), [
        '3 文件.txt',
        'not_found',
        'invalid_argument',
        'other folder',
        'not_found',
        'invalid_argument',
        'b.txt',
      ]);
      assert.equal(results[0]?.entry?.ref, third);
      assert.equal(results[0]?.entry?.revision, (await drive.driver.stat(third, call)).revision);
      const names = (await drive.names(parent.ref)).toSorted();
      assert.deepEqual(names, ['3 文件.txt', 'a.txt', 'b.txt', 'other folder'].toSorted());
    });

    it('refuses names that are taken, and says by what', async () => {
      const parent = await drive.newFolder();
      const [one = '', two = '', there = ''] = await files(parent.ref, '1.txt', '2.txt', 'there.txt');
      const renamings = [
        { ref: one, name: 'there.txt' },
        { ref: two, name: 'new.txt' },
      ];
      const [taken, done] = await drive.run('renameMany', renamings, call);
      assert.deepEqual([taken, done].map(told), ['already_exists', 'new.txt']);
      assert.equal(taken?.error?.existingRef, there);
    });

    it('refuses an entry that has changed since', async () => {
      const parent = await drive.newFolder();
      const [one, two] = [await drive.put(parent.ref, '1.txt'), await drive.put(parent.ref, '2.txt')];
      assert.ok(one.revision && two.revision);
      const results = await drive.run(
        'renameMany',
        [
          { ref: one.ref, name: 'one.txt', ifRevision: `${one.revision}x` },
          { ref: two.ref, name: 'two.txt', ifRevision: two.revision },
        ],
        call,
      );
      assert.deepEqual(results.map(told), ['conflict', 'two.txt']);
      assert.deepEqual((await drive.names(parent.ref)).toSorted(), ['1.txt', 'two.txt']);
    });

    it('takes as many as it says, and one by the act for one', async () => {
      assert.ok(drive.driver.rename && drive.driver.statMany);
      const parent = await drive.newFolder();
      const max = drive.driver.capabilities.renamesMax ?? assert.fail('the drive says how many it takes');
      const refs = await files(parent.ref, ...Array.from({ length: Math.min(max, 40) }, (_, at) => `${at}.txt`));
      const results = await drive.run(
        'renameMany',
        refs.map((ref, at) => ({ ref, name: `new ${at}.txt` })),
        call,
      );
      assert.deepEqual(
        results.map(told),
        refs.map((_, at) => `new ${at}.txt`),
      );
      assert.equal((await drive.names(parent.ref)).filter((name) => name.startsWith('new ')).length, refs.length);
    });
  });

  const told = (result: RenameResult | undefined): string | undefined => result?.entry?.name ?? result?.error?.category;

  async function files(parentRef: string, ...names: readonly string[]): Promise<string[]> {
    const refs: string[] = [];
    for (const name of names) refs.push((await drive.put(parentRef, name)).ref);
    return refs;
  }

  for (const act of ['move', 'copy'] as const) {
    const ability = act === 'move' ? 'MOVE' : 'COPY';
    describe(`${act} of entries`, { skip: drive.lacks(ability) }, () => {
      it(`takes a file along, bytes and all`, async () => {
        const { from, to } = await twoFolders();
        const file = await drive.put(from.ref, 'file.txt', 'the bytes');
        const there = await drive.run(act, file.ref, to.ref, { onConflict: 'FAIL' }, call);
        assert.equal(there.parentRef, to.ref);
        assert.equal(String(await drive.content(there.ref)), 'the bytes');
        assert.deepEqual(await drive.names(to.ref), ['file.txt']);
        assert.deepEqual(await drive.names(from.ref), act === 'move' ? [] : ['file.txt']);
      });

      it('takes a folder along with all below it', async () => {
        const { from, to } = await twoFolders();
        const folder = await drive.run('createFolder', from.ref, 'folder', call);
        const inner = await drive.run('createFolder', folder.ref, 'inner', call);
        await drive.put(inner.ref, 'deep.txt', 'deep');
        await drive.put(folder.ref, 'high.txt', 'high');
        const there = await drive.run(act, folder.ref, to.ref, { onConflict: 'FAIL' }, call);
        assert.deepEqual((await drive.names(there.ref)).toSorted(), ['high.txt', 'inner']);
        const { items } = await drive.run('list', there.ref, { kind: 'FOLDER' }, FIRST_PAGE, call);
        assert.deepEqual(await drive.names(items[0]?.ref ?? ''), ['deep.txt']);
        assert.deepEqual(await drive.names(from.ref), act === 'move' ? [] : ['folder']);
      });

      it('may give another name', async () => {
        const { from, to } = await twoFolders();
        const file = await drive.put(from.ref, 'old.txt', 'x');
        const there = await drive.run(act, file.ref, to.ref, { name: 'new.txt', onConflict: 'FAIL' }, call);
        assert.equal(there.name, 'new.txt');
        assert.deepEqual(await drive.names(to.ref), ['new.txt']);
      });

      it('refuses to put a folder into itself or below', async () => {
        const { from } = await twoFolders();
        const folder = await drive.run('createFolder', from.ref, 'folder', call);
        const inner = await drive.run('createFolder', folder.ref, 'inner', call);
        for (const target of [folder, inner])
          await failure(drive.run(act, folder.ref, target.ref, { onConflict: 'RENAME' }, call), 'invalid_argument');
        assert.deepEqual(await drive.names(from.ref), ['folder']);
      });

      it('needs something to take and a folder to put it in', async () => {
        const { from, to } = await twoFolders();
        const file = await drive.put(from.ref, 'file.txt');
        const options = { onConflict: 'FAIL' } as const;
        await failure(drive.run(act, 'no such entry', to.ref, options, call), 'not_found');
        await failure(drive.run(act, file.ref, 'no such folder', options, call), 'not_found');
        await failure(drive.run(act, file.ref, file.ref, options, call), 'wrong_kind');
        assert.deepEqual(await drive.names(from.ref), ['file.txt']);
      });

      describe('when the name is taken', () => {
        it('fails when asked to, and changes nothing', async () => {
          const { from, to, file, taken } = await taking();
          const error = await failure(drive.run(act, file.ref, to.ref, { onConflict: 'FAIL' }, call), 'already_exists');
          assert.equal(error.existingRef, taken.ref);
          assert.deepEqual(await drive.names(from.ref), ['a.txt']);
          assert.equal(String(await drive.content(taken.ref)), 'old');
        });

        it('takes a numbered name when asked to', async () => {
          const { to, file } = await taking();
          const there = await drive.run(act, file.ref, to.ref, { onConflict: 'RENAME' }, call);
          assert.notEqual(there.name, 'a.txt');
          assert.deepEqual((await drive.names(to.ref)).toSorted(), ['a.txt', there.name].toSorted());
          assert.equal(String(await drive.content(there.ref)), 'new');
        });

        it('replaces a file when asked to', async () => {
          const { from, to, file } = await taking();
          const there = await drive.run(act, file.ref, to.ref, { onConflict: 'REPLACE' }, call);
          assert.deepEqual(await drive.names(to.ref), ['a.txt']);
          assert.equal(String(await drive.content(there.ref)), 'new');
          assert.deepEqual(await drive.names(from.ref), act === 'move' ? [] : ['a.txt']);
        });

        it('leaves both as they are when asked to skip', async () => {
          const { from, to, file, taken } = await taking();
          const there = await drive.run(act, file.ref, to.ref, { onConflict: 'SKIP' }, call);
          assert.equal(there.ref, taken.ref);
          assert.equal(String(await drive.content(taken.ref)), 'old');
          assert.deepEqual(await drive.names(from.ref), ['a.txt']);
        });

        it('never replaces a folder', async () => {
          const { from, to } = await twoFolders();
          const file = await drive.put(from.ref, 'name');
          const folder = await drive.run('createFolder', to.ref, 'name', call);
          await failure(drive.run(act, file.ref, to.ref, { onConflict: 'REPLACE' }, call), 'already_exists');
          await failure(drive.run(act, folder.ref, from.ref, { onConflict: 'REPLACE' }, call), 'already_exists');
          assert.equal((await drive.driver.stat(folder.ref, call)).kind, 'FOLDER');
        });
      });

      it('refuses an entry that has changed since', async (context) => {
        const { from, to } = await twoFolders();
        const file = await drive.put(from.ref, 'a.txt');
        if (file.revision === null) return context.skip('this drive has no revisions');
        const options = { onConflict: 'FAIL', ifRevision: `not ${file.revision}` } as const;
        await failure(drive.run(act, file.ref, to.ref, options, call), 'conflict');
        assert.deepEqual(await drive.names(to.ref), []);
      });
    });
  }

  it('moves nothing when the entry is there already', { skip: drive.lacks('MOVE') }, async () => {
    const parent = await drive.newFolder();
    const file = await drive.put(parent.ref, 'a.txt');
    const there = await drive.run('move', file.ref, parent.ref, { onConflict: 'FAIL' }, call);
    assert.equal(there.ref, file.ref);
    assert.deepEqual(await drive.names(parent.ref), ['a.txt']);
  });

  it('does not move the root', { skip: drive.lacks('MOVE') }, async () => {
    const folder = await drive.newFolder();
    const moved = drive.run('move', drive.driver.rootRef, folder.ref, { onConflict: 'FAIL' }, call);
    await failure(moved, 'invalid_argument');
  });

  async function twoFolders() {
    const parent = await drive.newFolder();
    const from = await drive.run('createFolder', parent.ref, 'from', call);
    const to = await drive.run('createFolder', parent.ref, 'to', call);
    return { from, to };
  }

  async function taking() {
    const folders = await twoFolders();
    const file = await drive.put(folders.from.ref, 'a.txt', 'new');
    const taken = await drive.put(folders.to.ref, 'a.txt', 'old');
    return { ...folders, file, taken };
  }
}
