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
