import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import DataloaderPlugin from '@pothos/plugin-dataloader';
import ErrorsPlugin from '@pothos/plugin-errors';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import { InvalidInputError } from '../lib/errors.ts';
import type { ApiScope } from '../storage/entities/identity.ts';
import type { GraphContext } from './context.ts';
import { unauthorizedError } from './errors.ts';
import { decodeGlobalId, encodeGlobalId } from './ids.ts';
import { DEFAULT_LIST_MULTIPLIER, LIST_INPUT_MAX } from './limits.ts';
import { loadNodes } from './nodes.ts';

/** Cost of the lists in a connection: the field of the connection has counted the page's size already. */
const COUNTED_ABOVE = { field: 1, multiplier: 1 };

/** A file of a multipart request, held in memory. */
export interface UploadedFile {
  /** As the client names it. */
  readonly name: string;
  /** As the client says; empty where it does not. */
  readonly type: string;
  readonly size: number;
  stream(): AsyncIterable<Uint8Array>;
}

/** Plugins, scalars and rights; no types. Every field names who may read it: the root types deny by default. */
export const builder = new SchemaBuilder<{
  Context: GraphContext;
  DefaultFieldNullability: false;
  DefaultAuthStrategy: 'all';
  DefaultEdgesNullability: { list: false; items: false };
  DefaultNodeNullability: false;
  Scalars: {
    ID: { Input: string; Output: string | number };
    ByteCount: { Input: number; Output: number };
    DateTime: { Input: Date; Output: Date };
    Upload: { Input: UploadedFile; Output: never };
  };
  AuthScopes: {
    /** Anybody, signed in or not. */
    public: boolean;
    /** A session of a person, not an API key: what changes the identity itself. */
    session: boolean;
    /** A session, or an API key that has this scope. */
    scope: ApiScope;
    /** An administrator, by session or by a key with the ADMIN scope. */
    admin: boolean;
  };
}>({
  plugins: [ErrorsPlugin, ScopeAuthPlugin, ComplexityPlugin, RelayPlugin, DataloaderPlugin],
  defaultFieldNullability: false,
  relay: {
    clientMutationId: 'omit',
    cursorType: 'String',
    nodesOnConnection: {
      description: 'The nodes alone, for a caller that needs no cursor of each.',
      complexity: COUNTED_ABOVE,
    },
    encodeGlobalID: encodeGlobalId,
    decodeGlobalID: (id) => decodeGlobalId(id) ?? { typename: 'Unknown', id: '' },
    nodeTypeOptions: { description: 'An object with an id that stays the same and fetches it again by `node`.' },
    idFieldOptions: { description: 'Stays the same for the life of the object; opaque.' },
    pageInfoTypeOptions: { description: 'Where a page stands in its list.' },
    hasNextPageFieldOptions: { description: 'Whether more follows after `endCursor`.' },
    hasPreviousPageFieldOptions: { description: 'Whether something stands before `startCursor`.' },
    startCursorFieldOptions: { description: 'The cursor of the first edge; null on an empty page.', nullable: true },
    endCursorFieldOptions: {
      description: 'The cursor of the last edge, for `after`; null on an empty page.',
      nullable: true,
    },
    cursorFieldOptions: { description: 'Give it as `after` to begin behind this edge.' },
    nodeFieldOptions: { description: 'The item itself.', nullable: false },
    edgesFieldOptions: {
      description: 'The items with their cursors, in order.',
      complexity: COUNTED_ABOVE,
      nullable: { list: false, items: false },
    },
    pageInfoFieldOptions: { description: 'Where this page stands in the list.' },
    nodeQueryOptions: {
      description: 'The object with this id; null when there is none, or it is not for you to see.',
      args: { id: { description: 'From the `id` field of an object.' } },
      resolve: async (_root, { id }, context, { schema }) => (await loadNodes(schema, [id], context))[0],
    },
    nodesQueryOptions: {
      description: `The objects with these ids, in the order asked, null for each that there is not. At most ${LIST_INPUT_MAX}.`,
      args: { ids: { description: 'From the `id` fields of objects.' } },
      complexity: ({ ids }) => ({ field: 1, multiplier: Math.max(1, ids.length) }),
      resolve: (_root, { ids }, context, { schema }) => {
        if (ids.length > LIST_INPUT_MAX) throw InvalidInputError.at('ids', `must be at most ${LIST_INPUT_MAX}`);
        return loadNodes(schema, ids, context);
      },
    },
  },
  scopeAuth: {
    defaultStrategy: 'all',
    authorizeOnSubscribe: true,
    unauthorizedError,
    authScopes: ({ viewer }) => ({
      public: true,
      session: viewer?.grant === 'session',
      scope: (scope) => viewer?.scopes.has(scope) ?? false,
      admin: viewer?.role === 'ADMIN' && viewer.scopes.has('ADMIN'),
    }),
  },
  errors: {
    directResult: true,
    defaultUnionOptions: {
      description:
        'What the mutation did, or the error that kept it from that. Ask for `... on UserError { code message }`.',
      name: ({ fieldName }) => `${fieldName.charAt(0).toUpperCase()}${fieldName.slice(1)}Result`,
    },
  },
  complexity: {
    disabled: true, // Reckoned here, checked by costFault before anything runs: the plugin would begin a subscription first.
    defaultListMultiplier: DEFAULT_LIST_MULTIPLIER,
  },
});

builder.queryType({
  description: 'Everything that can be read. Needs a session, or an API key with the READ scope.',
  authScopes: { scope: 'READ' },
});
builder.mutationType({
  description:
    'Everything that changes something. Each answers a union of its payload and the errors that a caller can act on.',
  authScopes: () => false, // Each mutation states its own right.
});
builder.subscriptionType({
  description:
    'Live state, over WebSocket (graphql-transport-ws) or server-sent events. Each gives the present state first.',
  authScopes: { scope: 'READ' },
});
