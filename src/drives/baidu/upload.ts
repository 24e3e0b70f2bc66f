import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { SlicedUpload, UploadPlan, UploadSession } from '../contract/upload.ts';
import type { CallContext, ConflictPolicy, DriveEntry } from '../driver.ts';
import { type BaiduClient, invalid } from './client.ts';
import { inRoot, orTaken, taken } from './editing.ts';
import { baiduError } from './errors.ts';
import { parsed } from './linking.ts';
import { checkName, checkPath } from './names.ts';
import { membershipOf } from './profile.ts';
import { type Digests, digestsOf } from './slices.ts';
import { locateServers, serversOf } from './upload-server.ts';
import { FILE, folderOf, isFolder, joined, nameOf, type WireFile } from './wire.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** Exactly this for ordinary accounts; the least for all. Larger ones time out on slow lines. */
const SLICE_BYTES = 4 * MIB;
const SLICES_MAX = 1024;
/** By membership: ordinary, member, super member. */
const FILE_BYTES_MAX = [4 * GIB, 10 * GIB, 20 * GIB] as const;
/** Baidu looks for an instant hit above this size only. */
const INSTANT_BYTES_MIN = 256 * 1024;
/** A slice at 32 KiB/s, and a minute for Baidu itself. */
const SLICE_TIMEOUT_MS = 60_000;
const SLICE_BYTES_PER_MS = 32;
/** Tries on one server, before the next is taken. */
const SLICE_ATTEMPTS = 2;
/** The clocks of Baidu and of this machine may differ by so much, in milliseconds. */
const CLOCK_MARGIN_MS = 5 * 60_000;

const RTYPE: Readonly<Record<ConflictPolicy, string>> = { FAIL: '0', SKIP: '0', RENAME: '1', REPLACE: '3' };

/** What the largest accounts may; the account's own limit is looked up for a file that is larger than 4 GiB. */
export const FILE_BYTES_LIMIT = FILE_BYTES_MAX[2];

const STATE = z.object({
  path: z.string(),
  parentRef: z.string(),
  uploadId: z.string().min(1),
  rtype: z.string(),
  blocks: z.array(z.string()).min(1),
  /** Slices that Baidu has already. */
  held: z.array(z.int()),
  startedAtMs: z.number(),
  servers: z.array(z.string()).min(1),
  serversUntilMs: z.number(),
});
type State = z.infer<typeof STATE>;

const PRECREATED = z.object({
  return_type: z.coerce.number(),
  uploadid: z.string().optional(),
  /** Numbers of the slices that are wanted. Of a file of one slice it may be empty, and that one is wanted. */
  block_list: z.array(z.coerce.number().int()).optional().catch(undefined),
  info: FILE.optional(),
});
const SLICE = z.object({ md5: z.string() });

/** Announces a file with the MD5 of each slice, sends the slices, and makes the file of them. */
export const createUpload = (baidu: BaiduClient): SlicedUpload => ({
  concurrency: 3,
  instantHashes: ['MD5'],

  async begin(plan, call) {
    checkPlan(plan);
    const dir = await baidu.folderPath(plan.parentRef, call);
    const path = joined(dir, plan.name);
    checkPath(path);
    const sliceBytes = await sliceBytesFor(baidu, plan.sizeBytes, call);
    const digests = await digestsOf(plan, sliceBytes, call.signal);

    const announced = await unlessSkipped(baidu, plan, path, call, () => announce(baidu, plan, path, digests, call));
    if ('ref' in announced) return { instant: announced };
    const { return_type, info, uploadid, block_list } = announced;
    if (return_type === 2 && info) return { instant: await madeOf(baidu, info, plan, call) };
    if (uploadid === undefined) throw baiduError('unavailable', 'announced the upload without naming it.', null, {});
    const now = baidu.now().getTime();
    const state: State = {
      path,
      parentRef: plan.parentRef,
      uploadId: uploadid,
      rtype: RTYPE[plan.onConflict],
      blocks: [...digests.blocks],
      held: plan.anew ? [] : heldOf(digests.blocks.length, block_list),
      startedAtMs: now,
      ...(await locateServers(baidu, { path, uploadId: uploadid }, call)),
    };
    return { session: { sliceBytes, sliceCount: digests.blocks.length, state } };
  },

  async putSlice(plan, session, index, bytes, call) {
    const state = stateOf(session);
    const md5 = state.blocks[index];
    if (md5 === undefined) throw invalid(`takes ${session.sliceCount} slices of this file, and none beyond.`);
    const expected = Math.min(session.sliceBytes, plan.sizeBytes - index * session.sliceBytes);
    if (bytes.byteLength !== expected || createHash('md5').update(bytes).digest('hex') !== md5) {
      throw corrupted(`was to get other bytes than were announced, in slice ${index + 1}.`);
    }
    if (!state.held.includes(index)) await sendSlice(baidu, state, { index, bytes, md5 }, call);
    return { index, state: null };
  },

  async complete(plan, session, receipts, call) {
    const state = stateOf(session);
    const sent = new Set(receipts.map(({ index }) => index));
    if (state.blocks.some((_, index) => !sent.has(index))) throw corrupted('lacks slices of this file.');
    const made = await unlessSkipped(baidu, plan, state.path, call, () => commit(baidu, plan, state, call));
    return 'ref' in made ? made : madeOf(baidu, made, plan, call);
  },

  /** Baidu has no call for it: slices of which nothing is made are gone after some hours. */
  async abort() {},
});

function checkPlan({ name, sizeBytes }: UploadPlan): void {
  checkName(name);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw invalid('takes files of a whole number of bytes.');
  if (sizeBytes === 0) throw invalid('does not take empty files.');
}

/** The smallest slices of which there are not too many. */
async function sliceBytesFor(baidu: BaiduClient, sizeBytes: number, call: CallContext): Promise<number> {
  const [ordinary] = FILE_BYTES_MAX;
  if (sizeBytes <= ordinary) return SLICE_BYTES;
  const max = FILE_BYTES_MAX[await membershipOf(baidu, call)] ?? ordinary;
  if (sizeBytes > max) {
    const hint = 'Ordinary accounts hold files up to 4 GiB, members 10 GiB, super members 20 GiB.';
    throw baiduError('too_large', `takes files of up to ${max / GIB} GiB for this account.`, '31365', { hint });
  }
  return Math.ceil(sizeBytes / SLICES_MAX / MIB) * MIB;
}

function announce(
  baidu: BaiduClient,
  plan: UploadPlan,
  path: string,
  { blocks, whole, head }: Digests,
  call: CallContext,
) {
  // Baidu lost a session of it: then it is to ask for every slice.
  const mayHit = plan.sizeBytes > INSTANT_BYTES_MIN && !plan.anew;
  const form = {
    path,
    size: plan.sizeBytes,
    isdir: 0,
    autoinit: 1,
    block_list: JSON.stringify(blocks),
    rtype: RTYPE[plan.onConflict],
    ...(mayHit ? { 'content-md5': whole, 'slice-md5': head } : {}),
  };
  // A hit makes the file at once: then a second sending could make a second one.
  const post = { query: { method: 'precreate' }, form, idempotent: !mayHit };
  return inRoot(baidu, folderOf(path), call, () => baidu.post(PRECREATED, 'precreate', post, call));
}

interface Slice {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly md5: string;
}

/** On the servers that Baidu named, one after the other when one fails; then on those that it names when asked again. */
async function sendSlice(baidu: BaiduClient, state: State, slice: Slice, call: CallContext): Promise<void> {
  const servers = await serversOf(baidu, state, call);
  for (const server of servers) {
    try {
      const send = () => sendTo(baidu, server, state, slice, call);
      return await onceMore(send, (error) => error.category === 'corrupted' || isOfParameters(error));
    } catch (error) {
      if (!isOfServer(error)) throw error;
    }
  }
  const { servers: others } = await locateServers(baidu, state, call);
  return sendTo(baidu, others.find((server) => !servers.includes(server)) ?? servers[0] ?? '', state, slice, call);
}

async function sendTo(
  baidu: BaiduClient,
  server: string,
  { path, uploadId }: State,
  { index, bytes, md5 }: Slice,
  call: CallContext,
): Promise<void> {
  const { body } = await baidu.send(
    {
      method: 'POST',
      url: `${server}/rest/2.0/pcs/superfile2`,
      query: { method: 'upload', type: 'tmpfile', path, uploadid: uploadId, partseq: index },
      body: { multipart: [{ name: 'file', filename: 'slice', bytes }] },
      endpoint: 'superfile2',
      as: 'json',
      idempotent: true,
      attempts: SLICE_ATTEMPTS,
      timeoutMs: SLICE_TIMEOUT_MS + Math.ceil(bytes.byteLength / SLICE_BYTES_PER_MS),
    },
    call,
  );
  if (parsed(SLICE, body).md5.toLowerCase() === md5) return;
  throw corrupted(`received other bytes than were sent, in slice ${index + 1}.`);
}

const isOfServer = (error: unknown): boolean =>
  error instanceof DriveError && ['unavailable', 'timeout', 'corrupted'].includes(error.category);

/** An error of parameters, which were right, passes at times: nothing was done then. */
const isOfParameters = (error: DriveError): boolean => error.providerCode === '2';

async function onceMore<Result>(act: () => Promise<Result>, mayPass: (error: DriveError) => boolean): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof DriveError) || !mayPass(error)) throw error;
    return act();
  }
}

/**
 * What fails because of slices that Baidu lost is `not_found` the first time, so that all is announced and sent once
 * more; what that does not cure is told as it is.
 */
async function rebuilding<Result>(plan: UploadPlan, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (plan.anew || !(error instanceof DriveError) || !LOST_SLICES.has(error.providerCode ?? '')) throw error;
    throw baiduError('not_found', 'lost slices of this file. Begin again.', error.providerCode, { cause: error });
  }
}

const LOST_SLICES: ReadonlySet<string> = new Set(['31081', '31190', '31352', '31355', '31363']);

/** The slices that an announcement does not ask for. */
function heldOf(count: number, wanted: readonly number[] | undefined): number[] {
  if (!wanted || (wanted.length === 0 && count === 1)) return [];
  return Array.from({ length: count }, (_, index) => index).filter((index) => !wanted.includes(index));
}

/**
 * Makes the file of the slices. Overwriting may be done twice. Where the name was free at the beginning, what stands there
 * after an answer that was lost is the file; a copy under another name cannot be told from others.
 */
async function commit(baidu: BaiduClient, plan: UploadPlan, state: State, call: CallContext): Promise<WireFile> {
  const form = {
    path: state.path,
    size: plan.sizeBytes,
    isdir: 0,
    block_list: JSON.stringify(state.blocks),
    uploadid: state.uploadId,
    rtype: state.rtype,
  };
  try {
    const idempotent = state.rtype === RTYPE.REPLACE;
    const post = { query: { method: 'create' }, form, idempotent };
    return await rebuilding(plan, () => onceMore(() => baidu.post(FILE, 'create', post, call), isOfParameters));
  } catch (error) {
    const mayBeMade = error instanceof DriveError && MAY_BE_MADE.has(error.category) && !error.nothingDone;
    if (!mayBeMade || state.rtype !== RTYPE.FAIL || call.signal.aborted) throw error;
    const there = await baidu.findChild(folderOf(state.path), nameOf(state.path), call);
    if (there && !isFolder(there) && there.size === plan.sizeBytes && isSince(there, state)) return there;
    throw error;
  }
}

/** Not `already_exists`: that came of this very request, so it is somebody else's file, though it may be as long. */
const MAY_BE_MADE: ReadonlySet<string> = new Set(['unavailable', 'timeout', 'unexpected']);

const isSince = ({ server_ctime, server_mtime }: WireFile, { startedAtMs }: State): boolean =>
  Math.max(server_ctime ?? 0, server_mtime ?? 0) * 1000 >= startedAtMs - CLOCK_MARGIN_MS;

/** Does it; what has the name already is the answer with SKIP, and named by the error otherwise. */
async function unlessSkipped<Result extends object>(
  baidu: BaiduClient,
  plan: UploadPlan,
  path: string,
  call: CallContext,
  act: () => Promise<Result>,
): Promise<Result | DriveEntry> {
  try {
    return await orTaken(baidu, folderOf(path), nameOf(path), call, act);
  } catch (error) {
    if (!(error instanceof DriveError) || error.category !== 'already_exists') throw error;
    if (plan.onConflict !== 'SKIP' || error.existingRef === null) throw error;
    return baidu.toEntry(await baidu.meta(error.existingRef, call), plan.parentRef);
  }
}

/** The new file as Baidu lists it: the answer itself tells the times of the call, not those of the file. */
async function madeOf(baidu: BaiduClient, made: WireFile, plan: UploadPlan, call: CallContext): Promise<DriveEntry> {
  const file = (await baidu.metas([made.fs_id], call)).get(made.fs_id) ?? made;
  if (isFolder(file) || file.size !== plan.sizeBytes) {
    throw corrupted(`has ${file.size ?? 'no'} bytes where ${plan.sizeBytes} were sent.`);
  }
  if (plan.onConflict !== 'RENAME' && nameOf(file.path) !== plan.name) throw taken(null);
  return baidu.toEntry(file, plan.parentRef);
}

const stateOf = ({ state }: UploadSession): State => {
  const { data } = STATE.safeParse(state);
  if (!data) throw baiduError('not_found', 'does not know this upload. Begin again.', null, {});
  return data;
};

const corrupted = (message: string) => baiduError('corrupted', message, null, {});
