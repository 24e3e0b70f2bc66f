import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { SlicedUpload, UploadPlan } from '../contract/upload.ts';
import type { CallContext, ConflictPolicy, DriveEntry } from '../driver.ts';
import { idOf, invalid, isMissing, type Pan123Client } from './client.ts';
import { pan123Error } from './errors.ts';
import { md5Of } from './hashing.ts';
import { uploadServerUrl } from './hosts.ts';
import { orTaken, taken } from './manager.ts';
import { checkName } from './names.ts';
import { findMade, finishUpload } from './upload-end.ts';
import { heldSlices } from './upload-held.ts';
import { sendPart } from './upload-parts.ts';
import { sendSingle } from './upload-single.ts';
import { RECEIPT, stateOf, type UploadState } from './upload-state.ts';
import { isFolder, listOf, MAYBE_ID, NUMBER, toEntry, type WireFile } from './wire.ts';

/** 10 GB of a sliced upload; that these are decimal ones is the safe reading. */
export const FILE_BYTES_MAX = 10_000_000_000;
/** Below this one request is worth more than a look whether the bytes are there already, in bytes. */
const WHOLE_BYTES_MAX = 256 * 1024;
/** The slice of a session that does not tell: the one of the documents. */
const SLICE_BYTES = 16 * 1024 * 1024;
/** A full queue is asked again so often, each second. */
const QUEUE_TRIES = 5;
const QUEUE_MS = 1_000;
/** A file that is announced as there already, without its number, is looked for so often, each second. */
const NAMELESS_LOOKS = 5;

/** 1 keeps both under a number, 2 overwrites; left out, a name that is taken is an error. There is no value to skip. */
const DUPLICATE: Readonly<Partial<Record<ConflictPolicy, number>>> = { RENAME: 1, REPLACE: 2 };

const CREATED = z.object({
  reuse: z.boolean().nullish().transform(Boolean),
  fileID: MAYBE_ID,
  preuploadID: z.string().nullish(),
  sliceSize: NUMBER.nullish().catch(null),
  servers: listOf(z.string()),
});
const DOMAINS = listOf(z.string());

/** Announces a file with its MD5, sends slices with theirs, and asks until the file is made. */
export const createUpload = (pan123: Pan123Client): SlicedUpload => ({
  concurrency: 3,
  instantHashes: ['MD5'],

  async begin(plan, call) {
    checkPlan(plan);
    idOf(plan.parentRef);
    await pan123.checkFolder(plan.parentRef, call);
    if (plan.onConflict === 'REPLACE') await refuseFolder(pan123, plan, call);
    const md5 = await md5Of(plan, call.signal);
    const startedAtMs = pan123.now().getTime();
    const announced = await unlessSkipped(pan123, plan, call, () => announce(pan123, plan, md5, startedAtMs, call));
    if ('ref' in announced) return { instant: announced };
    const { version, reuse, fileID, preuploadID, sliceSize } = announced;
    if (fileID !== null || reuse) {
      return { instant: await instantOf(pan123, fileID, plan, md5, startedAtMs, call) };
    }
    if (!preuploadID) throw pan123Error('unavailable', 'announced the upload without naming it.', null, {});
    const sliceBytes = sliceSize && sliceSize > 0 ? sliceSize : SLICE_BYTES;
    const state: UploadState = {
      version,
      preuploadId: preuploadID,
      md5,
      servers: version === 'v2' ? await serversOf(pan123, announced.servers, call) : [],
      startedAtMs,
    };
    return { session: { sliceBytes, sliceCount: Math.ceil(plan.sizeBytes / sliceBytes), state } };
  },

  async putSlice(plan, session, index, bytes, call) {
    const state = stateOf(session);
    if (index < 0 || index >= session.sliceCount) {
      throw invalid(`takes ${session.sliceCount} slices of this file, and none beyond.`);
    }
    const expected = Math.min(session.sliceBytes, plan.sizeBytes - index * session.sliceBytes);
    if (bytes.byteLength !== expected) throw corrupted(`was to get other bytes than announced, in slice ${index + 1}.`);
    const md5 = md5OfBytes(bytes);
    await sendPart(pan123, state, { index, bytes, md5 }, call);
    return { index, state: { md5 } };
  },

  heldSlices: (plan, session, known, call) => heldSlices(pan123, plan, session, known, call),

  async complete(plan, session, receipts, call) {
    const state = stateOf(session);
    const sent = new Map(receipts.map((receipt) => [receipt.index, RECEIPT.safeParse(receipt.state).data?.md5 ?? '']));
    if (sent.size < session.sliceCount) throw corrupted('lacks slices of this file.');
    const made = await unlessSkipped(pan123, plan, call, () => finishUpload(pan123, plan, state, call));
    return 'ref' in made ? made : checked(made.file, plan, state.md5);
  },

  // Accounts that came by an application have the first version at least; what else, is not told.
  ...(pan123.isOfApplication ? {} : singleStep(pan123)),

  /** There is no call for it: slices of which nothing is made are gone some time. */
  async abort() {},
});

const singleStep = (pan123: Pan123Client): Pick<SlicedUpload, 'wholeBytesMax' | 'putWhole'> => ({
  wholeBytesMax: WHOLE_BYTES_MAX,

  async putWhole(plan, bytes, call) {
    checkPlan(plan);
    idOf(plan.parentRef);
    await pan123.checkFolder(plan.parentRef, call);
    if (plan.onConflict === 'REPLACE') await refuseFolder(pan123, plan, call);
    const servers = await serversOf(pan123, [], call);
    const made = await unlessSkipped(pan123, plan, call, async () => ({
      file: await sendSingle(pan123, servers, plan, bytes, DUPLICATE[plan.onConflict], call),
    }));
    return 'ref' in made ? made : checked(made.file, plan, md5OfBytes(bytes));
  },
});

function checkPlan({ name, sizeBytes }: UploadPlan): void {
  checkName(name);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw invalid('takes files of a whole number of bytes.');
  if (sizeBytes === 0) throw invalid('does not take empty files.');
  if (sizeBytes > FILE_BYTES_MAX) throw pan123Error('too_large', 'takes files of up to 10 GB.', null, {});
}

/** What overwriting does to a folder is not documented. */
async function refuseFolder(pan123: Pan123Client, plan: UploadPlan, call: CallContext): Promise<void> {
  const there = await pan123.findChild(plan.parentRef, plan.name, call);
  if (there && isFolder(there)) throw taken(there.fileId);
}

type Announced = z.infer<typeof CREATED> & { readonly version: UploadState['version'] };

/** In the second version of the interface, or in the first where this account has no other. */
async function announce(
  pan123: Pan123Client,
  plan: UploadPlan,
  md5: string,
  startedAtMs: number,
  call: CallContext,
): Promise<Announced> {
  try {
    return { ...(await create(pan123, 'v2', plan, md5, startedAtMs, call)), version: 'v2' };
  } catch (error) {
    // The folder is there, as was seen a moment ago: what is not there is the call. Limits of accounts that came by an
    // application are published for the first version only.
    const isClosed = pan123.isOfApplication && error instanceof DriveError && error.providerCode === '403';
    if (!isMissing(error) && !isClosed) throw error;
    return { ...(await create(pan123, 'v1', plan, md5, startedAtMs, call)), version: 'v1' };
  }
}

async function create(
  pan123: Pan123Client,
  version: UploadState['version'],
  plan: UploadPlan,
  md5: string,
  startedAtMs: number,
  call: CallContext,
): Promise<z.infer<typeof CREATED>> {
  const duplicate = DUPLICATE[plan.onConflict];
  const json = {
    parentFileID: idOf(plan.parentRef),
    filename: plan.name,
    etag: md5,
    size: plan.sizeBytes,
    ...(duplicate === undefined ? {} : { duplicate }),
  };
  // A hit makes the file at once: a second sending could make a second one, where both are to be kept.
  const idempotent = plan.onConflict === 'REPLACE';
  for (let tries = 1; ; tries += 1) {
    try {
      return await pan123.post(CREATED, `/upload/${version}/file/create`, json, call, { idempotent, attempts: 1 });
    } catch (error) {
      if (!(error instanceof DriveError) || !isRepeatable(error) || tries >= QUEUE_TRIES) throw error;
      await pan123.pause(error.retryAfterMs ?? QUEUE_MS, call);
      // It may be on its way although it was refused.
      const made = await findMade(pan123, plan, md5, startedAtMs, call);
      if (made) return { reuse: true, fileID: made.fileId, preuploadID: null, sliceSize: null, servers: [] };
    }
  }
}

const isRepeatable = ({ category, persistent }: DriveError): boolean =>
  persistent && (category === 'unavailable' || category === 'rate_limited' || category === 'timeout');

/** What was there already, by its number, or by its name while it has none. */
async function instantOf(
  pan123: Pan123Client,
  fileId: string | null,
  plan: UploadPlan,
  md5: string,
  startedAtMs: number,
  call: CallContext,
): Promise<DriveEntry> {
  for (let looks = 0; looks < NAMELESS_LOOKS; looks += 1) {
    if (looks > 0) await pan123.pause(QUEUE_MS, call);
    const file =
      fileId === null
        ? await findMade(pan123, plan, md5, startedAtMs, call)
        : ((await pan123.infos([fileId], call)).get(fileId) ?? null);
    if (file) return checked(file, plan, md5);
  }
  throw pan123Error(
    'unavailable',
    'made the file at once, but does not show it yet. Look at the folder later.',
    null,
    {},
  ).spent();
}

/** Where the slices go: any of them will do. */
async function serversOf(pan123: Pan123Client, named: readonly string[], call: CallContext): Promise<string[]> {
  const urlsOf = (servers: readonly string[]): string[] =>
    servers.flatMap((server) => uploadServerUrl(server, pan123.settings.apiUrl) ?? []);
  const urls = urlsOf(named);
  if (urls.length > 0) return urls;
  const others = urlsOf(await pan123.get(DOMAINS, '/upload/v2/file/domain', {}, call));
  if (others.length > 0) return others;
  throw pan123Error('unavailable', 'names no server that takes the bytes.', null, {});
}

/** Does it; what has the name already is the answer with SKIP, and named by the error otherwise. */
async function unlessSkipped<Result extends object>(
  pan123: Pan123Client,
  plan: UploadPlan,
  call: CallContext,
  act: () => Promise<Result>,
): Promise<Result | DriveEntry> {
  try {
    return await orTaken(pan123, plan.parentRef, plan.name, call, act);
  } catch (error) {
    if (!(error instanceof DriveError) || error.category !== 'already_exists') throw error;
    if (plan.onConflict !== 'SKIP' || error.existingRef === null) throw error;
    return toEntry(await pan123.file(error.existingRef, call));
  }
}

function checked(file: WireFile, plan: UploadPlan, md5: string): DriveEntry {
  const entry = toEntry(file);
  if (entry.kind !== 'FILE' || entry.sizeBytes !== plan.sizeBytes) {
    throw corrupted(`has ${entry.sizeBytes ?? 'no'} bytes where ${plan.sizeBytes} were sent.`);
  }
  if (entry.hashes.MD5 !== undefined && entry.hashes.MD5 !== md5) throw corrupted('has other bytes than were sent.');
  return entry;
}

const md5OfBytes = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

const corrupted = (message: string) => pan123Error('corrupted', message, null, {});
