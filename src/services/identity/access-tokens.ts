import { createSecretKey, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { addMs, type Clock } from '../../lib/clock.ts';
import type { KeyRing } from '../../vault/keyring.ts';

/** Life of an access token. Short, though a revoked session is refused at once: every use looks the session up. */
export const ACCESS_TOKEN_MS = 15 * 60_000;
/** How far the clocks of two servers, or of a server that was set back, may differ. */
export const CLOCK_TOLERANCE_S = 60;

const ALGORITHM = 'HS256';
const ISSUER = 'panql';
/** Other tokens may be signed with these keys: one kind is never taken for another. */
const AUDIENCE = 'panql:access';

export interface AccessClaims {
  readonly userId: string;
  readonly sessionId: string;
  readonly expiresAt: Date;
}

/** Access tokens: JWT, HS256, the key named by `kid`. */
export class AccessTokens {
  readonly #keys: KeyRing;
  /** As key objects: of bytes the library would try at each token whether they are a public key, which takes longer than all else. */
  readonly #secrets: ReadonlyMap<string, KeyObject>;
  readonly #clock: Clock;

  constructor(keys: KeyRing, clock: Clock) {
    this.#keys = keys;
    this.#secrets = new Map(keys.keys.map(({ id, key }) => [id, createSecretKey(key.reveal())]));
    this.#clock = clock;
  }

  /** A token of a session, which it never outlives. */
  issue(session: { readonly id: string; readonly userId: string; readonly expiresAt: Date }): {
    readonly token: string;
    readonly expiresAt: Date;
  } {
    const now = this.#clock.now();
    const end = Math.min(addMs(now, ACCESS_TOKEN_MS).getTime(), session.expiresAt.getTime());
    const { id, key } = this.#keys.current;
    const seconds = Math.floor(now.getTime() / 1000);
    const claims = { sid: session.id, iat: seconds, nbf: seconds, exp: Math.floor(end / 1000) };
    const token = jwt.sign(claims, key.reveal(), {
      algorithm: ALGORITHM,
      keyid: id,
      issuer: ISSUER,
      audience: AUDIENCE,
      subject: session.userId,
    });
    return { token, expiresAt: new Date(claims.exp * 1000) };
  }

  /** What the token says; null when it is not ours, of another kind, changed, or past its time. */
  read(token: string): AccessClaims | null {
    try {
      const kid = jwt.decode(token, { complete: true })?.header.kid;
      const secret = kid === undefined ? undefined : this.#secrets.get(kid);
      if (!secret) return null;
      const claims = jwt.verify(token, secret, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        clockTolerance: CLOCK_TOLERANCE_S,
        clockTimestamp: Math.floor(this.#clock.now().getTime() / 1000),
      });
      if (typeof claims === 'string') return null;
      const { sub, sid, exp } = claims;
      if (typeof sub !== 'string' || typeof sid !== 'string' || typeof exp !== 'number') return null;
      return { userId: sub, sessionId: sid, expiresAt: new Date(exp * 1000) };
    } catch {
      return null; // Whatever is wrong with it, the caller is told the same.
    }
  }
}
