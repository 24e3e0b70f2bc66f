import { ConflictError, NotFoundError, PermissionDeniedError, UnauthenticatedError } from '../../lib/errors.ts';
import { isAdmin } from '../../services/viewer.ts';
import type { Role, User } from '../../storage/entities/identity.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { TOKEN_REJECTED } from '../errors.ts';
import { decodeIdOf } from '../ids.ts';
import { COMMON_ERRORS } from './user-error.ts';

export const RoleEnum = builder.enumType('Role', {
  description: 'What a user may do on this server.',
  values: enumValues<Role>({
    USER: 'Sees and changes what is their own.',
    ADMIN: 'Also manages users, shared accounts and the server.',
  }),
});

/** What stands behind a User of the graph. Other files add the fields of their noun. */
export type UserView = Pick<User, 'id' | 'username' | 'displayName' | 'email' | 'role' | 'createdAt' | 'disabledAt'>;

export const UserType = builder.objectRef<UserView>('User');

builder.node(UserType, {
  description: 'A person who uses this server. Seen by that person, and by administrators.',
  id: { resolve: ({ id }) => id, description: 'Stays the same for the life of the user.' },
  loadMany: async (ids, { viewer, services }) => {
    const users = viewer ? await services.identity.users.findMany(viewer, ids) : null;
    return ids.map((id) => users?.get(id) ?? null);
  },
  fields: (t) => ({
    username: t.exposeString('username', {
      description: 'The name to sign in with. Look-alikes of it cannot register.',
    }),
    displayName: t.exposeString('displayName', { description: 'The name to show.' }),
    email: t.string({
      nullable: true,
      description: 'Where a password reset is sent; null: none was given, or it is not for you to see.',
      resolve: ({ id, email }, _args, { viewer }) =>
        viewer && (viewer.userId === id || isAdmin(viewer)) ? email : null,
    }),
    role: t.expose('role', { type: RoleEnum, description: 'What the user may do on this server.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the user registered.' }),
    disabledAt: t.expose('disabledAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When an administrator disabled the user; null: the user may sign in.',
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: UserType,
    nullable: true,
    skipTypeScopes: true,
    authScopes: { public: true },
    description:
      'Who asks; null when nobody is signed in. With a token that has expired or was revoked it is an `UNAUTHENTICATED` error.',
    resolve: async (_root, _args, { viewer, tokenRejected, services }) => {
      if (tokenRejected) throw new UnauthenticatedError(TOKEN_REJECTED);
      if (!viewer) return null;
      if (!viewer.scopes.has('READ')) throw new PermissionDeniedError('This API key lacks the scope READ.');
      return (await services.identity.users.findMany(viewer, [viewer.userId])).get(viewer.userId) ?? null;
    },
  }),
);

const UserConnection = builder.connectionObject(
  { type: UserType, name: 'UserConnection', description: 'A page of users.' },
  { name: 'UserEdge', description: 'A user and the place in the list.' },
);

builder.queryField('users', (t) =>
  t.field({
    type: UserConnection,
    authScopes: { admin: true },
    description: 'All users of this server, the oldest first. For administrators.',
    complexity: connectionComplexity,
    args: {
      search: t.arg.string({ description: 'Only users whose username begins so; left out: all.' }),
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
    },
    resolve: async (_root, { search, ...page }, context) => {
      const { users } = context.services.identity;
      return toConnection(await users.page(viewerOf(context), pageQuery(page), search ?? null), page.after ?? null);
    },
  }),
);

/** The row id in a User's global id; of another id one that no row has. */
const userIdOf = (id: string | number): string => decodeIdOf(String(id), 'User') ?? '';

const USER_ERRORS = [...COMMON_ERRORS, NotFoundError, ConflictError];

const SetUserRoleInput = builder.inputType('SetUserRoleInput', {
  description: 'A user and the new role.',
  fields: (t) => ({
    userId: t.id({ required: true, description: 'The user.' }),
    role: t.field({ type: RoleEnum, required: true, description: 'The new role.' }),
  }),
});

const SetUserRolePayload = builder.objectRef<{ readonly user: UserView }>('SetUserRolePayload').implement({
  description: 'The user afterwards.',
  fields: (t) => ({ user: t.expose('user', { type: UserType, description: 'The user afterwards.' }) }),
});

builder.mutationField('setUserRole', (t) =>
  t.field({
    type: SetUserRolePayload,
    skipTypeScopes: true,
    authScopes: { admin: true },
    errors: { types: USER_ERRORS },
    description: 'Changes the role of a user, at once. The last administrator stays one. For administrators.',
    args: { input: t.arg({ type: SetUserRoleInput, required: true, description: 'A user and the new role.' }) },
    resolve: async (_root, { input }, context) => ({
      user: await context.services.identity.users.setRole(viewerOf(context), userIdOf(input.userId), input.role),
    }),
  }),
);

const DisableUserInput = builder.inputType('DisableUserInput', {
  description: 'Whom to keep out.',
  fields: (t) => ({ userId: t.id({ required: true, description: 'The user.' }) }),
});

const DisableUserPayload = builder.objectRef<{ readonly user: UserView }>('DisableUserPayload').implement({
  description: 'The user afterwards.',
  fields: (t) => ({ user: t.expose('user', { type: UserType, description: 'The user afterwards.' }) }),
});

builder.mutationField('disableUser', (t) =>
  t.field({
    type: DisableUserPayload,
    skipTypeScopes: true,
    authScopes: { admin: true },
    errors: { types: USER_ERRORS },
    description:
      'Keeps a user out: sessions, API keys and open subscriptions end, and signing in is refused. Nothing of theirs is deleted. Neither oneself nor the last administrator. For administrators.',
    args: { input: t.arg({ type: DisableUserInput, required: true, description: 'Whom to keep out.' }) },
    resolve: async (_root, { input }, context) => ({
      user: await context.services.identity.users.disable(viewerOf(context), userIdOf(input.userId)),
    }),
  }),
);

const EnableUserInput = builder.inputType('EnableUserInput', {
  description: 'Whom to let in again.',
  fields: (t) => ({ userId: t.id({ required: true, description: 'The user.' }) }),
});

const EnableUserPayload = builder.objectRef<{ readonly user: UserView }>('EnableUserPayload').implement({
  description: 'The user afterwards.',
  fields: (t) => ({ user: t.expose('user', { type: UserType, description: 'The user afterwards.' }) }),
});

builder.mutationField('enableUser', (t) =>
  t.field({
    type: EnableUserPayload,
    skipTypeScopes: true,
    authScopes: { admin: true },
    errors: { types: USER_ERRORS },
    description: 'Lets a disabled user sign in again. For administrators.',
    args: { input: t.arg({ type: EnableUserInput, required: true, description: 'Whom to let in again.' }) },
    resolve: async (_root, { input }, context) => ({
      user: await context.services.identity.users.enable(viewerOf(context), userIdOf(input.userId)),
    }),
  }),
);
