import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { SlicedUpload, UploadPlan, UploadSession } from '../contract/upload.ts';
import type { CallContext, DriveEntry } from '../driver.ts';
import { alreadyThere, folderFor, freeName, namesake, removeReplaced, taken } from './changing.ts';
import type { Folder, Pan115Client } from './client.ts';
import { corrupted, invalid, isMissing, PROVIDER, pan115Error } from './errors.ts';
import { parsed } from './linking.ts';
import { checkName } from './names.ts';
import { type Callback, Oss, type OssObject, type StoredPart } from './oss.ts';
import { CALLBACK_FAILED, CALLBACK_REFUSED } from './oss-errors.ts';
import { type Announced, announce, CALLBACK_TEXTS, sha1Of, targetOf } from './upload-announcement.ts';
import { madeFile, objectOf, toEntry, type WireFile } from './wire.ts';

const MIB = 1024 * 1024;
/** Of one upload, by the storage. */
const PARTS_MAX = 10_000;

const STATE = z.object({
  parentRef: z.string(),
  name: z.string(),
  sha1: z.string(),
  pickCode: z.string(),
  bucket: z.string(),
  object: z.string(),
  callback: z.string(),
  callbackVar: z.string(),
  /** Null for a file of no bytes, which goes in one request. */
  uploadId: z.string().nullable(),
  /** Entries of that name that were there before: what is made is none of them. */
  before: z.array(z.string()),
  /** The one of them that goes afterwards. */
  replacedRef: z.string().nullable(),
});
type State = z.infer<typeof STATE>;

const RECEIPT = z.object({ md5: z.string(), sizeBytes: z.number() });

const RESUMED = z.object({
  data: objectOf(z.object({ bucket: z.string(), object: z.string(), callback: CALLBACK_TEXTS })),
});

/** What 115 tells when the storage has told it that a file is whole. */
const REGISTERED = z.object({
  data: objectOf(
    z.object({
      file_id: z.union([z.string().min(1), z.number().transform(String)]),
      pick_code: z.coerce.string().optional(),
      file_name: z.coerce.string().optional(),
      file_size: z.coerce.number(),
      sha1: z.string(),
    }),
  ),
});

/** Announces a file with its SHA-1, sends its parts to the storage one after the other, and has 115 told of it. */
export function createUpload(pan115: Pan115Client): SlicedUpload {
  const oss = new Oss(pan115);
  /** The words for 115 of uploads that this driver began or went on with: those of others may be out of date. */
  const fresh = new Map<string, Callback>();

  return {
    concurrency: 1,
    instantHashes: ['SHA1'],

    async begin(plan, call) {
      checkPlan(plan);
      const readSource = sourceOf(plan);
      const folder = await folderFor(pan115, plan.parentRef, plan.name, plan.onConflict, call);
      const place = settled(folder, plan);
      if (place.kept) return { instant: toEntry(place.kept) };
      const sha1 = plan.hashes.SHA1?.toUpperCase() ?? (await sha1Of(readSource, 0, plan.sizeBytes, call.signal));
      const there = plan.onConflict === 'REPLACE' ? alreadyThere(folder, { ...plan, sha1 }) : null;
      if (there) {
        await removeReplaced(pan115, there.others, call);
        return { instant: toEntry(there.made) };
      }
      const about = { name: place.name, sizeBytes: plan.sizeBytes, parentRef: plan.parentRef, sha1 };
      const tell = () => announce(pan115, about, readSource, call);
      const wanted = await orMade(pan115, plan, { ...place, sha1 }, call, () =>
        pan115.onceKnown([plan.parentRef], tell, call),
      );
      if ('made' in wanted) {
        const { fileId, pickCode } = wanted.made;
        const made = fileOf(plan, { ...place, sha1 }, folder, { fileId, pickCode });
        return { instant: await finished(pan115, plan, place.replacedRef, made, call) };
      }
      const uploadId = plan.sizeBytes === 0 ? null : await oss.initiate(wanted, call);
      const state: State = { ...wanted, ...place, parentRef: plan.parentRef, sha1, uploadId };
      fresh.set(wanted.object, wanted);
      const sliceBytes = sliceBytesFor(plan.sizeBytes, pan115.settings.partBytes);
      return { session: { sliceBytes, sliceCount: Math.ceil(plan.sizeBytes / sliceBytes), state } };
    },

    async putSlice(plan, session, index, bytes, call) {
      const state = stateOf(session);
      if (index < 0 || index >= session.sliceCount || state.uploadId === null) {
        throw invalid(`takes ${session.sliceCount} slices of this file, and none beyond.`);
      }
      await checkSlice(plan, session, index, bytes);
      await goOn(plan, state, call);
      const { md5, sizeBytes } = await putPart(state, state.uploadId, index + 1, bytes, call);
      return { index, state: { md5, sizeBytes } };
    },

    async complete(plan, session, receipts, call) {
      const state = stateOf(session);
      const parts = receipts
        .flatMap(({ index, state: receipt }) => {
          const { data } = RECEIPT.safeParse(receipt);
          return data ? [{ number: index + 1, ...data }] : [];
        })
        .toSorted((left, right) => left.number - right.number);
      const isWhole = parts.length === session.sliceCount && parts.every(({ number }, index) => number === index + 1);
      const total = parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      if (!isWhole || total !== plan.sizeBytes) throw corrupted('lacks slices of this file.');
      const made = await register(plan, state, parts, call);
      return finished(pan115, plan, state.replacedRef, made, call);
    },

    /** 115 keeps several files of one name: the others go. */
    async settleReplace({ ref, name, parentRef }, call) {
      if (parentRef === null) return;
      const { files } = await pan115.children(parentRef, call);
      const others = files.filter((file) => file.name === name && !file.isFolder && file.id !== ref);
      await removeReplaced(pan115, others, call);
    },

    async abort(session, call) {
      const { data: state } = STATE.safeParse(session.state);
      if (!state?.uploadId) return;
      fresh.delete(state.object);
      try {
        await oss.abort(state, state.uploadId, call);
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    },
  };

  /** A session that another process began: 115 gives its words for it anew. */
  async function goOn(plan: Pick<UploadPlan, 'sizeBytes'>, state: State, call: CallContext): Promise<Callback> {
    const known = fresh.get(state.object);
    if (known) return known;
    const form = {
      file_size: plan.sizeBytes,
      target: targetOf(state.parentRef),
      fileid: state.sha1,
      pick_code: state.pickCode,
    };
    const post = { url: '/open/upload/resume', form, idempotent: true };
    const { data } = await pan115.post(RESUMED, 'upload.resume', post, call).catch((error) => {
      const isUnknown = error instanceof DriveError && UNKNOWN.has(error.category);
      throw isUnknown ? unknownUpload(error) : error;
    });
    // Elsewhere there are none of the parts.
    if (data.bucket !== state.bucket || data.object !== state.object) throw unknownUpload();
    const callback = data.callback
      ? { callback: data.callback.callback, callbackVar: data.callback.callback_var }
      : state;
    fresh.set(state.object, callback);
    return callback;
  }

  /** A part whose answer was lost is there already: the storage's own list says whether it is this one. */
  async function putPart(
    place: OssObject,
    uploadId: string,
    number: number,
    bytes: Uint8Array,
    call: CallContext,
  ): Promise<StoredPart> {
    try {
      return await oss.putPart(place, uploadId, number, bytes, call);
    } catch (error) {
      if (!(error instanceof DriveError) || error.category !== 'conflict') throw error;
      const there = (await oss.parts(place, uploadId, call)).find((part) => part.number === number);
      const md5 = md5Of(bytes);
      if (there?.md5 === md5 && there.sizeBytes === bytes.byteLength) return there;
      throw unknownUpload(error);
    }
  }

  async function register(
    plan: UploadPlan,
    state: State,
    parts: readonly StoredPart[],
    call: CallContext,
  ): Promise<WireFile> {
    try {
      // Of an upload that has become a file, 115 may know nothing any more.
      const callback = await goOn(plan, state, call);
      return registeredOf(plan, state, await assemble(plan, state, parts, callback, call));
    } catch (error) {
      if (!(error instanceof DriveError) || call.signal.aborted) throw error;
      if (error.providerCode === CALLBACK_REFUSED) throw refusedUpload(error);
      const made = await madeAfterAll(plan, state, error, call);
      if (made) return made;
      throw error.category === 'conflict' ? unknownUpload(error) : error;
    }
  }

  async function assemble(
    plan: UploadPlan,
    state: State,
    parts: readonly StoredPart[],
    callback: Callback,
    call: CallContext,
  ): Promise<unknown> {
    const { uploadId } = state;
    if (uploadId === null) return oss.put(state, new Uint8Array(), callback, call);
    try {
      return await oss.complete(state, uploadId, parts, callback, call);
    } catch (error) {
      if (!(error instanceof DriveError) || error.category !== 'conflict') throw error;
      // The storage has the last word on what it has, as long as that is the file.
      const stored = await oss.parts(state, uploadId, call);
      const isSame =
        stored.length === parts.length && stored.reduce((sum, part) => sum + part.sizeBytes, 0) === plan.sizeBytes;
      if (!isSame) throw error;
      return oss.complete(state, uploadId, stored, callback, call);
    }
  }

  /**
   * The end of an upload of which nobody knows whether it was one: the file may be there, or 115 finds the bytes in its
   * storage when it is told of the file once more.
   */
  async function madeAfterAll(
    plan: UploadPlan,
    state: State,
    error: DriveError,
    call: CallContext,
  ): Promise<WireFile | null> {
    const isGone = error.category === 'not_found';
    const isUnsure = UNSURE.has(error.category) && !error.nothingDone;
    const isUnconfirmed = error.providerCode === CALLBACK_FAILED;
    if (!isGone && !isUnsure && !isUnconfirmed) return null;
    const there = await pan115.patiently(() => madeIn(pan115, plan, state, call), call);
    if (there || !isUnconfirmed || !plan.readSource) return there;
    const about = { name: state.name, sizeBytes: plan.sizeBytes, parentRef: state.parentRef, sha1: state.sha1 };
    const again = await announce(pan115, about, plan.readSource, call);
    if (!('made' in again)) return null;
    return fileOf(plan, state, null, again.made);
  }
}

/** How 115 says that it does not know an upload: the pick code is invalid, or does not exist. */
const UNKNOWN: ReadonlySet<string> = new Set(['invalid_argument', 'not_found']);
const UNSURE: ReadonlySet<string> = new Set(['unavailable', 'timeout', 'unexpected']);

function checkPlan({ name, sizeBytes }: UploadPlan): void {
  checkName(name);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw invalid('takes files of a whole number of bytes.');
}

function sourceOf({ readSource }: UploadPlan): NonNullable<UploadPlan['readSource']> {
  if (readSource) return readSource;
  throw invalid('asks for hashes of parts of the file before it is sent, so the source must be readable.');
}

/** The configured size, or the smallest whole MiB of which there are not too many. */
export const sliceBytesFor = (sizeBytes: number, partBytes: number): number =>
  sizeBytes <= partBytes * PARTS_MAX ? partBytes : Math.ceil(sizeBytes / PARTS_MAX / MIB) * MIB;

interface Place {
  readonly name: string;
  readonly before: string[];
  readonly replacedRef: string | null;
}

/** Under which name the file goes there, and what becomes of one that has it: 115 itself would keep both. */
function settled(folder: Folder, { name, onConflict }: UploadPlan): Place & { readonly kept?: WireFile } {
  const there = namesake(folder, name);
  if (!there) return { name, before: [], replacedRef: null };
  switch (onConflict) {
    case 'SKIP':
      return { name, before: [], replacedRef: null, kept: there };
    case 'RENAME':
      return { name: freeName(folder, name), before: [], replacedRef: null };
    case 'REPLACE':
      if (there.isFolder) throw taken(there.id);
      return {
        name,
        before: folder.files.filter((file) => file.name === name).map(({ id }) => id),
        replacedRef: there.id,
      };
    case 'FAIL':
      throw taken(there.id);
  }
}

/** The slice as it stands in the source: what was damaged on the way here is not sent. */
async function checkSlice(
  plan: UploadPlan,
  { sliceBytes }: UploadSession,
  index: number,
  bytes: Uint8Array,
): Promise<void> {
  const start = index * sliceBytes;
  const length = Math.min(sliceBytes, plan.sizeBytes - start);
  const source = bytes.byteLength === length ? await plan.readSource?.({ start, length }) : undefined;
  if (bytes.byteLength === length && (!source || Buffer.compare(source, bytes) === 0)) return;
  throw corrupted(`was to get other bytes than were announced, in slice ${index + 1}.`);
}

function registeredOf(plan: UploadPlan, state: State, body: unknown): WireFile {
  const { file_id, pick_code, sha1, file_size } = parsed(REGISTERED, body).data;
  if (sha1.toUpperCase() !== state.sha1 || file_size !== plan.sizeBytes) {
    throw corrupted('received other bytes than were sent.');
  }
  return fileOf(plan, state, null, { fileId: file_id, pickCode: pick_code || null });
}

const fileOf = (
  { parentRef, sizeBytes }: UploadPlan,
  { name, sha1 }: Pick<State, 'name' | 'sha1'>,
  folder: Folder | null,
  { fileId, pickCode }: { readonly fileId: string; readonly pickCode: string | null },
): WireFile =>
  madeFile({
    id: fileId,
    name,
    isFolder: false,
    parentId: parentRef,
    sizeBytes,
    sha1,
    pickCode,
    above: folder?.above ?? null,
  });

/** A file of that name with these bytes that was not there before. */
async function madeIn(
  pan115: Pan115Client,
  plan: UploadPlan,
  { name, sha1, before }: Pick<State, 'name' | 'sha1' | 'before'>,
  call: CallContext,
): Promise<WireFile | null> {
  const { files } = await pan115.children(plan.parentRef, call);
  const isIt = (file: WireFile): boolean =>
    !file.isFolder &&
    file.name === name &&
    file.sha1?.toUpperCase() === sha1 &&
    file.sizeBytes === plan.sizeBytes &&
    !before.includes(file.id);
  return files.find(isIt) ?? null;
}

/** Does it; when the answer is lost, what the announcement may have made is looked for. */
async function orMade(
  pan115: Pan115Client,
  plan: UploadPlan,
  state: Pick<State, 'name' | 'sha1' | 'before'>,
  call: CallContext,
  act: () => Promise<Announced>,
): Promise<Announced> {
  try {
    return await act();
  } catch (error) {
    const isUnsure = error instanceof DriveError && UNSURE.has(error.category) && !error.nothingDone;
    if (!isUnsure || call.signal.aborted) throw error;
    const made = await pan115.patiently(() => madeIn(pan115, plan, state, call), call);
    if (!made) throw error;
    return { made: { fileId: made.id, pickCode: made.pickCode } };
  }
}

/** The new file, once the one is gone whose place it takes. */
async function finished(
  pan115: Pan115Client,
  { parentRef }: UploadPlan,
  replacedRef: string | null,
  made: WireFile,
  call: CallContext,
): Promise<DriveEntry> {
  if (replacedRef !== null) {
    const replaced = madeFile({ id: replacedRef, name: made.name, isFolder: false, parentId: parentRef });
    await removeReplaced(pan115, [replaced], call);
  }
  return toEntry(pan115.recent.made(made));
}

const md5Of = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex').toUpperCase();

const stateOf = ({ state }: UploadSession): State => {
  const { data } = STATE.safeParse(state);
  if (!data) throw unknownUpload();
  return data;
};

/** Nothing is left of it at 115: it is announced and sent once more. */
const refusedUpload = ({ message, providerCode, cause }: DriveError) =>
  new DriveError('not_found', message, { provider: PROVIDER, providerCode, hint: 'Send the file again.', cause });

const unknownUpload = (cause?: unknown) =>
  pan115Error('not_found', 'does not know this upload. Begin again.', null, { cause });
