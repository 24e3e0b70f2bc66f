import type { DriveChange } from '../../drives/driver.ts';
import type { ChangePage, ChangeView } from '../../services/changes.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeEntryId, decodeIdOf, encodeEntryId } from '../ids.ts';
import { CloudAccount } from './account.ts';
import { EntryInterface } from './entry.ts';

const KINDS: Readonly<Record<DriveChange['kind'], string>> = {
  CREATED: 'It is new there.',
  MODIFIED: 'It has other content.',
  MOVED: 'It has another name or folder.',
  DELETED: 'It is gone, or in the recycle bin.',
};

const ChangeKindEnum = builder.enumType('ChangeKind', {
  description: 'What happened to an entry.',
  values: enumValues(KINDS),
});

const Change = builder.objectRef<ChangeView>('Change').implement({
  description: 'Something that happened to an entry.',
  fields: (t) => ({
    kind: t.expose('kind', { type: ChangeKindEnum, description: 'What happened.' }),
    entry: t.field({
      type: EntryInterface,
      nullable: true,
      description: 'The entry as it is now; null when it is gone.',
      resolve: ({ account, entry, entryRef, kind }, _args, { loaders }) => {
        if (entry === undefined && kind !== 'DELETED')
          return loaders.entry.load({ accountId: account.id, ref: entryRef });
        return entry ? { account, entry } : null;
      },
    }),
    entryId: t.id({
      description: 'The id of the entry, also when it is gone.',
      resolve: ({ account, entryKind, entryRef }) => encodeEntryId(entryKind, account.id, entryRef),
    }),
    path: t.exposeString('path', {
      nullable: true,
      description: 'Where it was after the change; null where the provider does not tell.',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
  }),
});

const ChangeConnection = builder.connectionObject(
  {
    type: Change,
    name: 'ChangeConnection',
    description: 'A page of changes, oldest first.',
    fields: (t) => ({
      complete: t.boolean({
        description:
          'Whether all changes are told; false where the provider cannot show deletions, and of computed changes before the first comparison and when `after` is older than what is kept: then read the whole drive anew.',
        resolve: (connection) => (connection as unknown as ChangePage).complete,
      }),
      computed: t.boolean({
        description:
          'Whether this server found them by comparing all entries with those of a while ago, as the provider tells no changes: what came and went in between is not seen, and `at` is when it was found.',
        resolve: (connection) => (connection as unknown as ChangePage).computed,
      }),
      comparedAt: t.field({
        type: 'DateTime',
        nullable: true,
        description:
          'When all entries were last read to compare them: changes are told until then. Null where changes are not computed, and before the first comparison, which only notes what is there.',
        resolve: (connection) => (connection as unknown as ChangePage).comparedAt,
      }),
    }),
  },
  { name: 'ChangeEdge', description: 'A change and its place in the list.' },
);

builder.objectField(CloudAccount, 'changes', (t) =>
  t.field({
    type: ChangeConnection,
    description:
      'What changed since a cursor, oldest first: keep `endCursor` and ask again with it. Where the provider tells no changes they are computed, which may take long and is not done more often than the provider can bear: see `computed`. `TOO_LARGE` when the drive is too large for that.',
    complexity: connectionComplexity,
    args: {
      after: t.arg.string({ description: 'A cursor of this list; left out: from the first change that is known.' }),
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
    },
    resolve: async (account, page, { services, signal }) => {
      const changes = await services.changes.page(account, pageQuery(page), { signal });
      const { complete, computed, comparedAt } = changes;
      return { ...toConnection(changes, page.after ?? null), complete, computed, comparedAt };
    },
  }),
);

builder.subscriptionField('entryChanged', (t) =>
  t.field({
    type: Change,
    description:
      'What changes directly in a folder, live. The first event is the folder itself (MODIFIED): read its children then, and again after a reconnect. Ends when you may no longer see the account.',
    args: { folderId: t.arg.id({ required: true, description: 'The folder.' }) },
    subscribe: (_root, { folderId }, context) =>
      context.services.changes.watchFolder(viewerOf(context), decodeEntryId(folderId.toString()), context.signal),
    resolve: (change) => change,
  }),
);

builder.subscriptionField('accountUpdated', (t) =>
  t.field({
    type: CloudAccount,
    description: 'An account now, and after each of its changes. Ends when you may no longer see it.',
    args: { accountId: t.arg.id({ required: true, description: 'The account.' }) },
    subscribe: (_root, { accountId }, context) =>
      context.services.changes.watchAccount(
        viewerOf(context),
        decodeIdOf(accountId.toString(), 'CloudAccount') ?? '',
        context.signal,
      ),
    resolve: (account) => account,
  }),
);
