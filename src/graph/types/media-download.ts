import type { MediaDownloadKind } from '../../drives/contract/media.ts';
import { type Allowance, AllowanceExceededError } from '../../lib/errors.ts';
import type { MediaDownloadView } from '../../services/media.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { DownloadAllowance } from './download.ts';
import { EntryRefInput, entryTarget } from './entry.ts';
import { DRIVE_ERRORS } from './user-error.ts';

const DOWNLOAD_KINDS: Readonly<Record<MediaDownloadKind, string>> = {
  ORIGINAL: 'The film itself, as the service that makes its versions has it.',
  VERSIONS: 'All its versions, packed in one ZIP file.',
};

const MediaDownloadKindEnum = builder.enumType('MediaDownloadKind', {
  description: 'What is downloaded of a film that has versions.',
  values: enumValues(DOWNLOAD_KINDS),
});

const MediaDownload = builder.objectRef<MediaDownloadView>('MediaDownload').implement({
  description:
    'A right to one download of a film, for some hours: by GET or HEAD, as often as needed, in ranges where the provider takes them. Ends with the session or API key that asked for it. Whoever has the address has the right.',
  fields: (t) => ({
    url: t.exposeString('url', { description: 'Where the bytes are, at this server. Secret.' }),
    name: t.exposeString('name', { description: 'What the file is called.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'Until when a request may begin.' }),
  }),
});

const CreateMediaDownloadInput = builder.inputType('CreateMediaDownloadInput', {
  description: 'What to download of a film.',
  fields: (t) => ({
    file: t.field({ type: EntryRefInput, required: true, description: 'The film.' }),
    kind: t.field({ type: MediaDownloadKindEnum, required: true, description: 'What of it.' }),
  }),
});

const CreateMediaDownloadPayload = builder
  .objectRef<{ readonly download: MediaDownloadView; readonly allowance: Allowance }>('CreateMediaDownloadPayload')
  .implement({
    description: 'The download, and what it left of the allowance.',
    fields: (t) => ({
      download: t.expose('download', { type: MediaDownload, description: 'The right to the bytes.' }),
      allowance: t.expose('allowance', { type: DownloadAllowance, description: 'What is left today, after this one.' }),
    }),
  });

builder.mutationField('createMediaDownload', (t) =>
  t.field({
    type: CreateMediaDownloadPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'DOWNLOAD' },
    errors: { types: [...DRIVE_ERRORS, AllowanceExceededError] },
    description:
      'Gives the right to download a film that was given to `transcodeFile`, or all its versions at once, and charges one download to the daily allowance. While the provider packs them it is a `ProviderError` with `retryAt`, and nothing is charged. `UnsupportedError` where the provider has no such downloads.',
    args: { input: t.arg({ type: CreateMediaDownloadInput, required: true, description: 'Which film, and what.' }) },
    resolve: (_root, { input }, context) =>
      context.services.media.createDownload(viewerOf(context), entryTarget(input.file, 'input.file'), input.kind),
  }),
);
