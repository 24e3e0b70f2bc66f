import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

export const ACCOUNT_STATUSES = ['ACTIVE', 'NEEDS_REAUTHORIZATION', 'DISABLED'] as const;
export type AccountStatus = (typeof ACCOUNT_STATUSES)[number];

/** A linked cloud account, or a user's built-in drive (provider LOCAL). */
const AccountSchema = defineEntity({
  name: 'Account',
  tableName: 'accounts',
  indexes: [{ properties: ['ownerId', 'createdAt', 'id'] }],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    /** Who linked it; of a shared account, the admin. */
    ownerId: p.string().length(36),
    provider: p.string().length(16),
    label: p.string().length(128),
    /** Usable by every user. */
    shared: p.boolean().default(false),
    status: p.string().length(32).$type<AccountStatus>(),
    /** Who the account is at the provider, so that linking it again updates this row; null before it is known. */
    providerUserId: p.string().length(128).nullable(),
    /** What the person typed when linking, but for secrets. */
    settings: p.json().$type<Record<string, string>>(),
    /** The vault's envelope of tokens and secrets; null where the provider needs none. */
    sealedCredentials: p.text().nullable().hidden(),
    credentialsExpireAt: p.datetime().nullable(),
    credentialsRefreshedAt: p.datetime().nullable(),
    /** Who refreshes the tokens now, and until when it may be believed alive: one process at a time. */
    refreshOwner: p.string().length(64).nullable(),
    refreshUntil: p.datetime().nullable(),
    /** How often the present refresh token was sent without an answer that was stored. */
    refreshSends: p.integer().default(0),
    createdAt: p.datetime().onCreate(() => new Date()),
    updatedAt: p
      .datetime()
      .onCreate(() => new Date())
      .onUpdate(() => new Date()),
  },
});
export class Account extends AccountSchema.class {}
AccountSchema.setClass(Account);
