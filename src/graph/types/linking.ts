import type { ProviderId } from '../../drives/driver.ts';
import { ConflictError, NotFoundError, ProviderError, UnsupportedError } from '../../lib/errors.ts';
import type { Account } from '../../storage/entities/account.ts';
import type { DeviceLink as DeviceLinkRow, DeviceLinkState } from '../../storage/entities/linking.ts';
import { builder } from '../builder.ts';
import { type GraphContext, viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeIdOf, encodeGlobalId } from '../ids.ts';
import { CloudAccount } from './account.ts';
import { ProviderIdEnum } from './provider.ts';
import { COMMON_ERRORS } from './user-error.ts';

/** What may go wrong while a provider is asked to let somebody in. */
const LINK_ERRORS = [...COMMON_ERRORS, NotFoundError, ConflictError, UnsupportedError, ProviderError] as const;

const STATES: Readonly<Record<DeviceLinkState, string>> = {
  PENDING: 'Waiting for the person to scan the code.',
  SCANNED: 'Scanned; waiting for the person to confirm. Not every provider tells this.',
  APPROVED: 'Confirmed: `account` is linked.',
  DENIED: 'The person refused.',
  EXPIRED: 'Nobody confirmed in time, or the provider gave it up. Begin again.',
};

const DeviceLinkStateEnum = builder.enumType('DeviceLinkState', {
  description: 'How far a sign-in by code is.',
  values: enumValues(STATES),
});

const DeviceLink = builder.objectRef<DeviceLinkRow>('DeviceLink');
builder.node(DeviceLink, {
  description: 'A sign-in that a person confirms on another device. Seen by who began it.',
  id: { resolve: ({ id }) => id, description: 'Stays the same for the life of the sign-in.' },
  loadOne: (id, context) => findDeviceLink(id, context),
  fields: (t) => ({
    provider: t.field({
      type: ProviderIdEnum,
      description: 'Where the account is.',
      resolve: ({ provider }) => provider as ProviderId,
    }),
    state: t.expose('state', { type: DeviceLinkStateEnum, description: 'How far it is.' }),
    userCode: t.string({
      nullable: true,
      description: 'What the person types at `verificationUrl`; null where scanning is the only way.',
      resolve: ({ userCode }) => userCode ?? null,
    }),
    verificationUrl: t.exposeString('verificationUrl', { description: 'Where the person goes to confirm.' }),
    qrCodeDataUri: t.string({
      description: 'A picture of the QR code, as a data URI for an image element. Made by this server.',
      resolve: ({ qrContent }, _args, { services }) => services.deviceLinks.qrCode(qrContent),
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'Until when it can be confirmed.' }),
    account: t.field({
      type: CloudAccount,
      nullable: true,
      description: 'The account, once it is linked; null before, or when it is gone.',
      resolve: ({ accountId }, _args, { loaders }) => (accountId ? loaders.account.load(accountId) : null),
    }),
  }),
});

async function findDeviceLink(id: string, context: GraphContext): Promise<DeviceLinkRow | null> {
  return context.viewer && context.services.deviceLinks.find(context.viewer, id);
}

builder.queryField('deviceLink', (t) =>
  t.field({
    type: DeviceLink,
    nullable: true,
    description: 'A sign-in by code, for a client that polls; null when there is none, or it is not yours.',
    args: { id: t.arg.id({ required: true, description: 'From `startDeviceLink`.' }) },
    resolve: (_root, { id }, context) => findDeviceLink(decodeIdOf(id, 'DeviceLink') ?? '', context),
  }),
);

builder.subscriptionField('deviceLinkUpdated', (t) =>
  t.field({
    type: DeviceLink,
    description: 'A sign-in by code now, and after each change of its state. Ends with the last one.',
    args: { id: t.arg.id({ required: true, description: 'From `startDeviceLink`.' }) },
    subscribe: (_root, { id }, context) =>
      context.services.deviceLinks.watch(
        viewerOf(context),
        decodeIdOf(id.toString(), 'DeviceLink') ?? '',
        context.signal,
      ),
    resolve: (link) => link,
  }),
);

const StartDeviceLinkInput = builder.inputType('StartDeviceLinkInput', {
  description: 'Which account to link by a code.',
  fields: (t) => ({
    provider: t.field({ type: ProviderIdEnum, required: true, description: 'Where the account is.' }),
    label: t.string({ description: 'A name for it; left out: its name at the provider.' }),
    shared: t.boolean({ description: 'For every user of this server; administrators only. Default false.' }),
  }),
});

const StartDeviceLinkPayload = builder
  .objectRef<{ readonly deviceLink: DeviceLinkRow }>('StartDeviceLinkPayload')
  .implement({
    description: 'The sign-in to show.',
    fields: (t) => ({
      deviceLink: t.expose('deviceLink', {
        type: DeviceLink,
        description: 'Show its QR code or user code, and follow it by `deviceLinkUpdated`.',
      }),
    }),
  });

builder.mutationField('startDeviceLink', (t) =>
  t.field({
    type: StartDeviceLinkPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'ACCOUNTS' },
    errors: { types: [...LINK_ERRORS] },
    description:
      'Begins to link an account by a QR code or user code. The server asks the provider from then on; it goes on after a restart. Also authorizes an account again.',
    args: { input: t.arg({ type: StartDeviceLinkInput, required: true, description: 'Which account.' }) },
    resolve: async (_root, { input }, context) => ({
      deviceLink: await context.services.deviceLinks.begin(viewerOf(context), input, context.signal),
    }),
  }),
);

const StartAuthorizationLinkInput = builder.inputType('StartAuthorizationLinkInput', {
  description: "Which account to link on the provider's own page.",
  fields: (t) => ({
    provider: t.field({ type: ProviderIdEnum, required: true, description: 'Where the account is.' }),
    label: t.string({ description: 'A name for it; left out: its name at the provider.' }),
    shared: t.boolean({ description: 'For every user of this server; administrators only. Default false.' }),
    redirectUri: t.string({
      description:
        'Where the provider sends the browser: of an app that completes by itself. Left out: to this server. It must be registered with the provider.',
    }),
  }),
});

const StartAuthorizationLinkPayload = builder
  .objectRef<{ readonly authorizationUrl: string; readonly state: string }>('StartAuthorizationLinkPayload')
  .implement({
    description: 'Where to send the person.',
    fields: (t) => ({
      authorizationUrl: t.exposeString('authorizationUrl', { description: 'Open it in a browser.' }),
      state: t.exposeString('state', {
        description: 'Comes back beside the code: compare it, then give both to `completeAuthorizationLink`.',
      }),
    }),
  });

builder.mutationField('startAuthorizationLink', (t) =>
  t.field({
    type: StartAuthorizationLinkPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'ACCOUNTS' },
    errors: { types: [...LINK_ERRORS] },
    description: "Begins to link an account on the provider's own sign-in page, with PKCE where it has that.",
    args: { input: t.arg({ type: StartAuthorizationLinkInput, required: true, description: 'Which account.' }) },
    resolve: (_root, { input }, context) => context.services.authorizations.begin(viewerOf(context), input),
  }),
);

/** The payload of a mutation that links an account. */
const accountPayload = (name: string) =>
  builder.objectRef<{ readonly account: Account }>(name).implement({
    description: 'The linked account.',
    fields: (t) => ({
      account: t.expose('account', { type: CloudAccount, description: 'The account, ready for use.' }),
    }),
  });

const CompleteAuthorizationLinkInput = builder.inputType('CompleteAuthorizationLinkInput', {
  description: "What the provider's page gave.",
  fields: (t) => ({
    state: t.string({ required: true, description: 'From `startAuthorizationLink`. Works once.' }),
    code: t.string({ required: true, description: 'From the address that the provider sent the browser to.' }),
  }),
});

builder.mutationField('completeAuthorizationLink', (t) =>
  t.field({
    type: accountPayload('CompleteAuthorizationLinkPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'ACCOUNTS' },
    errors: { types: [...LINK_ERRORS] },
    description:
      "Links the account with the code of the provider's page. Where the browser came back to this server, it is done already.",
    args: { input: t.arg({ type: CompleteAuthorizationLinkInput, required: true, description: 'What came back.' }) },
    resolve: async (_root, { input: { state, code } }, context) => ({
      account: await context.services.authorizations.complete(viewerOf(context), state, code, context.signal),
    }),
  }),
);

const SettingValueInput = builder.inputType('SettingValueInput', {
  description: 'A value that a person typed.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'As in `Provider.settings`.' }),
    value: t.string({ required: true, description: 'What was typed. Secret values are sealed and never shown again.' }),
  }),
});

const LinkWithCredentialsInput = builder.inputType('LinkWithCredentialsInput', {
  description: 'Which account to link with typed values.',
  fields: (t) => ({
    provider: t.field({ type: ProviderIdEnum, required: true, description: 'Where the account is.' }),
    label: t.string({ description: 'A name for it; left out: its name at the provider.' }),
    values: t.field({ type: [SettingValueInput], required: true, description: 'One for each of `Provider.settings`.' }),
    shared: t.boolean({ description: 'For every user of this server; administrators only. Default false.' }),
  }),
});

builder.mutationField('linkWithCredentials', (t) =>
  t.field({
    type: accountPayload('LinkWithCredentialsPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'ACCOUNTS' },
    errors: { types: [...LINK_ERRORS] },
    description:
      "Links an account with values that its person typed: 123pan's client id and secret, a Netdisk server's address and password.",
    args: { input: t.arg({ type: LinkWithCredentialsInput, required: true, description: 'Which account.' }) },
    resolve: async (_root, { input }, context) => ({
      account: await context.services.credentialLinks.linkWithCredentials(viewerOf(context), input, context.signal),
    }),
  }),
);

const UpsertAccountTokensInput = builder.inputType('UpsertAccountTokensInput', {
  description: 'Tokens that an app obtained itself.',
  fields: (t) => ({
    provider: t.field({ type: ProviderIdEnum, required: true, description: 'Where the account is.' }),
    accountId: t.id({
      description: 'The account that gets them; left out: the one that they belong to, or a new one.',
    }),
    label: t.string({ description: 'A name for it; left out: as it is, or its name at the provider.' }),
    accessToken: t.string({ required: true, description: 'The access token. Sealed, and never shown again.' }),
    refreshToken: t.string({
      description: 'The refresh token; left out: the account needs its person again when the access token ends.',
    }),
    expiresInSeconds: t.int({ description: 'How long the access token lives from now; left out: unknown.' }),
  }),
});

builder.mutationField('upsertAccountTokens', (t) =>
  t.field({
    type: accountPayload('UpsertAccountTokensPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'ACCOUNTS' },
    errors: { types: [...LINK_ERRORS] },
    description:
      'Links an account with tokens that an app obtained itself, or gives them to an account that needs them. They are tried first. From then on this server refreshes them: the app must not.',
    args: { input: t.arg({ type: UpsertAccountTokensInput, required: true, description: 'The tokens.' }) },
    resolve: async (_root, { input }, context) => {
      const accountId = input.accountId == null ? null : (decodeIdOf(String(input.accountId), 'CloudAccount') ?? '');
      const account = await context.services.credentialLinks.upsertTokens(
        viewerOf(context),
        { ...input, accountId },
        context.signal,
      );
      return { account };
    },
  }),
);

const UnlinkAccountInput = builder.inputType('UnlinkAccountInput', {
  description: 'Which account to forget.',
  fields: (t) => ({ accountId: t.id({ required: true, description: 'The account.' }) }),
});

const UnlinkAccountPayload = builder.objectRef<{ readonly accountId: string }>('UnlinkAccountPayload').implement({
  description: 'What is gone.',
  fields: (t) => ({
    accountId: t.id({
      description: 'The id of the account, to drop it from a cache.',
      resolve: ({ accountId }) => encodeGlobalId('CloudAccount', accountId),
    }),
  }),
});

builder.mutationField('unlinkAccount', (t) =>
  t.field({
    type: UnlinkAccountPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'ACCOUNTS' },
    errors: { types: [...LINK_ERRORS] },
    description:
      'Forgets an account: its tokens are wiped here, and ended at the provider where that can be done. Its files stay where they are.',
    args: { input: t.arg({ type: UnlinkAccountInput, required: true, description: 'Which account.' }) },
    resolve: async (_root, { input }, context) => {
      const accountId = decodeIdOf(String(input.accountId), 'CloudAccount') ?? '';
      await context.services.credentialLinks.unlink(viewerOf(context), accountId, context.signal);
      context.loaders.account.clearAll();
      return { accountId };
    },
  }),
);
