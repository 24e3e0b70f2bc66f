import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

export const OFFLINE_TASK_STATES = ['PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED'] as const;
export type OfflineTaskState = (typeof OFFLINE_TASK_STATES)[number];

/** Why a provider gave a task up, in its words. */
export interface StoredOfflineFailure {
  readonly providerCode: string | null;
  readonly message: string;
}

/**
 * A download that a provider does by itself, as it was when the provider was last asked: each that was begun through
 * this server, and those begun elsewhere that were seen unfinished.
 */
const OfflineTaskSchema = defineEntity({
  name: 'OfflineTask',
  tableName: 'offline_tasks',
  uniques: [{ properties: ['accountId', 'ref'] }],
  indexes: [{ properties: ['accountId', 'userId', 'id'] }, { properties: ['accountId', 'state'] }],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    accountId: p.string().length(36),
    /** Who began it through this server, which on a shared account need not be its owner; null: it was begun elsewhere. */
    userId: p.string().length(36).nullable(),
    /** The provider's own id of the task. */
    ref: p.string().length(512),
    /** What it downloads, sealed by the vault, as a link may hold a password; null where it is not known. */
    sealedUrl: p.text().nullable().hidden(),
    name: p.text(),
    state: p.string().length(16).$type<OfflineTaskState>(),
    /** Hundredths of a percent: 0 … 10,000. */
    progress: p.integer(),
    sizeBytes: p.bigint('number').nullable(),
    /** What came of it. */
    entryRef: p.text().nullable(),
    parentRef: p.text().nullable(),
    failure: p.json().$type<StoredOfflineFailure>().nullable(),
    addedAt: p.datetime(),
    /** When it last became other than it was. */
    updatedAt: p.datetime().index(),
    /** When the provider last told how it is. */
    checkedAt: p.datetime(),
  },
});
export class OfflineTask extends OfflineTaskSchema.class {}
OfflineTaskSchema.setClass(OfflineTask);

/** An account whose unfinished tasks are followed: asked about from time to time, by one process at a time. */
const OfflineFollowSchema = defineEntity({
  name: 'OfflineFollow',
  tableName: 'offline_follows',
  properties: {
    accountId: p.string().length(36).primary(),
    /** When its provider is asked next; null: there is nothing to ask about. */
    pollAt: p.datetime().nullable().index(),
    /** Between two questions; grows while nothing changes. */
    intervalMs: p.integer(),
    /** Until when somebody may be believed to look on. */
    watchedUntil: p.datetime().nullable(),
    /** Who asks now, and until when it may be believed alive. */
    leaseOwner: p.string().length(36).nullable(),
    leaseUntil: p.datetime().nullable(),
  },
});
export class OfflineFollow extends OfflineFollowSchema.class {}
OfflineFollowSchema.setClass(OfflineFollow);
