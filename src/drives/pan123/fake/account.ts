import { sizeOf } from './tree.ts';
import type { Endpoint } from './wire.ts';
import { timeText, type World } from './world.ts';

const LABELS = ['', 'VIP', 'SVIP', '长期VIP'];
const YEAR_MS = 365 * 86_400_000;

export const accountEndpoints = (world: World): Endpoint[] => [
  {
    role: 'api',
    verb: 'GET',
    path: '/api/v1/user/info',
    auth: 'token',
    params: '',
    handle: ({ user }) => ({
      uid: user.uid,
      nickname: user.nickname,
      headImage: `https://download.example/avatar/${user.uid}.jpg`,
      passport: '13800000000',
      mail: '',
      spaceUsed: BigInt(sizeOf(user.tree, user.tree.root)),
      spacePermanent: user.spacePermanent,
      spaceTemp: user.spaceTemp,
      spaceTempExpr: 0,
      vip: user.vip,
      directTraffic: user.directTraffic,
      isHideUID: false,
      httpsCount: 0,
      vipInfo: user.vip
        ? [
            {
              vipLevel: user.vipLevel,
              vipLabel: LABELS[user.vipLevel] ?? '',
              startTime: timeText(world.now - YEAR_MS),
              endTime: timeText(world.now + YEAR_MS),
            },
          ]
        : null,
    }),
  },
];
