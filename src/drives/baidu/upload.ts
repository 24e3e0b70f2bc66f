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
import { locateServer, serverOf } from './upload-server.ts';
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
  startedAtMs: z.number(),
  server: z.string(),
  serverUntilMs: z.number(),
});
type State = z.infer<typeof STATE>;

const PRECREATED = z.object({
  return_type: z.coerce.number(),
  uploadid: z.string().optional(),
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
    const { return_type, info, uploadid } = announced;
    if (return_type === 2 && info) return { instant: await madeOf(baidu, info, plan, call) };
    if (uploadid === undefined) throw baiduError('unavailable', 'announced the upload without naming it.', null, {});
    const now = baidu.now().getTime();
    const state: State = {
      path,
      parentRef: plan.parentRef,
      uploadId: uploadid,
      rtype: RTYPE[plan.onConflict],
      blocks: [...digests.blocks],
      startedAtMs: now,
      ...(await locateServer(baidu, { path, uploadId: uploadid }, call)),
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
    const stored = await sendSlice(baidu, state, index, bytes, call);
    if (stored !== md5) throw corrupted(`received other bytes than were sent, in slice ${index + 1}.`);
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
  const mayHit = plan.sizeBytes > INSTANT_BYTES_MIN;
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

/** Answers with the file's MD5 as Baidu computed it. */
async function sendSlice(
  baidu: BaiduClient,
  { path, uploadId, ...located }: State,
  index: number,
  bytes: Uint8Array,
  call: CallContext,
): Promise<string> {
  const send = async (server: string): Promise<string> => {
    const { body } = await baidu.send(
      {
        method: 'POST',
        url: `${server}/rest/2.0/pcs/superfile2`,
        query: { method: 'upload', type: 'tmpfile', path, uploadid: uploadId, partseq: index },
        body: { multipart: [{ name: 'file', filename: 'slice', bytes }] },
        endpoint: 'superfile2',
        as: 'json',
        idempotent: true,
        timeoutMs: SLICE_TIMEOUT_MS + Math.ceil(bytes.byteLength / SLICE_BYTES_PER_MS),
      },
      call,
    );
    return parsed(SLICE, body).md5;
  };
  const server = await serverOf(baidu, { path, uploadId, ...located }, call);
  try {
    return await send(server);
  } catch (error) {
    const isDown = error instanceof DriveError && (error.category === 'unavailable' || error.category === 'timeout');
    if (!isDown || server === baidu.settings.pcsUrl) throw error;
    return send(baidu.settings.pcsUrl);
  }
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
    return await baidu.post(FILE, 'create', { query: { method: 'create' }, form, idempotent }, call);
  } catch (error) {
    const mayBeMade = error instanceof DriveError && MAY_BE_MADE.has(error.category) && !error.nothingDone;
    if (!mayBeMade || state.rtype !== RTYPE.FAIL || call.signal.aborted) throw error;
    const there = await baidu.findChild(folderOf(state.path), nameOf(state.path), call);
    if (there && !isFolder(there) && there.size === plan.sizeBytes && isSince(there, state)) return there;
    throw error;
  }
}

/** With `already_exists`, an earlier try may have been the one: at the beginning the name was free. */
const MAY_BE_MADE: ReadonlySet<string> = new Set(['already_exists', 'unavailable', 'timeout', 'unexpected']);

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
