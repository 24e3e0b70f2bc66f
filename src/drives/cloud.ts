import type { Clock } from '../lib/clock.ts';
import type { Secret } from '../lib/secret.ts';
import type { Timer } from '../lib/timer.ts';
import type { TokenStore } from '../transport/layers/refresh.ts';
import type { Outbound } from '../transport/outbound.ts';
import type { ProviderId } from './driver.ts';

/** The operator's application at Baidu, and where its hosts are. */
export interface BaiduSettings {
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  /** The number of the application: for shares. */
  readonly appId: string | null;
  /** The folder that the application may write in, as in `/apps/<name>`; `/` where it may use the whole drive. */
  readonly appRoot: string;
  /** What is registered with the provider; null: this server's own callback. */
  readonly redirectUri: string | null;
  readonly openapiUrl: string;
  readonly panUrl: string;
  readonly pcsUrl: string;
  /** Web interfaces that no document promises to third parties: off unless the operator wants them. */
  readonly unverified: boolean;
}

/** The operator's application at 123pan, where there is one, and where its hosts are. */
export interface Pan123Settings {
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  /** What is registered with the provider; null: this server's own callback. */
  readonly redirectUri: string | null;
  readonly apiUrl: string;
  /** Where people agree to the sign-in. */
  readonly authUrl: string;
}

/** What drivers of cloud providers work with, whichever it is. */
export interface CloudParts {
  readonly outbound: Outbound;
  readonly clock: Clock;
  readonly timer: Timer;
  /** Where the tokens of an account are kept: refreshed once for all callers. */
  readonly tokensOf: (account: { readonly id: string; readonly provider: ProviderId }) => TokenStore;
}

export interface CloudServices extends CloudParts {
  readonly baidu: BaiduSettings;
}

/** The operator's application at 115, and where its hosts are. */
export interface Pan115Settings {
  /** Null: no sign-in by code or page; tokens that another application got are taken all the same. */
  readonly clientId: string | null;
  /** For sign-in by page only. */
  readonly clientSecret: Secret | null;
  /** What is registered with the provider; null: this server's own callback. */
  readonly redirectUri: string | null;
  readonly passportUrl: string;
  readonly qrcodeUrl: string;
  readonly apiUrl: string;
  /** Where the bytes of uploads go, in place of the storage that 115 names; null: there. */
  readonly ossUrl: string | null;
  /** Size of the parts in which files are sent, in bytes; larger where there would be too many. */
  readonly partBytes: number;
}

export interface Pan115Services extends CloudServices {
  readonly pan115: Pan115Settings;
}

export interface Pan123Services extends CloudParts {
  readonly pan123: Pan123Settings;
}
