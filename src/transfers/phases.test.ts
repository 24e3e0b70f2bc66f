import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Transfer } from '../storage/entities/transfer.ts';
import { phasesOf } from './phases.ts';

const BEGUN: Partial<Transfer> = {
  state: 'RUNNING',
  phase: 'RECEIVING',
  source: { type: 'upload' },
  bytesTotal: 100,
  bytesDone: 0,
  bytesReceived: 0,
  bytesSent: 0,
};
const row = (more: Partial<Transfer>): Transfer => Object.assign(Object.create(Transfer.prototype), BEGUN, more);
const told = (...args: Parameters<typeof phasesOf>) =>
  phasesOf(...args).map(({ phase, bytesDone, bytesTotal, bytesPerSecond }) => [
    phase,
    `${bytesDone}/${bytesTotal}`,
    bytesPerSecond,
  ]);
const SPOOLED = { phase: 'SENDING', bytesDone: 100, spoolHashes: { SHA256: 'x' } } as const;

describe('the phases of a transfer', () => {
  it('are all told while one of them is at work, which alone has a speed', () => {
    assert.deepEqual(told(row({ bytesDone: 30 }), { phase: 'RECEIVING', bytesDone: 40, bytesPerSecond: 5 }), [
      ['RECEIVING', '40/100', 5],
      ['HASHING', '0/100', null],
      ['SENDING', '0/100', null],
    ]);
    assert.deepEqual(told(row({ ...SPOOLED, bytesSent: 50 }), { phase: 'SENDING', bytesDone: 60, bytesPerSecond: 7 }), [
      ['RECEIVING', '100/100', null],
      ['HASHING', '100/100', null],
      ['SENDING', '60/100', 7],
    ]);
  });

  it('are told from what is stored where another process is at work, and after a failure', () => {
    const expected = [
      ['RECEIVING', '100/100', null],
      ['HASHING', '100/100', null],
      ['SENDING', '50/100', null],
    ];
    assert.deepEqual(told(row({ ...SPOOLED, bytesSent: 50 }), null), expected);
    assert.deepEqual(told(row({ ...SPOOLED, bytesSent: 50, state: 'FAILED', phase: null }), null), expected);
  });

  it('have no total before the source tells one', () => {
    assert.deepEqual(told(row({ bytesTotal: null, bytesDone: 3 }), null)[0], ['RECEIVING', '3/null', null]);
  });

  it('are at the end only those that the bytes took', () => {
    const done = { ...SPOOLED, state: 'SUCCEEDED', phase: null } as const;
    const phases = (more: Partial<Transfer>) => told(row({ ...done, ...more }), null).map(([phase]) => phase);
    assert.deepEqual(phases({ bytesReceived: 100, bytesSent: 100 }), ['RECEIVING', 'HASHING', 'SENDING']);
    assert.deepEqual(phases({ bytesReceived: 100 }), ['RECEIVING', 'HASHING'], 'the drive had them already');
    assert.deepEqual(phases({ spoolHashes: null }), [], 'the drive was asked by a hash that the source told');
    assert.deepEqual(phases({ source: { type: 'none' } }), []);
    assert.deepEqual(told(row({ phase: 'VERIFYING', route: 'SERVER_SIDE' }), null), []);
  });

  it('of a folder are the sums of its items, without those that took a shortcut', () => {
    const tree = { itemsTotal: 4, listing: { cursor: null, done: true }, phase: 'SENDING', bytesTotal: 100 } as const;
    // Of 60 that are done, 20 were at the drive already.
    const ended = { ...tree, bytesDone: 60, bytesReceived: 40, bytesSent: 40 };
    const live = { phase: 'SENDING', bytesDone: 10, bytesPerSecond: 2 };
    assert.deepEqual(told(row(ended), { ...live, received: { bytesDone: 25, bytesPerSecond: 3 } }), [
      ['RECEIVING', '65/80', 3],
      ['SENDING', '50/80', 2],
    ]);
    const most = { ...live, bytesDone: 100, received: { bytesDone: 100, bytesPerSecond: null } };
    assert.deepEqual(
      told(row(ended), most).map(([, bytes]) => bytes),
      ['80/80', '80/80'],
      'what the row has counted already is not counted twice',
    );
    assert.deepEqual(told(row({ ...tree, bytesDone: 100 }), null), [], 'all of it took a shortcut');
    assert.deepEqual(told(row({ listing: { cursor: null, done: true } }), null), [], 'a folder has no bytes');
  });
});
