import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DriveEntry } from '../../src/drives/driver.ts';
import { call, everyItem, failure, type Subject } from './subject.ts';

/** What is deleted is gone from sight, and comes back only from the recycle bin. */
export function deletingSuite(drive: Subject): void {
  for (const act of ['remove', 'removePermanently'] as const) {
    const skip = drive.driver[act] ? false : `this drive has no ${act}`;
    describe(`${act} of entries`, { skip }, () => {
      it('takes a file away', async () => {
        const parent = await drive.newFolder();
        const file = await drive.put(parent.ref, 'a.txt');
        await drive.run(act, file.ref, {}, call);
        assert.deepEqual(await drive.names(parent.ref), []);
        await failure(drive.driver.stat(file.ref, call), 'not_found');
        await failure(drive.driver.read(file.ref, null, call), 'not_found');
      });

      it('takes a folder away with all below it', async () => {
        const parent = await drive.newFolder();
        const folder = await drive.run('createFolder', parent.ref, 'folder', call);
        const inner = await drive.run('createFolder', folder.ref, 'inner', call);
        const file = await drive.put(inner.ref, 'a.txt');
        await drive.run(act, folder.ref, {}, call);
        for (const { ref } of [folder, inner, file]) await failure(drive.driver.stat(ref, call), 'not_found');
      });

      it('frees the name', async () => {
        const parent = await drive.newFolder();
        const file = await drive.put(parent.ref, 'a.txt', 'old');
        await drive.run(act, file.ref, {}, call);
        const next = await drive.put(parent.ref, 'a.txt', 'new');
        assert.equal(String(await drive.content(next.ref)), 'new');
      });

      it('refuses what is missing, what has changed since, and the root', async () => {
        const file = await drive.put((await drive.newFolder()).ref, 'a.txt');
        await failure(drive.run(act, 'no such entry', {}, call), 'not_found');
        await failure(drive.run(act, drive.driver.rootRef, {}, call), 'invalid_argument');
        if (file.revision !== null)
          await failure(drive.run(act, file.ref, { ifRevision: `not ${file.revision}` }, call), 'conflict');
        await drive.run(act, file.ref, {}, call);
        await failure(drive.run(act, file.ref, {}, call), 'not_found');
      });
    });
  }

  describe('the recycle bin', { skip: drive.lacks('DELETE', 'RECYCLE_LIST') }, () => {
    const restoring = { skip: drive.lacks('RECYCLE_RESTORE') };

    it('shows what was deleted, the top of a tree only', async () => {
      const { folder } = await deletedTree();
      const shown = (await binned()).filter(({ name }) => name === folder.name);
      assert.equal(shown.length, 1);
      if (!drive.is('untold_deletion')) assert.ok(shown[0]?.deletedAt);
      assert.ok((await binned()).every(({ name }) => name !== 'inside.txt'));
    });

    it('pages', async () => {
      const parent = await drive.newFolder();
      for (const name of ['x', 'y', 'z']) await drive.run('remove', (await drive.put(parent.ref, name)).ref, {}, call);
      const whole = (await binned()).map(({ ref }) => ref);
      const pages = await everyItem((page) => drive.run('recycleBin.list', page, call), 2);
      assert.deepEqual(
        pages.map(({ ref }) => ref),
        whole,
      );
    });

    it('gives a tree back to where it was', restoring, async () => {
      const { parent, folder } = await deletedTree();
      const restored = await drive.run('recycleBin.restore', await binRefOf(folder), call);
      // Not every provider tells the folder of what comes back.
      assert.ok(restored.parentRef === null || restored.parentRef === parent.ref);
      assert.deepEqual(await drive.names(parent.ref), [folder.name]);
      assert.deepEqual(await drive.names(restored.ref), ['inside.txt']);
      assert.ok((await binned()).every(({ name }) => name !== folder.name));
    });

    it('gives back under a numbered name when the own one is taken', restoring, async () => {
      const { parent, folder } = await deletedTree();
      await drive.run('createFolder', parent.ref, folder.name, call);
      const restored = await drive.run('recycleBin.restore', await binRefOf(folder), call);
      assert.notEqual(restored.name, folder.name);
      assert.equal((await drive.names(parent.ref)).length, 2);
    });

    it('gives back to the root when the folder is gone', restoring, async () => {
      const { parent, folder } = await deletedTree();
      await drive.run('remove', parent.ref, {}, call);
      const restored = await drive.run('recycleBin.restore', await binRefOf(folder), call);
      if (drive.is('restores_folders')) assert.equal(restored.path?.split('/').at(-2), parent.name);
      else assert.equal(restored.parentRef, drive.driver.rootRef);
      assert.deepEqual(await drive.names(restored.ref), ['inside.txt']);
    });

    it('refuses to give back what it does not have', restoring, async () => {
      const live = await drive.newFolder();
      await failure(drive.run('recycleBin.restore', live.ref, call), 'not_found');
      await failure(drive.run('recycleBin.restore', 'no such entry', call), 'not_found');
    });

    it('deletes one for ever', { skip: drive.driver.recycleBin?.purge ? false : 'no purge of one' }, async () => {
      const { folder } = await deletedTree();
      const ref = await binRefOf(folder);
      await drive.run('recycleBin.purge', ref, call);
      assert.ok((await binned()).every(({ name }) => name !== folder.name));
      await failure(drive.run('recycleBin.purge', ref, call), 'not_found');
      if (!restoring.skip) await failure(drive.run('recycleBin.restore', ref, call), 'not_found');
    });

    it('is emptied at once', { skip: drive.driver.recycleBin?.empty ? false : 'it cannot be emptied' }, async () => {
      await deletedTree();
      await drive.run('recycleBin.empty', call);
      assert.deepEqual(await binned(), []);
      await drive.run('recycleBin.empty', call);
    });
  });

  let trees = 0;
  async function deletedTree() {
    trees += 1;
    const parent = await drive.newFolder();
    const folder = await drive.run('createFolder', parent.ref, `deleted ${trees}`, call);
    await drive.put(folder.ref, 'inside.txt');
    await drive.run('remove', folder.ref, {}, call);
    return { parent, folder };
  }

  function binned(): Promise<DriveEntry[]> {
    return everyItem((page) => drive.run('recycleBin.list', page, call), 50);
  }

  /** A bin may know an entry by another ref than the folder did. */
  async function binRefOf({ name }: DriveEntry): Promise<string> {
    const entry = (await binned()).find((candidate) => candidate.name === name);
    assert.ok(entry, `${name} is in the bin`);
    return entry.ref;
  }
}
