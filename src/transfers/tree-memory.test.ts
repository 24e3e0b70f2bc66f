import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TreeMemory } from '../../test/support/tree-memory.ts';

const MIB = 1024 * 1024;
const CHILD = fileURLToPath(new URL('../../test/support/tree-memory.ts', import.meta.url));
const WAIT_MS = 170_000;

/**
 * Most that a copy of 500 files of 100,000 bytes may hold above what the process held before, when two of an account run:
 * of each the slices under way (64 KiB here, at most 4) and a megabyte of what comes in; and a page of the folder.
 * Measured: 2 MiB. All of their bytes would be 48.
 */
const HELD_MAX = 16 * MIB;
/**
 * The same for a folder of 10,000, which is read whole: no more than one of 1,000 (which is what was held before) but for
 * what the collector and the compiler leave. Measured: below 1 MiB. To keep what is queued of each item would be 5.
 */
const LARGE_TREE_MAX = 3 * MIB;

/** In a process of its own, whose memory is its own too. */
async function copy(files: number, bytes: number, cancelAfter = 0): Promise<TreeMemory> {
  const args = ['--expose-gc', CHILD, ...[files, bytes, cancelAfter].map(String)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: WAIT_MS });
  return JSON.parse(stdout);
}

describe('the memory of a tree', { timeout: 2 * WAIT_MS }, () => {
  test('of 500 files is what the transfers under way need', async () => {
    const { state, itemsSucceeded, heldBytes, looks } = await copy(500, 100_000);
    assert.deepEqual([state, itemsSucceeded], ['SUCCEEDED', 500]);
    assert.ok(looks > 25, `${looks} looks`);
    assert.ok(heldBytes <= HELD_MAX, `${(heldBytes / MIB).toFixed(1)} MiB`);
  });

  test('of 10,000 files does not grow with them, while they are listed, copied and cancelled', async () => {
    const { state, itemsTotal, itemsCancelled, heldBytes, looks } = await copy(10_000, 1_000, 40);
    assert.deepEqual([state, itemsTotal], ['CANCELLED', 10_000]);
    assert.ok(itemsCancelled > 9_900, `${itemsCancelled} were cancelled`);
    assert.ok(looks >= 12, `${looks} looks`);
    assert.ok(heldBytes <= LARGE_TREE_MAX, `${(heldBytes / MIB).toFixed(1)} MiB`);
  });
});
