import { type Asked, type Endpoint, type Fields, Refusal } from './wire.ts';
import { timeText, type User, type World } from './world.ts';

const DAYS = [0, 1, 7, 30];
const DAY_MS = 86_400_000;
/** What lists show of a share that is for ever. */
const FOR_EVER = Date.UTC(2099, 11, 12, 0, 0, 0);
const TRAFFIC = 'trafficSwitch:int trafficLimitSwitch:int trafficLimit:int';
const NAME = /^[^"\\/:*?|><]{1,34}$/;

export interface FakeShare {
  readonly user: User;
  readonly id: bigint;
  readonly key: string;
  readonly name: string;
  readonly fileIds: readonly bigint[];
  readonly password: string;
  readonly until: number;
  trafficSwitch: number;
  trafficLimitSwitch: number;
  trafficLimit: bigint;
}

export function shareEndpoints(world: World) {
  const shares: FakeShare[] = [];
  const setTraffic = (share: FakeShare, { values }: Asked): void => {
    for (const name of ['trafficSwitch', 'trafficLimitSwitch'] as const) {
      if (!values.has(name)) continue;
      if (values.int(name) < 1 || values.int(name) > (name === 'trafficSwitch' ? 4 : 2))
        throw new Refusal(1, '参数错误');
      share[name] = values.int(name);
    }
    if (values.has('trafficLimit')) share.trafficLimit = values.id('trafficLimit');
  };

  const create = (call: Asked): Fields => {
    const { user, values } = call;
    const list = values.text('fileIDList');
    if (
      !/^\d+(,\d+){0,99}$/.test(list) ||
      !DAYS.includes(values.int('shareExpire')) ||
      !NAME.test(values.text('shareName'))
    ) {
      world.violate(
        `a share was to be made of ${list}, ${values.int('shareExpire')} days, ${values.text('shareName')}`,
      );
      throw new Refusal(1, '参数错误');
    }
    const fileIds = list.split(',').map(BigInt);
    for (const id of fileIds) user.tree.live(id);
    const days = values.int('shareExpire');
    const id = world.newId();
    const share: FakeShare = {
      user,
      id,
      key: `key-${id.toString(36)}`,
      name: values.text('shareName'),
      fileIds,
      password: values.text('sharePwd'),
      until: days === 0 ? FOR_EVER : world.now + days * DAY_MS,
      trafficSwitch: 1,
      trafficLimitSwitch: 1,
      trafficLimit: 0n,
    };
    setTraffic(share, call);
    shares.push(share);
    return { shareID: share.id, shareKey: share.key };
  };

  const list = ({ user, values }: Asked): Fields => {
    const limit = values.int('limit');
    if (limit < 1 || limit > 100) throw new Refusal(1, '参数错误');
    const all = shares.filter((share) => share.user === user && share.id > values.id('lastShareId'));
    const page = all.slice(0, limit);
    return {
      lastShareId: all.length > limit ? (page.at(-1)?.id ?? -1n) : -1n,
      shareList: page.map((share) => ({
        shareId: share.id,
        shareKey: share.key,
        shareName: share.name,
        expiration: timeText(share.until),
        expired: share.until <= world.now ? 1 : 0,
        sharePwd: share.password,
        trafficSwitch: share.trafficSwitch,
        trafficLimitSwitch: share.trafficLimitSwitch,
        trafficLimit: share.trafficLimit,
        bytesCharge: 0,
        previewCount: 0,
        downloadCount: 0,
        saveCount: 0,
      })),
    };
  };

  const endpoints: Endpoint[] = [
    {
      role: 'api',
      verb: 'POST',
      path: '/api/v1/share/create',
      auth: 'token',
      params: `shareName:text! shareExpire:int! fileIDList:text! sharePwd:text ${TRAFFIC}`,
      handle: create,
    },
    {
      role: 'api',
      verb: 'GET',
      path: '/api/v1/share/list',
      auth: 'token',
      params: 'limit:int! lastShareId:int',
      handle: list,
    },
    {
      role: 'api',
      verb: 'PUT',
      path: '/api/v1/share/list/info',
      auth: 'token',
      params: `shareIdList:ints! ${TRAFFIC}`,
      handle: (call) => {
        const ids = call.values.ids('shareIdList');
        const found = shares.filter((share) => share.user === call.user && ids.includes(share.id));
        if (found.length !== ids.length) throw new Refusal(1, '分享不存在');
        for (const share of found) setTraffic(share, call);
        return null;
      },
    },
  ];
  return { endpoints, shares };
}
