import type { AuditRecord as AuditRow } from '../../storage/entities/operations.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { viewerOf } from '../context.ts';
import { decodeIdOf, encodeGlobalId } from '../ids.ts';

const AuditRecordType = builder.objectRef<AuditRow>('AuditRecord').implement({
  description: 'One thing that somebody did. Never holds a secret or the content of a file.',
  fields: (t) => ({
    id: t.id({ description: 'Its number.', resolve: ({ sequence }) => encodeGlobalId('AuditRecord', sequence) }),
    at: t.expose('at', { type: 'DateTime', description: 'When.' }),
    userId: t.id({
      nullable: true,
      description: 'Who did it, or whose sign-in failed: the id of a `User`; null: nobody that is known.',
      resolve: ({ userId }) => (userId ? encodeGlobalId('User', userId) : null),
    }),
    action: t.exposeString('action', { description: 'What, as `noun.verb`: `session.open`, `user.disable`.' }),
    accountId: t.id({
      nullable: true,
      description: 'The account that it was done to: the id of a `CloudAccount`; null: none.',
      resolve: ({ accountId }) => (accountId ? encodeGlobalId('CloudAccount', accountId) : null),
    }),
    detail: t.string({
      description: 'What else is known, as JSON: its fields depend on the action.',
      resolve: ({ detail }) => JSON.stringify(detail),
    }),
  }),
});

const AuditConnection = builder.connectionObject(
  { type: AuditRecordType, name: 'AuditConnection', description: 'A page of audit records.' },
  { name: 'AuditEdge', description: 'An audit record and its place in the list.' },
);

builder.queryField('audit', (t) =>
  t.field({
    type: AuditConnection,
    authScopes: { admin: true },
    description: 'Who did what, newest first. For administrators.',
    complexity: connectionComplexity,
    args: {
      userId: t.arg.id({ description: 'Only what this user did; left out: everybody.' }),
      action: t.arg.string({ description: 'Only this action, as `session.open`; left out: all.' }),
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
    },
    resolve: async (_root, { userId, action, ...page }, context) => {
      // An id of something else is nobody's, which is not the same as everybody's.
      const filter = { userId: userId == null ? null : (decodeIdOf(String(userId), 'User') ?? 'nobody'), action };
      const records = await context.services.audit.page(viewerOf(context), pageQuery(page), filter);
      return toConnection(records, page.after ?? null);
    },
  }),
);
