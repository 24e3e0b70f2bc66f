import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

export const FILE_CATEGORIES = ['VIDEO', 'AUDIO', 'IMAGE', 'DOCUMENT', 'APPLICATION', 'TORRENT', 'OTHER'] as const;
export type FileCategory = (typeof FILE_CATEGORIES)[number];

/** Only what is live: what a person sees outside the recycle bin. */
const LIVE = 'hidden_by is null';

/**
 * A file or folder of the built-in drive. The root of a drive is the one entry without a parent; it has the id of its
 * account. An entry is live, or it belongs to a hidden tree: one in the recycle bin, or one that is being made or
 * deleted in steps.
 */
const LocalEntrySchema = defineEntity({
  name: 'LocalEntry',
  tableName: 'local_entries',
  uniques: [
    // Two live siblings cannot share a name, whatever two requests do at once.
    { name: 'local_entries_siblings', properties: ['parentId', 'nameKey'], where: LIVE },
  ],
  indexes: [
    // The kind comes first, so that a listing of one kind costs its page, and one of both kinds two.
    { name: 'local_entries_by_name', properties: ['parentId', 'kind', 'nameKey', 'id'], where: LIVE },
    { name: 'local_entries_by_size', properties: ['parentId', 'kind', 'sizeBytes', 'id'], where: LIVE },
    { name: 'local_entries_by_time', properties: ['parentId', 'kind', 'modifiedAt', 'id'], where: LIVE },
    { name: 'local_entries_by_account', properties: ['accountId', 'id'], where: LIVE },
    { name: 'local_entries_by_category', properties: ['accountId', 'category', 'id'], where: LIVE },
    { name: 'local_entries_by_blob', properties: ['blobHash', 'accountId'] },
    { name: 'local_entries_usage', properties: ['accountId', 'category', 'hiddenBy', 'sizeBytes'] },
    { name: 'local_entries_hidden', properties: ['hiddenBy', 'id'], where: 'hidden_by is not null' },
    { name: 'local_entries_bin', properties: ['accountId', 'trashedAt', 'id'], where: 'trashed_at is not null' },
    { name: 'local_entries_to_reap', properties: ['accountId', 'reapAfter'], where: 'reap_after is not null' },
  ],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    accountId: p.string().length(36),
    /** Where it is; of a hidden entry, where it was. */
    parentId: p.string().length(36).nullable(),
    kind: p.string().length(8).$type<'FILE' | 'FOLDER'>(),
    /** As given; compared by `nameKey`. */
    name: p.string().length(255),
    /** Sorted by code point in both databases: PostgreSQL's collation is set by its own migration. */
    nameKey: p.string().length(255).ignoreSchemaChanges('collation'),
    sizeBytes: p.bigint('number').default(0),
    /** SHA-256 of a file's bytes, null of a folder. */
    blobHash: p.string().length(64).nullable(),
    mimeType: p.string().length(128).nullable(),
    /** Null of a folder. */
    category: p.string().length(16).$type<FileCategory>().nullable(),
    /** Grows with every change of the entry. */
    revision: p.integer().default(1),
    createdAt: p.datetime(),
    modifiedAt: p.datetime(),
    /** The top of the hidden tree it belongs to (itself or a folder above it); null while live. */
    hiddenBy: p.string().length(36).nullable(),
    /** When the person deleted it; set on the top of a tree in the recycle bin only. */
    trashedAt: p.datetime().nullable(),
    /** Set on the top of a tree that is being made or deleted in steps: a sweep deletes what is left of it after this. */
    reapAfter: p.datetime().nullable(),
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
    /** The second part of its name in a store across a network; null in a folder. */
    generation: p.string().length(16).nullable(),
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

/** Bytes on their way into a store across a network: an object may be there, and no blob refers to it yet. */
const BlobArrivalSchema = defineEntity({
  name: 'BlobArrival',
  tableName: 'blob_arrivals',
  properties: {
    generation: p.string().length(16).primary(),
    sha256: p.string().length(64),
    begunAt: p.datetime().index(),
  },
});
export class BlobArrival extends BlobArrivalSchema.class {}
BlobArrivalSchema.setClass(BlobArrival);

export const CHANGE_KINDS = ['CREATED', 'MODIFIED', 'MOVED', 'DELETED'] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** The change journal: one row for each entry that a person sees change, in order of commit. */
const LocalChangeSchema = defineEntity({
  name: 'LocalChange',
  tableName: 'local_changes',
  indexes: [{ properties: ['accountId', 'sequence'] }],
  properties: {
    sequence: p.bigint('number').primary().autoincrement().ignoreSchemaChanges('type'),
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
