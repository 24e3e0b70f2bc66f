import type { OfflineAllowance, OfflineClearScope, OfflinePackage } from '../../drives/contract/offline.ts';
import type { DomainError } from '../../lib/errors.ts';
import type { OfflineTaskKey, OfflineTaskView } from '../../services/offline/lists.ts';
import { type AddedOfflineTask, OFFLINE_LINKS_MAX } from '../../services/offline/tasks.ts';
import type { OfflineTaskState } from '../../storage/entities/offline-task.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { type GraphContext, viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeEntryKey, decodeIdOf, encodeEntryKey } from '../ids.ts';
import { LIST_INPUT_MAX } from '../limits.ts';
import { CloudAccount } from './account.ts';
import { EntryInterface, EntryRefInput, entryTarget, Folder } from './entry.ts';
import { DRIVE_ERRORS, errorData, UserError } from './user-error.ts';

const STATES: Readonly<Record<OfflineTaskState, string>> = {
  PENDING: 'Waiting at the provider for its turn.',
  RUNNING: 'The provider downloads.',
  SUCCEEDED: 'Done: the files are on the drive.',
  FAILED: 'The provider gave it up; see `error`. It can be retried.',
};

const OfflineTaskStateEnum = builder.enumType('OfflineTaskState', {
  description: 'How far an offline task is.',
  values: enumValues(STATES),
});

export const OfflineTask = builder.objectRef<OfflineTaskView>('OfflineTask');

/** The account and the provider's own id of the task, as with entries. */
const taskNodeId = ({ account, ref }: OfflineTaskView): string => encodeEntryKey(account.id, ref);

const taskKey = (id: string | number): OfflineTaskKey | null =>
  decodeEntryKey(decodeIdOf(String(id), 'OfflineTask') ?? '');

async function loadTasks(
  ids: readonly string[],
  { viewer, services, signal }: GraphContext,
): Promise<(OfflineTaskView | null)[]> {
  const keys = ids.map(decodeEntryKey);
  const wanted = keys.filter((key) => key !== null);
  const views = viewer ? await services.offlineLists.findMany(viewer, wanted, { signal }) : [];
  // The types know no errors among what is loaded; the executor does.
  return keys.map((key) => (key && (views[wanted.indexOf(key)] as OfflineTaskView | undefined)) ?? null);
}

builder.node(OfflineTask, {
  description:
    'A download that a provider does by itself, without a byte through this server. Seen by who began it; where the provider lists them, by who manages the account.',
  id: { resolve: taskNodeId, description: 'Stays the same for the life of the task.' },
  loadMany: loadTasks,
  fields: (t) => ({
    account: t.expose('account', { type: CloudAccount, description: 'The account that gets the files.' }),
    name: t.exposeString('name', {
      description: 'What it brings, as the provider names it; until it does, as the link does.',
    }),
    url: t.string({
      nullable: true,
      description: 'The link that it downloads; null where that is not known.',
      resolve: ({ url }) => url(),
    }),
    state: t.expose('state', { type: OfflineTaskStateEnum, description: 'How far it is.' }),
    percentDone: t.exposeFloat('percentDone', { description: 'How much of it is done, from 0 to 100.' }),
    size: t.field({
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes it brings; null where the provider does not tell, or does not know yet.',
      resolve: ({ sizeBytes }) => sizeBytes,
    }),
    addedAt: t.expose('addedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was begun; null where the provider does not tell.',
    }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last other than before, as far as it is known; null where the provider does not tell.',
    }),
    parent: t.field({
      type: Folder,
      nullable: true,
      description: 'The folder that it goes into; null where that is not known, or gone.',
      resolve: async ({ account, parentRef }, _args, { loaders }) => {
        if (parentRef === null) return null;
        const view = await loaders.entry.load({ accountId: account.id, ref: parentRef });
        return view?.entry.kind === 'FOLDER' ? view : null;
      },
    }),
    entry: t.field({
      type: EntryInterface,
      nullable: true,
      description:
        'What came of it, as it is now; null before its end, when it is gone since, and where the provider does not tell and it has another name than expected.',
      resolve: ({ account, state, entryRef }, _args, { loaders }) =>
        state !== 'SUCCEEDED' || entryRef === null
          ? null
          : loaders.entry.load({ accountId: account.id, ref: entryRef }),
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'Why it failed, in the words of the provider; null when nothing went wrong.',
      resolve: ({ error }) => error && errorData(error),
    }),
  }),
});

const OfflineTaskConnection = builder.connectionObject(
  {
    type: OfflineTask,
    name: 'OfflineTaskConnection',
    description: 'A page of offline tasks.',
    fields: (t) => ({
      totalCount: t.int({
        nullable: true,
        description: 'How many there are on all pages; null where that is not told.',
        resolve: (connection) => (connection as unknown as { totalCount: number | null }).totalCount,
      }),
    }),
  },
  { name: 'OfflineTaskEdge', description: 'An offline task and its place in the list.' },
);

const OfflinePackageType = builder.objectRef<OfflinePackage>('OfflinePackage').implement({
  description: 'A part of the allowance, as the provider gave or sold it.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What it is called there.' }),
    total: t.exposeInt('total', { description: 'How many tasks it is for.' }),
    used: t.exposeInt('used', { description: 'How many were begun.' }),
    remaining: t.exposeInt('remaining', { description: 'How many are left.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When what is left ends; null: never, or not told.',
    }),
  }),
});

const OfflineAllowanceType = builder.objectRef<OfflineAllowance>('OfflineAllowance').implement({
  description: 'How many offline tasks the provider lets an account begin.',
  fields: (t) => ({
    total: t.exposeInt('total', { description: 'How many in all.' }),
    used: t.exposeInt('used', { description: 'How many were begun.' }),
    remaining: t.exposeInt('remaining', { description: 'How many are left.' }),
    packages: t.field({
      type: [OfflinePackageType],
      description: 'What it is made of; empty where the provider does not tell.',
      resolve: ({ packages }) => [...packages],
    }),
  }),
});

builder.objectFields(CloudAccount, (t) => ({
  offlineTasks: t.field({
    type: OfflineTaskConnection,
    description:
      'The offline tasks of the account. Where the provider lists them, all, to who manages the account. Else those that were begun through this server, the newest first, until 30 days after they last changed. `UNSUPPORTED` where the provider has none.',
    complexity: connectionComplexity,
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
    },
    resolve: async (account, page, context) => {
      const { services, signal } = context;
      const query = pageQuery(page);
      const tasks = await services.offlineLists.page(viewerOf(context), account, query, { signal });
      return toConnection(tasks, query.after);
    },
  }),
  offlineAllowance: t.field({
    type: OfflineAllowanceType,
    nullable: true,
    description:
      'How many offline tasks may still be begun. Asks the provider; null, with `UNSUPPORTED` in the errors, where it has no such limit to tell.',
    resolve: (account, _args, { services, signal }) => services.offlineLists.allowance(account, { signal }),
  }),
}));

const AddOfflineTasksInput = builder.inputType('AddOfflineTasksInput', {
  description: 'What the provider is to download.',
  fields: (t) => ({
    accountId: t.id({ required: true, description: 'The account that gets the files.' }),
    urls: t.stringList({
      required: true,
      description: `Links, from 1 to ${OFFLINE_LINKS_MAX}: http, https, ftp, magnet or ed2k, as far as the provider takes them. The same link twice is one task.`,
    }),
    destination: t.field({
      type: EntryRefInput,
      description: 'A folder of the account; left out: where the provider puts such files by itself.',
    }),
    idempotencyKey: t.string({
      description: 'A UUID, say: a repetition with the same key and input begins nothing again. Kept for a day.',
    }),
  }),
});

const AddOfflineTaskResult = builder.objectRef<AddedOfflineTask>('AddOfflineTaskResult').implement({
  description: 'What became of one link.',
  fields: (t) => ({
    url: t.exposeString('url', { description: 'The link, as it was given.' }),
    task: t.expose('task', {
      type: OfflineTask,
      nullable: true,
      description: 'Its task; one that the account had already, where there was one. Null when it failed.',
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'Why there is no task; null when there is one.',
      resolve: ({ error }) => error && errorData(error),
    }),
  }),
});

const AddOfflineTasksPayload = builder
  .objectRef<{ readonly results: readonly AddedOfflineTask[] }>('AddOfflineTasksPayload')
  .implement({
    description: 'What became of each link.',
    fields: (t) => ({
      results: t.field({
        type: [AddOfflineTaskResult],
        description: 'One for each link, in the order given.',
        resolve: ({ results }) => [...results],
      }),
    }),
  });

const accountIdOf = (id: string | number): string => decodeIdOf(String(id), 'CloudAccount') ?? '';

builder.mutationField('addOfflineTasks', (t) =>
  t.field({
    type: AddOfflineTasksPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Has the provider download links into an account; no byte passes through this server. Each link has its own result: one failure never stops the others. Follow them by `offlineTaskUpdated`.',
    args: { input: t.arg({ type: AddOfflineTasksInput, required: true, description: 'Which links, and where to.' }) },
    resolve: async (_root, { input: { accountId, destination, ...input } }, context) => ({
      results: await context.services.offlineTasks.add(viewerOf(context), {
        ...input,
        accountId: accountIdOf(accountId),
        destination: destination && { target: entryTarget(destination, 'input.destination') },
      }),
    }),
  }),
);

const CancelOfflineTasksInput = builder.inputType('CancelOfflineTasksInput', {
  description: 'Which tasks to end.',
  fields: (t) => ({
    ids: t.idList({ required: true, description: `Of the tasks, from 1 to ${LIST_INPUT_MAX}.` }),
    deleteFiles: t.boolean({
      description: 'Whether what they brought is deleted too. Default false.',
    }),
  }),
});

interface CancelledTask {
  readonly id: string;
  readonly error: DomainError | null;
}

const CancelOfflineTaskResult = builder.objectRef<CancelledTask>('CancelOfflineTaskResult').implement({
  description: 'What became of one task.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id, as it was given.' }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'Why it goes on; null when it is over.',
      resolve: ({ error }) => error && errorData(error),
    }),
  }),
});

const CancelOfflineTasksPayload = builder
  .objectRef<{ readonly results: readonly CancelledTask[] }>('CancelOfflineTasksPayload')
  .implement({
    description: 'What became of each task.',
    fields: (t) => ({
      results: t.field({
        type: [CancelOfflineTaskResult],
        description: 'One for each id, in the order given.',
        resolve: ({ results }) => [...results],
      }),
    }),
  });

builder.mutationField('cancelOfflineTasks', (t) =>
  t.field({
    type: CancelOfflineTasksPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Ends tasks, or takes finished ones out of the list; of any account. Each has its own result: one failure never stops the others.',
    args: { input: t.arg({ type: CancelOfflineTasksInput, required: true, description: 'Which.' }) },
    resolve: async (_root, { input: { ids, deleteFiles } }, context) => {
      const { offlineTasks } = context.services;
      const errors = await offlineTasks.cancel(viewerOf(context), ids.map(taskKey), deleteFiles ?? false);
      return { results: ids.map((id, index) => ({ id: String(id), error: errors[index] ?? null })) };
    },
  }),
);

const CLEAR_SCOPES: Readonly<Record<OfflineClearScope, string>> = {
  SUCCEEDED: 'Those that are done. Their files stay.',
  ALL: 'All, running ones too. Files stay.',
  FAILED: 'Those that failed.',
  RUNNING: 'Those that are not at their end: they end.',
  SUCCEEDED_WITH_FILES: 'Those that are done, and what they brought is deleted.',
  ALL_WITH_FILES: 'All, running ones too, and what they brought is deleted.',
};

const OfflineClearScopeEnum = builder.enumType('OfflineClearScope', {
  description: 'Which offline tasks to clear away.',
  values: enumValues(CLEAR_SCOPES),
});

const ClearOfflineTasksInput = builder.inputType('ClearOfflineTasksInput', {
  description: 'Which tasks to clear away.',
  fields: (t) => ({
    accountId: t.id({ required: true, description: 'The account.' }),
    scope: t.field({ type: OfflineClearScopeEnum, required: true, description: 'Which of its tasks.' }),
  }),
});

const ClearOfflineTasksPayload = builder.objectRef<{ readonly ok: boolean }>('ClearOfflineTasksPayload').implement({
  description: 'The tasks are cleared away.',
  fields: (t) => ({ ok: t.exposeBoolean('ok', { description: 'Always true.' }) }),
});

builder.mutationField('clearOfflineTasks', (t) =>
  t.field({
    type: ClearOfflineTasksPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Clears tasks of an account away, whoever began them. Only its owner may; of a shared account, administrators.',
    args: { input: t.arg({ type: ClearOfflineTasksInput, required: true, description: 'Which.' }) },
    resolve: async (_root, { input: { accountId, scope } }, context) => {
      await context.services.offlineTasks.clear(viewerOf(context), accountIdOf(accountId), scope);
      return { ok: true };
    },
  }),
);

const RetryOfflineTaskInput = builder.inputType('RetryOfflineTaskInput', {
  description: 'Which task to begin once more.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'A task that failed.' }),
    idempotencyKey: t.string({
      description: 'A UUID, say: a repetition with the same key and input begins nothing again. Kept for a day.',
    }),
  }),
});

const RetryOfflineTaskPayload = builder
  .objectRef<{ readonly task: OfflineTaskView }>('RetryOfflineTaskPayload')
  .implement({
    description: 'The task that was begun in place of the failed one.',
    fields: (t) => ({
      task: t.expose('task', {
        type: OfflineTask,
        description: 'The new task. It may have the id of the old one: that is for the provider to say.',
      }),
    }),
  });

builder.mutationField('retryOfflineTask', (t) =>
  t.field({
    type: RetryOfflineTaskPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Begins a failed task once more, with the same link and folder. `ConflictError` when it has not failed, or its link is not known.',
    args: { input: t.arg({ type: RetryOfflineTaskInput, required: true, description: 'Which.' }) },
    resolve: async (_root, { input: { id, idempotencyKey } }, context) => ({
      task: await context.services.offlineTasks.retry(viewerOf(context), taskKey(id), idempotencyKey),
    }),
  }),
);

builder.subscriptionField('offlineTaskUpdated', (t) =>
  t.field({
    type: OfflineTask,
    description:
      'The offline tasks of an account: at once each of the first hundred as it is, the unfinished ones first, then each as it changes. While one of them runs, the provider is asked every five seconds to every minute. Ends when you may no longer see the account.',
    args: { accountId: t.arg.id({ required: true, description: 'The account.' }) },
    subscribe: (_root, { accountId }, context) =>
      context.services.offlineTasks.follow(viewerOf(context), accountIdOf(accountId), context.signal),
    resolve: (task) => task,
  }),
);
