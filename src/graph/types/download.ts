import { type Allowance, AllowanceExceededError, NotFoundError } from '../../lib/errors.ts';
import type { IssuedTicket } from '../../services/downloads.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeIdOf } from '../ids.ts';
import { found } from '../loaders.ts';
import { EntryRefInput, entryTarget } from './entry.ts';
import { UserType, type UserView } from './user.ts';
import { AllowanceExceededErrorType, COMMON_ERRORS, DRIVE_ERRORS } from './user-error.ts';

export const DownloadAllowance = builder.objectRef<Allowance>('DownloadAllowance').implement({
  description:
    'How many downloads a user has each day. A ticket counts when it is made, whatever is read with it; a direct link counts once on each day on which it is used, for the user who made it.',
  fields: (t) => ({
    limit: t.exposeInt('limit', { description: 'Downloads of one day; 0: none.' }),
    used: t.exposeInt('used', { description: 'Downloads of today; more than `limit` after the limit was lowered.' }),
    remaining: t.exposeInt('remaining', { description: 'Downloads that are left today.' }),
    resetsAt: t.expose('resetsAt', {
      type: 'DateTime',
      description: "When the next day begins, at midnight in the server's time zone for this.",
    }),
  }),
});

builder.objectField(UserType, 'downloadAllowance', (t) =>
  t.field({
    type: DownloadAllowance,
    description: 'How many downloads the user has today.',
    resolve: ({ id }, _args, { loaders }) => found(loaders.allowance.load(id), 'There is no such user.'),
  }),
);

builder.objectField(AllowanceExceededErrorType, 'allowance', (t) =>
  t.field({
    type: DownloadAllowance,
    description: 'The allowance that is used up.',
    resolve: ({ allowance }) => allowance,
  }),
);

const DownloadModeEnum = builder.enumType('DownloadMode', {
  description: 'Which way the bytes of a download take.',
  values: enumValues({
    PROXY: 'Through this server.',
    REDIRECT: 'From the provider itself, where it has links that any client can follow.',
  }),
});

export const HttpHeader = builder.objectRef<{ readonly name: string; readonly value: string }>('HttpHeader').implement({
  description: 'A header of an HTTP request.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    value: t.exposeString('value', { description: 'Its value.' }),
  }),
});

const DownloadTicket = builder.objectRef<IssuedTicket>('DownloadTicket').implement({
  description:
    'A right to the bytes of one file, for about an hour: by GET or HEAD, whole or in ranges, as often as needed. Ends with the session or API key that asked for it. Whoever has the address has the right.',
  fields: (t) => ({
    url: t.string({
      description: 'Where the bytes are. Secret, as it is all that is needed.',
      resolve: ({ path }, _args, { services }) => services.links.absolute(path),
    }),
    mode: t.field({
      type: DownloadModeEnum,
      description:
        'Which way the bytes take; PROXY also where REDIRECT was asked for and the provider gives no link to this file.',
      resolve: ({ redirect }) => (redirect ? ('REDIRECT' as const) : ('PROXY' as const)),
    }),
    headers: t.field({
      type: [HttpHeader],
      description:
        'Headers without which the request is refused, most often none. Of a REDIRECT they are for the provider: a browser cannot set them all, so ask for PROXY there.',
      resolve: ({ redirect }) => Object.entries(redirect?.headers ?? {}).map(([name, value]) => ({ name, value })),
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'Until when a request may begin. One that has begun goes on.',
    }),
  }),
});

const CreateDownloadTicketInput = builder.inputType('CreateDownloadTicketInput', {
  description: 'What to download.',
  fields: (t) => ({
    file: t.field({
      type: EntryRefInput,
      required: true,
      description: 'The file. The ticket follows a rename or a move.',
    }),
    mode: t.field({
      type: DownloadModeEnum,
      description:
        'Which way is wished for; left out: PROXY. A REDIRECT leads to a fresh link of the provider each time. See `DownloadTicket.mode` for the way it is.',
    }),
    attachment: t.boolean({
      description:
        'True, or left out: a browser saves the file. False: it shows the file, in a sandbox without scripts, for previews.',
    }),
  }),
});

const CreateDownloadTicketPayload = builder
  .objectRef<{ readonly ticket: IssuedTicket; readonly allowance: Allowance }>('CreateDownloadTicketPayload')
  .implement({
    description: 'The ticket, and what it left of the allowance.',
    fields: (t) => ({
      ticket: t.expose('ticket', { type: DownloadTicket, description: 'The right to the bytes.' }),
      allowance: t.expose('allowance', { type: DownloadAllowance, description: 'What is left today, after this one.' }),
    }),
  });

builder.mutationField('createDownloadTicket', (t) =>
  t.field({
    type: CreateDownloadTicketPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'DOWNLOAD' },
    errors: { types: [...DRIVE_ERRORS, AllowanceExceededError] },
    description:
      'Gives the right to the bytes of one file, and charges one download to the daily allowance; nothing is charged when it fails.',
    args: { input: t.arg({ type: CreateDownloadTicketInput, required: true, description: 'What to download.' }) },
    resolve: (_root, { input }, context) =>
      context.services.downloads.createTicket(viewerOf(context), entryTarget(input.file, 'input.file'), {
        attachment: input.attachment ?? true,
        redirect: input.mode === 'REDIRECT',
      }),
  }),
);

const SetDownloadAllowanceInput = builder.inputType('SetDownloadAllowanceInput', {
  description: "A user's own daily limit.",
  fields: (t) => ({
    userId: t.id({ required: true, description: 'Whose limit.' }),
    limit: t.int({
      description:
        "Downloads of one day: 0 for none, 2147483647 for as good as no limit. Null or left out: the server's default again. Counts at once, for today too.",
    }),
  }),
});

const SetDownloadAllowancePayload = builder
  .objectRef<{ readonly user: UserView; readonly allowance: Allowance }>('SetDownloadAllowancePayload')
  .implement({
    description: "The user's allowance as it is now.",
    fields: (t) => ({
      user: t.expose('user', { type: UserType, description: 'The user afterwards.' }),
      allowance: t.expose('allowance', { type: DownloadAllowance, description: 'What the user has today.' }),
    }),
  });

builder.mutationField('setDownloadAllowance', (t) =>
  t.field({
    type: SetDownloadAllowancePayload,
    skipTypeScopes: true,
    authScopes: { admin: true },
    errors: { types: [...COMMON_ERRORS, NotFoundError] },
    description: 'Sets how many downloads a user has each day. For administrators.',
    args: {
      input: t.arg({ type: SetDownloadAllowanceInput, required: true, description: 'Whose limit, and what it is.' }),
    },
    resolve: async (_root, { input }, context) => {
      const { services, loaders } = context;
      const userId = decodeIdOf(String(input.userId), 'User') ?? '';
      const allowance = await services.allowances.setLimit(viewerOf(context), userId, input.limit ?? null);
      loaders.allowance.clear(userId);
      const user = (await services.identity.users.findMany(viewerOf(context), [userId])).get(userId);
      if (!user) throw new NotFoundError('There is no such user.');
      return { allowance, user };
    },
  }),
);
