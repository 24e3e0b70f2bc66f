import type { Editing } from '../../services/editing.ts';
import type { EntryView } from '../../services/entries.ts';
import type { ItemResult } from '../../services/item-lists.ts';
import { builder } from '../builder.ts';
import { type GraphContext, viewerOf } from '../context.ts';
import { decodeEntryId, decodeIdOf, encodeEntryId } from '../ids.ts';
import { LIST_INPUT_MAX } from '../limits.ts';
import { ConflictPolicyEnum, EntryInterface, EntryRefInput, type EntryRefShape, entryTarget, Folder } from './entry.ts';
import { DRIVE_ERRORS, errorData, UserError } from './user-error.ts';

const IDEMPOTENCY_KEY =
  'Chosen by you, a UUID say: the same request with the same key has one effect and gets the same answer, for a day. Another request with it is a `ConflictError`.';
const ENTRIES = `The entries, from 1 to ${LIST_INPUT_MAX}.`;
const REVISIONS =
  'What the revision of each entry must be, in their order; null: any. An entry that has another fails with `ConflictError`.';

/** For a mutation: what the one before it in the same operation had read is read anew after this one. */
function editingOf({ services, loaders }: GraphContext): Editing {
  loaders.entry.clearAll();
  return services.editing;
}

const CreateFolderInput = builder.inputType('CreateFolderInput', {
  description: 'A new folder.',
  fields: (t) => ({
    parent: t.field({ type: EntryRefInput, required: true, description: 'The folder to make it in.' }),
    name: t.string({ required: true, description: 'Its name: up to 255 bytes, no `/`, `\\` or control characters.' }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

const CreateFolderPayload = builder.objectRef<{ readonly folder: EntryView }>('CreateFolderPayload').implement({
  description: 'The new folder.',
  fields: (t) => ({ folder: t.expose('folder', { type: Folder, description: 'The new folder.' }) }),
});

builder.mutationField('createFolder', (t) =>
  t.field({
    type: CreateFolderPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description: 'Makes a folder. `AlreadyExistsError` when the name is taken.',
    args: { input: t.arg({ type: CreateFolderInput, required: true, description: 'The new folder.' }) },
    resolve: async (_root, { input }, context) => ({
      folder: await editingOf(context).createFolder(viewerOf(context), {
        ...input,
        parent: entryTarget(input.parent, 'input.parent'),
      }),
    }),
  }),
);

const RenameEntryInput = builder.inputType('RenameEntryInput', {
  description: 'A new name for an entry.',
  fields: (t) => ({
    entry: t.field({ type: EntryRefInput, required: true, description: 'Which entry.' }),
    name: t.string({
      required: true,
      description: 'The new name: up to 255 bytes, no `/`, `\\` or control characters.',
    }),
    ifRevision: t.string({
      description: 'Only if the entry still has this `revision`, else `ConflictError`; left out: whatever it has.',
    }),
  }),
});

const RenameEntryPayload = builder.objectRef<{ readonly entry: EntryView }>('RenameEntryPayload').implement({
  description: 'The entry under its new name.',
  fields: (t) => ({ entry: t.expose('entry', { type: EntryInterface, description: 'The entry, with the same id.' }) }),
});

builder.mutationField('renameEntry', (t) =>
  t.field({
    type: RenameEntryPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description: 'Renames a file or folder where it is. `AlreadyExistsError` when the name is taken.',
    args: { input: t.arg({ type: RenameEntryInput, required: true, description: 'Which, and how.' }) },
    resolve: async (_root, { input }, context) => ({
      entry: await editingOf(context).rename(viewerOf(context), {
        ...input,
        entry: entryTarget(input.entry, 'input.entry'),
      }),
    }),
  }),
);

/** What became of one item, and how the caller had named it. */
interface OperationResult extends ItemResult {
  readonly givenId: string | null;
}

export const EntryOperationResult = builder.objectRef<OperationResult>('EntryOperationResult').implement({
  description: 'What became of one entry of a list. One failure never stops the others.',
  fields: (t) => ({
    sourceId: t.id({
      nullable: true,
      description: 'The entry that was asked for: the id as it was given, or what its path led to; null: to nothing.',
      resolve: ({ givenId, source }) => givenId ?? (source && encodeEntryId(source.kind, source.accountId, source.ref)),
    }),
    entry: t.expose('entry', {
      type: EntryInterface,
      nullable: true,
      description: 'The entry afterwards: renamed, moved, the copy, or restored. Null when it failed, or is no more.',
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'Why it failed; null: it did not.',
      resolve: ({ error }) => error && errorData(error),
    }),
  }),
});

interface OperationResults {
  readonly results: readonly OperationResult[];
}

const resultsPayload = (name: string) =>
  builder.objectRef<OperationResults>(name).implement({
    description: 'What became of each entry.',
    fields: (t) => ({
      results: t.field({
        type: [EntryOperationResult],
        description: 'One for each entry, in the order given.',
        resolve: ({ results }) => [...results],
      }),
    }),
  });

const withRefs = (refs: readonly EntryRefShape[], results: readonly ItemResult[]): OperationResults => ({
  results: results.map((result, index) => ({ ...result, givenId: refs[index]?.id?.toString() ?? null })),
});

const withIds = (ids: readonly (string | number)[], results: readonly ItemResult[]): OperationResults => ({
  results: results.map((result, index) => ({ ...result, givenId: ids[index]?.toString() ?? null })),
});

const targetsOf = (refs: readonly EntryRefShape[]) =>
  refs.map((ref, index) => entryTarget(ref, `input.entries.${index}`));

const EntryRenameInput = builder.inputType('EntryRenameInput', {
  description: 'One of several entries that get other names.',
  fields: (t) => ({
    entry: t.field({ type: EntryRefInput, required: true, description: 'Which entry. Each can be named once.' }),
    name: t.string({
      required: true,
      description: 'The new name: up to 255 bytes, no `/`, `\\` or control characters.',
    }),
    ifRevision: t.string({
      description: 'Only if the entry still has this `revision`, else `ConflictError`; left out: whatever it has.',
    }),
  }),
});

const RenameEntriesInput = builder.inputType('RenameEntriesInput', {
  description: 'New names for entries.',
  fields: (t) => ({
    entries: t.field({ type: [EntryRenameInput], required: true, description: ENTRIES }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

builder.mutationField('renameEntries', (t) =>
  t.field({
    type: resultsPayload('RenameEntriesPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Renames files and folders where they are, in as few requests as their providers can. A name that another entry of the list gives up is free for this one, in whatever order they stand; two cannot exchange their names, as each finds the other taken: take a third name in between. Of two that are to have one name, the first has it.',
    args: { input: t.arg({ type: RenameEntriesInput, required: true, description: 'Which, and how.' }) },
    resolve: async (_root, { input }, context) =>
      withRefs(
        input.entries.map(({ entry }) => entry),
        await editingOf(context).renameMany(viewerOf(context), {
          ...input,
          entries: input.entries.map(({ entry, ...rename }, index) => ({
            ...rename,
            entry: entryTarget(entry, `input.entries.${index}.entry`),
          })),
        }),
      ),
  }),
);

const MoveEntriesInput = builder.inputType('MoveEntriesInput', {
  description: 'What to move, and where.',
  fields: (t) => ({
    entries: t.field({ type: [EntryRefInput], required: true, description: ENTRIES }),
    destination: t.field({ type: EntryRefInput, required: true, description: 'The folder to put them into.' }),
    onConflict: t.field({ type: ConflictPolicyEnum, description: 'When a name is taken there. Default FAIL.' }),
    ifRevisions: t.stringList({ required: { list: false, items: false }, description: REVISIONS }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

builder.mutationField('moveEntries', (t) =>
  t.field({
    type: resultsPayload('MoveEntriesPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Moves files and folders into a folder. Into another drive it is a `transfer`, which removes the source when the copy is there, has been compared, and the source has not changed since.',
    args: { input: t.arg({ type: MoveEntriesInput, required: true, description: 'What, and where.' }) },
    resolve: async (_root, { input }, context) =>
      withRefs(
        input.entries,
        await editingOf(context).move(viewerOf(context), {
          ...input,
          entries: targetsOf(input.entries),
          destination: entryTarget(input.destination, 'input.destination'),
        }),
      ),
  }),
);

const CopyEntriesInput = builder.inputType('CopyEntriesInput', {
  description: 'What to copy, and where.',
  fields: (t) => ({
    entries: t.field({ type: [EntryRefInput], required: true, description: ENTRIES }),
    destination: t.field({ type: EntryRefInput, required: true, description: 'The folder to put the copies into.' }),
    onConflict: t.field({ type: ConflictPolicyEnum, description: 'When a name is taken there. Default FAIL.' }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

builder.mutationField('copyEntries', (t) =>
  t.field({
    type: resultsPayload('CopyEntriesPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Copies files, and folders with all that is in them, into a folder. Into another drive it is a `transfer`; `planCopy` tells before what it would take.',
    args: { input: t.arg({ type: CopyEntriesInput, required: true, description: 'What, and where.' }) },
    resolve: async (_root, { input }, context) =>
      withRefs(
        input.entries,
        await editingOf(context).copy(viewerOf(context), {
          ...input,
          entries: targetsOf(input.entries),
          destination: entryTarget(input.destination, 'input.destination'),
        }),
      ),
  }),
);

const DeleteEntriesInput = builder.inputType('DeleteEntriesInput', {
  description: 'What to delete.',
  fields: (t) => ({
    entries: t.field({ type: [EntryRefInput], required: true, description: ENTRIES }),
    permanently: t.boolean({
      description: 'For ever, past the recycle bin. Default false: into the bin, where the provider has one.',
    }),
    ifRevisions: t.stringList({ required: { list: false, items: false }, description: REVISIONS }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

builder.mutationField('deleteEntries', (t) =>
  t.field({
    type: resultsPayload('DeleteEntriesPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description: 'Deletes files, and folders with all that is in them.',
    args: { input: t.arg({ type: DeleteEntriesInput, required: true, description: 'What, and how.' }) },
    resolve: async (_root, { input }, context) =>
      withRefs(
        input.entries,
        await editingOf(context).delete(viewerOf(context), { ...input, entries: targetsOf(input.entries) }),
      ),
  }),
);

const RestoreEntriesInput = builder.inputType('RestoreEntriesInput', {
  description: 'What to take out of the recycle bin.',
  fields: (t) => ({
    ids: t.idList({ required: true, description: `Of entries in recycle bins, from 1 to ${LIST_INPUT_MAX}.` }),
  }),
});

builder.mutationField('restoreEntries', (t) =>
  t.field({
    type: resultsPayload('RestoreEntriesPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Puts deleted entries back to where they were; to the root when that is gone, and under a numbered name when theirs is taken.',
    args: { input: t.arg({ type: RestoreEntriesInput, required: true, description: 'What.' }) },
    resolve: async (_root, { input }, context) =>
      withIds(input.ids, await editingOf(context).restore(viewerOf(context), input.ids.map(targetOfId))),
  }),
);

const PurgeEntriesInput = builder.inputType('PurgeEntriesInput', {
  description: 'What to delete for ever.',
  fields: (t) => ({
    ids: t.idList({ required: true, description: `Of entries in recycle bins, from 1 to ${LIST_INPUT_MAX}.` }),
  }),
});

builder.mutationField('purgeEntries', (t) =>
  t.field({
    type: resultsPayload('PurgeEntriesPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description: 'Deletes for ever what is in the recycle bin.',
    args: { input: t.arg({ type: PurgeEntriesInput, required: true, description: 'What.' }) },
    resolve: async (_root, { input }, context) =>
      withIds(input.ids, await editingOf(context).purge(viewerOf(context), input.ids.map(targetOfId))),
  }),
);

const targetOfId = (id: string | number) => decodeEntryId(id.toString());

const EmptyRecycleBinInput = builder.inputType('EmptyRecycleBinInput', {
  description: 'Whose recycle bin to empty.',
  fields: (t) => ({ accountId: t.id({ required: true, description: 'The account.' }) }),
});

const EmptyRecycleBinPayload = builder.objectRef<{ readonly ok: boolean }>('EmptyRecycleBinPayload').implement({
  description: 'The recycle bin is empty.',
  fields: (t) => ({ ok: t.exposeBoolean('ok', { description: 'Always true.' }) }),
});

builder.mutationField('emptyRecycleBin', (t) =>
  t.field({
    type: EmptyRecycleBinPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description: 'Deletes for ever all that is in the recycle bin of an account.',
    args: { input: t.arg({ type: EmptyRecycleBinInput, required: true, description: 'Whose.' }) },
    resolve: async (_root, { input }, context) => {
      const accountId = decodeIdOf(String(input.accountId), 'CloudAccount') ?? '';
      await editingOf(context).emptyRecycleBin(viewerOf(context), accountId);
      return { ok: true };
    },
  }),
);
