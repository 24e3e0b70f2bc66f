import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DriveEntry } from '../driver.ts';
import { categoryOf, mimeTypeOf } from '../shared/categories.ts';
import { rootEntry } from '../shared/root.ts';

/** Keys whose numbers are ids: those of 19 digits do not fit into a number, and some calls send them as one. */
export const TEXT_KEYS = [
  'cid',
  'pid',
  'p_cid',
  'fid',
  'aid',
  'id',
  'tid',
  'file_id',
  'parent_id',
  'user_id',
  'wp_path_id',
  'delete_file_id',
];

export const ROOT_REF = '0';
export const REF = /^[1-9]\d{0,19}$/;

/** An id, as text or as a number; absent where it is empty. */
const ID = z.union([z.string().regex(/^\d+$/), z.number().transform(String)]);
const OPTIONAL_ID = ID.optional().catch(undefined);
const TEXT = z.union([z.string(), z.number().transform(String)]);
const OPTIONAL_TEXT = TEXT.optional().catch(undefined);
const COUNT = z.coerce.number().int().min(0);
const OPTIONAL_COUNT = COUNT.optional().catch(undefined);
/** Unix seconds; 0 and nothing mean that it is not told. */
const TIME = z.coerce.number().positive().optional().catch(undefined);
/** Seconds of playing; -1 while it is computed. */
const DURATION = z.coerce.number().positive().optional().catch(undefined);

/** PHP writes an empty object as a list, and some calls put the object into one. */
export const objectOf = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => (Array.isArray(value) ? value[0] : value), schema);
/** The same where nothing may be there. */
export const maybeObjectOf = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => {
    const one = Array.isArray(value) ? value[0] : value;
    const isEmpty = one === null || one === undefined || one === '' || Object.keys(Object(one)).length === 0;
    return isEmpty ? undefined : one;
  }, schema.optional());
/** A list, which may be missing or null when it is empty. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((value) => (Array.isArray(value) ? value : []), z.array(item));

/** An entry in whatever form a call gives it, in one. */
export interface WireFile {
  readonly id: string;
  readonly name: string;
  readonly isFolder: boolean;
  readonly parentId: string | null;
  readonly sizeBytes: number | null;
  /** Upper-case hex. */
  readonly sha1: string | null;
  readonly pickCode: string | null;
  readonly createdAt: number | null;
  readonly modifiedAt: number | null;
  readonly durationSeconds: number | null;
  /** The names of the folders above it, from the root on; null where the call does not tell. */
  readonly above: readonly string[] | null;
}

const fileOf = (fields: Partial<WireFile> & Pick<WireFile, 'id' | 'name' | 'isFolder'>): WireFile => ({
  parentId: null,
  sizeBytes: null,
  sha1: null,
  pickCode: null,
  createdAt: null,
  modifiedAt: null,
  durationSeconds: null,
  above: null,
  ...fields,
});

/** An item of a folder's list. */
const LISTED = z
  .object({
    fid: ID,
    pid: OPTIONAL_ID,
    fc: TEXT,
    fn: TEXT,
    fs: OPTIONAL_COUNT,
    pc: OPTIONAL_TEXT,
    sha1: OPTIONAL_TEXT,
    upt: TIME,
    uet: TIME,
    uppt: TIME,
    aid: OPTIONAL_TEXT,
    play_long: DURATION,
  })
  .transform(({ aid, ...file }) => ({
    /** In the recycle bin, or destroyed. */
    isGone: aid !== undefined && aid !== '1' && aid !== '',
    file: fileOf({
      id: file.fid,
      name: file.fn,
      isFolder: file.fc === '0',
      parentId: file.pid ?? null,
      sizeBytes: file.fs ?? null,
      sha1: file.sha1 || null,
      pickCode: file.pc || null,
      createdAt: file.uppt ?? null,
      modifiedAt: file.upt ?? file.uet ?? null,
      durationSeconds: file.play_long ?? null,
    }),
  }));

/** The folder's list: what belongs to the page stands beside `data`, not in it. */
export const FILE_LIST = z.object({
  data: listOf(LISTED),
  /** Absent: the end is an empty page. */
  count: OPTIONAL_COUNT,
  cid: OPTIONAL_ID,
  path: listOf(z.object({ cid: ID, name: TEXT })).catch([]),
});
export type FileList = z.infer<typeof FILE_LIST>;

export const INFO = z.object({
  data: maybeObjectOf(
    z
      .object({
        file_id: ID,
        file_name: TEXT,
        file_category: TEXT,
        pick_code: OPTIONAL_TEXT,
        sha1: OPTIONAL_TEXT,
        size_byte: OPTIONAL_COUNT,
        ptime: TIME,
        utime: TIME,
        play_long: DURATION,
        paths: listOf(z.object({ file_id: ID, file_name: TEXT })).catch([]),
      })
      .transform(({ paths, ...info }) => {
        const above = paths.filter(({ file_id }) => file_id !== info.file_id);
        return fileOf({
          id: info.file_id,
          name: info.file_name,
          isFolder: info.file_category === '0',
          parentId: above.at(-1)?.file_id ?? null,
          sizeBytes: info.size_byte ?? null,
          sha1: info.sha1 || null,
          pickCode: info.pick_code || null,
          createdAt: info.ptime ?? null,
          modifiedAt: info.utime ?? null,
          durationSeconds: info.play_long ?? null,
          above:
            paths.length === 0 ? null : namesBelowRoot(above.map((one) => ({ id: one.file_id, name: one.file_name }))),
        });
      }),
  ),
});

/** The names of a chain of folders, root first, without the root's own. */
export const namesBelowRoot = (chain: readonly { readonly id: string; readonly name: string }[]): readonly string[] =>
  chain.filter(({ id }) => id !== ROOT_REF).map(({ name }) => name);

export const SEARCH = z.object({
  data: listOf(
    z
      .object({
        file_id: ID,
        parent_id: OPTIONAL_ID,
        file_name: TEXT,
        file_category: TEXT,
        file_size: OPTIONAL_COUNT,
        pick_code: OPTIONAL_TEXT,
        sha1: OPTIONAL_TEXT,
        user_ptime: TIME,
        user_utime: TIME,
        area_id: OPTIONAL_TEXT,
      })
      .transform(({ area_id, ...hit }) => ({
        isGone: area_id !== undefined && area_id !== '1' && area_id !== '',
        file: fileOf({
          id: hit.file_id,
          name: hit.file_name,
          isFolder: hit.file_category === '0',
          parentId: hit.parent_id ?? null,
          sizeBytes: hit.file_size ?? null,
          sha1: hit.sha1 || null,
          pickCode: hit.pick_code || null,
          createdAt: hit.user_ptime ?? null,
          modifiedAt: hit.user_utime ?? null,
        }),
      })),
  ),
});

/** What was just made, as far as the call that made it tells. */
export const madeFile = (fields: Partial<WireFile> & Pick<WireFile, 'id' | 'name' | 'isFolder'>): WireFile =>
  fileOf(fields);

export function toEntry(file: WireFile): DriveEntry {
  const { id, name, isFolder, above } = file;
  // A name may hold a slash at 115; then there is no path that leads to it.
  const hasPath = above !== null && ![...above, name].some((segment) => segment.includes('/'));
  return {
    ref: id,
    kind: isFolder ? 'FOLDER' : 'FILE',
    name,
    parentRef: file.parentId,
    path: hasPath ? `/${[...above, name].join('/')}` : null,
    sizeBytes: isFolder ? null : file.sizeBytes,
    createdAt: dateOf(file.createdAt),
    modifiedAt: dateOf(file.modifiedAt),
    revision: revisionOf(file),
    mimeType: isFolder ? null : mimeTypeOf(name),
    category: isFolder ? null : categoryOf(name),
    hashes: !isFolder && file.sha1 ? { SHA1: file.sha1.toLowerCase() } : {},
    deletedAt: null,
  };
}

export const ROOT_ENTRY = rootEntry(ROOT_REF);

export const dateOf = (seconds: number | null | undefined): Date | null => (seconds ? new Date(seconds * 1000) : null);

/** Without times: they are missing for some seconds after a change. A file's content is in it by its hash. */
const revisionOf = ({ id, name, isFolder, sha1, sizeBytes }: WireFile): string =>
  createHash('sha1')
    .update(JSON.stringify(isFolder ? [id, name] : [id, name, sha1?.toUpperCase() ?? '', sizeBytes ?? 0]))
    .digest('base64url');
