import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TRANSFER_STATES } from '../storage/entities/transfer.ts';
import { FINAL_STATES, isFinal, stateAfter, statesBefore, TRANSFER_ACTIONS, TRANSITIONS } from './states.ts';

test('every action has exactly the transitions that are written here', () => {
  const table = TRANSFER_ACTIONS.map(
    (action) => `${action}: ${TRANSFER_STATES.map((from) => `${from}>${TRANSITIONS[action][from] ?? '-'}`).join(' ')}`,
  );
  assert.deepEqual(table, [
    'receive: WAITING>QUEUED QUEUED>- RUNNING>- PAUSED>- SUCCEEDED>- FAILED>- CANCELLED>-',
    'claim: WAITING>- QUEUED>RUNNING RUNNING>RUNNING PAUSED>- SUCCEEDED>- FAILED>- CANCELLED>-',
    'succeed: WAITING>- QUEUED>- RUNNING>SUCCEEDED PAUSED>- SUCCEEDED>- FAILED>- CANCELLED>-',
    'fail: WAITING>FAILED QUEUED>FAILED RUNNING>FAILED PAUSED>FAILED SUCCEEDED>- FAILED>- CANCELLED>-',
    'requeue: WAITING>- QUEUED>- RUNNING>QUEUED PAUSED>- SUCCEEDED>- FAILED>- CANCELLED>-',
    'park: WAITING>- QUEUED>- RUNNING>QUEUED PAUSED>- SUCCEEDED>- FAILED>- CANCELLED>-',
    'pause: WAITING>PAUSED QUEUED>PAUSED RUNNING>PAUSED PAUSED>- SUCCEEDED>- FAILED>- CANCELLED>-',
    'awaitBytes: WAITING>- QUEUED>- RUNNING>- PAUSED>WAITING SUCCEEDED>- FAILED>- CANCELLED>-',
    'resume: WAITING>- QUEUED>- RUNNING>- PAUSED>QUEUED SUCCEEDED>- FAILED>- CANCELLED>-',
    'cancel: WAITING>CANCELLED QUEUED>CANCELLED RUNNING>CANCELLED PAUSED>CANCELLED SUCCEEDED>- FAILED>- CANCELLED>-',
    'retry: WAITING>- QUEUED>- RUNNING>- PAUSED>- SUCCEEDED>- FAILED>QUEUED CANCELLED>-',
  ]);
});

test('only a retry leaves a final state, and every other state can be left by cancelling', () => {
  const leaving = TRANSFER_ACTIONS.filter((action) => FINAL_STATES.some((state) => TRANSITIONS[action][state]));
  assert.deepEqual(leaving, ['retry']);
  for (const state of TRANSFER_STATES) assert.equal(isFinal(state), TRANSITIONS.cancel[state] === undefined);
});

test('every state that is not final has a deadline that ends it', () => {
  for (const state of TRANSFER_STATES) assert.equal(isFinal(state), TRANSITIONS.fail[state] === undefined);
  assert.deepEqual([...FINAL_STATES], TRANSFER_STATES.filter(isFinal));
});

test('every state is reached from WAITING or QUEUED, in which transfers begin', () => {
  const reached = new Set<string>(['WAITING', 'QUEUED']);
  for (let grown = true; grown; ) {
    grown = false;
    for (const action of TRANSFER_ACTIONS) {
      const to = stateAfter(action);
      if (!reached.has(to) && statesBefore(action).some((from) => reached.has(from))) grown = Boolean(reached.add(to));
    }
  }
  assert.deepEqual([...reached].toSorted(), [...TRANSFER_STATES].toSorted());
});

test('an action leads to one state only', () => {
  for (const action of TRANSFER_ACTIONS) assert.equal(new Set(Object.values(TRANSITIONS[action])).size, 1);
});
