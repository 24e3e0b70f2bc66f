import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

/** A share link of a provider that was made through this server: what its provider may not tell again. */
const ShareSchema = defineEntity({
  name: 'Share',
  tableName: 'shares',
  uniques: [{ properties: ['accountId', 'userId', 'ref'] }],
  indexes: [{ properties: ['accountId', 'userId', 'id'] }],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    /** Who made it, which on a shared account need not be the account's owner. */
    userId: p.string().length(36),
    accountId: p.string().length(36),
    /** The provider's own id of the share. */
    ref: p.string().length(512),
    url: p.text(),
    /** What visitors must give, sealed by the vault; null where nothing is asked for. */
    sealedPassword: p.text().nullable().hidden(),
    remark: p.text().nullable(),
    /** The drive's own refs of what it shows. */
    entryRefs: p.json().$type<readonly string[]>(),
    createdAt: p.datetime(),
    /** Null: for ever, or untold. */
    expiresAt: p.datetime().nullable().index(),
    cancelledAt: p.datetime().nullable().index(),
  },
});
export class Share extends ShareSchema.class {}
ShareSchema.setClass(Share);
