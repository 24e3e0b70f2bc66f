import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext, Driver } from '../driver.ts';
import type { BaiduClient } from './client.ts';
import { CATEGORIES, ROOT_REF } from './wire.ts';

const MEMBERSHIPS = ['ordinary', 'member', 'super member'] as const;

const UINFO = z.object({
  uk: z.string().optional(),
  baidu_name: z.string().optional(),
  netdisk_name: z.string().optional(),
  avatar_url: z.string().optional(),
  vip_type: z.coerce.number().catch(0),
});
const QUOTA = z.object({ total: z.coerce.number(), used: z.coerce.number() });
const COUNTS = z.object({
  info: z.union([
    z.record(z.string(), z.object({ count: z.coerce.number().catch(0), size: z.coerce.number().optional() })),
    z.array(z.unknown()).transform(() => ({})),
  ]),
});

/** What the account tells about itself. */
export const createProfile = (baidu: BaiduClient) =>
  ({
    async profile(call) {
      const { uk, netdisk_name, baidu_name, avatar_url, vip_type } = await userInfo(baidu, call);
      return {
        providerUserId: uk ?? null,
        name: netdisk_name || baidu_name || null,
        membership: MEMBERSHIPS[vip_type] ?? null,
        avatarUrl: avatar_url || null,
        membershipExpiresAt: null,
      };
    },

    /** The categories need not add up to what is used: the safe box, for one, is not in them. */
    async usage(call) {
      const [{ total, used }, info] = await Promise.all([
        baidu.get(QUOTA, 'quota', '/api/quota', { checkfree: 1, checkexpire: 1 }, call),
        counts(baidu, call),
      ]);
      return {
        totalBytes: total,
        usedBytes: used,
        // More than all may be used after a membership ended.
        freeBytes: Math.max(0, total - used),
        byCategory:
          info &&
          Object.entries(info).flatMap(([number, { count, size }]) => {
            const category = CATEGORIES[Number(number) - 1];
            return category === undefined ? [] : [{ category, count, bytes: size ?? null }];
          }),
      };
    },
  }) satisfies Partial<Driver>;

/** Null where the application may not ask for it: then the rest is told all the same. */
async function counts(baidu: BaiduClient, call: CallContext): Promise<z.infer<typeof COUNTS>['info'] | null> {
  const category = CATEGORIES.map((_, index) => index + 1).join(',');
  const query = { category, parent_path: baidu.rootPath, recursion: 1 };
  const ask = () => baidu.get(COUNTS, 'categoryinfo', '/api/categoryinfo', query, call);
  try {
    return (await baidu.orEmpty(ROOT_REF, { info: {} }, ask)).info;
  } catch (error) {
    if (error instanceof DriveError && REFUSALS.has(error.category)) return null;
    throw error;
  }
}

const REFUSALS: ReadonlySet<string> = new Set(['permission_denied', 'unsupported', 'invalid_argument']);

/** 0 ordinary, 1 member, 2 super member. */
export const membershipOf = async (baidu: BaiduClient, call: CallContext): Promise<number> =>
  (await userInfo(baidu, call)).vip_type;

/** Without its version the level of membership is stale. */
const userInfo = (baidu: BaiduClient, call: CallContext) =>
  baidu.get(UINFO, 'uinfo', '/rest/2.0/xpan/nas', { method: 'uinfo', vip_version: 'v2' }, call);
