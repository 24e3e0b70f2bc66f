import type { TransferView } from '../../services/transfers.ts';
import type { StartedUpload } from '../../services/uploads.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { ConflictPolicyEnum, EntryRefInput, entryTarget } from './entry.ts';
import { HashAlgorithmEnum } from './file.ts';
import { Transfer } from './transfer.ts';
import { DRIVE_ERRORS } from './user-error.ts';

export const PARENT = 'The folder that gets the file.';
export const ON_CONFLICT = 'What to do when the name is taken, now or when the bytes are here; left out: FAIL.';
export const IDEMPOTENCY_KEY =
  'Chosen by you, for example a UUID: repeating the request with the same key has no second effect, for a day.';

const HashInput = builder.inputType('HashInput', {
  description: 'A hash of the whole file.',
  fields: (t) => ({
    algorithm: t.field({ type: HashAlgorithmEnum, required: true, description: 'How it is made.' }),
    value: t.string({ required: true, description: 'Lower-case hex.' }),
  }),
});

const StartUploadInput = builder.inputType('StartUploadInput', {
  description: 'A file to be sent.',
  fields: (t) => ({
    parent: t.field({ type: EntryRefInput, required: true, description: PARENT }),
    name: t.string({ required: true, description: 'The name of the file.' }),
    size: t.field({ type: 'ByteCount', required: true, description: 'How many bytes will be sent: exactly.' }),
    hashes: t.field({
      type: [HashInput],
      required: { list: false, items: true },
      description:
        'Hashes that the bytes must have, one of each algorithm: others fail the transfer. With SHA256, a file that this account has already needs no bytes.',
    }),
    onConflict: t.field({ type: ConflictPolicyEnum, description: ON_CONFLICT }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

const StartUploadPayload = builder.objectRef<StartedUpload>('StartUploadPayload').implement({
  description: 'The transfer, and where to send the bytes.',
  fields: (t) => ({
    transfer: t.expose('transfer', { type: Transfer, description: 'The transfer; follow it by `transferUpdated`.' }),
    uploadUrl: t.string({
      nullable: true,
      description:
        'Where to send the bytes, by tus 1.0. The URL is the right to send: it needs no header, and counts until the upload expires or is cancelled, or the session or API key that began it is ended; a refreshed session is the same one. After another sign-in, `startUpload` with the same `idempotencyKey` makes it count again. Null when no bytes are needed.',
      resolve: ({ uploadPath }, _args, { services }) => uploadPath && services.links.absolute(uploadPath),
    }),
    chunkSize: t.expose('chunkBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes to send in one request, so that it passes proxies; null when no bytes are needed.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the upload is given up if no bytes come until then; null when none are waited for.',
    }),
  }),
});

builder.mutationField('startUpload', (t) =>
  t.field({
    type: StartUploadPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Begins to upload a file: gives the address to send its bytes to, in pieces and after any break. The file appears when all bytes are here and have the hashes that were promised.',
    args: { input: t.arg({ type: StartUploadInput, required: true, description: 'Which file, and where to.' }) },
    resolve: (_root, { input: { size, ...input } }, context) =>
      context.services.uploads.start(viewerOf(context), {
        ...input,
        sizeBytes: size,
        parent: entryTarget(input.parent, 'input.parent'),
      }),
  }),
);

const uploadPayload = (name: string) =>
  builder.objectRef<{ readonly transfer: TransferView }>(name).implement({
    description: 'The transfer, as a rule with its entry: the answer waits for it up to ten seconds.',
    fields: (t) => ({ transfer: t.expose('transfer', { type: Transfer, description: 'The transfer.' }) }),
  });

export const UploadTextInput = builder.inputType('UploadTextInput', {
  description: 'A text to be a file.',
  fields: (t) => ({
    parent: t.field({ type: EntryRefInput, required: true, description: PARENT }),
    name: t.string({ required: true, description: 'The name of the file.' }),
    content: t.string({ required: true, description: 'The text: up to 8 MiB in UTF-8.' }),
    onConflict: t.field({ type: ConflictPolicyEnum, description: ON_CONFLICT }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

builder.mutationField('uploadText', (t) =>
  t.field({
    type: uploadPayload('UploadTextPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description: 'Makes a file of a text, in UTF-8.',
    args: { input: t.arg({ type: UploadTextInput, required: true, description: 'The text, and where to.' }) },
    resolve: async (_root, { input }, context) => ({
      transfer: await context.services.uploads.text(
        viewerOf(context),
        { ...input, parent: entryTarget(input.parent, 'input.parent') },
        context.signal,
      ),
    }),
  }),
);

const UploadFileInput = builder.inputType('UploadFileInput', {
  description: 'A small file that comes with the request.',
  fields: (t) => ({
    parent: t.field({ type: EntryRefInput, required: true, description: PARENT }),
    file: t.field({ type: 'Upload', required: true, description: 'The file: up to 8 MiB.' }),
    name: t.string({ description: 'The name of the file; left out: the one that the file came with.' }),
    hashes: t.field({
      type: [HashInput],
      required: { list: false, items: true },
      description: 'Hashes that the bytes must have, one of each algorithm: others fail the transfer.',
    }),
    onConflict: t.field({ type: ConflictPolicyEnum, description: ON_CONFLICT }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

builder.mutationField('uploadFile', (t) =>
  t.field({
    type: uploadPayload('UploadFilePayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Makes a file of a small file in a GraphQL multipart request. Larger ones, and those over a poor line, go by `startUpload`.',
    args: { input: t.arg({ type: UploadFileInput, required: true, description: 'The file, and where to.' }) },
    resolve: async (_root, { input: { file, ...input } }, context) => ({
      transfer: await context.services.uploads.file(
        viewerOf(context),
        {
          ...input,
          name: input.name ?? file.name,
          sizeBytes: file.size,
          mimeType: file.type || null,
          parent: entryTarget(input.parent, 'input.parent'),
        },
        file.stream(),
        context.signal,
      ),
    }),
  }),
);
