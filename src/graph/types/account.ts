import type { Ability } from '../../drives/abilities.ts';
import type { AccountProfile, ProviderId, StorageUsage } from '../../drives/driver.ts';
import { NotFoundError } from '../../lib/errors.ts';
import { mayManage } from '../../services/accounts.ts';
import type { Account, AccountStatus } from '../../storage/entities/account.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeEntryId, decodeIdOf, encodeGlobalId } from '../ids.ts';
import { found } from '../loaders.ts';
import { EntryConnection, EntryInterface, entryConnection, Folder, findEntry, MAX_AGE, maxAge } from './entry.ts';
import { FileCategoryEnum } from './file.ts';
import { AbilityEnum, ProviderIdEnum } from './provider.ts';
import { UserType } from './user.ts';
import { COMMON_ERRORS, ReauthorizationRequiredErrorType, UnsupportedErrorType } from './user-error.ts';

const STATUSES: Readonly<Record<AccountStatus, string>> = {
  ACTIVE: 'Ready for use.',
  NEEDS_REAUTHORIZATION: 'The provider no longer takes its credentials: link it again.',
  DISABLED: 'Switched off by an administrator.',
};

const AccountStatusEnum = builder.enumType('AccountStatus', {
  description: 'Whether an account can be used.',
  values: enumValues(STATUSES),
});

const CategoryUsage = builder.objectRef<NonNullable<StorageUsage['byCategory']>[number]>('CategoryUsage').implement({
  description: 'What the files of one category take.',
  fields: (t) => ({
    category: t.expose('category', { type: FileCategoryEnum, description: 'The category.' }),
    count: t.exposeInt('count', { description: 'How many files.' }),
    bytes: t.expose('bytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'Their sizes together; null where the provider does not tell.',
    }),
  }),
});

const StorageUsageType = builder.objectRef<StorageUsage>('StorageUsage').implement({
  description: 'How full a drive is.',
  fields: (t) => ({
    totalBytes: t.expose('totalBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'Its whole room; null where there is no limit, or the provider does not tell.',
    }),
    usedBytes: t.expose('usedBytes', { type: 'ByteCount', description: 'What is taken, the recycle bin too.' }),
    freeBytes: t.expose('freeBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'What is left; null where the provider does not tell.',
    }),
    byCategory: t.field({
      type: [CategoryUsage],
      nullable: true,
      description: 'What each category of files takes; null where the provider does not tell.',
      resolve: ({ byCategory }) => byCategory && [...byCategory],
    }),
  }),
});

const AccountProfileType = builder.objectRef<AccountProfile>('AccountProfile').implement({
  description: 'Who the account is at its provider.',
  fields: (t) => ({
    name: t.exposeString('name', { nullable: true, description: 'The name there; null where it is not told.' }),
    membership: t.exposeString('membership', {
      nullable: true,
      description: 'The paid plan, in the words of the provider; null: none, or not told.',
    }),
    avatarUrl: t.exposeString('avatarUrl', { nullable: true, description: 'A picture; null where there is none.' }),
    membershipExpiresAt: t.expose('membershipExpiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the paid plan ends; null: never, or not told.',
    }),
  }),
});

const CredentialState = builder.objectRef<Account>('CredentialState').implement({
  description: 'What this server keeps to reach the account. Never the token itself.',
  fields: (t) => ({
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the access token ends; it is refreshed before. Null: never, or unknown.',
      resolve: ({ credentialsExpireAt }) => credentialsExpireAt,
    }),
    refreshedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was last refreshed; null: not since it was linked.',
      resolve: ({ credentialsRefreshedAt }) => credentialsRefreshedAt,
    }),
    masked: t.string({
      description: 'A sign that there is a token, which says nothing about it.',
      resolve: () => '••••••••',
    }),
  }),
});

export const CloudAccount = builder.objectRef<Account>('CloudAccount');

builder.node(CloudAccount, {
  description: "A linked cloud account, or a user's built-in drive. Seen by its owner, and if shared by every user.",
  id: { resolve: ({ id }) => id, description: 'Stays the same for the life of the account.' },
  loadMany: (ids, { loaders }) => Promise.all(ids.map((id) => loaders.account.load(id))),
  fields: (t) => ({
    provider: t.field({
      type: ProviderIdEnum,
      description: 'What kind of drive it is.',
      resolve: ({ provider }) => provider as ProviderId,
    }),
    label: t.exposeString('label', { description: 'The name that its owner gave it.' }),
    status: t.expose('status', { type: AccountStatusEnum, description: 'Whether it can be used.' }),
    shared: t.exposeBoolean('shared', { description: 'Whether every user of this server may use it.' }),
    abilities: t.field({
      type: [AbilityEnum],
      description: 'What it can do. What is absent answers `UnsupportedError`.',
      resolve: (account, _args, { services }) => [...services.accounts.abilities(account)],
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was linked.' }),
    profile: t.field({
      type: AccountProfileType,
      nullable: true,
      description: 'Who it is at its provider; null where the provider does not tell. Asks the provider.',
      resolve: (account, _args, { services, signal }) => services.accounts.profile(account, { signal }),
    }),
    storage: t.field({
      type: StorageUsageType,
      nullable: true,
      description: 'How full it is; null where the provider does not tell. Asks the provider.',
      resolve: (account, _args, { services, signal }) => services.accounts.usage(account, { signal }),
    }),
    credentials: t.field({
      type: CredentialState,
      nullable: true,
      description:
        'The state of what this server keeps to reach it; null where nothing is needed, as for LOCAL, and of a shared account for all but administrators.',
      resolve: (account, _args, { viewer }) =>
        account.sealedCredentials !== null && viewer && mayManage(viewer, account) ? account : null,
    }),
    root: t.field({
      type: Folder,
      description: 'The folder that everything is in.',
      resolve: (account, _args, { services, loaders }) =>
        found(
          loaders.entry.load(services.entries.rootKey(account)),
          'The provider does not show the root of the drive.',
        ),
    }),
    entry: t.field({
      type: EntryInterface,
      nullable: true,
      description: 'The file or folder at a path; null when there is none.',
      args: { path: t.arg.string({ required: true, description: 'The path below the root, beginning with `/`.' }) },
      resolve: ({ id }, { path }, context) => findEntry({ accountId: id, path, at: ['path'] }, context),
    }),
    entries: t.field({
      type: EntryConnection,
      description:
        'Entries of the account: of one folder, of all below it, or of one category. `UNSUPPORTED` where the provider cannot list so. A part is never given as all.',
      complexity: connectionComplexity,
      args: {
        category: t.arg({ type: FileCategoryEnum, description: 'Only files of this category, at any depth.' }),
        recursive: t.arg.boolean({ description: 'All that is below the folder, at any depth. Default false.' }),
        folderId: t.arg.id({ description: 'The folder to begin at; left out: the root.' }),
        first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
        after: t.arg.string({ description: 'A cursor of the same listing, to begin behind it.' }),
        maxAgeSeconds: t.arg.int({ description: MAX_AGE }),
      },
      resolve: async (account, { category, recursive, folderId, maxAgeSeconds, ...page }, { services, signal }) => {
        const folderRef = folderId == null ? null : folderRefOf(account, String(folderId));
        const selection = { category, recursive, folderRef };
        const call = { signal, ...maxAge(maxAgeSeconds) };
        const entries = await services.entries.list(account, selection, pageQuery(page), call);
        return entryConnection(entries, page);
      },
    }),
    recycleBin: t.field({
      type: EntryConnection,
      description:
        'What was deleted and can be restored. `UNSUPPORTED` where the provider has no bin that can be read.',
      complexity: connectionComplexity,
      args: {
        first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
        after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
      },
      resolve: async (account, page, { services, signal }) =>
        entryConnection(await services.entries.recycleBin(account, pageQuery(page), { signal }), page),
    }),
  }),
});

/** @throws NotFoundError when the id is not that of an entry of this account. */
function folderRefOf(account: Account, folderId: string): string {
  const key = decodeEntryId(folderId);
  if (key?.accountId !== account.id) throw new NotFoundError('There is no such folder in this account.');
  return key.ref;
}

const CloudAccountConnection = builder.connectionObject(
  { type: CloudAccount, name: 'CloudAccountConnection', description: 'A page of accounts.' },
  { name: 'CloudAccountEdge', description: 'An account and its place in the list.' },
);

/** What a page of accounts counts for at most: hardly anybody links more, and what is asked of each should still pass. */
const FEW_ACCOUNTS = 5;

builder.objectField(UserType, 'accounts', (t) =>
  t.field({
    type: CloudAccountConnection,
    description: 'The accounts that the user can use and you can see: the built-in drive first, shared ones too.',
    complexity: ({ first }) => connectionComplexity({ first: Math.min(first ?? FEW_ACCOUNTS, FEW_ACCOUNTS) }),
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of this list, to begin behind it.' }),
    },
    resolve: async ({ id }, page, context) => {
      const accounts = await context.services.accounts.page(viewerOf(context), id, pageQuery(page));
      return toConnection(accounts, page.after ?? null);
    },
  }),
);

const UpdateAccountInput = builder.inputType('UpdateAccountInput', {
  description: 'What to change of an account.',
  fields: (t) => ({
    accountId: t.id({ required: true, description: 'The account.' }),
    label: t.string({ description: 'A new name for it, up to 128 characters; left out or null: as it is.' }),
  }),
});

const UpdateAccountPayload = builder.objectRef<{ readonly account: Account }>('UpdateAccountPayload').implement({
  description: 'The account afterwards.',
  fields: (t) => ({
    account: t.expose('account', { type: CloudAccount, description: 'The account afterwards.' }),
  }),
});

builder.mutationField('updateAccount', (t) =>
  t.field({
    type: UpdateAccountPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'ACCOUNTS' },
    errors: { types: [...COMMON_ERRORS, NotFoundError] },
    description: 'Changes the label of an account. Only its owner may; of a shared account, administrators.',
    args: { input: t.arg({ type: UpdateAccountInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input }, context) => {
      context.loaders.account.clearAll(); // What an earlier mutation of the operation had read is old afterwards.
      const accountId = decodeIdOf(String(input.accountId), 'CloudAccount') ?? '';
      const changes = input.label == null ? {} : { label: input.label };
      return { account: await context.services.accounts.update(viewerOf(context), accountId, changes) };
    },
  }),
);

builder.objectField(ReauthorizationRequiredErrorType, 'account', (t) =>
  t.field({
    type: CloudAccount,
    nullable: true,
    description:
      'The account to link again; null when it is no longer there. Beside a payload with an `account`, which is never null, ask for `accountId` or give this one an alias.',
    resolve: ({ accountId }, _args, { loaders }) => loaders.account.load(accountId),
  }),
);

builder.objectField(ReauthorizationRequiredErrorType, 'accountId', (t) =>
  t.id({
    description: 'The id of the account to link again, also when it is no longer there.',
    resolve: ({ accountId }) => encodeGlobalId('CloudAccount', accountId),
  }),
);

builder.objectField(UnsupportedErrorType, 'ability', (t) =>
  t.field({
    type: AbilityEnum,
    nullable: true,
    description: 'What the account cannot do; null where it is no ability of its own.',
    resolve: ({ ability }) => ability as Ability | null,
  }),
);
