import type { EntryView } from '../../services/entries.ts';
import type { ShareKey, ShareView } from '../../services/share-lists.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { type GraphContext, viewerOf } from '../context.ts';
import { decodeEntryKey, decodeIdOf, encodeEntryKey, encodeGlobalId } from '../ids.ts';
import { CloudAccount } from './account.ts';
import { EntryInterface, EntryRefInput, entryTarget } from './entry.ts';
import { DRIVE_ERRORS } from './user-error.ts';

const Share = builder.objectRef<ShareView>('Share');

/** The account and the provider's own id of the share, as with entries. */
const shareNodeId = ({ accountId, ref }: ShareKey): string => encodeEntryKey(accountId, ref);

const shareKey = (id: string | number): ShareKey | null => decodeEntryKey(decodeIdOf(String(id), 'Share') ?? '');

async function loadShares(
  ids: readonly string[],
  { viewer, services, signal }: GraphContext,
): Promise<(ShareView | null)[]> {
  const keys = ids.map(decodeEntryKey);
  const wanted = keys.filter((key) => key !== null);
  const views = viewer ? await services.shareLists.findMany(viewer, wanted, { signal }) : [];
  // The types know no errors among what is loaded; the executor does.
  return keys.map((key) => (key && (views[wanted.indexOf(key)] as ShareView | undefined)) ?? null);
}

builder.node(Share, {
  description:
    "A link of the provider's own to entries of an account. Seen by who made it; where the provider lists shares, by the owner of the account.",
  id: {
    resolve: ({ account, ref }) => shareNodeId({ accountId: account.id, ref }),
    description: 'Stays the same for the life of the share.',
  },
  loadMany: loadShares,
  fields: (t) => ({
    account: t.expose('account', { type: CloudAccount, description: 'The account whose entries it shows.' }),
    url: t.exposeString('url', { description: 'The address, at the provider.' }),
    password: t.string({
      nullable: true,
      description: 'What visitors must type; null where nothing is asked for, or the provider does not tell.',
      resolve: ({ password }) => password(),
    }),
    remark: t.exposeString('remark', { nullable: true, description: 'A note or title; null where there is none.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ends by itself; null: never, or not told.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was made; null of a share made elsewhere, where the provider does not tell.',
    }),
    active: t.exposeBoolean('active', {
      description: 'Whether it works. Where the provider does not list shares: as far as this server knows.',
    }),
    entries: t.field({
      type: [EntryInterface],
      nullable: true,
      description:
        'What it shows, as far as it is still there and yours to see; null of a share that was made elsewhere.',
      resolve: async ({ account, entryRefs }, _args, { loaders }) => {
        if (entryRefs === null) return null;
        const views = await Promise.all(entryRefs.map((ref) => loaders.entry.load({ accountId: account.id, ref })));
        return views.filter((view) => view !== null);
      },
    }),
  }),
});

const ShareConnection = builder.connectionObject(
  { type: Share, name: 'ShareConnection', description: 'A page of shares.' },
  { name: 'ShareEdge', description: 'A share and its place in the list.' },
);

builder.objectField(CloudAccount, 'shares', (t) =>
  t.field({
    type: ShareConnection,
    description:
      'The shares of the account. Where the provider lists them, all, to the owner of the account. Else those that you made through this server, the newest first, ended ones for 30 days more: shares made elsewhere are not listed. `UNSUPPORTED` where the provider has none.',
    complexity: connectionComplexity,
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
    },
    resolve: async (account, page, context) => {
      const { services, signal } = context;
      const query = pageQuery(page);
      const shares = await services.shareLists.page(viewerOf(context), account, query, { signal });
      return toConnection(shares, query.after);
    },
  }),
);

const ShareTrafficInput = builder.inputType('ShareTrafficInput', {
  description: "Whose downloads of a share the owner's paid traffic serves; only some providers have such a thing.",
  fields: (t) => ({
    guests: t.boolean({ description: 'People who are not signed in at the provider. Default false.' }),
    beyondQuota: t.boolean({ description: 'People whose own traffic there is used up. Default false.' }),
    limitBytes: t.field({ type: 'ByteCount', description: 'Most of it, in bytes; left out: no limit.' }),
  }),
});

const CreateShareInput = builder.inputType('CreateShareInput', {
  description: 'A new share.',
  fields: (t) => ({
    entries: t.field({
      type: [EntryRefInput],
      required: true,
      description: 'What to share: from 1 to 100 files and folders of one account.',
    }),
    days: t.int({
      description:
        'How long it works, in days, up to 36500; null or 0: for ever, where the provider can. The provider may know certain numbers only.',
    }),
    password: t.string({
      description:
        'What visitors must type; null: nothing, where the provider lets. Its form is for the provider to say. Kept sealed.',
    }),
    remark: t.string({ description: 'A note or title, where the provider keeps one.' }),
    ticket: t.string({ description: 'What the provider asks for beside, as it gave it to you. Passed on.' }),
    traffic: t.field({ type: ShareTrafficInput, description: 'Whose traffic is paid; left out: as usual there.' }),
    idempotencyKey: t.string({
      description: 'A UUID, say: a repetition with the same key and input shares nothing again. Kept for a day.',
    }),
  }),
});

const CreateSharePayload = builder.objectRef<{ readonly share: ShareView }>('CreateSharePayload').implement({
  description: 'The new share.',
  fields: (t) => ({ share: t.expose('share', { type: Share, description: 'The share, with its password.' }) }),
});

builder.mutationField('createShare', (t) =>
  t.field({
    type: CreateSharePayload,
    skipTypeScopes: true,
    authScopes: { scope: 'SHARE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      "Makes a share link of the provider's own. For a link of this server, also to drives that have no shares, see `createDirectLink`.",
    args: { input: t.arg({ type: CreateShareInput, required: true, description: 'What to share, and how.' }) },
    resolve: async (_root, { input }, context) => ({
      share: await context.services.shares.create(viewerOf(context), {
        ...input,
        entries: input.entries.map((entry, index) => entryTarget(entry, `input.entries.${index}`)),
      }),
    }),
  }),
);

const UpdateShareInput = builder.inputType('UpdateShareInput', {
  description: 'What to change of a share. What is left out or null stays as it is.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The share.' }),
    days: t.int({ description: 'How long it works, in days, up to 36500; 0: for ever, where the provider can.' }),
    password: t.string({ description: 'What visitors must type; empty: nothing, where the provider lets.' }),
    remark: t.string({ description: 'A note or title; empty: none.' }),
    traffic: t.field({ type: ShareTrafficInput, description: 'Whose traffic is paid from now on.' }),
  }),
});

const UpdateSharePayload = builder.objectRef<{ readonly share: ShareView }>('UpdateSharePayload').implement({
  description: 'The changed share.',
  fields: (t) => ({ share: t.expose('share', { type: Share, description: 'The share as it is now.' }) }),
});

builder.mutationField('updateShare', (t) =>
  t.field({
    type: UpdateSharePayload,
    skipTypeScopes: true,
    authScopes: { scope: 'SHARE' },
    errors: { types: [...DRIVE_ERRORS] },
    description: 'Changes a share of yours. `UnsupportedError` where the provider cannot.',
    args: { input: t.arg({ type: UpdateShareInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input: { id, ...changes } }, context) => ({
      share: await context.services.shares.update(viewerOf(context), shareKey(id), changes),
    }),
  }),
);

const CancelShareInput = builder.inputType('CancelShareInput', {
  description: 'The share to end.',
  fields: (t) => ({ id: t.id({ required: true, description: 'Its id.' }) }),
});

const CancelSharePayload = builder.objectRef<{ readonly key: ShareKey }>('CancelSharePayload').implement({
  description: 'The share that ended.',
  fields: (t) => ({
    id: t.id({ description: 'Its id.', resolve: ({ key }) => encodeGlobalId('Share', shareNodeId(key)) }),
  }),
});

builder.mutationField('cancelShare', (t) =>
  t.field({
    type: CancelSharePayload,
    skipTypeScopes: true,
    authScopes: { scope: 'SHARE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Ends a share of yours at once, for ever. `UnsupportedError` where the provider cannot: such a share ends by its time only.',
    args: { input: t.arg({ type: CancelShareInput, required: true, description: 'The share to end.' }) },
    resolve: async (_root, { input }, context) => ({
      key: await context.services.shares.cancel(viewerOf(context), shareKey(input.id)),
    }),
  }),
);

const SaveShareInput = builder.inputType('SaveShareInput', {
  description: 'What somebody shared, to keep.',
  fields: (t) => ({
    url: t.string({ required: true, description: 'The address of the share, at the provider of the folder below.' }),
    password: t.string({ description: 'What the share asks for; null: nothing.' }),
    parent: t.field({ type: EntryRefInput, required: true, description: 'The folder for the copies.' }),
    idempotencyKey: t.string({
      description: 'A UUID, say: a repetition with the same key and input saves nothing again. Kept for a day.',
    }),
  }),
});

const SaveSharePayload = builder.objectRef<{ readonly entries: readonly EntryView[] }>('SaveSharePayload').implement({
  description: 'What was saved.',
  fields: (t) => ({
    entries: t.field({
      type: [EntryInterface],
      description: 'The copies, as far as they are there.',
      resolve: ({ entries }) => [...entries],
    }),
  }),
});

builder.mutationField('saveShare', (t) =>
  t.field({
    type: SaveSharePayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Copies what somebody shared at a provider into a folder of your account there; no byte passes through this server.',
    args: { input: t.arg({ type: SaveShareInput, required: true, description: 'Which share, and where to.' }) },
    resolve: async (_root, { input }, context) => ({
      entries: await context.services.shares.save(viewerOf(context), {
        ...input,
        parent: entryTarget(input.parent, 'input.parent'),
      }),
    }),
  }),
);
