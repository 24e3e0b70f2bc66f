import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

export const FILE_CATEGORIES = ['VIDEO', 'AUDIO', 'IMAGE', 'DOCUMENT', 'APPLICATION', 'TORRENT', 'OTHER'] as const;
export type FileCategory = (typeof FILE_CATEGORIES)[number];

/** A file or folder of the built-in drive. The root of a drive is the one entry without a parent. */
const LocalEntrySchema = defineEntity({
  name: 'LocalEntry',
  tableName: 'local_entries',
  indexes: [
    { name: 'local_entries_by_name', properties: ['parentId', 'trashRootId', 'nameKey', 'id'] },
    { name: 'local_entries_by_size', properties: ['parentId', 'trashRootId', 'sizeBytes', 'id'] },
    { name: 'local_entries_by_time', properties: ['parentId', 'trashRootId', 'modifiedAt', 'id'] },
    { name: 'local_entries_by_category', properties: ['accountId', 'trashRootId', 'category', 'nameKey', 'id'] },
    { name: 'local_entries_by_trash', properties: ['accountId', 'trashedAt', 'id'] },
  ],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    accountId: p.string().length(36),
    parentId: p.string().length(36).nullable(),
    kind: p.string().length(8).$type<'FILE' | 'FOLDER'>(),
    /** As given; compared by `nameKey`. */
    name: p.string().length(255),
    nameKey: p.string().length(255),
    /** `<parentId>/<nameKey>` of a live entry, null of one in the recycle bin: two live siblings cannot share a name. */
    siblingKey: p.string().length(300).nullable().unique(),
    sizeBytes: p.bigint('number').default(0),
    /** SHA-256 of a file's bytes, null of a folder. */
    blobHash: p.string().length(64).nullable().index(),
    mimeType: p.string().length(128).nullable(),
    category: p.string().length(16).$type<FileCategory>().nullable(),
    /** Grows with every change of the entry. */
    revision: p.integer().default(1),
    createdAt: p.datetime(),
    modifiedAt: p.datetime(),
    /** The entry whose deletion put this one into the recycle bin (itself or a folder above it); null while live. */
    trashRootId: p.string().length(36).nullable().index(),
    /** When it was deleted; set on the trash root only. */
    trashedAt: p.datetime().nullable(),
  },
});
export class LocalEntry extends LocalEntrySchema.class {}
LocalEntrySchema.setClass(LocalEntry);

/** Bytes kept once, whoever has them: the file is named by its SHA-256 and goes when nothing refers to it. */
const BlobSchema = defineEntity({
  name: 'Blob',
  tableName: 'blobs',
  properties: {
    sha256: p.string().length(64).primary(),
    sizeBytes: p.bigint('number'),
    /** Entries that refer to it. At 0 a sweep removes the bytes after a grace period. */
    referenceCount: p.integer(),
    md5: p.string().length(32).nullable(),
    sha1: p.string().length(40).nullable(),
    crc32: p.string().length(8).nullable(),
    createdAt: p.datetime(),
    /** When the count last fell to 0. */
    unreferencedAt: p.datetime().nullable().index(),
  },
});
export class Blob extends BlobSchema.class {}
BlobSchema.setClass(Blob);

export const CHANGE_KINDS = ['CREATED', 'MODIFIED', 'MOVED', 'DELETED'] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** The change journal: one row for each entry that a person sees change, in order of commit. */
const LocalChangeSchema = defineEntity({
  name: 'LocalChange',
  tableName: 'local_changes',
  indexes: [{ properties: ['accountId', 'sequence'] }],
  properties: {
    sequence: p.bigint('number').primary().autoincrement(),
    accountId: p.string().length(36),
    kind: p.string().length(16).$type<ChangeKind>(),
    entryId: p.string().length(36),
    entryKind: p.string().length(8).$type<'FILE' | 'FOLDER'>(),
    /** The folder in which the change is seen; of a move, the new one. */
    parentId: p.string().length(36).nullable(),
    path: p.text().nullable(),
    at: p.datetime(),
  },
});
export class LocalChange extends LocalChangeSchema.class {}
LocalChangeSchema.setClass(LocalChange);
