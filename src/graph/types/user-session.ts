import { NotFoundError } from '../../lib/errors.ts';
import type { Session } from '../../storage/entities/identity.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { ownSessionOf, viewerOf } from '../context.ts';
import { decodeIdOf, encodeGlobalId } from '../ids.ts';
import { UserType } from './user.ts';
import { COMMON_ERRORS } from './user-error.ts';

const UserSession = builder.objectRef<Session>('UserSession').implement({
  description: 'A sign-in of a user that goes on: one app on one device.',
  fields: (t) => ({
    id: t.id({
      description: 'For `revokeSession`.',
      resolve: ({ id }) => encodeGlobalId('UserSession', id),
    }),
    current: t.boolean({
      description: 'Whether it is the one that asks.',
      resolve: ({ id }, _args, { viewer }) => viewer?.grantId === id,
    }),
    remember: t.exposeBoolean('remember', { description: 'Whether it lasts 90 days without use instead of one.' }),
    userAgent: t.exposeString('userAgent', {
      nullable: true,
      description: 'What the app called itself when it signed in; null: it did not.',
    }),
    address: t.exposeString('address', {
      nullable: true,
      description: 'The address that it was last refreshed from; null: unknown.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it began.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      description: 'When it was last refreshed. An app in use does so about every 15 minutes.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When it ends if it is not refreshed.' }),
  }),
});

const UserSessionConnection = builder.connectionObject(
  { type: UserSession, name: 'UserSessionConnection', description: 'A page of sessions.' },
  { name: 'UserSessionEdge', description: 'A session and its place in the list.' },
);

builder.objectField(UserType, 'sessions', (t) =>
  t.field({
    type: UserSessionConnection,
    description: 'The sessions of the user that go on, newest first. For the user alone, in a session.',
    complexity: connectionComplexity,
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
    },
    resolve: async ({ id }, page, context) => {
      const viewer = ownSessionOf(context, id);
      return toConnection(await context.services.identity.sessions.page(viewer, pageQuery(page)), page.after ?? null);
    },
  }),
);

const RevokeSessionInput = builder.inputType('RevokeSessionInput', {
  description: 'Which session to end.',
  fields: (t) => ({ id: t.id({ required: true, description: 'From `User.sessions`.' }) }),
});

const RevokeSessionPayload = builder.objectRef<{ readonly id: string }>('RevokeSessionPayload').implement({
  description: 'The session has ended.',
  fields: (t) => ({ id: t.exposeID('id', { description: 'The session that ended.' }) }),
});

builder.mutationField('revokeSession', (t) =>
  t.field({
    type: RevokeSessionPayload,
    skipTypeScopes: true,
    authScopes: { session: true },
    errors: { types: [...COMMON_ERRORS, NotFoundError] },
    description: "Ends one of the viewer's sessions, as on a device that was lost.",
    args: { input: t.arg({ type: RevokeSessionInput, required: true, description: 'Which session to end.' }) },
    resolve: async (_root, { input }, context) => {
      const id = decodeIdOf(String(input.id), 'UserSession') ?? '';
      await context.services.identity.sessions.revoke(viewerOf(context), id);
      return { id: String(input.id) };
    },
  }),
);
