import type { Rotation } from '../../services/vault-keys.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { COMMON_ERRORS } from './user-error.ts';

const RotateVaultInput = builder.inputType('RotateVaultInput', {
  description: 'How to bring what is sealed to the current key.',
  fields: (t) => ({
    dryRun: t.boolean({ description: 'Only counts what would be done. Default false.' }),
  }),
});

const RotateVaultPayload = builder.objectRef<Rotation>('RotateVaultPayload').implement({
  description: 'What was done.',
  fields: (t) => ({
    rotated: t.exposeInt('rotated', {
      description: 'Values that were sealed with an older key, and are sealed with the current one now.',
    }),
    unreadable: t.exposeInt('unreadable', {
      description:
        'Values that stay as they are, because they cannot be opened: their key is no longer in VAULT_KEYS, or they were changed.',
    }),
  }),
});

builder.mutationField('rotateVault', (t) =>
  t.field({
    type: RotateVaultPayload,
    skipTypeScopes: true,
    authScopes: { admin: true },
    errors: { types: [...COMMON_ERRORS] },
    description:
      'Seals the credentials of all accounts with the current key, the first one of VAULT_KEYS; then the older keys can be taken out. For administrators.',
    args: { input: t.arg({ type: RotateVaultInput, required: true, description: 'How to do it.' }) },
    resolve: (_root, { input }, context) =>
      context.services.vaultKeys.rotate(viewerOf(context), { dryRun: input.dryRun ?? false }),
  }),
);
