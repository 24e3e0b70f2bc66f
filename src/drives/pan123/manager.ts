import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext } from '../driver.ts';
import { ACCEPTED, idOf, type Pan123Client } from './client.ts';
import { pan123Error } from './errors.ts';
import { ID, type WireFile } from './wire.ts';

const MADE = z.object({ dirID: ID });

export async function makeFolder(
  pan123: Pan123Client,
  parentRef: string,
  name: string,
  call: CallContext,
): Promise<string> {
  return (await pan123.post(MADE, '/upload/v1/file/mkdir', { name, parentID: idOf(parentRef) }, call)).dirID;
}

export async function moveTo(pan123: Pan123Client, ref: string, parentRef: string, call: CallContext): Promise<void> {
  const json = { fileIDs: [idOf(ref)], toParentFileID: idOf(parentRef) };
  await pan123.post(ACCEPTED, '/api/v1/file/move', json, call, { idempotent: true });
}

/** Does nothing when that is its name already. @throws DriveError `already_exists` */
export async function renameTo(
  pan123: Pan123Client,
  { fileId, filename, parentFileId }: Pick<WireFile, 'fileId' | 'filename' | 'parentFileId'>,
  name: string,
  call: CallContext,
): Promise<void> {
  if (filename === name) return;
  const json = { fileId: idOf(fileId), fileName: name };
  try {
    await orTaken(pan123, parentFileId, name, call, () =>
      pan123.post(ACCEPTED, '/api/v1/file/name', json, call, { method: 'PUT', idempotent: true }),
    );
  } catch (error) {
    // It has the name itself: a try whose answer said otherwise gave it.
    if (!(error instanceof DriveError) || error.existingRef !== fileId) throw error;
  }
}

/** Succeeds also for what is not there, or is in the recycle bin. */
export async function trash(pan123: Pan123Client, ref: string, call: CallContext): Promise<void> {
  await pan123.post(ACCEPTED, '/api/v1/file/trash', { fileIDs: [idOf(ref)] }, call, { idempotent: true });
}

export async function deleteForEver(pan123: Pan123Client, refs: readonly string[], call: CallContext): Promise<void> {
  await pan123.post(ACCEPTED, '/api/v1/file/delete', { fileIDs: refs.map(idOf) }, call);
}

const MAYBE_TAKEN: ReadonlySet<string> = new Set(['already_exists', 'unexpected', 'invalid_argument']);
/** The code that means anything. */
const ANY_CODE = '1';
/** Whether a name that is taken may be told by this error: its code is not documented. */
export const mayBeTaken = ({ category, providerCode, retryAfterMs }: DriveError): boolean =>
  MAYBE_TAKEN.has(category) || (category === 'unavailable' && providerCode === ANY_CODE && retryAfterMs === null);

/** Does it; when the name is taken, the error says by what. */
export async function orTaken<Result>(
  pan123: Pan123Client,
  parentRef: string,
  name: string,
  call: CallContext,
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof DriveError) || !mayBeTaken(error)) throw error;
    const there = await pan123.findChild(parentRef, name, call);
    if (there || error.category === 'already_exists') throw taken(there?.fileId ?? null, error);
    throw error;
  }
}

export const taken = (existingRef: string | null, cause?: unknown) =>
  pan123Error('already_exists', 'has an entry of that name there already.', null, {
    cause,
    ...(existingRef === null ? {} : { existingRef }),
  });
