import { z } from 'zod';
import type { CallContext } from '../driver.ts';
import { idOf, type Pan123Client } from './client.ts';
import { pan123Error } from './errors.ts';
import { ID, isFolder, NUMBER, type WireFile } from './wire.ts';

const COPIED = z.object({ targetFileId: ID });
const TASK = z.object({ taskId: ID });
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
  await finished(pan123, taskId, call);
  for await (const child of pan123.children(folderRef, call)) {
    if (isFolder(child) && child.filename === folder.filename && !before.has(child.fileId)) return child.fileId;
  }
  throw pan123Error('unavailable', 'made the copy, but does not show it yet.', null, {}).spent();
}

async function finished(pan123: Pan123Client, taskId: string, call: CallContext): Promise<void> {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    await pan123.pause(POLL_MS, call);
    const { status } = await pan123.get(PROCESS, '/api/v1/file/async/copy/process', { taskId }, call);
    if (status === DONE) return;
    if (status === FAILED) throw pan123Error('unavailable', 'could not finish the copy.', null, {}).spent();
  }
  throw pan123Error('timeout', 'is still at work on this. Look at the folder later.', null, {}).spent();
}
