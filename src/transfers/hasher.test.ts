import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { HASH_ALGORITHMS } from '../drives/driver.ts';
import { HASH_LENGTHS, Hasher, mismatches } from './hasher.ts';

test('every algorithm gives its known digest, whatever the pieces', () => {
  const whole = Hasher.of(HASH_ALGORITHMS);
  whole.update(Buffer.from('123456789'));
  const pieces = Hasher.of(HASH_ALGORITHMS);
  for (const piece of ['1', '2345', '', '6789']) pieces.update(Buffer.from(piece));
  const known = {
    MD5: '25f9e794323b453885f5181f1b624d0b',
    SHA1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
    SHA256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
    CRC32: 'cbf43926',
  };
  assert.deepEqual(whole.hashes(), known);
  assert.deepEqual(pieces.hashes(), known);
  for (const algorithm of HASH_ALGORITHMS) assert.equal(known[algorithm].length, HASH_LENGTHS[algorithm]);
});

test('a copy goes on alone, and asking for the digest does not end it', () => {
  const hasher = Hasher.of(['SHA256', 'CRC32']);
  hasher.update(Buffer.from('kept'));
  const attempt = hasher.copy();
  attempt.update(Buffer.from(' discarded'));
  const before = hasher.hashes();
  assert.notDeepEqual(attempt.hashes(), before);
  assert.deepEqual(hasher.hashes(), before);
  hasher.update(Buffer.from(' more'));
  assert.equal(hasher.hashes().SHA256, createHash('sha256').update('kept more').digest('hex'));
  assert.equal(hasher.bytes, 9);
  assert.equal(attempt.bytes, 14);
});

test('a file is hashed whole, and the work stops at the signal', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'panql-hasher-'));
  t.after(() => rm(folder, { recursive: true }));
  const bytes = randomBytes(3 * 1024 * 1024 + 1);
  await writeFile(join(folder, 'file'), bytes);
  const seen: number[] = [];
  const hasher = await Hasher.ofFile(
    join(folder, 'file'),
    ['SHA256'],
    new AbortController().signal,
    (count) => void seen.push(count),
  );
  assert.equal(hasher.hashes().SHA256, createHash('sha256').update(bytes).digest('hex'));
  assert.equal(seen.at(-1), bytes.length);

  const stop = new AbortController();
  await assert.rejects(
    Hasher.ofFile(join(folder, 'file'), ['MD5'], stop.signal, () => stop.abort()),
    { name: 'AbortError' },
  );
});

test('only promised hashes are compared, and one that was not computed does not match', () => {
  assert.deepEqual(mismatches({}, { MD5: 'a' }), []);
  assert.deepEqual(mismatches({ MD5: 'a' }, { MD5: 'a', SHA256: 'b' }), []);
  assert.deepEqual(mismatches({ MD5: 'a', SHA1: 'c' }, { MD5: 'x' }), ['MD5', 'SHA1']);
});
