import { NotFoundError } from '../../lib/errors.ts';
import type { OwnLink } from '../../services/direct-links.ts';
import type { TransferView } from '../../services/transfers.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { viewerOf } from '../context.ts';
import { decodeIdOf } from '../ids.ts';
import { ConflictPolicyEnum, EntryRefInput, entryTarget } from './entry.ts';
import { File } from './file.ts';
import { Transfer } from './transfer.ts';
import { UserType } from './user.ts';
import { COMMON_ERRORS, DRIVE_ERRORS } from './user-error.ts';

const DirectLink = builder.objectRef<OwnLink>('DirectLink');

builder.node(DirectLink, {
  description:
    'An address at which anybody can download one file, until it expires or is revoked. It follows the file when that is renamed or moved, and ends with it. Seen by the user who made it.',
  id: { resolve: ({ link }) => link.id, description: 'Stays the same for the life of the link.' },
  loadMany: async (ids, { viewer, services }) =>
    viewer ? [...(await services.directLinks.findMany(viewer, ids))] : ids.map(() => null),
  fields: (t) => ({
    url: t.string({
      description:
        'The address. A key, where one is asked for, is not in it: it goes by the header `X-Link-Key`, or into the form that a browser shows.',
      resolve: ({ path }, _args, { services }) => services.links.absolute(path),
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When it ends by itself.',
      resolve: ({ link }) => link.expiresAt,
    }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: ({ link }) => link.createdAt }),
    key: t.exposeString('key', {
      nullable: true,
      description: 'The key, in the answer that made the link; null afterwards, and where no key is asked for.',
    }),
    keyed: t.boolean({ description: 'Whether it asks for a key.', resolve: ({ link }) => Boolean(link.keyHash) }),
    revoked: t.boolean({
      description: 'Whether its maker ended it before its time.',
      resolve: ({ link }) => Boolean(link.revokedAt),
    }),
    file: t.field({
      type: File,
      nullable: true,
      description: 'The file as it is now; null when it is deleted, or no longer yours to see.',
      resolve: async ({ link: { accountId, ref } }, _args, { loaders }) => {
        const view = await loaders.entry.load({ accountId, ref });
        return view?.entry.kind === 'FILE' ? view : null;
      },
    }),
  }),
});

const DirectLinkConnection = builder.connectionObject(
  { type: DirectLink, name: 'DirectLinkConnection', description: 'A page of direct links.' },
  { name: 'DirectLinkEdge', description: 'A direct link and its place in the list.' },
);

builder.objectField(UserType, 'directLinks', (t) =>
  t.field({
    type: DirectLinkConnection,
    nullable: true,
    description:
      'The direct links that you made, the newest first, those that ended for 30 days more; null for anybody but yourself.',
    complexity: connectionComplexity,
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of the same listing, to begin behind it.' }),
      active: t.arg.boolean({ description: 'True: those that work; false: those that ended; left out: all.' }),
    },
    resolve: async ({ id }, { active, ...page }, context) => {
      const viewer = viewerOf(context);
      if (id !== viewer.userId) return null;
      const query = pageQuery(page);
      return toConnection(await context.services.directLinks.page(viewer, active ?? null, query), query.after);
    },
  }),
);

const CreateDirectLinkInput = builder.inputType('CreateDirectLinkInput', {
  description: 'A new direct link.',
  fields: (t) => ({
    file: t.field({ type: EntryRefInput, required: true, description: 'The file that it leads to.' }),
    lifetimeSeconds: t.int({
      description:
        'How long it works, in seconds from 1; left out: 900, a quarter of an hour. At most ten years: more is taken for that, see `DirectLink.expiresAt`.',
    }),
    key: t.string({
      description:
        'A key that visitors must give, of 4 to 128 characters; left out: see `randomKey`. Kept as a hash, so that nobody can be told it again.',
    }),
    randomKey: t.boolean({
      description: 'Makes a random key, where `key` is left out; left out: no key is asked for.',
    }),
  }),
});

const CreateDirectLinkPayload = builder.objectRef<{ readonly link: OwnLink }>('CreateDirectLinkPayload').implement({
  description: 'The new link.',
  fields: (t) => ({
    link: t.expose('link', { type: DirectLink, description: 'The link, with its key this once.' }),
  }),
});

builder.mutationField('createDirectLink', (t) =>
  t.field({
    type: CreateDirectLinkPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'SHARE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Makes an address at which anybody can download one file. Charges nothing now: the link counts as one download of yours on each day on which it is used.',
    args: {
      input: t.arg({ type: CreateDirectLinkInput, required: true, description: 'Which file, and for how long.' }),
    },
    resolve: async (_root, { input }, context) => ({
      link: await context.services.directLinks.create(viewerOf(context), {
        ...input,
        file: entryTarget(input.file, 'input.file'),
      }),
    }),
  }),
);

const RevokeDirectLinkInput = builder.inputType('RevokeDirectLinkInput', {
  description: 'The link to end.',
  fields: (t) => ({ id: t.id({ required: true, description: 'Its id.' }) }),
});

const RevokeDirectLinkPayload = builder.objectRef<{ readonly link: OwnLink }>('RevokeDirectLinkPayload').implement({
  description: 'The link that ended.',
  fields: (t) => ({
    link: t.expose('link', { type: DirectLink, description: 'The link, revoked.' }),
  }),
});

builder.mutationField('revokeDirectLink', (t) =>
  t.field({
    type: RevokeDirectLinkPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'SHARE' },
    errors: { types: [...COMMON_ERRORS, NotFoundError] },
    description: 'Ends a direct link of yours at once, for ever. A download that has begun goes on.',
    args: { input: t.arg({ type: RevokeDirectLinkInput, required: true, description: 'The link to end.' }) },
    resolve: async (_root, { input }, context) => ({
      link: await context.services.directLinks.revoke(
        viewerOf(context),
        decodeIdOf(String(input.id), 'DirectLink') ?? '',
      ),
    }),
  }),
);

const SaveDirectLinkInput = builder.inputType('SaveDirectLinkInput', {
  description: 'A linked file to keep.',
  fields: (t) => ({
    url: t.string({
      required: true,
      description:
        'The address of a direct link, of this server or another, or of any file that can be fetched. See `UploadFromUrlInput.url`.',
    }),
    key: t.string({
      description:
        'The key, where the link asks for one. Wrong ones are limited. To another server it goes by the header `X-Link-Key`.',
    }),
    parent: t.field({
      type: EntryRefInput,
      required: true,
      description: 'The folder for the copy, on any drive of yours that takes uploads.',
    }),
    name: t.string({ description: 'The name of the copy; left out: that of the file.' }),
    onConflict: t.field({ type: ConflictPolicyEnum, description: 'When the name is taken there. Default FAIL.' }),
    idempotencyKey: t.string({
      description: 'A UUID, say: a repetition with the same key and input saves nothing again. Kept for a day.',
    }),
  }),
});

const SaveDirectLinkPayload = builder
  .objectRef<{ readonly transfer: TransferView }>('SaveDirectLinkPayload')
  .implement({
    description: 'The copy that was made, or is on its way.',
    fields: (t) => ({
      transfer: t.expose('transfer', {
        type: Transfer,
        description:
          'Of a link of this server into a drive of its kind that copies by itself, done already: no byte was moved. Else the bytes are on their way, as long as the link works.',
      }),
    }),
  });

builder.mutationField('saveDirectLink', (t) =>
  t.field({
    type: SaveDirectLinkPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Saves the file behind a direct link into a drive of yours. From the built-in drive of one user of this server into that of another, at once and without a download; else the bytes are fetched, which counts as a visit of the link, and of any other address as `uploadFromUrl` does. The copy is yours: it stays when the link or the file goes.',
    args: { input: t.arg({ type: SaveDirectLinkInput, required: true, description: 'Which link, and where to.' }) },
    resolve: async (_root, { input }, context) => ({
      transfer: await context.services.linkSaving.save(
        viewerOf(context),
        { ...input, parent: entryTarget(input.parent, 'input.parent') },
        context.clientAddress,
      ),
    }),
  }),
);
