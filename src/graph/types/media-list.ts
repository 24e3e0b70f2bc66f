import type { EntryKey } from '../../services/entries.ts';
import type { MediaListView } from '../../services/media-lists.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { type GraphContext, viewerOf } from '../context.ts';
import { decodeEntryKey, encodeEntryKey } from '../ids.ts';
import { CloudAccount } from './account.ts';
import { EntryConnection, entryConnection } from './entry.ts';

const MediaList = builder.objectRef<MediaListView>('MediaList');

const keyOf = ({ account, list }: MediaListView): string => encodeEntryKey(account.id, list.ref);

async function loadLists(
  ids: readonly string[],
  { viewer, services, signal }: GraphContext,
): Promise<(MediaListView | null)[]> {
  const find = async (key: EntryKey | null): Promise<MediaListView | null> =>
    key && viewer ? services.mediaLists.find(viewer, key, { signal }) : null;
  return Promise.all(ids.map((id) => find(decodeEntryKey(id))));
}

builder.node(MediaList, {
  description: 'Films and sounds that a person put in an order, in the application of the provider.',
  id: { resolve: keyOf, description: 'Stays the same for the life of the list.' },
  loadMany: loadLists,
  fields: (t) => ({
    account: t.expose('account', { type: CloudAccount, description: 'The account that it belongs to.' }),
    name: t.string({ description: 'As the person called it.', resolve: ({ list }) => list.name }),
    fileCount: t.int({
      nullable: true,
      description: 'How many files it has, those that are gone or outside of the drive too; null where not told.',
      resolve: ({ list }) => list.fileCount,
    }),
    createdAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was made; null where not told.',
      resolve: ({ list }) => list.createdAt,
    }),
    modifiedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was last changed; null where not told.',
      resolve: ({ list }) => list.modifiedAt,
    }),
    files: t.field({
      type: EntryConnection,
      description: 'Its files in their order, as far as they are still there and in the drive.',
      complexity: connectionComplexity,
      args: {
        first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
        after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
      },
      resolve: async (view, page, { services, signal }) =>
        entryConnection(await services.mediaLists.files(view, pageQuery(page), { signal }), page),
    }),
  }),
});

const MediaListConnection = builder.connectionObject(
  { type: MediaList, name: 'MediaListConnection', description: 'A page of lists of films and sounds.' },
  { name: 'MediaListEdge', description: 'A list and its place among the others.' },
);

builder.objectField(CloudAccount, 'mediaLists', (t) =>
  t.field({
    type: MediaListConnection,
    description:
      'The lists of films and sounds that were put together in the application of the provider. `UNSUPPORTED` where the provider tells none.',
    complexity: connectionComplexity,
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
    },
    resolve: async (account, page, context) => {
      viewerOf(context);
      const { services, signal } = context;
      const query = pageQuery(page);
      return toConnection(await services.mediaLists.page(account, query, { signal }), query.after);
    },
  }),
);
