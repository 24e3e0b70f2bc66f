import type { BaiduSettings } from '../cloud.ts';

/** Required on downloads, harmless elsewhere: sent always. */
export const USER_AGENT = 'pan.baidu.com';

/** Where downloads may be sent on to. */
export const DOWNLOAD_HOSTS = ['*.baidupcs.com', '*.pcs.baidu.com', 'pcs.baidu.com'];

const OWN_HOSTS = /(^|\.)baidu\.com$/;

/** The hosts that the operator put in the place of Baidu's: an imitation, which may be at a private address. */
export function originsOf({ openapiUrl, panUrl, pcsUrl }: BaiduSettings): readonly string[] {
  return [openapiUrl, panUrl, pcsUrl]
    .map((url) => new URL(url))
    .filter(({ hostname }) => !OWN_HOSTS.test(hostname))
    .map(({ origin }) => origin);
}
