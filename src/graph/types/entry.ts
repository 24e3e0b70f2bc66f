import type { ConflictPolicy, EntryKind, ListOptions } from '../../drives/driver.ts';
import { InvalidInputError, NotFoundError } from '../../lib/errors.ts';
import type { EntryTarget, EntryView } from '../../services/entries.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, type ItemPage, type PageArguments, pageQuery, toConnection } from '../connection.ts';
import { type GraphContext, viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeEntryId, decodeEntryKey, decodeIdOf, encodeEntryKey } from '../ids.ts';
import { CloudAccount } from './account.ts';
import { AlreadyExistsErrorType } from './user-error.ts';

const KINDS: Readonly<Record<EntryKind, string>> = { FILE: 'A file.', FOLDER: 'A folder.' };

export const EntryKindEnum = builder.enumType('EntryKind', {
  description: 'Whether an entry is a file or a folder.',
  values: enumValues(KINDS),
});

export const EntryInterface = builder.interfaceRef<EntryView>('Entry').implement({
  description: 'A file or a folder on any drive.',
  interfaces: [builder.nodeInterfaceRef()],
  resolveType: ({ entry }) => (entry.kind === 'FILE' ? 'File' : 'Folder'),
  fields: (t) => ({
    name: t.string({ description: 'Its name; empty for the root of a drive.', resolve: ({ entry }) => entry.name }),
    path: t.string({
      nullable: true,
      description:
        'Where it is: `/folder/name`, and `/` for the root. Changes by rename and move; keep the `id` instead. Null where the provider does not tell. May cost a request of its own.',
      resolve: (view, _args, { services, signal }) => services.entries.pathOf(view, { signal }),
    }),
    size: t.field({
      type: 'ByteCount',
      nullable: true,
      description: 'Its size in bytes; null where the provider does not tell, as for most folders.',
      resolve: ({ entry }) => entry.sizeBytes,
    }),
    createdAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it came to the drive; null where the provider does not tell.',
      resolve: ({ entry }) => entry.createdAt,
    }),
    modifiedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When its content last changed; null where the provider does not tell.',
      resolve: ({ entry }) => entry.modifiedAt,
    }),
    deletedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was put into the recycle bin; null when it is not in one, or the provider does not tell.',
      resolve: ({ entry }) => entry.deletedAt,
    }),
    account: t.field({
      type: CloudAccount,
      description: 'The account that it is in.',
      resolve: ({ account }) => account,
    }),
    parent: t.field({
      type: Folder,
      nullable: true,
      description:
        'The folder that it is in; null at the root, in the recycle bin, or where the provider does not tell. May cost a request of its own, where the provider tells only the path.',
      resolve: (view, _args, { loaders }) => {
        const { account, entry } = view;
        if (entry.parentRef === null) return loaders.parent.load(view);
        return loaders.entry.load({ accountId: account.id, ref: entry.parentRef });
      },
    }),
    revision: t.string({
      nullable: true,
      description: 'Changes whenever the entry does: give it as `ifRevision`. Null where the provider does not tell.',
      resolve: ({ entry }) => entry.revision,
    }),
  }),
});

export const Folder = builder.objectRef<EntryView>('Folder');

/** The loader of `node(id)`: an id of the other kind is none, and an entry that cannot be loaded fails alone. */
export const loadEntries = (
  kind: EntryKind,
  keys: readonly string[],
  { loaders }: GraphContext,
): Promise<(EntryView | null)[]> =>
  Promise.all(
    keys.map(async (key) => {
      const decoded = decodeEntryKey(key);
      const view = decoded && (await loaders.entry.load(decoded).catch((error: Error) => error));
      // The types know no errors among what is loaded; the executor does.
      if (view instanceof Error) return view as never;
      return view?.entry.kind === kind ? view : null;
    }),
  );

/** The part of the global id behind the type's name. */
export const entryNodeId = ({ account, entry }: EntryView): string => encodeEntryKey(account.id, entry.ref);

export const EntryEdge = builder.edgeObject({
  type: EntryInterface,
  name: 'EntryEdge',
  description: 'An entry and its place in the list.',
});

interface EntryConnectionShape extends ReturnType<typeof toConnection<EntryView>> {
  readonly fetchedAt: Date | null;
  /** Asks how many there are, where the page does not tell. */
  readonly countAll?: (() => Promise<number | null>) | undefined;
}

export const EntryConnection = builder.connectionObject(
  {
    type: EntryInterface,
    name: 'EntryConnection',
    description: 'A page of entries.',
    fields: (t) => ({
      totalCount: t.int({
        nullable: true,
        description: 'How many there are on all pages; null where the provider does not tell.',
        resolve: (connection) => {
          const { totalCount, countAll } = connection as unknown as EntryConnectionShape;
          return totalCount ?? countAll?.() ?? null;
        },
      }),
      fetchedAt: t.field({
        type: 'DateTime',
        nullable: true,
        description: 'When the provider told the oldest part of the page; null where it is as now, as on LOCAL.',
        resolve: (connection) => (connection as unknown as EntryConnectionShape).fetchedAt,
      }),
    }),
  },
  EntryEdge,
);

/** A page of entries in the shape of {@link EntryConnection}. */
export const entryConnection = (
  page: ItemPage<EntryView>,
  { after }: PageArguments,
  countAll?: EntryConnectionShape['countAll'],
): EntryConnectionShape => ({ ...toConnection(page, after ?? null), fetchedAt: page.fetchedAt ?? null, countAll });

export const MAX_AGE =
  'At most this many seconds old, up to 60; 0: the provider is asked. Left out: as the server is set, 10 by default. Of no effect on LOCAL.';

/** @throws InvalidInputError when it is negative. */
export function maxAge(maxAgeSeconds: number | null | undefined): { readonly maxAgeMs?: number } {
  if (maxAgeSeconds == null) return {};
  if (maxAgeSeconds < 0) throw InvalidInputError.at('maxAgeSeconds', 'must be 0 or more');
  return { maxAgeMs: maxAgeSeconds * 1000 };
}

const EntrySortEnum = builder.enumType('EntrySort', {
  description: 'What a listing is sorted by.',
  values: enumValues({
    NAME: 'By name, without regard to case where the drive has none.',
    SIZE: 'By size.',
    MODIFIED_AT: 'By the time of the last change of content.',
  }),
});

const SortDirectionEnum = builder.enumType('SortDirection', {
  description: 'Which end comes first.',
  values: enumValues({ ASC: 'Smallest, oldest or A first.', DESC: 'Largest, newest or Z first.' }),
});

const EntryOrder = builder.inputType('EntryOrder', {
  description: 'How a listing is sorted.',
  fields: (t) => ({
    by: t.field({ type: EntrySortEnum, required: true, description: 'What it is sorted by.' }),
    direction: t.field({ type: SortDirectionEnum, required: true, description: 'Which end comes first.' }),
  }),
});

builder.node(Folder, {
  description: 'A folder on any drive.',
  interfaces: [EntryInterface],
  id: {
    resolve: entryNodeId,
    description: 'Stays the same when it is renamed or moved, where the provider has such ids.',
  },
  loadMany: (keys, context) => loadEntries('FOLDER', keys, context),
  fields: (t) => ({
    children: t.field({
      type: EntryConnection,
      description:
        'What is directly in the folder, as the provider told it a few seconds ago at most: see `fetchedAt`. Fails as a whole when the provider fails: a part is never given as all. `UNSUPPORTED` when the drive has not the sort asked for.',
      complexity: connectionComplexity,
      args: {
        first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
        after: t.arg.string({ description: 'A cursor of the same listing, to begin behind it.' }),
        orderBy: t.arg({ type: EntryOrder, description: 'How to sort; left out: as the drive likes best.' }),
        kind: t.arg({ type: EntryKindEnum, description: 'Only files or only folders; left out: both.' }),
        maxAgeSeconds: t.arg.int({ description: MAX_AGE }),
      },
      resolve: async (
        folder,
        { orderBy, kind, maxAgeSeconds, ...page },
        { services: { entries }, loaders, signal },
      ) => {
        // However the folder was found: as the parent of its children it is not asked for again.
        loaders.entry.prime({ accountId: folder.account.id, ref: folder.entry.ref }, folder);
        const options: ListOptions = { ...(orderBy ? { orderBy } : {}), ...(kind ? { kind } : {}) };
        const call = { signal, ...maxAge(maxAgeSeconds) };
        const children = await entries.children(folder, options, pageQuery(page), call);
        return entryConnection(children, page, () => entries.count(folder, options, call));
      },
    }),
  }),
});

const POLICIES: Readonly<Record<ConflictPolicy, string>> = {
  FAIL: 'Refuse with `AlreadyExistsError`.',
  RENAME: 'Give the new one a numbered name: `a (2).txt`.',
  REPLACE: 'Give the file that is there the new bytes. A folder is never replaced.',
  SKIP: 'Leave what is there, and answer with it.',
};

export const ConflictPolicyEnum = builder.enumType('ConflictPolicy', {
  description: 'What to do when the name is taken.',
  values: enumValues(POLICIES),
});

const EntryPath = builder.inputType('EntryPath', {
  description: 'An entry by where it is.',
  fields: (t) => ({
    accountId: t.id({ required: true, description: 'The account.' }),
    path: t.string({ required: true, description: 'The path below the root of the drive, beginning with `/`.' }),
  }),
});

export const EntryRefInput = builder.inputType('EntryRef', {
  description: 'Names an entry: exactly one of the two.',
  isOneOf: true,
  fields: (t) => ({
    id: t.id({ description: 'By its id, which finds it also after a rename or move.' }),
    path: t.field({ type: EntryPath, description: 'By where it is.' }),
  }),
});

export type EntryRefShape = typeof EntryRefInput.$inferInput;

/** What a service is asked for. `at` is where the reference stands in the arguments, as in `input.parent`. */
export function entryTarget(ref: EntryRefShape, at: string): EntryTarget {
  if (ref.id != null) return decodeEntryId(String(ref.id));
  if (ref.path == null) return null;
  const { accountId, path } = ref.path;
  return {
    accountId: decodeIdOf(String(accountId), 'CloudAccount') ?? '',
    path,
    at: [...at.split('.'), 'path', 'path'],
  };
}

builder.queryField('entry', (t) =>
  t.field({
    type: EntryInterface,
    nullable: true,
    description: 'The file or folder that is named; null when there is none, or it is not for you to see.',
    args: { ref: t.arg({ type: EntryRefInput, required: true, description: 'Which one.' }) },
    resolve: (_root, { ref }, context) => findEntry(entryTarget(ref, 'ref'), context),
  }),
);

/** The entry that is named; null when there is none, or it is not for the viewer to see. */
export async function findEntry(target: EntryTarget, context: GraphContext): Promise<EntryView | null> {
  if (target === null) return null;
  if ('ref' in target) return context.loaders.entry.load(target);
  try {
    return await context.services.entries.look(viewerOf(context), target, { signal: context.signal });
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

builder.objectField(AlreadyExistsErrorType, 'existing', (t) =>
  t.field({
    type: EntryInterface,
    nullable: true,
    description: 'What has the name; null where the name is not that of an entry, or the provider does not tell.',
    resolve: ({ existing }, _args, { loaders }) => existing && loaders.entry.load(existing),
  }),
);
