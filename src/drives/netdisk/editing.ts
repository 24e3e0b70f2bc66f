import type { OutboundBody } from '../../transport/body.ts';
import type { CallContext, Driver } from '../driver.ts';
import { checkEntryName } from '../shared/names.ts';
import type { NetdiskClient } from './client.ts';
import { invalid, isCategory, netdiskError, PROVIDER } from './errors.ts';
import { below, entryOf, parentOf, ROOT_REF } from './paths.ts';

export const createEditing = (netdisk: NetdiskClient) =>
  ({
    /**
     * The specification has this at the address of the download: where there is nothing, the server makes a folder. So
     * it is looked first, that no file is fetched in place of the answer.
     */
    async createFolder(parentRef, name, call) {
      checkEntryName(name, PROVIDER);
      const parent = await netdisk.folder(parentRef, call);
      const ref = below(parent.ref, name);
      if (await netdisk.find(ref, call)) throw taken(ref);
      await knowing(
        ref,
        netdisk.send(
          {
            method: 'GET',
            url: '/api/downloadFile',
            query: { destination: ref },
            endpoint: 'change',
            as: 'json',
            idempotent: false,
          },
          call,
        ),
      );
      return entryOf(ref, 'FOLDER');
    },

    async rename(ref, name, { ifRevision }, call) {
      checkEntryName(name, PROVIDER);
      refuseRevision(ifRevision);
      const entry = await changeable(netdisk, ref, call);
      const target = below(parentOf(ref), name);
      if (target === ref) return entry;
      await rename(netdisk, ref, name, call);
      return entryOf(target, entry.kind);
    },

    /** Whether the server keeps what is deleted, its specification does not say. */
    async remove(ref, { ifRevision }, call) {
      refuseRevision(ifRevision);
      await changeable(netdisk, ref, call);
      await remove(netdisk, ref, call);
    },
  }) satisfies Partial<Driver>;

/** @throws DriveError `already_exists` when the name is taken. */
export async function rename(netdisk: NetdiskClient, ref: string, name: string, call: CallContext): Promise<void> {
  const multipart = [
    { name: 'destination', value: ref },
    { name: 'name', value: name },
  ];
  const url = '/api/renameFile';
  await knowing(
    below(parentOf(ref), name),
    netdisk.send({ method: 'POST', url, body: { multipart }, endpoint: 'change', as: 'json', idempotent: false }, call),
  );
}

export async function remove(netdisk: NetdiskClient, ref: string, call: CallContext): Promise<void> {
  const url = '/api/deleteFile';
  const send = (body: OutboundBody) =>
    netdisk.send({ method: 'POST', url, body, endpoint: 'change', as: 'json', idempotent: false }, call);
  try {
    await send({ json: { destination: ref } });
  } catch (error) {
    // A server that misses it there reads forms, as with its other changes.
    if (!isCategory(error, 'invalid_argument')) throw error;
    await send({ multipart: [{ name: 'destination', value: ref }] });
  }
}

export const taken = (existingRef: string) =>
  netdiskError('already_exists', 'has something of that name there already.', { existingRef });

async function changeable(netdisk: NetdiskClient, ref: string, call: CallContext) {
  if (ref === ROOT_REF) throw invalid('does not let its root be changed.');
  return netdisk.entry(ref, call);
}

/** Entries have no revision here, so none can be the right one. */
function refuseRevision(ifRevision: string | undefined): void {
  if (ifRevision === undefined) return;
  throw netdiskError('conflict', 'tells no revisions: whether the entry has changed cannot be known.');
}

/** A name that is taken is told with what has it. */
async function knowing<Answer>(ref: string, acting: Promise<Answer>): Promise<Answer> {
  try {
    return await acting;
  } catch (error) {
    throw isCategory(error, 'already_exists') ? taken(ref) : error;
  }
}
