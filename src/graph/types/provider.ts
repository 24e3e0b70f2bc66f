import type { Ability } from '../../drives/abilities.ts';
import type { DriveErrorCode, DriveSetting, LinkMethod, ProviderId } from '../../drives/driver.ts';
import type { Provider } from '../../services/drives.ts';
import { builder } from '../builder.ts';
import { enumValues } from '../enums.ts';

const PROVIDERS: Readonly<Record<ProviderId, string>> = {
  LOCAL: 'The built-in drive of this server: every user has one.',
  BAIDU: 'Baidu Netdisk.',
  PAN123: '123pan.',
  PAN115: '115.',
  NETDISK: 'A Netdisk server.',
};

export const ProviderIdEnum = builder.enumType('ProviderId', {
  description: 'A kind of drive.',
  values: enumValues(PROVIDERS),
});

const LINK_METHODS: Readonly<Record<LinkMethod, string>> = {
  NONE: 'Nothing to link: the account is there from registration on.',
  DEVICE_CODE: 'A code or QR code that the person confirms on another device: `startDeviceLink`.',
  AUTHORIZATION_CODE: "The provider's own sign-in page in a browser: `startAuthorizationLink`.",
  CLIENT_CREDENTIALS: 'A personal key pair from the provider: `linkWithCredentials`.',
  PASSWORD: 'Address, user name and password: `linkWithCredentials`.',
  TOKENS: 'Tokens that an app obtained itself: `upsertAccountTokens`.',
};

const LinkMethodEnum = builder.enumType('LinkMethod', {
  description: 'A way to link an account.',
  values: enumValues(LINK_METHODS),
});

const ABILITIES: Readonly<Record<Ability, string>> = {
  LIST: 'List a folder.',
  LIST_RECURSIVE: 'List everything below a folder: `CloudAccount.entries(recursive: true)`.',
  LIST_BY_CATEGORY: 'List the files of a category: `CloudAccount.entries(category:)`.',
  SEARCH_NAME: 'Search by name.',
  SEARCH_SEMANTIC: 'Search by meaning.',
  READ: 'Read the bytes of a file.',
  CREATE_FOLDER: 'Make folders.',
  RENAME: 'Rename entries.',
  MOVE: 'Move entries within the drive.',
  COPY: 'Copy entries within the drive.',
  DELETE: 'Delete entries.',
  RECYCLE_LIST: 'List the recycle bin.',
  RECYCLE_RESTORE: 'Restore from the recycle bin.',
  RECYCLE_PURGE: 'Delete for ever from the recycle bin.',
  UPLOAD: 'Take files.',
  INSTANT_UPLOAD: 'Make a file of bytes that the provider has already, by their hashes.',
  RESUMABLE_UPLOAD: 'Go on with an upload that was cut.',
  SHARE_CREATE: "Make the provider's own share links.",
  SHARE_LIST: 'List share links.',
  SHARE_UPDATE: 'Change share links.',
  SHARE_CANCEL: 'End share links.',
  SHARE_SAVE: 'Save what somebody shared.',
  OFFLINE_ADD: 'Have the provider download a URL itself.',
  OFFLINE_TORRENT: 'Have the provider download what a torrent file on the drive names.',
  OFFLINE_LIST: 'List offline tasks.',
  OFFLINE_CANCEL: 'Cancel offline tasks.',
  OFFLINE_CLEAR: 'Clear the list of offline tasks.',
  OFFLINE_ALLOWANCE: 'Tell how many offline tasks are left.',
  THUMBNAIL: 'Give small pictures of files.',
  PREVIEW: 'Give a preview of files.',
  MEDIA_PLAYLIST: 'Give a playlist to stream a video.',
  MEDIA_INFO: 'Tell duration and size of media.',
  MEDIA_LISTS: 'Tell the lists of films and sounds that a person put together at the provider.',
  MEDIA_PROGRESS: 'Remember how far a film was watched.',
  CHANGES: 'Tell what changed; computed where the provider does not tell: see `ChangeConnection.computed`.',
  PROVIDER_DIRECT_LINK: "Give the provider's own link to a file's bytes.",
  TRANSCODE: 'Convert a video to another quality.',
};

export const AbilityEnum = builder.enumType('Ability', {
  description:
    'Something that an account can do. What is absent answers `UnsupportedError`, before any request is made.',
  values: enumValues(ABILITIES),
});

const ProviderSetting = builder.objectRef<DriveSetting>('ProviderSetting').implement({
  description: 'A value that a person types to link an account: enough to show the form.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'For `SettingValueInput.name`.' }),
    title: t.exposeString('title', { description: 'The label of the field.' }),
    help: t.exposeString('help', { description: 'What to type, and where to find it.' }),
    secret: t.exposeBoolean('secret', { description: 'Whether to hide what is typed. Never given out again.' }),
    required: t.exposeBoolean('required', { description: 'Whether it must be given.' }),
  }),
});

const ProviderErrorCode = builder.objectRef<DriveErrorCode>('ProviderErrorCode').implement({
  description: "A row of the provider's own table of errors.",
  fields: (t) => ({
    code: t.exposeString('code', { description: 'As in `ProviderError.providerCode`.' }),
    meaning: t.exposeString('meaning', { description: 'What it means.' }),
    category: t.exposeString('category', { description: 'How this server treats it: `rate_limited`, `not_found`, …' }),
    retryable: t.exposeBoolean('retryable', { description: 'Whether the same request can succeed later.' }),
    hint: t.exposeString('hint', { nullable: true, description: 'What to check; null where nothing is known.' }),
  }),
});

const ProviderType = builder.objectRef<Provider>('Provider').implement({
  description: 'A kind of drive that this server speaks to.',
  fields: (t) => ({
    id: t.expose('id', { type: ProviderIdEnum, description: 'Which one.' }),
    title: t.exposeString('title', { description: 'Its name, to show.' }),
    configured: t.exposeBoolean('configured', {
      description: "Whether accounts can be linked and used; false: the operator's keys for it are missing.",
    }),
    linkMethods: t.field({
      type: [LinkMethodEnum],
      description: 'The ways to link an account, best first.',
      resolve: ({ linkMethods }) => [...linkMethods],
    }),
    abilities: t.field({
      type: [AbilityEnum],
      description: 'What its accounts can do. One account may be able to do less: see `CloudAccount.abilities`.',
      resolve: ({ abilities }) => [...abilities],
    }),
    settings: t.field({
      type: [ProviderSetting],
      description: 'What `linkWithCredentials` takes; empty where nothing is typed.',
      resolve: ({ settings }) => [...settings],
    }),
    errorCodes: t.field({
      type: [ProviderErrorCode],
      description: 'The errors of the provider that this server knows.',
      resolve: ({ errorCodes }) => [...errorCodes],
    }),
  }),
});

builder.queryField('providers', (t) =>
  t.field({
    type: [ProviderType],
    description: 'The kinds of drive that this server speaks to.',
    resolve: (_root, _args, { services }) => [...services.drives.providers()],
  }),
);
