import { z } from 'zod';
import { numberedName } from '../../lib/names.ts';
import type { CallContext, ConflictPolicy } from '../driver.ts';
import { ACCEPTED, type Folder, type Pan115Client } from './client.ts';
import { invalid, isMissing, pan115Error } from './errors.ts';
import { keepsExtension } from './names.ts';
import type { WireFile } from './wire.ts';

/** A large folder may take 115 long. */
const CHANGE_TIMEOUT_MS = 120_000;

const UPDATED = z.object({
  data: z.preprocess(
    (data) => (Array.isArray(data) ? (data[0] ?? {}) : (data ?? {})),
    z.object({ file_name: z.coerce.string().optional() }),
  ),
});

/** One change of an account at a time: the limiter keeps them apart. */
export const change = (
  pan115: Pan115Client,
  url: string,
  form: Readonly<Record<string, string | number | null>>,
  call: CallContext,
) => pan115.post(ACCEPTED, 'change', { url, form, timeoutMs: CHANGE_TIMEOUT_MS }, call);

/** Gives an entry its name. 115 keeps the extension of a file whatever it is told; then the old name is put back. */
export async function renamed(
  pan115: Pan115Client,
  file: WireFile,
  name: string,
  call: CallContext,
): Promise<WireFile> {
  if (file.name === name) return file;
  const update = (file_name: string) => {
    const post = { url: '/open/ufile/update', form: { file_id: file.id, file_name }, idempotent: true };
    return pan115.onceKnown([file.id], () => pan115.post(UPDATED, 'change', post, call), call);
  };
  const { data } = await update(name);
  const given = data.file_name ?? name;
  if (given === name) return pan115.recent.made({ ...file, name });
  if (given !== file.name) await update(file.name);
  throw invalid(
    keepsExtension(file.name, name)
      ? 'gave another name than it was told.'
      : 'does not change the extension of a file.',
    'Keep what stands after the last dot of the name.',
  );
}

/** The entry of that name in a folder, other than one. */
export const namesake = ({ files }: Pick<Folder, 'files'>, name: string, exceptId?: string): WireFile | null =>
  files.find((file) => file.name === name && file.id !== exceptId) ?? null;

export const taken = (existingRef: string | null, cause?: unknown) =>
  pan115Error('already_exists', 'has an entry of that name there already.', '20004', {
    cause,
    ...(existingRef === null ? {} : { existingRef }),
  });

/** The folder with what has the name there; with all that is in it, where a policy has to know that. */
export async function folderFor(
  pan115: Pan115Client,
  parentRef: string,
  name: string,
  onConflict: ConflictPolicy,
  call: CallContext,
): Promise<Folder> {
  const folder = await pan115.folderWith(parentRef, name, call);
  const isEnough = onConflict === 'FAIL' || onConflict === 'SKIP' || !namesake(folder, name);
  return isEnough ? folder : pan115.children(parentRef, call);
}

/** `name`, or with the first number that nothing in the folder has. */
export function freeName({ files }: Pick<Folder, 'files'>, name: string): string {
  const names = new Set(files.map((file) => file.name));
  let free = name;
  for (let number = 2; names.has(free); number += 1) free = numberedName(name, number);
  return free;
}

/** Of several of one name the older go, once the newer is there. */
export async function removeReplaced(
  pan115: Pan115Client,
  replaced: readonly WireFile[],
  call: CallContext,
): Promise<void> {
  for (const file of replaced) {
    try {
      const form = { file_ids: file.id, parent_id: file.parentId };
      await change(pan115, '/open/ufile/delete', form, call);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    pan115.recent.gone(file);
  }
}

/**
 * Of the files that have the name of one that takes their place, one that is that one already: with its bytes. So it is
 * after a try that died before it put the others away.
 */
export function alreadyThere(
  { files }: Pick<Folder, 'files'>,
  { name, sha1, sizeBytes, id }: Pick<WireFile, 'name' | 'sha1' | 'sizeBytes'> & { readonly id?: string },
): { readonly made: WireFile; readonly others: readonly WireFile[] } | null {
  const namesakes = files.filter((file) => file.name === name && !file.isFolder);
  const made = namesakes.find(
    (file) =>
      file.id !== id &&
      sha1 !== null &&
      file.sha1?.toUpperCase() === sha1.toUpperCase() &&
      file.sizeBytes === sizeBytes,
  );
  return made ? { made, others: namesakes.filter((file) => file !== made && file.id !== id) } : null;
}
