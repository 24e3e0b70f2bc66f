import { randomUUID } from 'node:crypto';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext } from '../driver.ts';
import type { Pan123Client } from './client.ts';
import { deleteForEver, makeFolder, moveTo, trash } from './manager.ts';

/**
 * Makes an entry in a folder of its own, beside the place where its name would be in the way, then moves it there.
 * The folder goes for ever; if that fails it stays in the recycle bin, empty.
 */
export async function aside(
  pan123: Pan123Client,
  parentRef: string,
  call: CallContext,
  make: (sideRef: string) => Promise<string>,
): Promise<string> {
  const sideRef = await makeFolder(pan123, parentRef, `.panql-${randomUUID()}`, call);
  try {
    const made = await make(sideRef);
    await moveTo(pan123, made, parentRef, call);
    return made;
  } finally {
    await discard(pan123, sideRef, call);
  }
}

async function discard(pan123: Pan123Client, ref: string, call: CallContext): Promise<void> {
  try {
    await trash(pan123, ref, call);
    await deleteForEver(pan123, [ref], call);
  } catch (error) {
    // Out of sight at best, empty at worst: what was asked for is told by the act itself.
    if (!(error instanceof DriveError)) throw error;
  }
}
