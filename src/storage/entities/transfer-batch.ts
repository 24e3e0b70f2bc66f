import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';
import type { StoredFailure } from './transfer.ts';

/** What became of an item of a batch when it was asked for: a transfer, or the reason why there is none. */
export type BatchItem = { readonly transferId: string } | { readonly failure: StoredFailure };

/** Transfers that were asked for together, of which only so many run at one time. */
const TransferBatchSchema = defineEntity({
  name: 'TransferBatch',
  tableName: 'transfer_batches',
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    userId: p.string().length(36).index(),
    /** Over all processes. */
    maxConcurrent: p.integer(),
    /** In the order asked; null while they are being made. */
    items: p.json().$type<readonly BatchItem[]>().nullable(),
    createdAt: p.datetime().index(),
  },
});
export class TransferBatch extends TransferBatchSchema.class {}
TransferBatchSchema.setClass(TransferBatch);
