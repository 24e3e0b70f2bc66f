import { z } from 'zod';
import type { CallContext, Driver } from '../driver.ts';
import type { Pan115Client } from './client.ts';
import { pan115Error } from './errors.ts';
import { dateOf, maybeObjectOf, objectOf } from './wire.ts';

/** Large ones come as floats, or with an exponent. */
const SIZE = objectOf(z.object({ size: z.coerce.number().min(0).transform(Math.round) }));
const USER = z.object({
  data: objectOf(
    z.object({
      user_id: z.union([z.string(), z.number().transform(String)]),
      user_name: z.coerce.string().optional(),
      user_face_s: z.string().optional(),
      user_face_m: z.string().optional(),
      user_face_l: z.string().optional(),
      rt_space_info: maybeObjectOf(z.object({ all_total: SIZE, all_remain: SIZE, all_use: SIZE })),
      vip_info: maybeObjectOf(
        z.object({
          level_name: z.string().optional(),
          expire: z.coerce.number().positive().optional().catch(undefined),
        }),
      ),
    }),
  ),
});

/** What the account tells about itself. */
export const createProfile = (pan115: Pan115Client) =>
  ({
    async profile(call) {
      const { user_id, user_name, user_face_l, user_face_m, user_face_s, vip_info } = await userInfo(pan115, call);
      return {
        providerUserId: user_id,
        name: user_name || null,
        membership: vip_info?.level_name || null,
        avatarUrl: user_face_l || user_face_m || user_face_s || null,
        membershipExpiresAt: dateOf(vip_info?.expire),
      };
    },

    async usage(call) {
      const { rt_space_info } = await userInfo(pan115, call);
      if (!rt_space_info) throw pan115Error('unavailable', 'does not tell how full the drive is.', null, {});
      const { all_total, all_remain, all_use } = rt_space_info;
      return {
        totalBytes: all_total.size,
        usedBytes: all_use.size,
        freeBytes: all_remain.size,
        byCategory: null,
      };
    },
  }) satisfies Partial<Driver>;

const userInfo = async (pan115: Pan115Client, call: CallContext) =>
  (await pan115.get(USER, 'user', '/open/user/info', {}, call)).data;
