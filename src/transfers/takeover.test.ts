import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Takeover } from './takeover.ts';

const WAIT_MS = 5_000;

test('the second who wants a key asks the holder to stop, and gets it when it is released', async () => {
  const takeover = new Takeover();
  const first = await takeover.acquire('key', WAIT_MS);
  assert.equal(first?.stop.aborted, false);
  let taken = false;
  const second = takeover.acquire('key', WAIT_MS).then((hold) => {
    taken = true;
    return hold;
  });
  assert.equal(first?.stop.aborted, true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(taken, false);
  first?.release();
  assert.equal((await second)?.stop.aborted, false);
});

test('of many who want one key, one has it at a time and each gets its turn', async () => {
  const takeover = new Takeover();
  let holders = 0;
  const turns = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const hold = await takeover.acquire('key', WAIT_MS);
      holders += 1;
      assert.equal(holders, 1);
      await new Promise((resolve) => setImmediate(resolve));
      holders -= 1;
      hold?.release();
      return hold !== null;
    }),
  );
  assert.deepEqual(new Set(turns), new Set([true]));
});

test('keys do not disturb each other', async () => {
  const takeover = new Takeover();
  const one = await takeover.acquire('one', WAIT_MS);
  const two = await takeover.acquire('two', WAIT_MS);
  assert.equal(one?.stop.aborted, false);
  assert.equal(two?.stop.aborted, false);
});

test('a holder that does not stop keeps the key, and the other gives up', async () => {
  const takeover = new Takeover();
  const first = await takeover.acquire('key', WAIT_MS);
  assert.equal(await takeover.acquire('key', 1), null);
  first?.release();
  assert.notEqual(await takeover.acquire('key', 1), null);
});

test('stopping asks the holder and waits for it', async () => {
  const takeover = new Takeover();
  await takeover.stop('nobody', WAIT_MS);
  const hold = await takeover.acquire('key', WAIT_MS);
  hold?.stop.addEventListener('abort', () => hold.release());
  await takeover.stopAll(WAIT_MS);
  assert.equal(hold?.stop.aborted, true);
});
