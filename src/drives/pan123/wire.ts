import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DriveEntry, FileCategory } from '../driver.ts';
import { categoryOf, mimeTypeOf } from '../shared/categories.ts';
import { rootEntry } from '../shared/root.ts';

/** Keys whose numbers are ids: they may become larger than a float holds. Each call spells them in its own way. */
export const TEXT_KEYS = [
  'fileId',
  'fileID',
  'parentFileId',
  'parentFileID',
  'lastFileId',
  'dirID',
  'sourceFileId',
  'targetFileId',
  'taskId',
  'taskID',
  'uid',
  'shareID',
  'shareId',
  'lastShareId',
];

export const ID = z.string().regex(/^\d+$/);
/** What is `-1` after the last page. */
export const PLACE_ID = z.string().regex(/^-?\d+$/);
const NONE = '0';
/** An id that is 0 as long as there is none. */
export const MAYBE_ID = ID.nullish().transform((id) => (id == null || id === NONE ? null : id));

export const NUMBER = z.coerce.number();
const FLAG = z.union([z.boolean(), NUMBER]).nullish().transform(Number).catch(0);

/** The file object, as the calls about files give it. */
export const FILE = z
  .object({
    fileId: ID.optional(),
    /** The first version spells it so. */
    fileID: ID.optional(),
    filename: z.string(),
    parentFileId: ID.catch(NONE),
    type: NUMBER,
    etag: z.union([z.string(), z.boolean()]).nullish(),
    size: NUMBER.catch(0),
    category: NUMBER.catch(0),
    status: NUMBER.catch(0),
    trashed: FLAG,
    createAt: z.unknown(),
    updateAt: z.unknown(),
  })
  .transform(({ fileId, fileID, ...file }) => ({ ...file, fileId: fileId ?? fileID ?? NONE }));
export type WireFile = z.infer<typeof FILE>;

/** An empty list comes as null at times. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item)
    .nullish()
    .transform((items) => items ?? []);

export const FILE_PAGE = z.object({ lastFileId: PLACE_ID, fileList: listOf(FILE) });
export const FILE_LIST = z.object({ fileList: listOf(FILE) });
export const BIN_PAGE = z.object({ total: NUMBER.catch(0), fileList: listOf(FILE) });

/** The number of the last page. */
const END = '-1';
/**
 * Whether nothing follows. A place that does not move, or leads back to the beginning, and a page without anything are
 * taken for an end rather than for a circle; a page may be short, as what is in the recycle bin is on it too.
 */
export const isLastPage = (next: string, from: string | null, items: readonly unknown[]): boolean =>
  next === END || next === NONE || next === from || items.length === 0;
export const ROOT_REF = NONE;

/** 1 audio, 2 video, 3 image; others are what the name says. */
const CATEGORIES: Readonly<Record<number, FileCategory>> = { 1: 'AUDIO', 2: 'VIDEO', 3: 'IMAGE' };

export const isFolder = ({ type }: WireFile): boolean => type === 1;
/** Listings and lookups show what is in the recycle bin too. */
export const isLive = ({ trashed }: WireFile): boolean => trashed === 0;

export function toEntry(file: WireFile): DriveEntry {
  const folder = isFolder(file);
  const hash = hashOf(file);
  return {
    ref: file.fileId,
    kind: folder ? 'FOLDER' : 'FILE',
    name: file.filename,
    parentRef: file.parentFileId,
    path: null,
    sizeBytes: folder ? null : file.size,
    createdAt: timeOf(file.createAt),
    modifiedAt: timeOf(file.updateAt),
    revision: revisionOf(file),
    mimeType: folder ? null : mimeTypeOf(file.filename),
    category: folder ? null : (CATEGORIES[file.category] ?? categoryOf(file.filename)),
    hashes: folder || hash === null ? {} : { MD5: hash },
    deletedAt: null,
  };
}

/** The MD5 of a file's bytes, which the service calls its etag. */
export function hashOf({ etag }: WireFile): string | null {
  const hash = typeof etag === 'string' ? etag.toLowerCase() : '';
  return /^[0-9a-f]{32}$/.test(hash) ? hash : null;
}

/**
 * Times are Beijing's, without saying so; the first version adds ` +0800 CST`. One is a number by the documents and a text
 * in their sample. Null when it is no time.
 */
export function timeOf(text: unknown): Date | null {
  if (typeof text === 'number') return text > 0 ? new Date(text < MILLISECONDS_MIN ? text * 1000 : text) : null;
  const [, date, time] = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})/.exec(typeof text === 'string' ? text : '') ?? [];
  const at = new Date(`${date}T${time}+08:00`);
  return date === undefined || Number.isNaN(at.getTime()) || at.getTime() <= 0 ? null : at;
}

/** Numbers from here on are milliseconds: as seconds they would be in the year 5138. */
const MILLISECONDS_MIN = 1e11;

/** Times are whole seconds, so what else may change within one is in it too. */
const revisionOf = ({ updateAt, size, etag, filename, parentFileId }: WireFile): string =>
  createHash('sha1')
    .update(JSON.stringify([String(updateAt ?? ''), size, etag ?? '', filename, parentFileId]))
    .digest('base64url');

export const ROOT_ENTRY = rootEntry(ROOT_REF);
