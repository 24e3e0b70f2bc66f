import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openPan123Fixture, type Pan123Fixture } from '../../../test/conformance/fixtures/pan123.ts';
import { bytesOf, call, failure, Subject } from '../../../test/conformance/subject.ts';
import type { UploadPlan, UploadSession } from '../contract/upload.ts';

const SLICE = 64 * 1024;
const PARTS = '/upload/v1/file/list_upload_parts';
const BYTES = bytesOf(4 * SLICE + 7, 'held');

describe('what 123pan has of an interrupted upload', { timeout: 60_000 }, () => {
  let pan: Pan123Fixture;
  let subject: Subject;
  let plan: UploadPlan;
  let session: UploadSession;

  const begin = async (missing: readonly string[]): Promise<void> => {
    pan = await openPan123Fixture({ kind: 'oauth', fake: { settings: { missing } } });
    subject = new Subject(pan);
    plan = subject.plan('0', 'a.bin', BYTES);
    session = await subject.begin(plan);
  };
  beforeEach(() => begin(['/upload/v2/file/create']));
  afterEach(() => pan.close());

  const held = async (known: Parameters<typeof subject.putSlices>[3] = [], its = plan) => {
    const receipts = await subject.putSlices(plan, session, BYTES, known);
    return (await subject.run('upload.heldSlices', its, session, receipts, call)).toSorted(
      (one, other) => one.index - other.index,
    );
  };

  it('is told by its list of parts, also where the answer to one was lost', async () => {
    assert.deepEqual(await held(), []);
    await subject.putSlices(plan, session, BYTES, [1, 4]);
    const slices = await held([0]);
    assert.deepEqual(
      slices.map(({ index }) => index),
      [0, 1, 4],
    );
    const rest = await subject.putSlices(plan, session, BYTES, [2, 3]);
    const sent = pan.fake.slicesReceived;
    await subject.run('upload.complete', plan, session, [...slices, ...rest], call);
    assert.equal(pan.fake.slicesReceived, sent);
    assert.ok(pan.fake.bytesAt(pan.user, '/a.bin')?.equals(BYTES));
  });

  it('is not what was sent but lost there, nor what has other bytes or another length', async () => {
    await subject.putSlices(plan, session, BYTES, [0, 1, 2, 3]);
    pan.fake.damageSlice(1);
    pan.fake.damageSlice(2, bytesOf(SLICE, 'other'));
    pan.fake.damageSlice(3, bytesOf(SLICE - 1, 'short'));
    const receipts = [0, 1, 2, 3].map((index) => ({ index, state: { md5: '0'.repeat(32) } }));
    const told = await subject.run('upload.heldSlices', plan, session, receipts, call);
    assert.deepEqual(told, [], 'receipts of other bytes prove nothing');
    const indexes = (await subject.run('upload.heldSlices', plan, session, [], call)).map(({ index }) => index);
    assert.deepEqual(indexes, [3]);
  });

  it('counts by the receipts alone where the source cannot be read', async () => {
    const { readSource: _, ...blind } = plan;
    await subject.putSlices(plan, session, BYTES, [2]);
    const slices = await held([0, 1], blind);
    assert.deepEqual(
      slices.map(({ index }) => index),
      [0, 1],
    );
  });

  it('is what was known where the list is not there, or says nothing that is known: the next slice tells', async () => {
    pan.fake.faults.inject({ kind: 'code', code: 7777, message: '?', match: { path: PARTS } });
    assert.equal((await held([0, 1])).length, 2);
    pan.fake.faults.inject({ kind: 'code', code: 1, message: '?', match: { path: PARTS }, times: 4 });
    assert.equal((await held([0, 1])).length, 2);
    pan.fake.settings.missing = [PARTS];
    assert.equal((await held([0, 1])).length, 2);
    pan.fake.settings.missing = [];
    pan.fake.faults.inject({ kind: 'status', status: 502, times: 99, match: { path: PARTS } });
    await failure(subject.run('upload.heldSlices', plan, session, [], call), 'unavailable');
    pan.fake.faults.clear();
    pan.fake.forgetUploads();
    assert.deepEqual(await subject.run('upload.heldSlices', plan, session, [], call), []);
    await failure(subject.putSlices(plan, session, BYTES, [0]), 'not_found');
  });

  it('is not asked of the second version, nor of a file of one part', async () => {
    const small = subject.plan('0', 'small.bin', BYTES.subarray(0, 100));
    const short = await subject.begin(small);
    const receipts = await subject.putSlices(small, short, BYTES.subarray(0, 100));
    assert.deepEqual(await subject.run('upload.heldSlices', small, short, receipts, call), receipts);
    await pan.close();
    await begin([]);
    assert.equal((await held([0, 3])).length, 2);
    assert.equal(pan.fake.count(PARTS), 0);
  });
});
