import { z } from 'zod';
import type { CallContext, Driver } from '../driver.ts';
import type { Pan123Client } from './client.ts';
import { ID, listOf, NUMBER, timeOf } from './wire.ts';

const USER = z.object({
  uid: ID,
  nickname: z.string().nullish(),
  headImage: z.string().nullish(),
  spaceUsed: NUMBER,
  spacePermanent: NUMBER.catch(0),
  spaceTemp: NUMBER.catch(0),
  vip: z.boolean().nullish().transform(Boolean),
  vipInfo: listOf(z.object({ vipLevel: NUMBER.catch(0), vipLabel: z.string().catch(''), endTime: z.unknown() })),
});

/** From the lowest on: 1 VIP, 2 SVIP, 3 VIP for a long term. */
const LEVELS = ['free', 'VIP', 'SVIP', 'long-term VIP'];

/** What the account tells about itself. */
export const createProfile = (pan123: Pan123Client) =>
  ({
    async profile(call) {
      const { uid, nickname, headImage, vip, vipInfo } = await userInfo(pan123, call);
      const level = Math.max(vip ? 1 : 0, ...vipInfo.map(({ vipLevel }) => vipLevel));
      const ends = vipInfo.flatMap(({ endTime }) => timeOf(endTime) ?? []);
      return {
        providerUserId: uid,
        name: nickname || null,
        membership: LEVELS[vip ? level : 0] ?? 'member',
        avatarUrl: headImage || null,
        membershipExpiresAt: vip ? (ends.toSorted((one, other) => other.getTime() - one.getTime())[0] ?? null) : null,
      };
    },

    async usage(call) {
      const { spaceUsed, spacePermanent, spaceTemp } = await userInfo(pan123, call);
      const totalBytes = spacePermanent + spaceTemp;
      return {
        totalBytes,
        usedBytes: spaceUsed,
        // More than all may be used after a membership ended.
        freeBytes: Math.max(0, totalBytes - spaceUsed),
        byCategory: null,
      };
    },
  }) satisfies Partial<Driver>;

const userInfo = (pan123: Pan123Client, call: CallContext) => pan123.get(USER, '/api/v1/user/info', {}, call);
