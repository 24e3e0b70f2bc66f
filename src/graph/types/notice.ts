import { NOTICE_CHARACTERS_MAX, NOTICE_LEVELS, type Notice } from '../../services/notices.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { COMMON_ERRORS } from './user-error.ts';

const LEVEL_DESCRIPTIONS: Readonly<Record<Notice['level'], string>> = {
  INFO: 'Good to know.',
  WARNING: 'Something will not work as usual, or soon not.',
  ERROR: 'Something does not work.',
};

const NoticeLevelEnum = builder.enumType('NoticeLevel', {
  description: 'How much a notice matters.',
  values: Object.fromEntries(
    NOTICE_LEVELS.map((level) => [level, { description: LEVEL_DESCRIPTIONS[level] }]),
  ) as Record<Notice['level'], { description: string }>,
});

const NoticeType = builder.objectRef<Notice>('Notice').implement({
  description: 'A message of an administrator to everybody.',
  fields: (t) => ({
    at: t.field({ type: 'DateTime', description: 'When it was sent.', resolve: ({ at }) => new Date(at) }),
    message: t.exposeString('message', { description: 'Plain text, to be shown as it is.' }),
    level: t.expose('level', { type: NoticeLevelEnum, description: 'How much it matters.' }),
  }),
});

const BroadcastInput = builder.inputType('BroadcastInput', {
  description: 'What to tell everybody.',
  fields: (t) => ({
    message: t.string({ required: true, description: `Plain text of up to ${NOTICE_CHARACTERS_MAX} characters.` }),
    level: t.field({ type: NoticeLevelEnum, description: 'How much it matters; left out: INFO.' }),
  }),
});

const BroadcastPayload = builder.objectRef<{ readonly notice: Notice }>('BroadcastPayload').implement({
  description: 'What was sent.',
  fields: (t) => ({
    notice: t.expose('notice', { type: NoticeType, description: 'The notice as everybody gets it.' }),
  }),
});

builder.mutationField('broadcast', (t) =>
  t.field({
    type: BroadcastPayload,
    skipTypeScopes: true,
    authScopes: { admin: true },
    errors: { types: [...COMMON_ERRORS] },
    description: 'Sends a message to everybody who listens to `notice` just now. It is not kept. For administrators.',
    args: { input: t.arg({ type: BroadcastInput, required: true, description: 'What to tell everybody.' }) },
    resolve: async (_root, { input }, context) => ({
      notice: await context.services.notices.broadcast(viewerOf(context), {
        message: input.message,
        level: input.level ?? 'INFO',
      }),
    }),
  }),
);

builder.subscriptionField('notice', (t) =>
  t.field({
    type: NoticeType,
    description:
      'Messages of administrators, from now on: none is kept, so there is no present state to begin with. Delivered at most once, while connected.',
    subscribe: (_root, _args, { services, signal }) => services.notices.watch(signal),
    resolve: (notice) => notice,
  }),
);
