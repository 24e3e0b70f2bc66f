import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

/** Downloads charged to a user on a day of the configured time zone. */
const DownloadCountSchema = defineEntity({
  name: 'DownloadCount',
  tableName: 'download_counts',
  properties: {
    userId: p.string().length(36).primary(),
    /** `YYYY-MM-DD` in the configured time zone. */
    day: p.string().length(10).primary(),
    used: p.integer(),
  },
});
export class DownloadCount extends DownloadCountSchema.class {}
DownloadCountSchema.setClass(DownloadCount);

/** A short-lived right to the bytes of one file. */
const DownloadTicketSchema = defineEntity({
  name: 'DownloadTicket',
  tableName: 'download_tickets',
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    tokenHash: p.string().length(64).unique().hidden(),
    userId: p.string().length(36).index(),
    /** The session or API key that asked: the ticket ends with it. */
    grantId: p.string().length(36).index(),
    accountId: p.string().length(36),
    ref: p.text(),
    attachment: p.boolean(),
    /** To the provider's own link, in place of the bytes. */
    redirect: p.boolean().default(false),
    createdAt: p.datetime(),
    expiresAt: p.datetime().index(),
  },
});
export class DownloadTicket extends DownloadTicketSchema.class {}
DownloadTicketSchema.setClass(DownloadTicket);

/** Our own link to one file, for somebody without an account. Bound to the entry's id, not to its path. */
const DirectLinkSchema = defineEntity({
  name: 'DirectLink',
  tableName: 'direct_links',
  indexes: [{ properties: ['userId', 'id'] }],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    userId: p.string().length(36),
    accountId: p.string().length(36),
    ref: p.text(),
    /** argon2id of the key; null where none is asked for. */
    keyHash: p.string().length(255).nullable().hidden(),
    /** The last day (as in `DownloadCount`) on which the link was charged to its owner; null: never used. */
    chargedDay: p.string().length(10).nullable(),
    createdAt: p.datetime(),
    expiresAt: p.datetime().index(),
    revokedAt: p.datetime().nullable(),
  },
});
export class DirectLink extends DirectLinkSchema.class {}
DirectLinkSchema.setClass(DirectLink);
