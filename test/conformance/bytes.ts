import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { UploadPlan } from '../../src/drives/contract/upload.ts';
import type { ConflictPolicy } from '../../src/drives/driver.ts';
import type { DriveError } from '../../src/drives/errors.ts';
import { bytesOf, call, failure, type Subject } from './subject.ts';

/** Bytes come out as they went in, or not at all. */
export async function bytesSuite(drive: Subject): Promise<void> {
  const sliceBytes = drive.lacks('RESUMABLE_UPLOAD') ? 0 : await sliceSize(drive);

  describe('sliced upload', { skip: drive.lacks('RESUMABLE_UPLOAD') }, () => {
    for (const [what, length] of [
      ...(drive.is('no_empty_files') ? [] : ([['no bytes', 0]] as const)),
      ['one byte', 1],
      ['a byte less than a slice', sliceBytes - 1],
      ['exactly a slice', sliceBytes],
      ['a byte more than a slice', sliceBytes + 1],
      ['two slices and a bit', 2 * sliceBytes + 17],
    ] as const) {
      it(`keeps a file of ${what}`, async () => {
        const { ref: parentRef } = await drive.newFolder();
        const bytes = bytesOf(length, what);
        const file = await drive.put(parentRef, 'file.bin', bytes);
        assert.equal(file.kind, 'FILE');
        assert.equal(file.sizeBytes, length);
        assert.ok((await drive.content(file.ref)).equals(bytes));
        for (const [algorithm, hash] of Object.entries(drive.plan('', '', bytes).hashes))
          assert.equal(Reflect.get(file.hashes, algorithm) ?? hash, hash, 'a hash that is told is right');
      });
    }

    it('refuses a file of no bytes', {
      skip: drive.is('no_empty_files') ? false : 'this drive takes them',
    }, async () => {
      const { plan } = await newPlan('empty', 0);
      await failure(drive.run('upload.begin', plan, call), 'invalid_argument');
      assert.deepEqual(await drive.names(plan.parentRef), []);
    });

    it('shows nothing before the end', async () => {
      const { plan, bytes } = await newPlan('unfinished');
      const session = await drive.begin(plan);
      await drive.putSlices(plan, session, bytes);
      assert.deepEqual(await drive.names(plan.parentRef), []);
      await drive.run('upload.abort', session, call);
    });

    it('goes on in another process, from the stored session and receipts', async () => {
      const { plan, bytes } = await newPlan('resumed', 2 * sliceBytes + 1);
      const begun = await drive.begin(plan);
      const before = await drive.putSlices(plan, begun, bytes, [0, 1]);
      const session = throughJson(begun);
      const after = await drive.putSlices(plan, session, bytes, [2]);
      const receipts = throughJson([...before, ...after]);
      const file = await drive.run('upload.complete', throughJson(plan), session, receipts, call);
      assert.ok((await drive.content(file.ref)).equals(bytes));
    });

    it('takes slices in any order, at once, and twice', { skip: inOrderOnly() }, async () => {
      const { plan, bytes } = await newPlan('shuffled', 3 * sliceBytes);
      const session = await drive.begin(plan);
      const receipts = await Promise.all([2, 0, 1, 0].map((index) => drive.putSlices(plan, session, bytes, [index])));
      const inOrder = receipts.flat().toSorted((a, b) => a.index - b.index);
      const file = await drive.run('upload.complete', plan, session, inOrder.slice(1), call);
      assert.ok((await drive.content(file.ref)).equals(bytes));
    });

    it('refuses a source that ends early', async () => {
      const { plan, bytes } = await newPlan('short', sliceBytes + 100);
      const session = await drive.begin(plan);
      const [first] = await drive.putSlices(plan, session, bytes, [0]);
      const cut = bytes.subarray(sliceBytes, sliceBytes + 99);
      await failure(drive.run('upload.putSlice', plan, session, 1, cut, call), 'corrupted');
      await failure(drive.run('upload.complete', plan, session, first ? [first] : [], call), 'corrupted');
      assert.deepEqual(await drive.names(plan.parentRef), []);
    });

    it('refuses a source that is longer than it said', async () => {
      const { plan } = await newPlan('long', 100);
      const session = await drive.begin(plan);
      await failure(drive.run('upload.putSlice', plan, session, 0, bytesOf(101, 'x'), call), 'corrupted');
      await failure(drive.run('upload.putSlice', plan, session, 1, bytesOf(1, 'x'), call), 'invalid_argument');
      assert.deepEqual(await drive.names(plan.parentRef), []);
    });

    it('refuses bytes with another hash than promised', async () => {
      const { plan, bytes } = await newPlan('flipped');
      const session = await drive.begin(plan);
      const flipped = Buffer.from(bytes);
      flipped[0] = (flipped[0] ?? 0) ^ 1;
      const completed = drive
        .putSlices(plan, session, flipped)
        .then((receipts) => drive.run('upload.complete', plan, session, receipts, call));
      await failure(completed, 'corrupted');
      assert.deepEqual(await drive.names(plan.parentRef), []);
    });

    it('begins again after an abort', async () => {
      const { plan, bytes } = await newPlan('aborted');
      const session = await drive.begin(plan);
      const receipts = await drive.putSlices(plan, session, bytes);
      await drive.run('upload.abort', session, call);
      await drive.run('upload.abort', session, call);
      if (!drive.is('no_abort'))
        await failure(drive.run('upload.complete', plan, session, receipts, call), 'not_found');
      assert.deepEqual(await drive.names(plan.parentRef), []);
      const file = await drive.put(plan.parentRef, plan.name, bytes);
      assert.ok((await drive.content(file.ref)).equals(bytes));
    });

    it('says that a session has expired', {
      skip: drive.fixture.expireUpload ? false : 'sessions do not expire',
    }, async () => {
      const { plan, bytes } = await newPlan('expired');
      const session = await drive.begin(plan);
      const receipts = await drive.putSlices(plan, session, bytes);
      await drive.fixture.expireUpload?.(session);
      await failure(drive.run('upload.complete', plan, session, receipts, call), 'not_found');
      await failure(drive.putSlices(plan, session, bytes), 'not_found');
    });

    it('needs a folder to put the file in', async () => {
      const { plan } = await newPlan('homeless');
      const file = await drive.put(plan.parentRef, 'file');
      await failure(drive.run('upload.begin', { ...plan, parentRef: 'no such folder' }, call), 'not_found');
      await failure(drive.run('upload.begin', { ...plan, parentRef: file.ref }, call), 'wrong_kind');
      for (const sizeBytes of [-1, 1.5, Number.NaN])
        await failure(drive.run('upload.begin', { ...plan, sizeBytes }, call), 'invalid_argument');
    });

    it('gives what an earlier try of the same transfer made', async () => {
      const { plan, bytes } = await newPlan('twice');
      const once = { ...plan, transferId: crypto.randomUUID() };
      const session = await drive.begin(once);
      const receipts = await drive.putSlices(once, session, bytes);
      const file = await drive.run('upload.complete', once, session, receipts, call);
      const again = await drive
        .run('upload.complete', once, session, receipts, call)
        .catch((error: DriveError) => error);
      // Or the session is no more; or the name is taken, and who asked looks at what has it.
      if (again instanceof Error) {
        assert.ok(again.category === 'not_found' || again.existingRef === file.ref, `${again.category}: ${again}`);
      } else assert.equal(again.ref, file.ref);
      assert.equal((await drive.names(plan.parentRef)).length, 1);
    });

    describe('when the name is taken', () => {
      it('fails when asked to', async () => {
        const { ref } = await drive.newFolder();
        const old = await drive.put(ref, 'a.txt', 'old');
        const plan = drive.plan(ref, 'a.txt', Buffer.from('something new'));
        const error = await failure(drive.run('upload.begin', plan, call), 'already_exists');
        assert.equal(error.existingRef, old.ref);
      });

      it('takes a numbered name when asked to', async () => {
        const { ref } = await drive.newFolder();
        await drive.put(ref, 'a.txt', 'old');
        const file = await drive.put(ref, 'a.txt', 'another', 'RENAME');
        assert.notEqual(file.name, 'a.txt');
        assert.equal((await drive.names(ref)).length, 2);
      });

      it('replaces a file when asked to, and nothing but a file', async () => {
        const { ref } = await drive.newFolder();
        const old = await drive.put(ref, 'a.txt', 'old');
        const file = await drive.put(ref, 'a.txt', 'replaced', 'REPLACE');
        assert.equal(String(await drive.content(file.ref)), 'replaced');
        assert.ok(file.revision === null || file.revision !== old.revision);
        assert.deepEqual(await drive.names(ref), ['a.txt']);
        await drive.run('createFolder', ref, 'folder', call);
        await failure(drive.put(ref, 'folder', 'no folder', 'REPLACE'), 'already_exists');
      });

      it('leaves it when asked to skip', async () => {
        const { ref } = await drive.newFolder();
        const old = await drive.put(ref, 'a.txt', 'old');
        const file = await drive.put(ref, 'a.txt', 'skipped', 'SKIP');
        assert.equal(file.ref, old.ref);
        assert.equal(String(await drive.content(old.ref)), 'old');
      });
    });
  });

  describe('small files in one request', {
    skip: drive.driver.upload?.putWhole ? false : 'this drive takes them in slices',
  }, () => {
    const put = (plan: UploadPlan, bytes: Uint8Array) => drive.run('upload.putWhole', plan, bytes, call);

    it('are there with the answer, bytes and all', async () => {
      const { plan, bytes } = await newPlan('whole', 5000);
      const file = await put(plan, bytes);
      assert.equal(file.sizeBytes, 5000);
      assert.ok((await drive.content(file.ref)).equals(bytes));
      assert.deepEqual(await drive.names(plan.parentRef), [plan.name]);
    });

    it('are refused when they are not what was promised', async () => {
      const { plan, bytes } = await newPlan('not whole');
      const flipped = Buffer.from(bytes);
      flipped[0] = (flipped[0] ?? 0) ^ 1;
      await failure(put(plan, bytes.subarray(1)), 'corrupted');
      await failure(put(plan, flipped), 'corrupted');
      await failure(put({ ...plan, parentRef: 'no such folder' }, bytes), 'not_found');
      assert.deepEqual(await drive.names(plan.parentRef), []);
    });

    it('keep to what is asked when the name is taken', async () => {
      const { plan, bytes } = await newPlan('taken');
      const old = await put(plan, bytes);
      const other = bytesOf(900, 'another');
      const another = (onConflict: ConflictPolicy) => ({ ...drive.plan(plan.parentRef, plan.name, other), onConflict });
      const error = await failure(put(another('FAIL'), other), 'already_exists');
      assert.equal(error.existingRef, old.ref);
      assert.equal((await put(another('SKIP'), other)).ref, old.ref);
      assert.notEqual((await put(another('RENAME'), other)).name, plan.name);
      const replaced = await put(another('REPLACE'), other);
      assert.ok((await drive.content(replaced.ref)).equals(other));
      assert.equal((await drive.names(plan.parentRef)).length, 2);
    });
  });

  describe('instant upload', { skip: drive.lacks('INSTANT_UPLOAD', 'UPLOAD') }, () => {
    it('needs no bytes where the account has them', async () => {
      // Above the 256 KiB that Baidu looks at.
      const { plan, bytes } = await newPlan('known', 300_000);
      await drive.put(plan.parentRef, 'first', bytes);
      const begun = await drive.run('upload.begin', { ...plan, name: 'second' }, call);
      assert.ok('instant' in begun, 'no slice is asked for');
      assert.ok((await drive.content(begun.instant.ref)).equals(bytes));
      assert.deepEqual((await drive.names(plan.parentRef)).toSorted(), ['first', 'second']);
    });

    it('finds nothing for unknown bytes', { skip: drive.driver.instantUpload ? false : 'only by begin' }, async () => {
      const { plan } = await newPlan('unknown');
      assert.equal(await drive.run('instantUpload', plan, call), null);
      assert.equal(await drive.run('instantUpload', { ...plan, hashes: {} }, call), null);
      assert.deepEqual(await drive.names(plan.parentRef), []);
    });
  });

  describe('adoption', {
    skip: drive.driver.adopt && drive.fixture.spool ? false : 'this drive adopts no files',
  }, () => {
    it('takes a spooled file over', async () => {
      const { plan, bytes } = await newPlan('adopted');
      const file = await drive.run('adopt', plan, await spool(bytes), call);
      assert.ok((await drive.content(file.ref)).equals(bytes));
    });

    it('refuses a file that is not what was planned', async () => {
      const { plan } = await newPlan('not adopted');
      await failure(drive.run('adopt', plan, await spool(bytesOf(99, 'other')), call), 'corrupted');
      await failure(drive.run('adopt', plan, await spool(bytesOf(1000, 'other')), call), 'corrupted');
      assert.deepEqual(await drive.names(plan.parentRef), []);
    });
  });

  describe('reading', () => {
    const bytes = bytesOf(100_000, 'read');
    const last = bytes.length - 1;
    const ranges: readonly (readonly [what: string, start: number, end: number | null])[] = [
      ['the first byte', 0, 0],
      ['some bytes in the middle', 40_000, 60_000],
      ['the last byte', last, last],
      ['all from a byte on', 99_000, null],
      ['all bytes', 0, last],
      ['more than there is', 99_990, 200_000],
    ];
    for (const [what, start, end] of ranges) {
      it(`gives ${what}`, async () => {
        const { ref } = await drive.put((await drive.newFolder()).ref, 'file.bin', bytes);
        const expected = bytes.subarray(start, (end ?? last) + 1);
        assert.ok((await drive.content(ref, start, end)).equals(expected));
      });
    }

    it('refuses a range that begins past the end, or backwards', async () => {
      const { ref } = await drive.put((await drive.newFolder()).ref, 'file.bin', bytes);
      for (const range of [
        { start: bytes.length, end: null },
        { start: bytes.length + 1, end: bytes.length + 2 },
        { start: 5, end: 4 },
        { start: -1, end: 4 },
        { start: 0.5, end: 4 },
      ])
        await failure(drive.driver.read(ref, range, call), 'invalid_argument');
    });

    const empty = { skip: drive.is('no_empty_files') && 'this drive has no empty files' };
    it('gives an empty file as no bytes', empty, async () => {
      const { ref } = await drive.put((await drive.newFolder()).ref, 'empty', '');
      assert.equal((await drive.content(ref)).length, 0);
      await failure(drive.driver.read(ref, { start: 0, end: null }, call), 'invalid_argument');
    });

    it('refuses a folder, and what is missing', async () => {
      const { ref } = await drive.newFolder();
      await failure(drive.driver.read(ref, null, call), 'wrong_kind');
      await failure(drive.driver.read('no such file', null, call), 'not_found');
    });

    it('ends the stream when the caller goes away', async () => {
      const { ref } = await drive.put((await drive.newFolder()).ref, 'file.bin', bytesOf(2_000_000, 'long'));
      const gone = new AbortController();
      const stream = await drive.driver.read(ref, null, { signal: gone.signal });
      const read = (async () => {
        for await (const _ of stream) gone.abort();
      })();
      await assert.rejects(read);
      assert.ok(stream.destroyed);
    });
  });

  async function newPlan(seed: string, length = 1000) {
    const { ref } = await drive.newFolder();
    const bytes = bytesOf(length, seed);
    return { bytes, plan: drive.plan(ref, `${seed}.bin`, bytes) };
  }

  function spool(bytes: Uint8Array) {
    assert.ok(drive.fixture.spool);
    return drive.fixture.spool(bytes);
  }

  function inOrderOnly(): string | false {
    return (drive.driver.upload?.concurrency ?? 1) > 1 ? false : 'this drive takes slices in order only';
  }
}

/** What goes into the database and comes back. */
const throughJson = <Value>(value: Value): Value => JSON.parse(JSON.stringify(value)) as Value;

async function sliceSize(drive: Subject): Promise<number> {
  const { ref } = await drive.newFolder();
  const session = await drive.begin(drive.plan(ref, 'probe', bytesOf(1, 'probe')));
  await drive.run('upload.abort', session, call);
  return session.sliceBytes;
}
