import jwt from 'jsonwebtoken';
import type { Clock } from '../lib/clock.ts';
import type { KeyRing } from '../vault/keyring.ts';

const ALGORITHM = 'HS256';
const ISSUER = 'panql';
/** Other tokens are signed with these keys: one kind is never taken for another. */
const AUDIENCE = 'panql:link';

/** What a token of ours says. */
export interface LinkClaims {
  readonly linkId: string;
  readonly expired: boolean;
}

/** The tokens in the addresses of direct links: JWT, HS256, the key named by `kid`, the id of the link's row as `jti`. */
export class LinkTokens {
  readonly #keys: KeyRing;
  readonly #clock: Clock;

  constructor(keys: KeyRing, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  /** The link's token. The same each time, until the keys are rotated; then the old one is good beside it. */
  of(link: { readonly id: string; readonly createdAt: Date; readonly expiresAt: Date }): string {
    const { id, key } = this.#keys.current;
    const claims = { iat: toSeconds(link.createdAt), exp: toSeconds(link.expiresAt) };
    return jwt.sign(claims, key.reveal(), {
      algorithm: ALGORITHM,
      keyid: id,
      issuer: ISSUER,
      audience: AUDIENCE,
      jwtid: link.id,
    });
  }

  /** Null when the token is not ours, of another kind, or changed. No clock tolerance: only this server asks the time. */
  read(token: string): LinkClaims | null {
    try {
      const kid = jwt.decode(token, { complete: true })?.header.kid;
      const key = kid === undefined ? null : this.#keys.get(kid);
      if (!key) return null;
      const claims = jwt.verify(token, key.key.reveal(), {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        ignoreExpiration: true, // An expired link is told from one that never was.
      });
      if (typeof claims === 'string' || claims.jti === undefined || claims.exp === undefined) return null;
      return { linkId: claims.jti, expired: this.#clock.now().getTime() >= claims.exp * 1000 };
    } catch {
      return null; // Whatever is wrong with it, it is not ours.
    }
  }
}

const toSeconds = (date: Date): number => Math.floor(date.getTime() / 1000);
