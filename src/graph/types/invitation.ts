import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { COMMON_ERRORS } from './user-error.ts';

const CreateInvitationInput = builder.inputType('CreateInvitationInput', {
  description: 'A new invitation.',
  fields: (t) => ({
    lifetimeSeconds: t.int({ description: 'How long it is good, up to 90 days; left out: 7 days.' }),
  }),
});

const CreateInvitationPayload = builder
  .objectRef<{ readonly invitationCode: string; readonly expiresAt: Date }>('CreateInvitationPayload')
  .implement({
    description: 'The new invitation.',
    fields: (t) => ({
      // Not `code`: asked beside `... on UserError { code }`, that name has another type.
      invitationCode: t.exposeString('invitationCode', {
        description: 'For `RegisterInput.invitationCode`, once. In this answer only: only its hash is kept.',
      }),
      expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When it ends unused.' }),
    }),
  });

builder.mutationField('createInvitation', (t) =>
  t.field({
    type: CreateInvitationPayload,
    skipTypeScopes: true,
    authScopes: { admin: true },
    errors: { types: [...COMMON_ERRORS] },
    description:
      'Makes a code with which one person may register where registration is by invitation. For administrators.',
    args: { input: t.arg({ type: CreateInvitationInput, required: true, description: 'A new invitation.' }) },
    resolve: (_root, { input }, context) =>
      context.services.identity.invitations.create(viewerOf(context), input.lifetimeSeconds ?? null),
  }),
);
