import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openPan115Fixture, type Pan115Fixture } from '../../../test/conformance/fixtures/pan115.ts';
import { call, FIRST_PAGE, failure, Subject } from '../../../test/conformance/subject.ts';
import { LAG_MS } from './recent.ts';

const BYTES = new Uint8Array(300 * 1024).fill(7);

/** What was just made is missing from 115's lists and facts for a while: up to 10 s, as clients saw. */
describe('115, behind its own changes', { timeout: 60_000 }, () => {
  let pan115: Pan115Fixture;
  let subject: Subject;

  beforeEach(async () => {
    pan115 = await openPan115Fixture({ fake: { settings: { infoLagMs: 8_000, listLagMs: 8_000, instant: false } } });
    subject = new Subject(pan115);
  });
  afterEach(() => pan115.close());

  const paths = (): string[] => pan115.fake.paths(pan115.user);
  const refOf = (path: string): string => pan115.fake.entryAt(pan115.user, path)?.id ?? '';

  it('has a new folder at once: by its id, by its path, in its folder, and for what is put into it', async () => {
    const folder = await subject.run('createFolder', '0', 'new', call);
    assert.equal((await subject.run('stat', folder.ref, call)).path, '/new');
    assert.equal((await subject.run('resolve', ['new'], call)).ref, folder.ref);
    assert.deepEqual(await subject.names('0'), ['new']);
    const inner = await subject.run('createFolder', folder.ref, 'inner', call);
    assert.equal((await subject.run('stat', inner.ref, call)).path, '/new/inner');
    assert.equal((await subject.run('rename', inner.ref, 'other', {}, call)).name, 'other');
    assert.deepEqual(paths(), ['/new', '/new/other']);
  });

  it('refuses a name that was given a moment ago', async () => {
    const file = await subject.put('0', 'a.bin', BYTES);
    const error = await failure(subject.put('0', 'a.bin', 'others'), 'already_exists');
    assert.equal(error.existingRef, file.ref);
    assert.equal((await subject.put('0', 'a.bin', 'others', 'RENAME')).name, 'a (2).bin');
    const folder = await subject.run('createFolder', '0', 'folder', call);
    assert.equal(
      (await failure(subject.run('createFolder', '0', 'folder', call), 'already_exists')).existingRef,
      folder.ref,
    );
  });

  it('shows nothing any more of what is deleted, and of what was in it', async () => {
    const folder = await subject.run('createFolder', '0', 'new', call);
    await subject.run('remove', folder.ref, {}, call);
    await failure(subject.run('stat', folder.ref, call), 'not_found');
    assert.deepEqual(await subject.names('0'), []);
    const old = pan115.fake.seedFolder(pan115.user, '/old').id;
    const file = await subject.put(old, 'a.bin', BYTES);
    assert.equal((await subject.run('stat', file.ref, call)).path, '/old/a.bin');
    const inner = await subject.run('createFolder', old, 'inner', call);
    await subject.run('remove', old, {}, call);
    for (const { ref } of [file, inner]) await failure(subject.run('stat', ref, call), 'not_found');
  });

  it('makes no second file when the answer to the end of an upload was lost', async () => {
    pan115.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'oss.complete' } });
    const file = await subject.put('0', 'a.bin', BYTES);
    assert.deepEqual([paths(), file.ref], [['/a.bin'], refOf('/a.bin')]);
  });

  it('makes no second file when the answer to an instant hit was lost', async () => {
    await subject.put('0', 'first.bin', BYTES);
    pan115.fake.settings.instant = true;
    pan115.fake.settings.challenges = 'none';
    pan115.fake.faults.inject({ kind: 'cut', phase: 'after', match: { endpoint: 'init' } });
    await subject.put('0', 'second.bin', BYTES);
    assert.deepEqual(paths(), ['/first.bin', '/second.bin']);
  });

  it('waits for what it gave back from the bin, and for what it puts there for ever', async () => {
    const ref = pan115.fake.seedFile(pan115.user, '/a.bin', 'content').id;
    await subject.run('remove', ref, {}, call);
    const [binned] = (await subject.run('recycleBin.list', FIRST_PAGE, call)).items;
    const restored = await subject.run('recycleBin.restore', binned?.ref ?? '', call);
    assert.equal(restored.name, 'a.bin');
    await subject.run('removePermanently', restored.ref, {}, call);
    assert.deepEqual([paths(), pan115.fake.recycled(pan115.user)], [[], []]);
  });

  it('asks 115 again once it must know', async () => {
    const folder = await subject.run('createFolder', '0', 'new', call);
    pan115.fake.clock.advance(LAG_MS + 1);
    pan115.fake.removeEntry(pan115.user, '/new');
    await failure(subject.run('stat', folder.ref, call), 'not_found');
  });
});

describe('115, when a replacing upload died half-way', { timeout: 60_000 }, () => {
  let pan115: Pan115Fixture;
  let subject: Subject;

  beforeEach(async () => {
    pan115 = await openPan115Fixture();
    subject = new Subject(pan115);
    pan115.fake.seedFile(pan115.user, '/a.bin', 'old');
  });
  afterEach(() => pan115.close());

  const left = () => [pan115.fake.paths(pan115.user), pan115.fake.recycled(pan115.user)];
  const plan = () => subject.plan('0', 'a.bin', BYTES, { onConflict: 'REPLACE' });

  it('puts the old file away when the upload is found made', async () => {
    const { driver } = pan115.reopen();
    const session = await subject.begin(plan());
    const slices = await subject.putSlices(plan(), session, BYTES);
    pan115.fake.faults.inject({ kind: 'code', code: 911, match: { endpoint: 'delete' } });
    await failure(subject.run('upload.complete', plan(), session, slices, call), 'permission_denied');
    assert.deepEqual(left(), [['/a.bin', '/a.bin'], []]);
    pan115.fake.clock.advance(2_000);
    const { items } = (await driver.list?.('0', {}, FIRST_PAGE, call)) ?? assert.fail();
    const made = items.find(({ sizeBytes }) => sizeBytes === BYTES.length) ?? assert.fail();
    await driver.upload?.settleReplace?.(made, call);
    assert.deepEqual(left(), [['/a.bin'], ['a.bin']]);
    assert.equal(pan115.fake.bytesAt(pan115.user, '/a.bin')?.length, BYTES.length);
    await driver.upload?.settleReplace?.(made, call);
    assert.deepEqual(left(), [['/a.bin'], ['a.bin']], 'twice is as good as once');
  });

  it('finds the file that was made, and puts the old one away, when it is told to end the upload again', async () => {
    const session = await subject.begin(plan());
    const slices = await subject.putSlices(plan(), session, BYTES);
    pan115.fake.faults.inject({ kind: 'code', code: 911, match: { endpoint: 'delete' } });
    await failure(subject.run('upload.complete', plan(), session, slices, call), 'permission_denied');
    const made = await pan115.reopen().driver.upload?.complete(plan(), session, slices, call);
    assert.deepEqual(left(), [['/a.bin'], ['a.bin']]);
    assert.equal(made?.ref, pan115.fake.entryAt(pan115.user, '/a.bin')?.id);
  });

  it('puts the old file away when the file was an instant hit, and makes no third', async () => {
    pan115.fake.seedFile(pan115.user, '/elsewhere.bin', Buffer.from(BYTES));
    pan115.fake.faults.inject({ kind: 'code', code: 911, match: { endpoint: 'delete' } });
    await failure(subject.run('upload.begin', plan(), call), 'permission_denied');
    pan115.fake.clock.advance(2_000);
    const inits = pan115.fake.count('init');
    const again = await pan115.reopen().driver.upload?.begin(plan(), call);
    assert.ok(again && 'instant' in again);
    assert.equal(pan115.fake.count('init'), inits);
    assert.deepEqual(left(), [['/a.bin', '/elsewhere.bin'], ['a.bin']]);
    assert.equal(pan115.fake.entryAt(pan115.user, '/a.bin')?.id, again.instant.ref);
  });

  it('puts the old file away when a copy was made, and makes no second one', async () => {
    const source = pan115.fake.seedFile(pan115.user, '/from/a.bin', Buffer.from(BYTES)).id;
    pan115.fake.faults.inject({ kind: 'code', code: 911, match: { endpoint: 'delete' } });
    const copy = (drive = pan115.drive) => drive.run('copy', source, '0', { onConflict: 'REPLACE' }, call);
    await failure(copy(), 'permission_denied');
    pan115.fake.clock.advance(2_000);
    await copy(pan115.reopen());
    assert.deepEqual(left(), [['/a.bin', '/from', '/from/a.bin'], ['a.bin']]);
  });
});
