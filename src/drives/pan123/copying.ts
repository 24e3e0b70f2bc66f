import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext } from '../driver.ts';
import { idOf, type Pan123Client } from './client.ts';
import { pan123Error } from './errors.ts';
import { ID, isFolder, NUMBER, type WireFile } from './wire.ts';

const COPIED = z.object({ targetFileId: ID });
const TASK = z.object({ taskId: ID });
/** Of a folder, the bytes of all that is in it. */
const DETAIL = z.object({ size: NUMBER });
const PROCESS = z.object({ status: NUMBER });
const DONE = 2;
const FAILED = 3;
/** Between two looks at a task, in milliseconds, and how many: within what the act may take. */
const POLL_MS = 1_000;
const POLLS_MAX = 300;

/** Copies a file, in one call. Gives the copy's id. */
export async function copyFile(
  pan123: Pan123Client,
  { fileId }: WireFile,
  folderRef: string,
  call: CallContext,
): Promise<string> {
  const json = { fileId: idOf(fileId), targetDirId: idOf(folderRef) };
  return (await pan123.post(COPIED, '/api/v1/file/copy', json, call)).targetFileId;
}

/** Copies a folder: a task, which does not tell what it made. It is the one of that name that was not there before. */
export async function copyFolder(
  pan123: Pan123Client,
  folder: WireFile,
  folderRef: string,
  call: CallContext,
): Promise<string> {
  const before = new Set<string>();
  for await (const { fileId } of pan123.children(folderRef, call)) before.add(fileId);
  const json = { fileIds: [idOf(folder.fileId)], targetDirId: idOf(folderRef) };
  const { taskId } = await pan123.post(TASK, '/api/v1/file/async/copy', json, call);
  const made = async (): Promise<string | null> => {
    for await (const child of pan123.children(folderRef, call)) {
      if (isFolder(child) && child.filename === folder.filename && !before.has(child.fileId)) return child.fileId;
    }
    return null;
  };
  const isTold = await finished(pan123, taskId, call);
  const copy = isTold ? await made() : await wholeCopy(pan123, folder.fileId, made, call);
  if (copy !== null) return copy;
  throw pan123Error('unavailable', 'made the copy, but does not show it yet.', null, {}).spent();
}

/** Without word of the task: the copy is whole when it has the bytes of its source. */
async function wholeCopy(
  pan123: Pan123Client,
  sourceRef: string,
  made: () => Promise<string | null>,
  call: CallContext,
): Promise<string> {
  const bytesOf = async (ref: string): Promise<number> =>
    (await pan123.get(DETAIL, '/api/v1/file/detail', { fileID: ref }, call)).size;
  const wanted = await bytesOf(sourceRef);
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    const copy = await made();
    if (copy !== null && (await bytesOf(copy)) === wanted) return copy;
    await pan123.pause(POLL_MS, call);
  }
  throw unfinished();
}

const unfinished = () =>
  pan123Error('timeout', 'is still at work on this. Look at the folder later.', null, {}).spent();

/** False: it cannot be told. The documents' sample asks by the body of a GET, clients by the query: not for every account, maybe. */
async function finished(pan123: Pan123Client, taskId: string, call: CallContext): Promise<boolean> {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    await pan123.pause(POLL_MS, call);
    const asking = pan123.get(PROCESS, '/api/v1/file/async/copy/process', { taskId }, call);
    const answer = await asking.catch((error: unknown) => {
      if (error instanceof DriveError && error.category === 'invalid_argument') return null;
      throw error;
    });
    if (answer === null) return false;
    const { status } = answer;
    if (status === DONE) return true;
    if (status === FAILED) throw pan123Error('unavailable', 'could not finish the copy.', null, {}).spent();
  }
  throw unfinished();
}
