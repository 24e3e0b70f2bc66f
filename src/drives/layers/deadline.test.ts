import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { DriveError } from '../errors.ts';
import type { DriveCall } from './call.ts';
import { deadlineLayer, deadlineMsOf } from './deadline.ts';

const callWith = (signal: AbortSignal, operation = 'list'): DriveCall => ({
  provider: 'LOCAL',
  accountId: 'a',
  operation,
  args: [],
  context: { signal, priority: 'bulk' },
  supported: true,
});
const never = new Promise<never>(() => {});

describe('the deadline of a drive act', () => {
  it('ends an act that takes too long, though the driver does not listen', async () => {
    const ended = deadlineLayer(() => 1)(callWith(new AbortController().signal), () => never);
    await assert.rejects(ended, { name: 'DriveError', category: 'timeout', operation: 'list', retryable: true });
  });

  it('tells the driver through its signal', async () => {
    let seen: AbortSignal | undefined;
    const ended = deadlineLayer(() => 1)(callWith(new AbortController().signal), ({ context }) => {
      seen = context.signal;
      assert.equal(context.priority, 'bulk');
      return never;
    });
    await assert.rejects(ended);
    assert.ok(seen?.aborted);
  });

  it('calls it cancelled when the caller went away, whatever the driver throws then', async () => {
    const gone = new AbortController();
    const ended = deadlineLayer()(callWith(gone.signal), ({ context }) => {
      gone.abort();
      return Promise.reject(context.signal.reason);
    });
    await assert.rejects(ended, { category: 'cancelled', retryable: false });
  });

  it('does not begin for a caller who is gone already', async () => {
    const ended = deadlineLayer()(callWith(AbortSignal.abort()), () => assert.fail('begun'));
    await assert.rejects(ended, { category: 'cancelled' });
  });

  it('lets the driver’s own failure through', async () => {
    const own = new DriveError('not_found', 'gone', { provider: 'LOCAL' });
    await assert.rejects(
      deadlineLayer()(callWith(new AbortController().signal), () => Promise.reject(own)),
      (error) => error === own,
    );
  });

  it('throws a stream away that comes late, also one that the abort has failed', async () => {
    const gone = new AbortController();
    const late = Promise.withResolvers<Readable>();
    const ended = deadlineLayer()(callWith(gone.signal, 'read'), () => late.promise);
    gone.abort();
    await assert.rejects(ended, { category: 'cancelled' });
    const stream = new Readable({ read() {}, signal: gone.signal });
    const closed = new Promise((resolve) => stream.once('close', resolve));
    late.resolve(stream);
    await closed; // An error that nobody hears would have ended the test's process.
  });

  it('does not end a stream that has begun, but for its caller', async (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const gone = new AbortController();
    let seen: AbortSignal | undefined;
    const stream = await deadlineLayer(() => 1000)(callWith(gone.signal, 'read'), async ({ context }) => {
      seen = context.signal;
      return Readable.from(['x']);
    });
    assert.ok(stream instanceof Readable);
    context.mock.timers.tick(10_000);
    assert.equal(seen?.aborted, false);
    gone.abort();
    assert.equal(seen?.aborted, true);
  });

  it('closes a stream that comes when nobody waits any more', async () => {
    const late = Promise.withResolvers<Readable>();
    const ended = deadlineLayer(() => 1)(callWith(new AbortController().signal, 'read'), () => late.promise);
    await assert.rejects(ended, { category: 'timeout' });
    const stream = Readable.from(['x']);
    late.resolve(stream);
    await new Promise((resolve) => stream.once('close', resolve));
    assert.ok(stream.destroyed);
  });

  it('leaves no failure unhandled that comes after the end', async () => {
    const late = Promise.withResolvers<never>();
    await assert.rejects(deadlineLayer(() => 1)(callWith(new AbortController().signal), () => late.promise));
    late.reject(new Error('too late'));
    await new Promise(setImmediate);
  });

  it('leaves no listener on the caller’s signal', async () => {
    const { signal } = new AbortController();
    for (let round = 0; round < 50; round += 1) await deadlineLayer()(callWith(signal), async () => 'done');
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  it('gives acts that move many bytes more time', () => {
    assert.ok(deadlineMsOf('upload.putSlice') > deadlineMsOf('list'));
    assert.ok(deadlineMsOf('copy') > deadlineMsOf('rename'));
    const plan = { sizeBytes: 60e9 };
    assert.ok(deadlineMsOf('adopt', 'bulk', [plan]) > 60e9 / 2e6, 'a file of 60 GB at 2 MB/s');
    assert.ok(deadlineMsOf('adopt', 'bulk', [{ sizeBytes: 1e15 }]) < 2 ** 31, 'as long as a timer of Node');
    assert.equal(deadlineMsOf('upload.putSlice', 'bulk', [plan]), deadlineMsOf('upload.putSlice', 'bulk'));
  });
});
