import assert from 'node:assert/strict';
import { type Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { describe, it } from 'node:test';
import { RecyclingReadable, recycle } from './recycling.ts';

const CONTENT = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));

function open(
  options: { lengthBytes?: number; fill?: (buffer: Buffer) => Promise<number>; signal?: AbortSignal } = {},
) {
  let position = 0;
  const state = { closed: 0, buffers: new Set<ArrayBufferLike>() };
  const stream = new RecyclingReadable({
    lengthBytes: CONTENT.length,
    chunkBytes: 64,
    signal: new AbortController().signal,
    fill: async (into) => {
      state.buffers.add(into.buffer);
      const bytes = CONTENT.copy(into, 0, position);
      position += bytes;
      return bytes;
    },
    close: async () => {
      state.closed += 1;
    },
    ...options,
  });
  return { stream, state };
}

const closed = async (stream: Readable): Promise<void> => {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', resolve));
};

describe('recycling stream', () => {
  it('gives all bytes, and closes its source once', async () => {
    const { stream, state } = open();
    assert.deepEqual(await buffer(stream), CONTENT);
    assert.equal(state.closed, 1);
  });

  it('whoever keeps the chunks keeps what is in them', async () => {
    const { stream } = open();
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.deepEqual(Buffer.concat(chunks), CONTENT);
  });

  it('whoever gives the chunks back gets by with few buffers', async () => {
    const { stream, state } = open();
    const copies: Buffer[] = [];
    for await (const chunk of stream) {
      copies.push(Buffer.from(chunk));
      recycle(stream, chunk);
    }
    assert.deepEqual(Buffer.concat(copies), CONTENT);
    assert.ok(state.buffers.size <= 3, `${state.buffers.size} buffers`);
  });

  it('reads no further ahead than one chunk', async () => {
    const { stream, state } = open();
    stream.read(0);
    await new Promise(setImmediate);
    assert.equal(state.buffers.size, 1);
    stream.destroy();
  });

  it('is piped like any other', async () => {
    const { stream } = open();
    const chunks: Buffer[] = [];
    await pipeline(
      stream,
      new Writable({
        write(chunk, _encoding, done) {
          chunks.push(chunk);
          done();
        },
      }),
    );
    assert.deepEqual(Buffer.concat(chunks), CONTENT);
  });

  it('a source that ends too early, or fails, is an error, and is closed', async () => {
    const short = open({ lengthBytes: 1001 });
    await assert.rejects(buffer(short.stream), /ended 1 too early/);
    const failing = open({ fill: () => Promise.reject(new Error('EIO')) });
    await assert.rejects(buffer(failing.stream), /EIO/);
    assert.deepEqual([short.state.closed, failing.state.closed], [1, 1]);
  });

  it('an abort ends it, whether somebody reads or not', async () => {
    const controller = new AbortController();
    const unread = open({ signal: controller.signal });
    const read = open({ signal: controller.signal, fill: () => new Promise(() => {}) });
    const reading = buffer(read.stream);
    controller.abort();
    await assert.rejects(reading, { name: 'AbortError' });
    await closed(unread.stream);
    const late = open({ signal: controller.signal });
    await closed(late.stream);
    assert.deepEqual([unread.state.closed, read.state.closed, late.state.closed], [1, 1, 1]);
  });

  it('what is not its own is not taken back', () => {
    const { stream } = open();
    for (const foreign of [Buffer.alloc(0), Buffer.from('pooled'), Buffer.alloc(65)]) stream.recycle(foreign);
    recycle(stream, Buffer.from('x'));
    stream.destroy();
  });
});
