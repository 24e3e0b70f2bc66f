import type { SessionTokens } from '../../services/identity/sessions.ts';
import { builder } from '../builder.ts';
import { clientOf, viewerOf } from '../context.ts';
import { SessionType } from './session.ts';
import { COMMON_ERRORS } from './user-error.ts';

const ChangePasswordInput = builder.inputType('ChangePasswordInput', {
  description: 'The old password and the new one.',
  fields: (t) => ({
    currentPassword: t.string({ required: true, description: 'The password until now.' }),
    newPassword: t.string({ required: true, description: '8 to 128 characters; the most common ones are refused.' }),
  }),
});

const ChangePasswordPayload = builder
  .objectRef<{ readonly session: SessionTokens }>('ChangePasswordPayload')
  .implement({
    description: 'The password is changed.',
    fields: (t) => ({
      session: t.expose('session', { type: SessionType, description: 'Takes the place of the session that asked.' }),
    }),
  });

builder.mutationField('changePassword', (t) =>
  t.field({
    type: ChangePasswordPayload,
    skipTypeScopes: true,
    authScopes: { session: true },
    errors: { types: [...COMMON_ERRORS] },
    description: 'Changes the password. All sessions and API keys of the user end, and a new session begins.',
    args: {
      input: t.arg({ type: ChangePasswordInput, required: true, description: 'The old password and the new one.' }),
    },
    resolve: async (_root, { input }, context) => ({
      session: await context.services.identity.passwords.change(viewerOf(context), input, clientOf(context)),
    }),
  }),
);

const RequestPasswordResetInput = builder.inputType('RequestPasswordResetInput', {
  description: 'Who forgot the password.',
  fields: (t) => ({ email: t.string({ required: true, description: 'The mail address of the user.' }) }),
});

const RequestPasswordResetPayload = builder
  .objectRef<{ readonly ok: boolean }>('RequestPasswordResetPayload')
  .implement({
    description: 'A mail is on its way, if somebody has that address.',
    fields: (t) => ({ ok: t.exposeBoolean('ok', { description: 'Always true, for known and unknown addresses.' }) }),
  });

builder.mutationField('requestPasswordReset', (t) =>
  t.field({
    type: RequestPasswordResetPayload,
    skipTypeScopes: true,
    authScopes: { public: true },
    errors: { types: [...COMMON_ERRORS] },
    description:
      'Mails a code for `resetPassword`, good once and for 30 minutes. Does not tell whether anybody has the address.',
    args: {
      input: t.arg({ type: RequestPasswordResetInput, required: true, description: 'Who forgot the password.' }),
    },
    resolve: async (_root, { input }, context) => {
      await context.services.identity.passwords.requestReset(input.email, clientOf(context));
      return { ok: true };
    },
  }),
);

const ResetPasswordInput = builder.inputType('ResetPasswordInput', {
  description: 'The code from the mail, and the new password.',
  fields: (t) => ({
    token: t.string({ required: true, description: 'The code from the mail.' }),
    newPassword: t.string({ required: true, description: '8 to 128 characters; the most common ones are refused.' }),
  }),
});

const ResetPasswordPayload = builder.objectRef<{ readonly ok: boolean }>('ResetPasswordPayload').implement({
  description: 'The password is changed. Sign in with it.',
  fields: (t) => ({ ok: t.exposeBoolean('ok', { description: 'Always true.' }) }),
});

builder.mutationField('resetPassword', (t) =>
  t.field({
    type: ResetPasswordPayload,
    skipTypeScopes: true,
    authScopes: { public: true },
    errors: { types: [...COMMON_ERRORS] },
    description: 'Sets a new password by the code from a mail. All sessions and API keys of the user end.',
    args: {
      input: t.arg({
        type: ResetPasswordInput,
        required: true,
        description: 'The code from the mail, and the new password.',
      }),
    },
    resolve: async (_root, { input }, context) => {
      await context.services.identity.passwords.reset(input, clientOf(context));
      return { ok: true };
    },
  }),
);
