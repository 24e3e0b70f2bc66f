import type { CopyPlanItem } from '../../services/copies.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { encodeEntryId } from '../ids.ts';
import { LIST_INPUT_MAX } from '../limits.ts';
import { ConflictPolicyEnum, EntryInterface, EntryRefInput, entryTarget } from './entry.ts';
import { TransferRouteEnum } from './transfer.ts';
import { errorData, UserError } from './user-error.ts';

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
      description: 'At most so many bytes pass this server; null: known only when the folder is read, or not told.',
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
      description: 'Why it cannot work as it stands; null: it can.',
      resolve: ({ error }) => error && errorData(error),
    }),
  }),
});

builder.queryField('planCopy', (t) =>
  t.field({
    type: [PlanItem],
    nullable: true,
    description:
      'What `copyEntries` would do, for each entry in the order given: the route, what passes this server, what is in the way, and what cannot work. Asks the drives, and changes nothing.',
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
      context.services.copies.plan(viewerOf(context), {
        entries: entries.map((ref, index) => entryTarget(ref, `entries.${index}`)),
        destination: entryTarget(destination, 'destination'),
        onConflict,
      }),
  }),
);
