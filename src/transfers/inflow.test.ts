import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { Hasher } from './hasher.ts';
import { Inflow, type InflowParts } from './inflow.ts';
import type { SpoolWriter } from './spool.ts';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

/** A disk of so many bytes; `fails` names what it cannot do. */
function disk(room: number, fails: 'sync' | null = null) {
  const written: Buffer[] = [];
  const acts: string[] = [];
  let offset = 0;
  const writer = {
    get offset() {
      return offset;
    },
    write: async (chunks: readonly Uint8Array[]) => {
      for (const chunk of chunks) {
        const taken = chunk.subarray(0, Math.max(0, room - offset));
        written.push(Buffer.from(taken));
        offset += taken.length;
        if (taken.length < chunk.length) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
      }
    },
    sync: async () => {
      acts.push('sync');
      if (fails === 'sync') throw Object.assign(new Error('input/output error'), { code: 'EIO' });
    },
    close: async () => void acts.push('close'),
  };
  return { writer: writer as unknown as SpoolWriter, written, acts };
}

function inflow(parts: Pick<InflowParts, 'writer'> & Partial<InflowParts>) {
  const recorded: number[] = [];
  const made = new Inflow({
    hasher: Hasher.of(['SHA256']),
    bytesMax: 100 * MIB,
    checksum: null,
    onBytes: () => undefined,
    record: async (offset) => {
      recorded.push(offset);
      return true;
    },
    ...parts,
  });
  return { made, recorded };
}

test('what a full disk still took counts, and the client is told why it must wait', async () => {
  const bytes = randomBytes(300_000);
  const { writer, acts } = disk(200_000);
  const { made, recorded } = inflow({ writer });
  const body = new PassThrough();
  const outcome = assert.rejects(made.take(body, never), { name: 'StorageFullError', retryable: true });
  body.write(bytes.subarray(0, 150_000));
  while (writer.offset < 150_000) await new Promise((resolve) => setImmediate(resolve));
  body.end(bytes.subarray(150_000));
  await outcome;
  assert.deepEqual([made.offset, recorded.at(-1)], [150_000, 150_000]);
  assert.equal(made.hasher?.hashes().SHA256, createHash('sha256').update(bytes.subarray(0, 150_000)).digest('hex'));
  assert.deepEqual(acts, ['sync', 'close']);
});

test('what could not be synced is not recorded', async () => {
  const { writer, acts } = disk(Number.POSITIVE_INFINITY, 'sync');
  const { made, recorded } = inflow({ writer });
  await assert.rejects(made.take(Readable.from([randomBytes(10)]), never), { code: 'EIO' });
  assert.deepEqual([made.offset, recorded], [0, []]);
  assert.deepEqual(acts, ['sync', 'close']);
});

test('a long body is synced and recorded on its way, so that a crash costs a part of it only', async () => {
  const { writer } = disk(Number.POSITIVE_INFINITY);
  const { made, recorded } = inflow({ writer });
  const chunk = randomBytes(MIB);
  await made.take(Readable.from(Array.from({ length: 40 }, () => chunk)), never);
  assert.equal(recorded.at(-1), 40 * MIB);
  assert.ok(recorded.length >= 3, `${recorded.length} times`);
  for (const [index, offset] of recorded.entries()) {
    assert.ok(offset - (recorded[index - 1] ?? 0) <= 18 * MIB, recorded.join());
  }
});

test('the last offset that may be is recorded only when the body has ended', async () => {
  const { writer } = disk(Number.POSITIVE_INFINITY);
  const { made, recorded } = inflow({ writer, bytesMax: 20 * MIB });
  const chunk = randomBytes(MIB);
  const tooMany = Readable.from([...Array.from({ length: 20 }, () => chunk), Buffer.from('x')]);
  await assert.rejects(made.take(tooMany, never), { refusal: 'tooLarge' });
  assert.ok(
    recorded.every((offset) => offset < 20 * MIB),
    recorded.join(),
  );
});

test('of a body with a checksum nothing is recorded before it is checked', async () => {
  const { writer } = disk(Number.POSITIVE_INFINITY);
  const bytes = randomBytes(40 * MIB);
  const value = createHash('sha1').update(bytes).digest('hex');
  const { made, recorded } = inflow({ writer, checksum: { algorithm: 'SHA1', value } });
  await made.take(Readable.from([bytes.subarray(0, 30 * MIB), bytes.subarray(30 * MIB)]), never);
  assert.deepEqual(recorded, [40 * MIB]);
});

test('who has lost the right to write stops, and the file is left as it is', async () => {
  const { writer, acts } = disk(Number.POSITIVE_INFINITY);
  const { made } = inflow({ writer, record: async () => false });
  await assert.rejects(made.take(Readable.from([randomBytes(10)]), never), { refusal: 'locked' });
  assert.deepEqual([made.offset, acts.at(-1)], [0, 'close']);
});

test('a body that is stopped counts as far as it came, and stays open for its answer', async () => {
  const { writer } = disk(Number.POSITIVE_INFINITY);
  const { made } = inflow({ writer });
  const stop = new AbortController();
  const body = new PassThrough();
  const taking = made.take(body, stop.signal);
  body.write(randomBytes(1_000));
  while (writer.offset < 1_000) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await taking;
  assert.deepEqual([made.offset, body.destroyed], [1_000, false]);
});
