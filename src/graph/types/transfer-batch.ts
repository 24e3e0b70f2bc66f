import {
  BATCH_AWAITED_MAX,
  BATCH_CONCURRENCY,
  BATCH_ITEMS_MAX,
  type BatchItemView,
  type BatchView,
  countItems,
  type NewBatchItem,
} from '../../services/batches.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { entryTarget } from './entry.ts';
import { ImportServerFileInput, UploadFromUrlInput } from './intake.ts';
import { Transfer } from './transfer.ts';
import { IDEMPOTENCY_KEY, UploadTextInput } from './upload.ts';
import { DRIVE_ERRORS, errorData, UserError } from './user-error.ts';

const TransferBatchItem = builder.objectRef<BatchItemView>('TransferBatchItem').implement({
  description: 'One item of a batch.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Its place in the list that was asked for, from 0.' }),
    transfer: t.expose('transfer', {
      type: Transfer,
      nullable: true,
      description: 'Its transfer; null when it was refused: see `error`.',
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'Why it was refused, or what went wrong with its transfer; null when nothing did.',
      resolve: ({ error }) => error && errorData(error),
    }),
  }),
});

const TransferBatch = builder.objectRef<BatchView>('TransferBatch');

builder.node(TransferBatch, {
  description:
    'Files that were asked for together. Each change of one of its transfers is told by `transferEvents`. Seen by the user who began it, as long as its transfers are kept.',
  id: { resolve: ({ id }) => id, description: 'Stays the same for the life of the batch.' },
  loadMany: async (ids, { viewer, services }) =>
    viewer ? [...(await services.batches.findMany(viewer, ids))] : ids.map(() => null),
  fields: (t) => ({
    total: t.int({ description: 'How many items it has.', resolve: ({ items }) => items.length }),
    succeeded: t.int({
      description: 'How many of them are done.',
      resolve: (batch) => countItems(batch, 'succeeded'),
    }),
    failed: t.int({
      description: 'How many of them were refused, have failed, or were cancelled.',
      resolve: (batch) => countItems(batch, 'failed'),
    }),
    done: t.boolean({
      description: 'Whether all of them have ended. Retrying a failed one makes it false again.',
      resolve: (batch) => countItems(batch, 'ended') === batch.items.length,
    }),
    items: t.field({
      type: [TransferBatchItem],
      description: 'One for each item that was asked for, in that order.',
      resolve: ({ items }) => [...items],
    }),
  }),
});

builder.objectField(Transfer, 'batch', (t) =>
  t.field({
    type: TransferBatch,
    nullable: true,
    description: 'The batch that it was asked for in; null when it was asked for alone.',
    resolve: ({ batchId }, _args, { loaders }) => (batchId == null ? null : loaders.batch.load(batchId)),
  }),
);

const UploadItemInput = builder.inputType('UploadItemInput', {
  description: 'One file of a batch: one of the fields.',
  isOneOf: true,
  fields: (t) => ({
    text: t.field({ type: UploadTextInput, description: 'A text to be a file.' }),
    url: t.field({ type: UploadFromUrlInput, description: 'A file to fetch from an address.' }),
    serverFile: t.field({ type: ImportServerFileInput, description: 'A file of the server; for administrators.' }),
  }),
});

const UploadBatchInput = builder.inputType('UploadBatchInput', {
  description: 'Files to be brought in together.',
  fields: (t) => ({
    items: t.field({
      type: [UploadItemInput],
      required: true,
      description: `From 1 to ${BATCH_ITEMS_MAX}. An item may have an idempotency key of its own beside that of the whole.`,
    }),
    maxConcurrent: t.int({
      description: `How many of them run at one time, from 1 to ${BATCH_CONCURRENCY.max}; left out: ${BATCH_CONCURRENCY.default}. The server may let fewer of one user run.`,
    }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

const UploadBatchPayload = builder.objectRef<{ readonly batch: BatchView }>('UploadBatchPayload').implement({
  description: 'The batch that was begun.',
  fields: (t) => ({
    batch: t.expose('batch', { type: TransferBatch, description: 'The batch, with a result for each item.' }),
  }),
});

builder.mutationField('uploadBatch', (t) =>
  t.field({
    type: UploadBatchPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description: `Brings many files in: texts, files at addresses, files of the server. What goes wrong with one is told in its place, and does not stop the others. Of more than ${BATCH_AWAITED_MAX}, those that have not begun let pass what you ask for alone meanwhile.`,
    args: { input: t.arg({ type: UploadBatchInput, required: true, description: 'Which files, and where to.' }) },
    resolve: async (_root, { input: { items, ...input } }, context) => ({
      batch: await context.services.batches.start(viewerOf(context), { ...input, items: items.map(itemOf) }),
    }),
  }),
);

/** Places are told as in a mutation of its own: so it stays the same request wherever in a list it stands. */
function itemOf({ text, url, serverFile }: typeof UploadItemInput.$inferInput): NewBatchItem {
  if (text) return { text: { ...text, parent: entryTarget(text.parent, 'input.parent') } };
  if (url) return { url: { ...url, parent: entryTarget(url.parent, 'input.parent') } };
  if (serverFile) return { serverFile: { ...serverFile, parent: entryTarget(serverFile.parent, 'input.parent') } };
  throw new Error('an item has none of its fields, which the schema does not allow');
}
