import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

export const TRANSFER_KINDS = ['UPLOAD', 'TEXT', 'URL', 'IMPORT', 'COPY', 'MOVE'] as const;
export type TransferKind = (typeof TRANSFER_KINDS)[number];
export const TRANSFER_STATES = ['WAITING', 'QUEUED', 'RUNNING', 'PAUSED', 'SUCCEEDED', 'FAILED', 'CANCELLED'] as const;
export type TransferState = (typeof TRANSFER_STATES)[number];
export const TRANSFER_PHASES = ['RECEIVING', 'HASHING', 'NEGOTIATING', 'SENDING', 'VERIFYING'] as const;
export type TransferPhase = (typeof TRANSFER_PHASES)[number];
export const TRANSFER_ROUTES = ['SERVER_SIDE', 'INSTANT', 'SLICED', 'STREAMED'] as const;
export type TransferRoute = (typeof TRANSFER_ROUTES)[number];
export const CONFLICT_POLICIES = ['FAIL', 'RENAME', 'REPLACE', 'SKIP'] as const;
export type ConflictPolicy = (typeof CONFLICT_POLICIES)[number];

/** What ended a transfer, as its row keeps it: the data of a DomainError. */
export interface StoredFailure {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAt: string | null;
  readonly provider?: string | null;
  readonly providerCode?: string | null;
  readonly hint?: string | null;
  readonly accountId?: string | null;
}

/** Where a transfer's bytes come from. Plain JSON, so that the job outlives the process. */
export type TransferSource =
  | { readonly type: 'upload' }
  | { readonly type: 'spool' }
  | { readonly type: 'entry'; readonly accountId: string; readonly ref: string };

/** A durable job that moves bytes. The row is the job: claimed with a lease and a fence, resumed by whoever comes next. */
const TransferSchema = defineEntity({
  name: 'Transfer',
  tableName: 'transfers',
  indexes: [
    { name: 'transfers_claimable', properties: ['state', 'runAfter', 'id'] },
    { name: 'transfers_of_user', properties: ['userId', 'createdAt', 'id'] },
  ],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    userId: p.string().length(36),
    kind: p.string().length(8).$type<TransferKind>(),
    state: p.string().length(16).$type<TransferState>(),
    phase: p.string().length(16).$type<TransferPhase>().nullable(),
    route: p.string().length(16).$type<TransferRoute>().nullable(),
    /** The drive and folder that receive the bytes, and the entry's name there. */
    accountId: p.string().length(36),
    parentRef: p.text(),
    name: p.string().length(255),
    onConflict: p.string().length(8).$type<ConflictPolicy>(),
    source: p.json().$type<TransferSource>(),
    /** Hashes that the client promised, by algorithm, lower-case hex. */
    expectedHashes: p.json().$type<Partial<Record<'MD5' | 'SHA1' | 'SHA256' | 'CRC32', string>>>(),
    bytesTotal: p.bigint('number').nullable(),
    bytesDone: p.bigint('number').default(0),
    /** SHA-256 of the tus upload's secret id, which is the right to send bytes to it; null where nothing is sent. */
    uploadTokenHash: p.string().length(64).nullable().unique().hidden(),
    /** The provider's upload session, as the driver gave it. */
    driverSession: p.json().$type<unknown>().nullable(),
    /** What came of it. */
    entryRef: p.text().nullable(),
    failure: p.json().$type<StoredFailure>().nullable(),
    attempts: p.integer().default(0),
    /** Grows with every stored change, for subscribers to drop what is old. */
    revision: p.integer().default(1),
    runAfter: p.datetime(),
    /** The worker that owns the job now, and until when without a heartbeat. */
    leaseOwner: p.string().length(64).nullable(),
    leaseUntil: p.datetime().nullable(),
    /** Grows with every claim; every write of a worker carries it, so that a worker that lost its lease cannot write. */
    fence: p.integer().default(0),
    /** When a state that waits for somebody is given up. */
    expiresAt: p.datetime().nullable().index(),
    createdAt: p.datetime(),
    startedAt: p.datetime().nullable(),
    finishedAt: p.datetime().nullable(),
  },
});
export class Transfer extends TransferSchema.class {}
TransferSchema.setClass(Transfer);

/** The receipt of a slice that the provider holds. */
const TransferSliceSchema = defineEntity({
  name: 'TransferSlice',
  tableName: 'transfer_slices',
  properties: {
    transferId: p.string().length(36).primary(),
    index: p.integer().primary(),
    receipt: p.json().$type<unknown>(),
  },
});
export class TransferSlice extends TransferSliceSchema.class {}
TransferSliceSchema.setClass(TransferSlice);

/** One row for each change of a transfer that a client must not miss; progress is not kept. The cursor is the sequence. */
const TransferEventSchema = defineEntity({
  name: 'TransferEvent',
  tableName: 'transfer_events',
  indexes: [{ properties: ['userId', 'sequence'] }],
  properties: {
    sequence: p.bigint('number').primary().autoincrement(),
    userId: p.string().length(36),
    transferId: p.string().length(36),
    revision: p.integer(),
    at: p.datetime().index(),
  },
});
export class TransferEvent extends TransferEventSchema.class {}
TransferEventSchema.setClass(TransferEvent);
