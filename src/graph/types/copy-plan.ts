import { PLAN_LIMITS, type PlanGap } from '../../services/copy-plan-budget.ts';
import type { CopyPlanItem } from '../../services/copy-plans.ts';
import type { PlanPart, PlanTotals } from '../../services/copy-surveys.ts';
import { slicePage } from '../../services/pages.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { encodeEntryId } from '../ids.ts';
import { LIST_INPUT_MAX } from '../limits.ts';
import { ConflictPolicyEnum, EntryInterface, EntryRefInput, entryTarget } from './entry.ts';
import { TransferRouteEnum } from './transfer.ts';
import { errorData, UserError } from './user-error.ts';

const GAPS: Readonly<Record<PlanGap, string>> = {
  ENTRIES: `A plan looks at ${PLAN_LIMITS.entries} entries of folders at most.`,
  PROVIDER_CALLS: `A plan asks for ${PLAN_LIMITS.calls} pages of folders at most.`,
  TIME: `A plan reads folders for ${PLAN_LIMITS.ms / 1000} seconds at most.`,
  UNREADABLE: 'A folder within could not be read: its part says why.',
};

const PlanGapEnum = builder.enumType('CopyPlanGap', {
  description: 'Why a plan does not tell of all. A client should expect values that it does not know yet.',
  values: enumValues(GAPS),
});

const PlanRoute = builder.objectRef<PlanTotals['routes'][number]>('CopyPlanRoute').implement({
  description: 'How much takes one way.',
  fields: (t) => ({
    route: t.expose('route', { type: TransferRouteEnum, description: 'The best way that is open.' }),
    files: t.exposeInt('files', { description: 'How many files take it.' }),
    bytes: t.expose('bytes', { type: 'ByteCount', description: 'Their bytes, of those that tell their size.' }),
  }),
});

const PlanTotalsType = builder.objectRef<PlanTotals>('CopyPlanTotals').implement({
  description: 'All that would be copied of one entry, as far as it was looked at.',
  fields: (t) => ({
    files: t.exposeInt('files', { description: 'Files.' }),
    folders: t.exposeInt('folders', { description: 'Folders below the one that is copied.' }),
    bytes: t.expose('bytes', { type: 'ByteCount', description: 'The bytes of the files that tell their size.' }),
    filesOfUnknownSize: t.exposeInt('filesOfUnknownSize', { description: 'Files that do not tell their size.' }),
    bytesThroughServer: t.expose('bytesThroughServer', {
      type: 'ByteCount',
      description: 'At most so many bytes pass this server, of the files that tell their size.',
    }),
    filesWithoutHash: t.exposeInt('filesWithoutHash', {
      description:
        'Files whose bytes must come, though the drive may have them: no hash is told by which it could be asked before.',
    }),
    conflicts: t.exposeInt('conflicts', {
      description:
        'Entries that have the name of another one in their folder, as the drive at the destination sees it.',
    }),
    impossible: t.exposeInt('impossible', { description: 'Entries that would fail, conflicts among them.' }),
    routes: t.field({
      type: [PlanRoute],
      description: 'The ways that the files take.',
      resolve: ({ routes }) => [...routes],
    }),
  }),
});

const PlanPartType = builder.objectRef<PlanPart>('CopyPlanPart').implement({
  description: 'What it would take to copy one entry of a folder.',
  fields: (t) => ({
    path: t.exposeString('path', { description: 'Its place in the folder, as in `a/b.txt`.' }),
    isFolder: t.boolean({ description: 'Whether it is a folder.', resolve: ({ kind }) => kind === 'FOLDER' }),
    size: t.expose('sizeBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'Its size; null: of a folder, or untold.',
    }),
    route: t.expose('route', {
      type: TransferRouteEnum,
      nullable: true,
      description: 'The best way that is open; null of a folder, and where there is none.',
    }),
    routeReason: t.exposeString('routeReason', { nullable: true, description: 'Why this way, for a person.' }),
    fallback: t.expose('fallback', {
      type: TransferRouteEnum,
      nullable: true,
      description: 'The way that is taken where the drive turns out not to have the bytes; null where that cannot be.',
    }),
    bytesThroughServer: t.expose('bytesThroughServer', {
      type: 'ByteCount',
      nullable: true,
      description: 'At most so many bytes pass this server; null: its size is not told.',
    }),
    conflictsWith: t.exposeString('twin', {
      nullable: true,
      description: 'The path of the entry whose name it has, as the drive at the destination sees it; null: none.',
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'Why it would fail; null: nothing is in the way.',
      resolve: ({ error }) => error && errorData(error),
    }),
  }),
});

const PlanPartConnection = builder.connectionObject(
  { type: PlanPartType, name: 'CopyPlanPartConnection', description: 'A page of what is in a folder.' },
  { name: 'CopyPlanPartEdge', description: 'An entry of a folder and its place in the list.' },
);

const PlanItem = builder.objectRef<CopyPlanItem>('CopyPlanItem').implement({
  description: 'What it would take to copy one entry. Nothing was changed to find out.',
  fields: (t) => ({
    sourceId: t.id({
      nullable: true,
      description: 'The entry; null: there is none.',
      resolve: ({ source }) => source && encodeEntryId(source.entry.kind, source.account.id, source.entry.ref),
    }),
    source: t.expose('source', {
      type: EntryInterface,
      nullable: true,
      description: 'The entry; null: there is none.',
    }),
    route: t.expose('route', {
      type: TransferRouteEnum,
      nullable: true,
      description:
        'The best way that is open; null: there is none, nothing has to be copied, or (of a folder) each of its files takes its own.',
    }),
    routeReason: t.exposeString('routeReason', { nullable: true, description: 'Why this way, for a person.' }),
    fallback: t.expose('fallback', {
      type: TransferRouteEnum,
      nullable: true,
      description: 'The way that is taken where the drive turns out not to have the bytes; null where that cannot be.',
    }),
    bytesThroughServer: t.expose('bytesThroughServer', {
      type: 'ByteCount',
      nullable: true,
      description:
        'At most so many bytes pass this server; null: a size is not told, or not all of a folder was looked at. What is known then is in `totals`.',
    }),
    providerCalls: t.exposeInt('providerCalls', {
      nullable: true,
      description: 'Requests to providers, by the best way; null: it cannot be said before the drive is asked.',
    }),
    conflict: t.expose('conflict', {
      type: EntryInterface,
      nullable: true,
      description: 'What has the name at the destination already; null: nothing.',
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description:
        'Why it cannot work as it stands; null: it can. What is wrong with a part of a folder is told there.',
      resolve: ({ error }) => error && errorData(error),
    }),
    totals: t.expose('totals', {
      type: PlanTotalsType,
      nullable: true,
      description:
        'All that would be copied; null where nothing was looked at: the provider copies a folder whole, nothing has to be copied, or it cannot work.',
    }),
    complete: t.boolean({
      description: 'Whether all of it was looked at; false when a limit was met, or a folder could not be read.',
      resolve: ({ gap }) => gap === null,
    }),
    incompleteBecause: t.expose('gap', {
      type: PlanGapEnum,
      nullable: true,
      description: 'Why not all of it was looked at; null: all of it was.',
    }),
    parts: t.field({
      type: PlanPartConnection,
      description:
        'What is in a folder, the folders near the top first; none of a file. The folder is read anew for each page, so ask for as much as you show.',
      complexity: connectionComplexity,
      args: {
        first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
        after: t.arg.string({ description: 'A cursor of the same listing, to begin behind it.' }),
        onlyProblems: t.arg.boolean({ description: 'Only those that would fail. Default false.' }),
      },
      resolve: ({ parts }, { onlyProblems, ...page }) => {
        const query = pageQuery(page);
        return toConnection(slicePage(onlyProblems ? parts.filter(({ error }) => error) : parts, query), query.after);
      },
    }),
  }),
});

builder.queryField('planCopy', (t) =>
  t.field({
    type: [PlanItem],
    nullable: true,
    description:
      'What `copyEntries` would do, for each entry in the order given: the route, what passes this server, what is in the way, and what cannot work. Folders are read for it, all of them together within limits: see `complete`. Asks the drives, and changes nothing.',
    complexity: ({ entries }) => ({ field: 1, multiplier: Math.max(1, entries?.length ?? 1) }),
    args: {
      entries: t.arg({
        type: [EntryRefInput],
        required: true,
        description: `The entries, from 1 to ${LIST_INPUT_MAX}.`,
      }),
      destination: t.arg({ type: EntryRefInput, required: true, description: 'The folder to put the copies into.' }),
      onConflict: t.arg({ type: ConflictPolicyEnum, description: 'When a name is taken there. Default FAIL.' }),
    },
    resolve: (_root, { entries, destination, onConflict }, context) =>
      context.services.copyPlans.plan(
        viewerOf(context),
        {
          entries: entries.map((ref, index) => entryTarget(ref, `entries.${index}`)),
          destination: entryTarget(destination, 'destination'),
          onConflict,
        },
        context.signal,
      ),
  }),
);
