import type { SearchGap, SearchMode, SearchPage } from '../../services/search.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeIdOf } from '../ids.ts';
import { CloudAccount } from './account.ts';
import { EntryEdge, EntryInterface, EntryKindEnum } from './entry.ts';
import { errorData, UserError } from './user-error.ts';

const MODES: Readonly<Record<SearchMode, string>> = {
  NAME: 'By parts of the name.',
  SEMANTIC: "By meaning, where the provider's own AI search can.",
};

const SearchModeEnum = builder.enumType('SearchMode', {
  description: 'How a search compares.',
  values: enumValues(MODES),
});

const SearchGapType = builder.objectRef<SearchGap>('SearchGap').implement({
  description: 'An account that the page has nothing of, because it could not be searched.',
  fields: (t) => ({
    account: t.expose('account', { type: CloudAccount, description: 'Which account.' }),
    error: t.field({
      type: UserError,
      description: 'Why; `UNSUPPORTED` where it cannot search so.',
      resolve: ({ error }) => errorData(error),
    }),
  }),
});

const SearchConnection = builder.connectionObject(
  {
    type: EntryInterface,
    name: 'SearchConnection',
    description: 'A page of what was found, one of each account in turn.',
    fields: (t) => ({
      incomplete: t.field({
        type: [SearchGapType],
        description:
          'Accounts that failed: what they have is missing here. Empty: all were searched. The next page asks them again.',
        resolve: (connection) => [...(connection as unknown as Pick<SearchPage, 'gaps'>).gaps],
      }),
    }),
  },
  EntryEdge,
);

builder.queryField('search', (t) =>
  t.field({
    type: SearchConnection,
    description: 'Files and folders by a text, on one or several drives.',
    complexity: connectionComplexity,
    args: {
      query: t.arg.string({ required: true, description: 'What to look for, from 1 to 255 characters. No wildcards.' }),
      accountIds: t.arg.idList({ description: 'The accounts to search; left out: all that you can use.' }),
      mode: t.arg({ type: SearchModeEnum, description: 'How to compare. Default NAME.' }),
      kind: t.arg({ type: EntryKindEnum, description: 'Only files or only folders; left out: both.' }),
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of the same search, to begin behind it.' }),
    },
    resolve: async (_root, { query, accountIds, mode, kind, ...page }, context) => {
      const wanted = {
        query,
        accountIds: accountIds?.map((id) => decodeIdOf(id.toString(), 'CloudAccount') ?? '') ?? null,
        mode: mode ?? ('NAME' as const),
        kind: kind ?? null,
      };
      const { signal, services } = context;
      const found = await services.search.find(viewerOf(context), wanted, pageQuery(page), { signal });
      return { ...toConnection(found, page.after ?? null), gaps: found.gaps };
    },
  }),
);
