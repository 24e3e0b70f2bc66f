import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../lib/ids.ts';

export const ROLES = ['USER', 'ADMIN'] as const;
export type Role = (typeof ROLES)[number];

const UserSchema = defineEntity({
  name: 'User',
  tableName: 'users', // `user` is a reserved word in PostgreSQL.
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    username: p.string().length(64),
    /** The username as it is compared. */
    usernameKey: p.string().length(128).unique(),
    displayName: p.string().length(128),
    email: p.string().length(320).nullable(),
    emailKey: p.string().length(640).nullable().unique(),
    passwordHash: p.string().length(255).hidden(),
    role: p.string().length(16).$type<Role>(),
    /** Own daily limit of downloads; null: the server's. */
    downloadLimit: p.integer().nullable(),
    disabledAt: p.datetime().nullable(),
    createdAt: p.datetime().onCreate(() => new Date()),
  },
});
export class User extends UserSchema.class {}
UserSchema.setClass(User);

/**
 * One sign-in. Its refresh token has a part that stays (the family, which names the session) and a part that rotates:
 * the right family with another rotating part is a token that was used before, however long ago.
 */
const SessionSchema = defineEntity({
  name: 'Session',
  tableName: 'sessions',
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    userId: p.string().length(36).index(),
    /** SHA-256 of the part of the refresh token that stays. */
    familyHash: p.string().length(64).unique().hidden(),
    /** SHA-256 of the rotating part now, and of the one before it. */
    refreshHash: p.string().length(64).hidden(),
    previousRefreshHash: p.string().length(64).nullable().hidden(),
    rotatedAt: p.datetime(),
    remember: p.boolean(),
    userAgent: p.string().length(512).nullable(),
    address: p.string().length(64).nullable(),
    createdAt: p.datetime().onCreate(() => new Date()),
    lastUsedAt: p.datetime(),
    expiresAt: p.datetime().index(),
    revokedAt: p.datetime().nullable(),
  },
});
export class Session extends SessionSchema.class {}
SessionSchema.setClass(Session);

export const API_SCOPES = ['READ', 'WRITE', 'DOWNLOAD', 'SHARE', 'ACCOUNTS', 'ADMIN'] as const;
export type ApiScope = (typeof API_SCOPES)[number];

const ApiKeySchema = defineEntity({
  name: 'ApiKey',
  tableName: 'api_keys',
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    userId: p.string().length(36).index(),
    name: p.string().length(128),
    /** The first characters of the key, to tell keys apart in a list. */
    prefix: p.string().length(16),
    hash: p.string().length(64).unique().hidden(),
    scopes: p.json().$type<ApiScope[]>(),
    createdAt: p.datetime().onCreate(() => new Date()),
    expiresAt: p.datetime().nullable(),
    lastUsedAt: p.datetime().nullable(),
    revokedAt: p.datetime().nullable(),
  },
});
export class ApiKey extends ApiKeySchema.class {}
ApiKeySchema.setClass(ApiKey);

const PasswordResetSchema = defineEntity({
  name: 'PasswordReset',
  tableName: 'password_resets',
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    userId: p.string().length(36).index(),
    tokenHash: p.string().length(64).unique().hidden(),
    createdAt: p.datetime().onCreate(() => new Date()),
    expiresAt: p.datetime(),
    usedAt: p.datetime().nullable(),
  },
});
export class PasswordReset extends PasswordResetSchema.class {}
PasswordResetSchema.setClass(PasswordReset);

const InvitationSchema = defineEntity({
  name: 'Invitation',
  tableName: 'invitations',
  properties: {
    id: p.string().length(36).primary().onCreate(newId),
    codeHash: p.string().length(64).unique().hidden(),
    createdBy: p.string().length(36),
    createdAt: p.datetime().onCreate(() => new Date()),
    expiresAt: p.datetime(),
    usedBy: p.string().length(36).nullable(),
    usedAt: p.datetime().nullable(),
  },
});
export class Invitation extends InvitationSchema.class {}
InvitationSchema.setClass(Invitation);
