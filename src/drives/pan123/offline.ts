import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { DriveOfflineTask, OfflineAddResult, OfflineTasks } from '../contract/offline.ts';
import type { CallContext } from '../driver.ts';
import { idOf, type Pan123Client } from './client.ts';
import { pan123Error } from './errors.ts';
import { ID, NUMBER, ROOT_REF } from './wire.ts';

const CREATED = z.object({ taskID: ID });
const PROCESS = z.object({ process: NUMBER.catch(0), status: NUMBER });
/** 0 running, 1 failed, 2 done, 3 tried again. */
const STATES: Readonly<Record<number, DriveOfflineTask['state']>> = {
  0: 'RUNNING',
  1: 'FAILED',
  2: 'SUCCEEDED',
  3: 'RUNNING',
};

/** Downloads that 123pan does itself. A task is known by its number only: what it is of, whoever began it knows. */
export const createOffline = (pan123: Pan123Client): OfflineTasks => ({
  urlsMax: 1,
  schemes: ['http', 'https'],

  async add(urls, parentRef, call) {
    if (parentRef !== null) await pan123.checkFolder(parentRef, call);
    const results: OfflineAddResult[] = [];
    for (const url of urls) results.push(await begin(pan123, url, parentRef, call));
    return results;
  },

  async stat(taskRef, call) {
    idOf(taskRef);
    const answer = await pan123.get(PROCESS, '/api/v1/offline/download/process', { taskID: taskRef }, call);
    const state = STATES[answer.status] ?? 'RUNNING';
    return {
      ...taskOf(taskRef, null, null),
      state,
      percentDone: state === 'SUCCEEDED' ? 100 : Math.min(Math.max(answer.process, 0), 100),
      failure: state === 'FAILED' ? { providerCode: null, message: '123pan could not download it.' } : null,
    };
  },
});

async function begin(
  pan123: Pan123Client,
  url: string,
  parentRef: string | null,
  call: CallContext,
): Promise<OfflineAddResult> {
  // The root is not taken; without a folder the files go to one of 123pan's own below it.
  if (parentRef === ROOT_REF) {
    return {
      url,
      task: null,
      error: pan123Error('invalid_argument', 'does not download into the root: name a folder.', null, {}),
    };
  }
  try {
    const json = { url, ...(parentRef === null ? {} : { dirID: idOf(parentRef) }) };
    const { taskID } = await pan123.post(CREATED, '/api/v1/offline/download', json, call);
    return { url, task: taskOf(taskID, url, parentRef), error: null };
  } catch (error) {
    const isOfTheLink =
      error instanceof DriveError && (error.category === 'invalid_argument' || error.category === 'unexpected');
    if (!isOfTheLink) throw error;
    return { url, task: null, error };
  }
}

const taskOf = (ref: string, url: string | null, parentRef: string | null): DriveOfflineTask => ({
  ref,
  name: null,
  url,
  state: 'PENDING',
  percentDone: 0,
  sizeBytes: null,
  addedAt: null,
  updatedAt: null,
  entryRef: null,
  parentRef,
  filesRef: null,
  failure: null,
});
