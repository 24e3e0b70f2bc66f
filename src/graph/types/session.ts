import { AlreadyExistsError } from '../../lib/errors.ts';
import type { SessionTokens } from '../../services/identity/sessions.ts';
import { builder } from '../builder.ts';
import { actAs, clientOf, type GraphContext, viewerOf } from '../context.ts';
import { UserType, type UserView } from './user.ts';
import { COMMON_ERRORS } from './user-error.ts';

export const SessionType = builder.objectRef<SessionTokens>('Session').implement({
  description: 'What a client keeps to stay signed in. Shown once: the server keeps no token in clear.',
  fields: (t) => ({
    accessToken: t.exposeString('accessToken', {
      description: 'For the header `Authorization: Bearer <accessToken>`.',
    }),
    accessTokenExpiresAt: t.expose('accessTokenExpiresAt', {
      type: 'DateTime',
      description: 'When it ends, about 15 minutes from now. Refresh before.',
    }),
    refreshToken: t.exposeString('refreshToken', {
      description:
        'For `refreshSession`, once: each refresh gives a new one. Using an old one again ends the session, as it must have been stolen.',
    }),
    refreshTokenExpiresAt: t.expose('refreshTokenExpiresAt', {
      type: 'DateTime',
      description: 'When the session ends if it is not refreshed: after a day, or 90 days with `remember`.',
    }),
  }),
});

const RegisterInput = builder.inputType('RegisterInput', {
  description: 'A new user.',
  fields: (t) => ({
    username: t.string({
      required: true,
      description: '3 to 32 letters, digits, dots, hyphens and _, in one alphabet. Not changeable.',
    }),
    password: t.string({ required: true, description: '8 to 128 characters; the most common ones are refused.' }),
    displayName: t.string({ description: 'The name to show, up to 64 characters; left out: the username.' }),
    email: t.string({ description: 'Where a password reset is sent; left out: none can be sent.' }),
    invitationCode: t.string({ description: 'From `createInvitation`; needed where registration is by invitation.' }),
  }),
});

const RegisterPayload = builder.objectRef<{ user: UserView; session: SessionTokens }>('RegisterPayload').implement({
  description: 'The new user, signed in.',
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'The new user.' }),
    session: t.expose('session', { type: SessionType, description: 'The first session.' }),
  }),
});

builder.mutationField('register', (t) =>
  t.field({
    type: RegisterPayload,
    skipTypeScopes: true,
    authScopes: { public: true },
    errors: { types: [...COMMON_ERRORS, AlreadyExistsError] },
    description: 'Makes a user with a built-in drive, and signs in. The first user of a server is its administrator.',
    args: { input: t.arg({ type: RegisterInput, required: true, description: 'The new user.' }) },
    resolve: async (_root, { input }, context) =>
      signedIn(context, await context.services.identity.registration.register(input, clientOf(context))),
  }),
);

const LoginInput = builder.inputType('LoginInput', {
  description: 'Who signs in.',
  fields: (t) => ({
    username: t.string({ required: true, description: 'The username or the mail address.' }),
    password: t.string({ required: true, description: 'The password.' }),
    remember: t.boolean({ description: 'Keeps the session for 90 days without use instead of one; left out: false.' }),
  }),
});

const LoginPayload = builder.objectRef<{ user: UserView; session: SessionTokens }>('LoginPayload').implement({
  description: 'Who signed in, and the new session.',
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'Who signed in.' }),
    session: t.expose('session', { type: SessionType, description: 'The new session.' }),
  }),
});

builder.mutationField('login', (t) =>
  t.field({
    type: LoginPayload,
    skipTypeScopes: true,
    authScopes: { public: true },
    errors: { types: [...COMMON_ERRORS] },
    description: 'Signs in. An unknown user and a wrong password get the same answer; wrong guesses are limited.',
    args: { input: t.arg({ type: LoginInput, required: true, description: 'Who signs in.' }) },
    resolve: async (_root, { input }, context) =>
      signedIn(context, await context.services.identity.signIn.login(input, clientOf(context))),
  }),
);

const RefreshSessionInput = builder.inputType('RefreshSessionInput', {
  description: 'The session to go on with.',
  fields: (t) => ({
    refreshToken: t.string({ required: true, description: 'The newest refresh token of the session.' }),
  }),
});

const RefreshSessionPayload = builder
  .objectRef<{ readonly session: SessionTokens }>('RefreshSessionPayload')
  .implement({
    description: 'The next pair of tokens.',
    fields: (t) => ({
      session: t.expose('session', { type: SessionType, description: 'Replaces the pair that was used.' }),
    }),
  });

builder.mutationField('refreshSession', (t) =>
  t.field({
    type: RefreshSessionPayload,
    skipTypeScopes: true,
    authScopes: { public: true },
    errors: { types: [...COMMON_ERRORS] },
    description:
      'Exchanges a refresh token for the next pair. A client that lost the answer may ask once more within 30 seconds and gets the same; any other use of an old token ends the session.',
    args: { input: t.arg({ type: RefreshSessionInput, required: true, description: 'The session to go on with.' }) },
    resolve: async (_root, { input }, context) => ({
      session: await context.services.identity.sessions.refresh(input.refreshToken, clientOf(context)),
    }),
  }),
);

const LogoutInput = builder.inputType('LogoutInput', {
  description: 'What to end.',
  fields: (t) => ({
    everywhere: t.boolean({
      description: 'All sessions of the user, not this one alone; left out: false. API keys go on.',
    }),
  }),
});

const LogoutPayload = builder.objectRef<{ readonly ok: boolean }>('LogoutPayload').implement({
  description: 'The session has ended.',
  fields: (t) => ({ ok: t.exposeBoolean('ok', { description: 'Always true.' }) }),
});

builder.mutationField('logout', (t) =>
  t.field({
    type: LogoutPayload,
    skipTypeScopes: true,
    authScopes: { session: true },
    errors: { types: [...COMMON_ERRORS] },
    description: 'Ends this session, or all: their tokens count no more, and their subscriptions end, at once.',
    args: { input: t.arg({ type: LogoutInput, required: true, description: 'What to end.' }) },
    resolve: async (_root, { input }, context) => {
      await context.services.identity.sessions.logout(viewerOf(context), input.everywhere ?? false);
      return { ok: true };
    },
  }),
);

/** The rest of the operation is answered to the one who just signed in: `login { user { accounts … } }` in one request. */
async function signedIn<Answer extends { readonly session: SessionTokens }>(
  context: GraphContext,
  answer: Answer,
): Promise<Answer> {
  actAs(context, await context.services.identity.authenticate(answer.session.accessToken));
  return answer;
}
