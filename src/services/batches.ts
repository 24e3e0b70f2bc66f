import type { Clock } from '../lib/clock.ts';
import { type DomainError, InvalidInputError } from '../lib/errors.ts';
import { isRowId, newId } from '../lib/ids.ts';
import type { Logger } from '../lib/log.ts';
import { type BatchItem, TransferBatch } from '../storage/entities/transfer-batch.ts';
import type { Storage } from '../storage/orm.ts';
import { failureOf, storedFailureOf } from '../transfers/failures.ts';
import { AWAITED_MAX, priorityAmong } from '../transfers/queue.ts';
import { isFinal } from '../transfers/states.ts';
import type { Idempotency } from './idempotency.ts';
import type { Intake, ServerFileImport, UrlUpload } from './intake.ts';
import type { Transfers, TransferView } from './transfers.ts';
import { keptOf } from './unexpected.ts';
import type { Placing } from './upload-planner.ts';
import type { TextUpload, Uploads } from './uploads.ts';
import type { Viewer } from './viewer.ts';

/** Items of one batch: each is a row, and may be a request to a provider. */
export const BATCH_ITEMS_MAX = 100;
/** Of a batch of more, what its user asks for alone meanwhile comes first. */
export const BATCH_AWAITED_MAX = AWAITED_MAX;
/** Items of a batch that run at one time, where it does not say, and at most. */
export const BATCH_CONCURRENCY = { default: 3, max: 16 } as const;

export type NewBatchItem =
  | { readonly text: TextUpload }
  | { readonly url: UrlUpload }
  | { readonly serverFile: ServerFileImport };

export interface NewBatch {
  readonly items: readonly NewBatchItem[];
  readonly maxConcurrent?: number | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

/** An item of a batch as it is now. */
export interface BatchItemView {
  readonly index: number;
  /** Null: it was refused, or is no longer kept. */
  readonly transfer: TransferView | null;
  /** Why it was refused, or what went wrong with its transfer. */
  readonly error: DomainError | null;
}

export interface BatchView {
  readonly id: string;
  readonly items: readonly BatchItemView[];
}

export interface BatchesParts {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly log: Logger;
  readonly transfers: Transfers;
  readonly uploads: Uploads;
  readonly intake: Intake;
  readonly idempotency: Idempotency;
}

/** Many files asked for at once. One that fails does not stop the others. */
export class Batches {
  readonly #parts: BatchesParts;

  constructor(parts: BatchesParts) {
    this.#parts = parts;
  }

  /**
   * Makes a transfer of each item, of which only so many run at one time. What is wrong with an item is its own result.
   * @throws InvalidInputError for the list as a whole; ConflictError by the key.
   */
  async start(viewer: Viewer, { items, maxConcurrent, idempotencyKey }: NewBatch): Promise<BatchView> {
    if (items.length === 0 || items.length > BATCH_ITEMS_MAX) {
      throw InvalidInputError.at('input.items', `must be from 1 to ${BATCH_ITEMS_MAX}`);
    }
    const concurrent = maxConcurrent ?? BATCH_CONCURRENCY.default;
    if (!Number.isInteger(concurrent) || concurrent < 1 || concurrent > BATCH_CONCURRENCY.max) {
      throw InvalidInputError.at('input.maxConcurrent', `must be from 1 to ${BATCH_CONCURRENCY.max}`);
    }
    const request = { operation: 'uploadBatch', key: idempotencyKey, input: { items, maxConcurrent: concurrent } };
    const id = await this.#parts.idempotency.once<string, Ids>(viewer, request, async ({ parts, keep }) => {
      const ids = parts[0] ?? { batch: newId(), items: items.map(newId) };
      if (parts.length === 0) await keep(ids);
      await this.#make(viewer, ids, items, concurrent);
      return ids.batch;
    });
    const [batch] = await this.findMany(viewer, [id]);
    if (!batch) throw new Error('the batch that was just made is not there');
    return batch;
  }

  /** The viewer's own batches with these ids, in the order asked; null for what is not theirs. */
  async findMany(viewer: Viewer, ids: readonly string[]): Promise<readonly (BatchView | null)[]> {
    const { storage, transfers } = this.#parts;
    const batches = await storage
      .fork()
      .find(TransferBatch, { id: ids.filter(isRowId), userId: viewer.userId }, { disableIdentityMap: true });
    const transferIds = batches.flatMap(({ items }) => (items ?? []).flatMap(transferIdsOf));
    const views = new Map<string, TransferView>();
    for (const view of await transfers.findMany(viewer, transferIds)) if (view) views.set(view.id, view);
    const byId = new Map(batches.map((batch) => [batch.id, batch]));
    return ids.map((id) => {
      const batch = byId.get(id);
      return batch ? { id, items: (batch.items ?? []).map((item, index) => this.#itemView(item, index, views)) } : null;
    });
  }

  /** The row of the batch goes first: the queue asks it how many may run. */
  async #make(viewer: Viewer, ids: Ids, items: readonly NewBatchItem[], maxConcurrent: number): Promise<void> {
    const { storage, clock } = this.#parts;
    const batch = { id: ids.batch, userId: viewer.userId, maxConcurrent, items: null, createdAt: clock.now() };
    await storage.fork().createQueryBuilder(TransferBatch).insert(batch).onConflict('id').ignore().execute('run');
    const placing = { batchId: ids.batch, priority: priorityAmong(items.length) };
    const made: BatchItem[] = [];
    for (const [index, item] of items.entries()) {
      const id = ids.items[index];
      if (id !== undefined) made.push(await this.#one(viewer, item, index, { ...placing, id }));
    }
    await storage.fork().nativeUpdate(TransferBatch, { id: ids.batch }, { items: made });
  }

  async #one(viewer: Viewer, item: NewBatchItem, index: number, placing: Placing): Promise<BatchItem> {
    const { uploads, intake, log } = this.#parts;
    try {
      if ('text' in item) return { transferId: await uploads.queueText(viewer, item.text, placing) };
      if ('url' in item) return { transferId: await intake.queueUrl(viewer, item.url, placing) };
      return { transferId: await intake.queueServerFile(viewer, item.serverFile, placing) };
    } catch (error) {
      const [kind = ''] = Object.keys(item);
      return { failure: storedFailureOf(within(keptOf(error, log), ['input', 'items', index, kind])) };
    }
  }

  #itemView(item: BatchItem, index: number, views: ReadonlyMap<string, TransferView>): BatchItemView {
    if ('failure' in item) return { index, transfer: null, error: failureOf(item.failure) };
    const transfer = views.get(item.transferId) ?? null;
    return { index, transfer, error: transfer && this.#parts.transfers.failure(transfer) };
  }
}

/** Of a batch and its transfers, chosen before they are made: an attempt after a crash makes only what is missing. */
interface Ids {
  readonly batch: string;
  readonly items: readonly string[];
}

const transferIdsOf = (item: BatchItem): string[] => ('transferId' in item ? [item.transferId] : []);

/** Faults of an item's input stand where the item does. */
const within = (error: DomainError, at: readonly (string | number)[]): DomainError =>
  error instanceof InvalidInputError
    ? new InvalidInputError(
        error.issues.map(({ path, message }) => ({
          path: path[0] === 'input' ? [...at, ...path.slice(1)] : path,
          message,
        })),
        error,
      )
    : error;

/** How many of the items have ended so, or all that have ended. A failure that is tried again is no end. */
export const countItems = ({ items }: BatchView, which: 'succeeded' | 'failed' | 'ended'): number =>
  items.filter(({ transfer, error }) => {
    if (transfer && !isFinal(transfer.state)) return false;
    const succeeded = transfer === null ? error === null : transfer.state === 'SUCCEEDED';
    return which === 'ended' || succeeded === (which === 'succeeded');
  }).length;
