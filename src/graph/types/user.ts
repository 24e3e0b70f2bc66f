import type { Role, User } from '../../storage/entities/identity.ts';
import { ROLES } from '../../storage/entities/identity.ts';
import { builder } from '../builder.ts';

const ROLE_DESCRIPTIONS: Readonly<Record<Role, string>> = {
  USER: 'Sees and changes what is their own.',
  ADMIN: 'Also manages users, shared accounts and the server.',
};

export const RoleEnum = builder.enumType('Role', {
  description: 'What a user may do on this server.',
  values: Object.fromEntries(ROLES.map((role) => [role, { description: ROLE_DESCRIPTIONS[role] }])) as Record<
    Role,
    { description: string }
  >,
});

/** What stands behind a User of the graph. Other files add the fields of their noun. */
export type UserView = Pick<User, 'id' | 'username' | 'displayName' | 'email' | 'role' | 'createdAt' | 'disabledAt'>;

export const UserType = builder.objectRef<UserView>('User');

builder.node(UserType, {
  description: 'A person who uses this server. Seen by that person, and by administrators.',
  id: { resolve: ({ id }) => id, description: 'Stays the same for the life of the user.' },
  loadOne: (id, { viewer, services }) => (viewer ? services.identity.users.find(viewer, id) : null),
  fields: (t) => ({
    username: t.exposeString('username', {
      description: 'The name to sign in with. Look-alikes of it cannot register.',
    }),
    displayName: t.exposeString('displayName', { description: 'The name to show.' }),
    email: t.exposeString('email', {
      nullable: true,
      description: 'Where a password reset is sent; null: none was given, so that none can be sent.',
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
    description: 'Who asks; null when nobody is signed in.',
    resolve: (_root, _args, { viewer, services }) =>
      viewer ? services.identity.users.find(viewer, viewer.userId) : null,
  }),
);
