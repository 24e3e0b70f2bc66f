import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

export const DEVICE_LINK_STATES = ['PENDING', 'SCANNED', 'APPROVED', 'DENIED', 'EXPIRED'] as const;
export type DeviceLinkState = (typeof DEVICE_LINK_STATES)[number];

/** A login that its person confirms on another device. The row outlives the process: whoever comes next polls on. */
const DeviceLinkSchema = defineEntity({
  name: 'DeviceLink',
  tableName: 'device_links',
  indexes: [{ name: 'device_links_due', properties: ['state', 'pollAt'] }],
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    userId: p.string().length(36).index(),
    provider: p.string().length(16),
    /** Null: the provider's name for the account, or its title. */
    label: p.string().length(128).nullable(),
    shared: p.boolean(),
    state: p.string().length(16).$type<DeviceLinkState>(),
    userCode: p.string().length(64).nullable(),
    verificationUrl: p.text(),
    /** The text that the QR code shows. Whoever has it can be asked to confirm, no more. */
    qrContent: p.text(),
    /** What polling needs, sealed by the vault; null once it is over. */
    sealedState: p.text().nullable().hidden(),
    intervalMs: p.integer(),
    /** When the next poll is due; a process that polls puts it off first, so that no other polls at the same time. */
    pollAt: p.datetime(),
    expiresAt: p.datetime().index(),
    accountId: p.string().length(36).nullable(),
    createdAt: p.datetime(),
  },
});
export class DeviceLink extends DeviceLinkSchema.class {}
DeviceLinkSchema.setClass(DeviceLink);

/** A person was sent to a provider's sign-in page, and may come back with a code. Used once. */
const PendingAuthorizationSchema = defineEntity({
  name: 'PendingAuthorization',
  tableName: 'pending_authorizations',
  properties: {
    /** SHA-256 of the state parameter, which only the person's browser has. */
    stateHash: p.string().length(64).primary(),
    userId: p.string().length(36),
    provider: p.string().length(16),
    label: p.string().length(128).nullable(),
    shared: p.boolean(),
    redirectUri: p.text(),
    /** The PKCE verifier, sealed by the vault. */
    sealedVerifier: p.text().hidden(),
    createdAt: p.datetime(),
    expiresAt: p.datetime().index(),
  },
});
export class PendingAuthorization extends PendingAuthorizationSchema.class {}
PendingAuthorizationSchema.setClass(PendingAuthorization);
