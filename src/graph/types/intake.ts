import type { TransferView } from '../../services/transfers.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { ConflictPolicyEnum, EntryRefInput, entryTarget } from './entry.ts';
import { Transfer } from './transfer.ts';
import { IDEMPOTENCY_KEY, ON_CONFLICT, PARENT } from './upload.ts';
import { DRIVE_ERRORS } from './user-error.ts';

const begun = (name: string) =>
  builder.objectRef<{ readonly transfer: TransferView }>(name).implement({
    description: 'The transfer that was begun.',
    fields: (t) => ({
      transfer: t.expose('transfer', { type: Transfer, description: 'The transfer; follow it by `transferUpdated`.' }),
    }),
  });

export const UploadFromUrlInput = builder.inputType('UploadFromUrlInput', {
  description: 'An address whose file is fetched.',
  fields: (t) => ({
    parent: t.field({ type: EntryRefInput, required: true, description: PARENT }),
    name: t.string({
      description:
        'The name of the file; left out: the one that the server there gives it, else the last part of the address, else one by its type.',
    }),
    url: t.string({
      required: true,
      description:
        'Begins with http:// or https://, has no user name in it, and does not lead to a private or special address, also not by a redirect. Kept sealed, and told to nobody.',
    }),
    onConflict: t.field({ type: ConflictPolicyEnum, description: ON_CONFLICT }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

builder.mutationField('uploadFromUrl', (t) =>
  t.field({
    type: begun('UploadFromUrlPayload'),
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Lets the server fetch the file at an address into a folder. It goes on where it broke off, as long as the file there is still the same. What goes wrong there is told by `Transfer.error`.',
    args: { input: t.arg({ type: UploadFromUrlInput, required: true, description: 'Which file, and where to.' }) },
    resolve: async (_root, { input }, context) => ({
      transfer: await context.services.intake.fromUrl(viewerOf(context), {
        ...input,
        parent: entryTarget(input.parent, 'input.parent'),
      }),
    }),
  }),
);

export const ImportServerFileInput = builder.inputType('ImportServerFileInput', {
  description: 'A file of the machine on which the server runs.',
  fields: (t) => ({
    parent: t.field({ type: EntryRefInput, required: true, description: PARENT }),
    name: t.string({ description: 'The name of the file; left out: the one that it has there.' }),
    path: t.string({
      required: true,
      description:
        'Its absolute path, in one of the folders that the operator lets files be imported from (setting IMPORT_DIRS). Links are followed as long as they stay in there.',
    }),
    onConflict: t.field({ type: ConflictPolicyEnum, description: ON_CONFLICT }),
    idempotencyKey: t.string({ description: IDEMPOTENCY_KEY }),
  }),
});

builder.mutationField('importServerFile', (t) =>
  t.field({
    type: begun('ImportServerFilePayload'),
    skipTypeScopes: true,
    authScopes: { admin: true, scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Copies a file of the machine on which the server runs into a folder. For administrators. A file that is changed while it is read fails with `IntegrityError`.',
    args: { input: t.arg({ type: ImportServerFileInput, required: true, description: 'Which file, and where to.' }) },
    resolve: async (_root, { input }, context) => ({
      transfer: await context.services.intake.fromServer(viewerOf(context), {
        ...input,
        parent: entryTarget(input.parent, 'input.parent'),
      }),
    }),
  }),
);
