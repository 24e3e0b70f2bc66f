import { defineEntity, p } from '@mikro-orm/core';

/** All entries of an account as they were last read as a whole: what the next reading is compared with. */
const SnapshotSchema = defineEntity({
  name: 'Snapshot',
  tableName: 'snapshots',
  properties: {
    accountId: p.string().length(36).primary(),
    /** Grows with each reading that was stored: of two processes that read at once, one is stored. */
    version: p.integer(),
    /** Null before the first one. */
    takenAt: p.datetime().nullable(),
    /** The next reading begins no sooner. */
    nextAt: p.datetime(),
    /** Who reads now may be believed alive until then. */
    readingUntil: p.datetime().nullable(),
    /** Compressed; see services/snapshots/snapshot.ts. */
    entries: p.blob().nullable().lazy(),
    /** Changes up to this sequence are no longer kept. */
    forgottenThrough: p.bigint('number').default(0),
  },
});
export class Snapshot extends SnapshotSchema.class {}
SnapshotSchema.setClass(Snapshot);

/** A change that was found by comparing two snapshots of an account. */
const ComputedChangeSchema = defineEntity({
  name: 'ComputedChange',
  tableName: 'computed_changes',
  indexes: [{ properties: ['accountId', 'sequence'] }],
  properties: {
    sequence: p.bigint('number').primary().autoincrement().ignoreSchemaChanges('type'),
    accountId: p.string().length(36),
    kind: p.string().length(8).$type<'CREATED' | 'MODIFIED' | 'MOVED' | 'DELETED'>(),
    entryRef: p.text(),
    entryKind: p.string().length(6).$type<'FILE' | 'FOLDER'>(),
    path: p.text().nullable(),
    at: p.datetime(),
  },
});
export class ComputedChange extends ComputedChangeSchema.class {}
ComputedChangeSchema.setClass(ComputedChange);
