import type { Endpoint } from './wire.ts';
import type { World } from './world.ts';

export function accountEndpoints(world: World): Endpoint[] {
  return [
    {
      name: 'user',
      role: 'api',
      auth: 'token',
      verbs: ['GET'],
      path: '/open/user/info',
      handle: (_call, user) => {
        const used = world.usedBytes(user);
        // Sizes were seen as floats.
        const size = (bytes: number) => ({ size: bytes, size_format: `${bytes}B` });
        const face = `https://avatars.115.com/${user.id}`;
        return {
          textCode: true,
          data: {
            user_id: Number(user.id),
            user_name: user.options.name ?? `user-${user.id}`,
            user_face_s: `${face}_s.jpg`,
            user_face_m: `${face}_m.jpg`,
            user_face_l: `${face}_l.jpg`,
            rt_space_info: {
              all_total: size(user.totalBytes),
              all_remain: size(Math.max(0, user.totalBytes - used)),
              all_use: size(used),
            },
            vip_info: { level_name: user.options.level ?? '原石会员', expire: world.now + 86_400 },
          },
        };
      },
    },
    {
      name: 'vip',
      role: 'api',
      auth: 'token',
      verbs: ['GET'],
      path: '/open/vip/qr_url',
      query: 'open_device! default_product_id hide_title:flag',
      handle: () => ({ data: { qrcode_url: 'https://115.com/vip' } }),
    },
  ];
}
