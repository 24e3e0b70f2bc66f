import type { Secret } from '../lib/secret.ts';
import type { CallContext } from './driver.ts';

/** What a provider gives to speak for an account. */
export interface Tokens {
  readonly accessToken: Secret;
  /** Null where the provider gives none, or none that is not used up. */
  readonly refreshToken: Secret | null;
  /** Of the access token; null: not told. */
  readonly expiresAt: Date | null;
}

/** Everything secret of an account, as the vault keeps it. */
export interface Credentials {
  readonly tokens: Tokens | null;
  /** Secret values that the person typed, by {@link DriveSetting.name}: a client secret, a password. */
  readonly secrets: Readonly<Record<string, Secret>>;
}

/** A login that a person confirms on another device. */
export interface DeviceStart {
  /** What the person types at `verificationUrl`; null where scanning is the only way. */
  readonly userCode: string | null;
  readonly verificationUrl: string;
  /** The text of the QR code. The server draws it: no image of the provider's is fetched or shown. */
  readonly qrContent: string;
  readonly expiresAt: Date;
  /** Shortest time between two polls, in milliseconds. */
  readonly intervalMs: number;
  /** What polling needs: JSON, secret, kept by the vault, so that the login outlives the process. */
  readonly state: unknown;
}

interface DeviceWaiting {
  /** How long to wait from now on, in milliseconds, where the provider asks for more. */
  readonly intervalMs?: number;
  /** Replaces the state before. */
  readonly state?: unknown;
}

export type DevicePoll =
  | ({ readonly outcome: 'PENDING' } & DeviceWaiting)
  | ({ readonly outcome: 'SCANNED' } & DeviceWaiting)
  | { readonly outcome: 'APPROVED'; readonly tokens: Tokens }
  | { readonly outcome: 'DENIED' }
  | { readonly outcome: 'EXPIRED' };

export interface AuthorizationRequest {
  /** Comes back with the answer, and is checked there. */
  readonly state: string;
  readonly redirectUri: string;
  /** SHA-256 challenge of PKCE, base64url; a provider without PKCE ignores it. */
  readonly codeChallenge: string;
}

export interface CodeExchange {
  readonly code: string;
  /** The same text as in the request. */
  readonly redirectUri: string;
  readonly codeVerifier: string;
}

/** What `linkWithCredentials` comes to. */
export interface LinkedCredentials {
  readonly credentials: Credentials;
  /** What is kept in clear on the account: the typed values that are not secret. */
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * How accounts of a provider are linked and stay so; presence of an act is the method. Throws only DriveError. An act
 * never keeps a token: the vault does, before it is used.
 */
export interface Linking {
  startDevice?(call: CallContext): Promise<DeviceStart>;
  pollDevice?(state: unknown, call: CallContext): Promise<DevicePoll>;
  authorizationUrl?(request: AuthorizationRequest): string;
  exchangeCode?(exchange: CodeExchange, call: CallContext): Promise<Tokens>;
  /** Checks typed values against the provider. Refused ones are `unauthenticated` or `invalid_argument`. */
  withCredentials?(values: Readonly<Record<string, string>>, call: CallContext): Promise<LinkedCredentials>;
  /** A new pair. `unauthenticated`: the grant is dead, and a person must link again. */
  refresh?(credentials: Credentials, call: CallContext): Promise<Tokens>;
  /** Ends the grant at the provider; false where that cannot be told. */
  revoke?(credentials: Credentials, call: CallContext): Promise<boolean>;
  /** How often one refresh token may be sent again when its answer was lost; beyond, the account needs its person. */
  readonly refreshResendMax: number;
  /** Shortest time between two refreshes of one account, in milliseconds, where the provider refuses the second. */
  readonly refreshIntervalMinMs?: number;
}
