import { PermissionDeniedError } from '../lib/errors.ts';
import type { ApiScope, Role } from '../storage/entities/identity.ts';

/** Who asks, and by what right. */
export interface Viewer {
  readonly userId: string;
  readonly role: Role;
  /** The session or API key that was presented: what ends with it is bound to this id. */
  readonly grantId: string;
  readonly grant: 'session' | 'apiKey';
  /** What the grant may do; a session may do all. */
  readonly scopes: ReadonlySet<ApiScope>;
  /** When the presented token ends; null: never by itself. */
  readonly expiresAt: Date | null;
}

/** Whether the viewer acts as an administrator: by role, and by a grant that covers it. */
export const isAdmin = (viewer: Viewer): boolean => viewer.role === 'ADMIN' && viewer.scopes.has('ADMIN');

/** @throws PermissionDeniedError to everybody but administrators. */
export function requireAdmin(viewer: Viewer): void {
  if (!isAdmin(viewer)) throw new PermissionDeniedError('Only an administrator may do that.');
}
