import type { Pan115Settings } from '../cloud.ts';

/** A download address works only with the User-Agent that asked for it, so every request has this one. */
export const USER_AGENT = 'Mozilla/5.0 (compatible; PanQL)';

const OWN_HOSTS = /(^|\.)115\.com$/;

/** The hosts that the operator put in the place of 115's: an imitation, which may be at a private address. */
export function originsOf({ passportUrl, qrcodeUrl, apiUrl, ossUrl }: Pan115Settings): readonly string[] {
  return [passportUrl, qrcodeUrl, apiUrl, ...(ossUrl === null ? [] : [ossUrl])]
    .map((url) => new URL(url))
    .filter(({ hostname }) => !OWN_HOSTS.test(hostname))
    .map(({ origin }) => origin);
}
