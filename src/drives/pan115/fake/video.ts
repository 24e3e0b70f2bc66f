import type { Endpoint } from './wire.ts';
import { Refusal } from './wire.ts';
import type { Entry, User, World } from './world.ts';

/** What the service makes of films. */
export function videoEndpoints(world: World): Endpoint[] {
  const api = { role: 'api', auth: 'token' } as const;
  const film = (user: User, code: string | null): Entry => {
    const entry = world.byPickCode(user, code ?? '');
    if (!entry) throw new Refusal(50003, '提取码不存在');
    return entry;
  };
  return [
    {
      ...api,
      name: 'video.play',
      verbs: ['GET'],
      path: '/open/video/play',
      query: 'pick_code!',
      handle: ({ query }, user) => {
        const { id, name, parent, content, pickCode, media } = film(user, query.get('pick_code'));
        if (!media.transcoded) throw new Refusal(0, '视频正在转码中，请稍后再试');
        const { width = 1920, height = 1080, durationSeconds = 0 } = media;
        const address = (number: number) => `https://cpats01.115.com/${pickCode}/${number}.m3u8?s=${world.nonce('s')}`;
        return {
          data: {
            file_id: id,
            parent_id: parent?.id ?? '0',
            file_name: name,
            file_size: String(content?.size ?? 0),
            file_sha1: content?.sha1 ?? '',
            file_type: '',
            is_private: '0',
            play_long: String(durationSeconds),
            user_def: 4,
            user_rotate: 0,
            user_turn: 0,
            multitrack_list: [],
            definition_list_new: { '2': '高清', '4': '1080P' },
            definition_list: {},
            video_url: [
              {
                url: address(2),
                height: '480',
                width: '854',
                definition: 1,
                definition_n: 2,
                title: '高清',
                desc: 'HD',
              },
              { url: address(4), height, width, definition: 3, definition_n: 4, title: '1080P', desc: 'FHD' },
            ],
          },
        };
      },
    },
    {
      ...api,
      name: 'video.subtitle',
      verbs: ['GET'],
      path: '/open/video/subtitle',
      query: 'pick_code!',
      handle: ({ query }, user) => {
        const { media, pickCode } = film(user, query.get('pick_code'));
        const list = (media.subtitles ?? []).map((subtitle, index) => ({
          sid: `${pickCode}${index}`,
          ...subtitle,
          url: `https://aps.115.com/subtitle/${pickCode}/${index}.${subtitle.type}`,
        }));
        return { data: { autoload: list[0] ?? [], list } };
      },
    },
    {
      ...api,
      name: 'video.history',
      verbs: ['GET'],
      path: '/open/video/history',
      query: 'pick_code!',
      handle: ({ query }, user) => {
        const { id, name, content, pickCode, media } = film(user, query.get('pick_code'));
        if (!media.progress) return { data: [] };
        const { seconds, at } = media.progress;
        return {
          data: {
            add_time: at,
            file_id: id,
            file_name: name,
            hash: content?.sha1 ?? '',
            pick_code: pickCode,
            time: String(seconds),
          },
        };
      },
    },
    {
      ...api,
      name: 'video.history.save',
      verbs: ['POST'],
      path: '/open/video/history',
      form: 'pick_code! time:int watch_end:flag',
      handle: ({ form }, user) => {
        const { media } = film(user, form.get('pick_code'));
        media.progress = {
          seconds: Number(form.get('time') ?? 0),
          ended: form.get('watch_end') === '1',
          at: world.now,
        };
        return { data: [] };
      },
    },
    {
      ...api,
      name: 'video.push',
      verbs: ['POST'],
      path: '/open/video/video_push',
      form: 'pick_code! op!',
      handle: ({ form }, user) => {
        const op = form.get('op') ?? '';
        if (op !== 'vip_push' && op !== 'pay_push') world.refuse(990002, `${op} is no way to push a film`);
        film(user, form.get('pick_code')).media.pushed = op;
        return { data: [] };
      },
    },
  ];
}
