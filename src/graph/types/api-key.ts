import { ConflictError, NotFoundError } from '../../lib/errors.ts';
import type { ApiKey as ApiKeyRow, ApiScope } from '../../storage/entities/identity.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { ownSessionOf, viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeIdOf, encodeGlobalId } from '../ids.ts';
import { UserType } from './user.ts';
import { COMMON_ERRORS } from './user-error.ts';

const ApiScopeEnum = builder.enumType('ApiScope', {
  description: 'What an API key may do. A session may do all of it; ADMIN needs the role too.',
  values: enumValues<ApiScope>({
    READ: 'Read everything that its user may see, and subscribe to it. Without it a key sees what its mutations did, and nothing beyond.',
    WRITE: 'Create, change, move and delete entries, and upload.',
    DOWNLOAD: 'Download files.',
    SHARE: 'Make and end shares and direct links.',
    ACCOUNTS: 'Link, change and unlink cloud accounts.',
    ADMIN: 'What administrators may do, as long as its user is one.',
  }),
});

const ApiKeyType = builder.objectRef<ApiKeyRow>('ApiKey').implement({
  description: 'A key for a program, in place of a session: `Authorization: Bearer <key>`.',
  fields: (t) => ({
    id: t.id({ description: 'For `revokeApiKey`.', resolve: ({ id }) => encodeGlobalId('ApiKey', id) }),
    name: t.exposeString('name', { description: 'What its user called it.' }),
    prefix: t.exposeString('prefix', { description: 'The first characters of the key, to tell it from others.' }),
    scopes: t.expose('scopes', { type: [ApiScopeEnum], description: 'What it may do.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ends; null: not by itself.',
    }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last presented, to the minute; null: never.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was revoked; null: not.',
    }),
  }),
});

const ApiKeyConnection = builder.connectionObject(
  { type: ApiKeyType, name: 'ApiKeyConnection', description: 'A page of API keys.' },
  { name: 'ApiKeyEdge', description: 'An API key and its place in the list.' },
);

builder.objectField(UserType, 'apiKeys', (t) =>
  t.field({
    type: ApiKeyConnection,
    description: 'The API keys of the user that were not revoked, newest first. For the user alone, in a session.',
    complexity: connectionComplexity,
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
    },
    resolve: async ({ id }, page, context) => {
      const viewer = ownSessionOf(context, id);
      return toConnection(await context.services.identity.apiKeys.page(viewer, pageQuery(page)), page.after ?? null);
    },
  }),
);

const CreateApiKeyInput = builder.inputType('CreateApiKeyInput', {
  description: 'A new API key.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'What it is for, up to 64 characters.' }),
    scopes: t.field({ type: [ApiScopeEnum], required: true, description: 'What it may do: at least one.' }),
    expiresAt: t.field({ type: 'DateTime', description: 'When it ends; left out or null: not by itself.' }),
  }),
});

const CreateApiKeyPayload = builder
  .objectRef<{ readonly apiKey: ApiKeyRow; readonly secret: string }>('CreateApiKeyPayload')
  .implement({
    description: 'The new key.',
    fields: (t) => ({
      apiKey: t.expose('apiKey', { type: ApiKeyType, description: 'What is kept of it.' }),
      secret: t.exposeString('secret', { description: 'The key itself, in this answer only: only its hash is kept.' }),
    }),
  });

builder.mutationField('createApiKey', (t) =>
  t.field({
    type: CreateApiKeyPayload,
    skipTypeScopes: true,
    authScopes: { session: true },
    errors: { types: [...COMMON_ERRORS, ConflictError] },
    description: 'Makes an API key. In a session only: a key cannot make keys. Changing the password ends all keys.',
    args: { input: t.arg({ type: CreateApiKeyInput, required: true, description: 'A new API key.' }) },
    resolve: (_root, { input }, context) => context.services.identity.apiKeys.create(viewerOf(context), input),
  }),
);

const RevokeApiKeyInput = builder.inputType('RevokeApiKeyInput', {
  description: 'Which key to end.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The `id` of the key.' }) }),
});

const RevokeApiKeyPayload = builder.objectRef<{ readonly apiKey: ApiKeyRow }>('RevokeApiKeyPayload').implement({
  description: 'The key has ended.',
  fields: (t) => ({ apiKey: t.expose('apiKey', { type: ApiKeyType, description: 'The key afterwards.' }) }),
});

builder.mutationField('revokeApiKey', (t) =>
  t.field({
    type: RevokeApiKeyPayload,
    skipTypeScopes: true,
    authScopes: { session: true },
    errors: { types: [...COMMON_ERRORS, NotFoundError] },
    description: "Ends one of the viewer's API keys, and its subscriptions, at once.",
    args: { input: t.arg({ type: RevokeApiKeyInput, required: true, description: 'Which key to end.' }) },
    resolve: async (_root, { input }, context) => {
      const id = decodeIdOf(String(input.id), 'ApiKey') ?? '';
      return { apiKey: await context.services.identity.apiKeys.revoke(viewerOf(context), id) };
    },
  }),
);
