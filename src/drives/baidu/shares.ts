import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import type { Shares } from '../contract/shares.ts';
import { type BaiduClient, invalid } from './client.ts';
import { createShareRecords } from './share-records.ts';
import { createShareSaving } from './share-saving.ts';
import { ROOT_REF } from './wire.ts';

const DAY_MS = 86_400_000;
const PASSWORD = /^[0-9a-z]{4}$/;
/** Without what is easily taken for something else. */
const PASSWORD_LETTERS = '23456789abcdefghijkmnpqrstuvwxyz';

const SHARED = z.object({
  data: z.object({
    link: z.string().min(1),
    short_url: z.string(),
    period: z.coerce.number().optional(),
    pwd: z.string().optional(),
    remark: z.string().optional(),
  }),
});

/**
 * The paid share service, which is closed without the number of the application; and, where the operator wants it, what
 * Baidu's own page does with shares. Null where there is neither.
 */
export function createShares(baidu: BaiduClient): Shares | null {
  const { appId, unverified } = baidu.settings;
  const records = unverified ? createShareRecords(baidu) : null;
  if (appId === null) return records;
  return { ...createSharing(baidu, appId), ...createShareSaving(baidu, appId), ...records };
}

function createSharing(baidu: BaiduClient, appId: string): Shares {
  return {
    async create(refs, { days, password, remark, ticket }, call) {
      if (days === null || days < 1) throw invalid('needs a number of days for a share, as in 1, 7 or 30.');
      if (password !== null && !PASSWORD.test(password)) {
        throw invalid('takes four characters for the password of a share: digits and lower-case letters.');
      }
      if (refs.length === 0 || refs.includes(ROOT_REF)) throw invalid('shares entries below the root, at least one.');
      const known = await baidu.metas(refs, call);
      const missing = refs.some((ref) => !known.has(ref));
      if (missing) throw invalid('no longer has all of the entries that are to be shared.');
      const pwd = password ?? newPassword();
      const { data } = await baidu.post(
        SHARED,
        'share.set',
        {
          url: '/apaas/1.0/share/set',
          query: { appid: appId, product: 'netdisk' },
          // Ids as text here, unlike elsewhere.
          form: { fsid_list: JSON.stringify(refs), period: days, pwd, remark, ticket },
        },
        call,
      );
      const createdAt = baidu.now();
      return {
        ref: data.short_url,
        url: data.link,
        password: data.pwd ?? pwd,
        remark: data.remark || remark,
        createdAt,
        expiresAt: addMs(createdAt, (data.period ?? days) * DAY_MS),
        active: true,
      };
    },
  };
}

const newPassword = (): string =>
  Array.from({ length: 4 }, () => PASSWORD_LETTERS[randomInt(PASSWORD_LETTERS.length)]).join('');
