import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { TransferProgress } from '../events/topics.ts';
import { PROGRESS_INTERVAL_MS, ProgressTrack } from './progress.ts';

function track() {
  const told: (TransferProgress | null)[] = [];
  return { told, progress: new ProgressTrack((progress) => void told.push(progress)) };
}

test('however often it is reported, progress is told at most five times a second, the newest each time', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { told, progress } = track();
  for (let ms = 1; ms <= 1_000; ms += 1) {
    progress.report('RECEIVING', ms);
    t.mock.timers.tick(1);
  }
  assert.equal(told.length, 1_000 / PROGRESS_INTERVAL_MS);
  assert.deepEqual(
    told.map((one) => one?.bytesDone),
    [200, 400, 600, 800, 1_000],
  );
});

test('the last report is told though nothing follows', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { told, progress } = track();
  progress.report('SENDING', 1);
  progress.report('SENDING', 7);
  t.mock.timers.tick(PROGRESS_INTERVAL_MS);
  t.mock.timers.tick(10 * PROGRESS_INTERVAL_MS);
  assert.deepEqual(told, [{ phase: 'SENDING', bytesDone: 7, bytesPerSecond: null }]);
});

test('the speed is that of the phase, from its second report on', (t) => {
  let nowMs = 0;
  mock.method(performance, 'now', () => nowMs);
  t.after(() => mock.restoreAll());
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { told, progress } = track();
  for (const [phase, bytes] of [
    ['HASHING', 1_000],
    ['HASHING', 2_000],
    ['SENDING', 10],
    ['SENDING', 30],
  ] as const) {
    progress.report(phase, bytes);
    nowMs += PROGRESS_INTERVAL_MS;
    t.mock.timers.tick(PROGRESS_INTERVAL_MS);
  }
  assert.deepEqual(
    told.map((one) => one?.bytesPerSecond),
    [null, 5_000, null, 100],
  );
});

test('after its end nothing is told of it any more', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { told, progress } = track();
  progress.report('SENDING', 1);
  progress.stop();
  t.mock.timers.tick(10 * PROGRESS_INTERVAL_MS);
  assert.deepEqual(told, [null]);
});

test('an upload in many short requests is told of at the pace of one long one, with its speed', (t) => {
  let nowMs = 0;
  mock.method(performance, 'now', () => nowMs);
  t.after(() => mock.restoreAll());
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { told, progress } = track();
  for (let request = 1; request <= 8; request += 1) {
    progress.goOn((one) => void told.push(one));
    progress.report('RECEIVING', request * 1_000);
    progress.rest();
    nowMs += PROGRESS_INTERVAL_MS / 2;
    t.mock.timers.tick(PROGRESS_INTERVAL_MS / 2);
  }
  const shown = told.filter((one) => one !== null);
  assert.deepEqual(
    shown.map(({ bytesDone }) => bytesDone),
    [2_000, 4_000, 6_000, 8_000],
  );
  assert.deepEqual(
    shown.map(({ bytesPerSecond }) => bytesPerSecond),
    [null, 10_000, 10_000, 10_000],
  );
  assert.equal(told.at(-1), null, 'between two requests nothing is remembered that a query would show');
});
