import { createSecretKey, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
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

/** Of what is remembered, about half a kilobyte each. */
const KNOWN_MAX = 10_000;

interface KnownToken {
  readonly claims: AccessClaims;
  /** Seconds, as the token tells them. */
  readonly notBefore: number;
  readonly expires: number;
}

/** As the library looks at it. */
const isTimely = ({ notBefore, expires }: KnownToken, seconds: number): boolean =>
  seconds >= notBefore - CLOCK_TOLERANCE_S && seconds < expires + CLOCK_TOLERANCE_S;

/** Access tokens: JWT, HS256, the key named by `kid`. */
export class AccessTokens {
  readonly #keys: KeyRing;
  /** As key objects: of bytes the library would try at each token whether they are a public key, which takes longer than all else. */
  readonly #secrets: ReadonlyMap<string, KeyObject>;
  readonly #clock: Clock;
  /** Tokens whose signature was found right: a client sends the same one for minutes. Their time is looked at each time. */
  readonly #known = new LRUCache<string, KnownToken>({ max: KNOWN_MAX });

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
    const seconds = Math.floor(this.#clock.now().getTime() / 1000);
    const known = this.#known.get(token);
    if (known) return isTimely(known, seconds) ? known.claims : null;
    const verified = this.#verify(token, seconds);
    if (!verified) return null;
    this.#known.set(token, verified);
    return verified.claims;
  }

  #verify(token: string, seconds: number): KnownToken | null {
    try {
      const kid = jwt.decode(token, { complete: true })?.header.kid;
      const secret = kid === undefined ? undefined : this.#secrets.get(kid);
      if (!secret) return null;
      const claims = jwt.verify(token, secret, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        clockTolerance: CLOCK_TOLERANCE_S,
        clockTimestamp: seconds,
      });
      if (typeof claims === 'string') return null;
      const { sub, sid, exp, nbf = 0 } = claims;
      if (typeof sub !== 'string' || typeof sid !== 'string' || typeof exp !== 'number') return null;
      const read = { userId: sub, sessionId: sid, expiresAt: new Date(exp * 1000) };
      return { claims: read, notBefore: nbf, expires: exp };
    } catch {
      return null; // Whatever is wrong with it, the caller is told the same.
    }
  }
}
