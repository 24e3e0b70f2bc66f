import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { UploadPlan } from '../contract/upload.ts';
import type { CallContext } from '../driver.ts';
import type { Pan115Client } from './client.ts';
import { corrupted, invalid, pan115Error } from './errors.ts';
import { maybeObjectOf, objectOf } from './wire.ts';

/** Bytes of the source read at once: hashing so many takes 2 ms, which is how long others wait. */
const PIECE_BYTES = 1024 * 1024;
/** The beginning of a file, of which 115 wants a hash apart. */
const HEAD_BYTES = 128 * 1024;
/** Questions about parts of the file that are answered before it is given up. */
const ANSWERS_MAX = 4;

const OPTIONAL_ID = z
  .union([z.string(), z.number().transform(String)])
  .optional()
  .catch(undefined);

/** The words that the storage sends to 115 when a file is whole. They come only where bytes are wanted. */
export const CALLBACK_TEXTS = maybeObjectOf(z.object({ callback: z.string().min(1), callback_var: z.string().min(1) }));

const ANNOUNCED = z.object({
  data: objectOf(
    z.object({
      status: z.coerce.number(),
      code: z.coerce.number().optional().catch(undefined),
      pick_code: z.coerce.string().optional().catch(undefined),
      file_id: OPTIONAL_ID,
      sign_key: z.coerce.string().optional().catch(undefined),
      sign_check: z.string().optional().catch(undefined),
      bucket: z.string().optional().catch(undefined),
      object: z.string().optional().catch(undefined),
      callback: CALLBACK_TEXTS,
    }),
  ),
});

/** Where bytes are wanted, and what 115 is to be told when they are there. */
export interface Wanted {
  readonly pickCode: string;
  readonly bucket: string;
  readonly object: string;
  readonly callback: string;
  readonly callbackVar: string;
}

/** 115 has the bytes already, and made a file of them; or it wants them. */
export type Announced = { readonly made: { readonly fileId: string; readonly pickCode: string | null } } | Wanted;

export interface Announcement {
  readonly name: string;
  readonly sizeBytes: number;
  readonly parentRef: string;
  /** Of the whole file, upper-case hex. */
  readonly sha1: string;
}

export const targetOf = (parentRef: string): string => `U_1_${parentRef}`;

/**
 * Tells 115 of a file, and proves that it is here: 115 asks for the hash of some bytes of it, others each time.
 * @throws DriveError `corrupted` when the source is not what it was
 */
export async function announce(
  pan115: Pan115Client,
  { name, sizeBytes, parentRef, sha1 }: Announcement,
  readSource: NonNullable<UploadPlan['readSource']>,
  call: CallContext,
): Promise<Announced> {
  const about = {
    file_name: name,
    file_size: sizeBytes,
    target: targetOf(parentRef),
    fileid: sha1,
    preid: await sha1Of(readSource, 0, Math.min(HEAD_BYTES, sizeBytes), call.signal),
  };
  let proof: Readonly<Record<string, string>> = {};
  for (let answers = 0; ; answers += 1) {
    const post = { url: '/open/upload/init', form: { ...about, ...proof } };
    const { data } = await pan115.post(ANNOUNCED, 'upload.init', post, call);
    if (data.status === 2) return madeOf(data);
    if (data.status === 1) return wantedOf(data);
    const range = /^(\d+)[-_](\d+)$/.exec(data.sign_check ?? '');
    const isRefusal = data.status === 6 || data.status === 8;
    // Refused without another question: the whole is begun anew, which brings one.
    if (isRefusal && !range && answers < ANSWERS_MAX) {
      proof = {};
      continue;
    }
    if (!data.sign_key || !range || answers === ANSWERS_MAX) {
      throw pan115Error(
        'corrupted',
        'was not convinced that this server has the file.',
        String(data.code ?? data.status),
        {
          hint: 'Send the file again.',
        },
      );
    }
    // Both ends are meant, the last one too.
    const [start, end] = [Number(range[1]), Number(range[2])];
    if (end < start || end >= sizeBytes) throw invalid('asks for bytes that the file does not have.');
    proof = { sign_key: data.sign_key, sign_val: await sha1Of(readSource, start, end - start + 1, call.signal) };
  }
}

type Data = z.infer<typeof ANNOUNCED>['data'];

function madeOf({ file_id, pick_code }: Data): Announced {
  if (!file_id) throw pan115Error('unavailable', 'made the file without naming it.', null, {});
  return { made: { fileId: file_id, pickCode: pick_code || null } };
}

function wantedOf({ pick_code, bucket, object, callback }: Data): Wanted {
  if (!pick_code || !bucket || !object || !callback) {
    throw pan115Error('unavailable', 'wants the file without saying where.', null, {});
  }
  return { pickCode: pick_code, bucket, object, callback: callback.callback, callbackVar: callback.callback_var };
}

/** Upper-case hex of some bytes of the source. */
export async function sha1Of(
  readSource: NonNullable<UploadPlan['readSource']>,
  from: number,
  length: number,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash('sha1');
  for (let start = from; start < from + length; start += PIECE_BYTES) {
    signal.throwIfAborted();
    const wanted = Math.min(PIECE_BYTES, from + length - start);
    const bytes = await readSource({ start, length: wanted });
    if (bytes.byteLength !== wanted) throw corrupted('was to get other bytes than were promised.');
    hash.update(bytes);
  }
  return hash.digest('hex').toUpperCase();
}
