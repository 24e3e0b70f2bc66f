import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DriveEntry, FileCategory } from '../driver.ts';
import { mimeTypeOf } from '../shared/categories.ts';
import { rootEntry } from '../shared/root.ts';

/** Keys whose numbers are ids: some are beyond 2⁵³, and one arrives as a float at times. */
export const TEXT_KEYS = ['fs_id', 'fsid', 'uk', 'taskid', 'request_id', 'share_id', 'oper_id', 'to_fs_id', 'mb_id'];

/** Baidu's numbers for kinds of file, from 1. */
export const CATEGORIES: readonly FileCategory[] = [
  'VIDEO',
  'AUDIO',
  'IMAGE',
  'DOCUMENT',
  'APPLICATION',
  'OTHER',
  'TORRENT',
];

export const TIME = z.coerce.number().positive().optional().catch(undefined);

/** The file object, in all the forms that calls give it. `md5` is an id of the content, not its hash. */
export const FILE = z.object({
  fs_id: z.string().regex(/^\d+$/),
  path: z.string().startsWith('/'),
  size: z.coerce.number().int().min(0).optional(),
  isdir: z.coerce.number(),
  category: z.coerce.number().optional(),
  md5: z.string().optional(),
  server_ctime: TIME,
  server_mtime: TIME,
  /** Of what was just made, in place of the server's times. */
  ctime: TIME,
  mtime: TIME,
});
export type WireFile = z.infer<typeof FILE>;

/** An empty list comes as an object from some calls. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.union([z.array(item), z.object({}).transform(() => [])]);

export const FILE_LIST = z.object({ list: listOf(FILE) });
export const TYPED_LIST = z.object({ info: listOf(FILE) });
export const CURSOR_LIST = z.object({
  list: listOf(FILE),
  has_more: z.coerce.number(),
  cursor: z.coerce.number().optional(),
});
export const SEARCH = z.object({ list: listOf(FILE), has_more: z.coerce.number() });

/** Semantic search words its hits in its own way. */
const HIT = z.object({ fsid: z.string() }).loose();
export const UNISEARCH = z.object({
  data: z.array(
    z.object({
      list: listOf(HIT.transform(({ fsid, ...rest }) => ({ ...rest, fs_id: fsid })).pipe(FILE)),
    }),
  ),
});

const META_FIELDS = {
  dlink: z.string().optional(),
  thumbs: z.record(z.string(), z.unknown()).optional(),
  width: z.coerce.number().optional(),
  height: z.coerce.number().optional(),
  duration: z.coerce.number().optional(),
  media_info: z
    .object({
      duration_ms: z.coerce.number().optional(),
      width: z.coerce.number().optional(),
      height: z.coerce.number().optional(),
    })
    .optional(),
};
export const META_LIST = z.object({ list: listOf(FILE.extend(META_FIELDS)) });
export type WireMeta = z.infer<typeof META_LIST>['list'][number];

/** Where the drive begins on Baidu: '' for all of it, or a folder such as `/apps/PanQL`. */
export type Root = string;

export const rootOf = (appRoot: string): Root => appRoot.replace(/\/+$/, '');

/** Whether a path of Baidu's belongs to the drive. */
export const isInside = (path: string, folder: string): boolean =>
  folder === '' || folder === '/' || path === folder || path.startsWith(`${folder}/`);

export const joined = (folder: string, name: string): string => `${folder === '/' ? '' : folder}/${name}`;
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
export const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

export const isFolder = ({ isdir }: WireFile): boolean => isdir === 1;

/** `parentRef` as far as the call knows it; a child of the root's is known by its path. */
export function toEntry(file: WireFile, root: Root, parentRef: string | null = null): DriveEntry {
  const folder = isFolder(file);
  const name = nameOf(file.path);
  const path = file.path.slice(root.length);
  return {
    ref: file.fs_id,
    kind: folder ? 'FOLDER' : 'FILE',
    name,
    parentRef: parentRef ?? (folderOf(path) === '/' ? ROOT_REF : null),
    path,
    sizeBytes: folder ? null : (file.size ?? null),
    createdAt: dateOf(file.server_ctime ?? file.ctime),
    modifiedAt: dateOf(file.server_mtime ?? file.mtime),
    revision: revisionOf(file, name),
    mimeType: folder ? null : mimeTypeOf(name),
    category: folder ? null : (CATEGORIES[(file.category ?? 0) - 1] ?? 'OTHER'),
    hashes: {},
    deletedAt: null,
  };
}

export const ROOT_REF = '/';

export const ROOT_ENTRY = rootEntry(ROOT_REF);

export const dateOf = (seconds: number | undefined): Date | null =>
  seconds === undefined ? null : new Date(seconds * 1000);

/** Times are whole seconds, so the name is in it too: a rename within a second shows. */
const revisionOf = ({ size = 0, server_mtime, mtime, md5 = '' }: WireFile, name: string): string =>
  createHash('sha1')
    .update(JSON.stringify([server_mtime ?? mtime ?? 0, size, md5, name]))
    .digest('base64url');
