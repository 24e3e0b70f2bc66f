import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { createLog } from '../lib/log.ts';
import { Housekeeping } from './housekeeping.ts';

describe('housekeeping', () => {
  it('a task that fails is logged, and the others run', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'warn', stream: { write: (line) => void lines.push(line) } });
    const second = mock.fn(async () => {});
    await new Housekeeping({ first: () => Promise.reject(new Error('no database')), second }, log).sweep();
    assert.equal(second.mock.callCount(), 1);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /"task":"first".*no database|no database.*"task":"first"/);
  });

  it('sweeps again and again until it is closed, one sweep at a time', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const task = mock.fn(async () => {});
    const housekeeping = new Housekeeping({ task }, createLog({ level: 'silent' }));
    housekeeping.start();
    for (const [minutes, expected] of [
      [1, 1],
      [10, 2],
      [10, 3],
    ] as const) {
      t.mock.timers.tick(minutes * 60_000);
      assert.equal(task.mock.callCount(), expected);
      for (let turns = 0; turns < 10; turns += 1) await Promise.resolve();
    }
    await Promise.all([housekeeping.sweep(), housekeeping.sweep()]);
    assert.equal(task.mock.callCount(), 4);
    await housekeeping.close();
    t.mock.timers.tick(3_600_000);
    assert.equal(task.mock.callCount(), 4);
  });
});
