import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

export const TRANSFER_KINDS = ['UPLOAD', 'TEXT', 'URL', 'IMPORT', 'COPY', 'MOVE'] as const;
export type TransferKind = (typeof TRANSFER_KINDS)[number];
export const TRANSFER_STATES = ['WAITING', 'QUEUED', 'RUNNING', 'PAUSED', 'SUCCEEDED', 'FAILED', 'CANCELLED'] as const;
export type TransferState = (typeof TRANSFER_STATES)[number];
export const TRANSFER_PHASES = ['LISTING', 'RECEIVING', 'HASHING', 'NEGOTIATING', 'SENDING', 'VERIFYING'] as const;
export type TransferPhase = (typeof TRANSFER_PHASES)[number];
export const TRANSFER_ROUTES = ['SERVER_SIDE', 'INSTANT', 'SLICED', 'STREAMED'] as const;
export type TransferRoute = (typeof TRANSFER_ROUTES)[number];
/** The strongest thing that was found the same at both ends, the strongest first. */
export const VERIFICATIONS = ['SHA256', 'SHA1', 'MD5', 'CRC32', 'SIZE', 'NOTHING'] as const;
export type Verification = (typeof VERIFICATIONS)[number];
export const CONFLICT_POLICIES = ['FAIL', 'RENAME', 'REPLACE', 'SKIP'] as const;
export type ConflictPolicy = (typeof CONFLICT_POLICIES)[number];

export type StoredHashes = Partial<Record<'MD5' | 'SHA1' | 'SHA256' | 'CRC32', string>>;

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
  readonly existing?: { readonly accountId: string; readonly ref: string } | null;
  readonly ability?: string | null;
  readonly issues?: readonly { readonly path: readonly (string | number)[]; readonly message: string }[];
}

export interface EntrySource {
  readonly type: 'entry';
  readonly accountId: string;
  readonly ref: string;
  readonly kind: 'FILE' | 'FOLDER';
  /** Whether its account is at the provider of the destination's. */
  readonly sameProvider: boolean;
  /** True hashes of its content, as its drive told them when the transfer was asked for. */
  readonly hashes: StoredHashes;
}

/** How far the folder of a tree is read. */
export interface StoredListing {
  /** Where the next page begins; null: at the beginning. */
  readonly cursor: string | null;
  readonly done: boolean;
}

/** An address; itself it is in {@link Transfer.sealedSource}. */
export interface UrlSource {
  readonly type: 'url';
  /** Whether its user has named the file; else the source does. */
  readonly named: boolean;
}

/** A file of the server. */
export interface FileSource {
  readonly type: 'file';
  readonly path: string;
}

/** A file behind a direct link of this server, by the right that the link gives. */
export interface LinkSource {
  readonly type: 'link';
  readonly linkId: string;
}

/** Where a transfer's bytes come from. Plain JSON, so that the job outlives the process. */
export type TransferSource =
  /** The client sends them, to the upload URL, as long as the session or API key with this id is not ended. */
  | { readonly type: 'upload'; readonly grantId?: string }
  /** They came with the request and lie in the spool. */
  | { readonly type: 'spool' }
  /** A file of a drive, perhaps of the same one. */
  | EntrySource
  /** The server fetches them from an address. */
  | UrlSource
  | FileSource
  | LinkSource
  /** They were copied at the drive by somebody else; the row only tells of it. */
  | { readonly type: 'none' };

/** A durable job that moves bytes. The row is the job: claimed with a lease and a fence, resumed by whoever comes next. */
const TransferSchema = defineEntity({
  name: 'Transfer',
  tableName: 'transfers',
  indexes: [
    { name: 'transfers_claimable', properties: ['state', 'priority', 'runAfter', 'id'] },
    { name: 'transfers_of_user', properties: ['userId', 'treeId', 'id'] },
    { name: 'transfers_of_user_by_state', properties: ['userId', 'treeId', 'state', 'id'] },
    { name: 'transfers_of_tree', properties: ['treeId', 'state', 'id'] },
    { name: 'transfers_claims', properties: ['accountId', 'claimedName'] },
  ],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    userId: p.string().length(36),
    kind: p.string().length(8).$type<TransferKind>(),
    state: p.string().length(16).$type<TransferState>(),
    phase: p.string().length(16).$type<TransferPhase>().nullable(),
    route: p.string().length(16).$type<TransferRoute>().nullable(),
    /** Why the bytes take this route, for a person. */
    routeReason: p.text().nullable(),
    /** What the entry was compared by; null before its end. */
    verification: p.string().length(8).$type<Verification>().nullable(),
    /** The drive and folder that receive the bytes, and the entry's name there. */
    accountId: p.string().length(36),
    parentRef: p.text(),
    name: p.string().length(255),
    onConflict: p.string().length(8).$type<ConflictPolicy>(),
    source: p.json().$type<TransferSource>(),
    /** What of the source may be a secret: an address, and headers for it. */
    sealedSource: p.text().nullable().hidden(),
    /** What of the source the received bytes are: its revision, ETag or the like. Null: they cannot be continued. */
    sourceVersion: p.text().nullable(),
    /** The account that a source of another drive is in, for the slots of that account. */
    sourceAccountId: p.string().length(36).nullable(),
    /** 0: somebody waits for it; 1: one of many. */
    priority: p.integer().default(0),
    /** The transfer of a folder that this one is an item of, and its place in that folder, as `a/b.txt`. */
    treeId: p.string().length(36).nullable(),
    itemPath: p.text().nullable(),
    /** Of a folder: how far it is read. */
    listing: p.json().$type<StoredListing>().nullable(),
    /** Of a folder that is no item: the items below it that are known, and that ended. Null: it is a file. */
    itemsTotal: p.integer().nullable(),
    itemsSucceeded: p.integer().nullable(),
    itemsFailed: p.integer().nullable(),
    itemsCancelled: p.integer().nullable(),
    mimeType: p.string().length(128).nullable(),
    /** Hashes that the client promised, by algorithm, lower-case hex. */
    expectedHashes: p.json().$type<StoredHashes>(),
    /** Hashes to compute over the bytes while they come in. */
    hashAlgorithms: p.json().$type<(keyof StoredHashes)[]>(),
    /** Hashes of the whole spooled file; null before all of it came, or where they must be computed from the file. */
    spoolHashes: p.json().$type<StoredHashes>().nullable(),
    bytesTotal: p.bigint('number').nullable(),
    /** Of the present phase. While receiving: what is on disk for good, and so the offset that the client is told. */
    bytesDone: p.bigint('number').default(0),
    /** Of what has ended well: bytes that came in to this server. Of a tree, those of its items. */
    bytesReceived: p.bigint('number').default(0),
    /** What the drive has got: of a file, by the receipts; of a tree, of its items that have ended well. */
    bytesSent: p.bigint('number').default(0),
    /** The spool that its bytes are in, or come into; null: there are none yet. */
    spoolId: p.string().length(36).nullable(),
    /** SHA-256 of the tus upload's secret id, which is the right to send bytes to it; null where nothing is sent. */
    uploadTokenHash: p.string().length(64).nullable().unique().hidden(),
    /** Upload-Metadata as the client gave it, to be told again; null where the upload was not made over tus. */
    uploadMetadata: p.text().nullable(),
    /** The provider's upload session, as the driver gave it. */
    driverSession: p.json().$type<unknown>().nullable(),
    /**
     * The name that the drive is asked to make the entry under: kept before it is asked, so that whoever goes on after a
     * lost answer looks there first. Null: it was not asked yet.
     */
    claimedName: p.string().length(255).nullable(),
    /** What came of it. */
    entryRef: p.text().nullable(),
    failure: p.json().$type<StoredFailure>().nullable(),
    attempts: p.integer().default(0),
    /** Those of {@link attempts} since it last got on: these are bounded. */
    attemptsStuck: p.integer().default(0),
    /** Grows with every stored change, for subscribers to drop what is old. */
    revision: p.integer().default(1),
    runAfter: p.datetime(),
    /** The worker that owns the job now, and until when without a heartbeat. */
    leaseOwner: p.string().length(64).nullable(),
    leaseUntil: p.datetime().nullable(),
    /** Grows with every claim; every write of a worker carries it, so that a worker that lost its lease cannot write. */
    fence: p.integer().default(0),
    /** When a state that is not final is given up; of a failed transfer, until when its bytes are kept for a retry. */
    expiresAt: p.datetime().nullable().index(),
    /** The {@link TransferBatch} that it was asked for in. */
    batchId: p.string().length(36).nullable().index(),
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

/** What a transfer was like after one of its changes: the part of its row that changes. Dates as RFC 3339. */
export interface TransferSnapshot {
  readonly state: TransferState;
  readonly phase: TransferPhase | null;
  readonly route: TransferRoute | null;
  readonly routeReason: string | null;
  readonly verification: Verification | null;
  readonly bytesTotal: number | null;
  readonly bytesDone: number;
  /** Absent in events from before they were kept. */
  readonly bytesReceived?: number;
  readonly bytesSent?: number;
  readonly attempts: number;
  readonly entryRef: string | null;
  readonly failure: StoredFailure | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

/** One row for each change of a transfer that a client must not miss; progress is not kept. The cursor is the sequence. */
const TransferEventSchema = defineEntity({
  name: 'TransferEvent',
  tableName: 'transfer_events',
  properties: {
    userId: p.string().length(36).primary(),
    /** From {@link TransferJournal}: without gaps, in the order of commit. */
    sequence: p.bigint('number').primary(),
    transferId: p.string().length(36).index(),
    revision: p.integer(),
    snapshot: p.json().$type<TransferSnapshot>(),
    at: p.datetime().index(),
  },
});
export class TransferEvent extends TransferEventSchema.class {}
TransferEventSchema.setClass(TransferEvent);

/**
 * Counts a user's events. The update of this row holds its lock until the transaction ends, so that events become visible
 * in the order of their numbers: with a plain sequence, PostgreSQL would show 6 before 5 and a reader would miss 5.
 */
const TransferJournalSchema = defineEntity({
  name: 'TransferJournal',
  tableName: 'transfer_journals',
  properties: {
    userId: p.string().length(36).primary(),
    lastSequence: p.bigint('number'),
    /** Events up to this one are no longer kept. */
    sweptThrough: p.bigint('number').default(0),
  },
});
export class TransferJournal extends TransferJournalSchema.class {}
TransferJournalSchema.setClass(TransferJournal);
