import type { Call, Endpoint, Fields } from './wire.ts';
import type { User, World } from './world.ts';

/** `uinfo` and `quota`. */
export function accountEndpoints(world: World): Endpoint[] {
  const pan = { role: 'pan', verbs: ['GET'], auth: 'token', envelope: 'errno' } as const;
  return [
    {
      ...pan,
      name: 'uinfo',
      path: '/rest/2.0/xpan/nas',
      method: 'uinfo',
      requestId: 'text',
      query: 'vip_version',
      handle: (call, user) => userInfo(world, call, user),
    },
    {
      ...pan,
      name: 'quota',
      path: '/api/quota',
      requestId: 'number',
      query: 'checkfree:flag checkexpire:flag',
      handle: (call, user) => quota(world, call, user),
    },
  ];
}

function userInfo(world: World, call: Call, user: User): Fields {
  const version = call.query.get('vip_version');
  if (version !== null && version !== 'v2') world.refuse(2, `vip_version=${version} does not exist`);
  return {
    errmsg: 'succ',
    baidu_name: user.options.baiduName ?? 'a***b',
    netdisk_name: user.options.netdiskName ?? '',
    avatar_url: 'https://example.invalid/a.jpg',
    // Without the version the level is stale.
    vip_type: version === 'v2' ? user.vipType : 0,
    uk: world.id(user.uk),
  };
}

function quota(world: World, call: Call, user: User): Fields {
  return {
    errmsg: '',
    total: user.totalBytes,
    used: world.usedBytes(user),
    ...(call.query.get('checkfree') === '1' && { free: 1000 }),
    ...(call.query.get('checkexpire') === '1' && { expire: false }),
    sbox_used: 0,
    server_time: world.now,
    recyclestatus: 1,
    newno: '',
  };
}
