import { createHash } from 'node:crypto';
import { recycle } from './manage.ts';
import type { Endpoint, Success } from './wire.ts';
import { Refusal } from './wire.ts';
import type { User, World } from './world.ts';
import { attach, isFolder } from './world.ts';

const LINKS_MAX = 115;

export interface OfflineTask {
  readonly hash: string;
  readonly url: string;
  readonly addedAt: number;
  updatedAt: number;
  name: string;
  size: number;
  percent: number;
  status: -1 | 0 | 1 | 2;
  readonly parentId: string;
  fileId: string;
}

/** What is downloaded without anybody's machine. */
export function offlineEndpoints(world: World): Endpoint[] {
  const api = { role: 'api', auth: 'token' } as const;
  return [
    {
      ...api,
      name: 'offline.list',
      verbs: ['GET'],
      path: '/open/offline/get_task_list',
      query: 'page:int',
      handle: ({ query }, user) => {
        const page = Number(query.get('page') ?? 1);
        const size = world.settings.offlinePage;
        const tasks = user.tasks.slice((page - 1) * size, page * size);
        return {
          data: {
            page,
            page_count: Math.max(1, Math.ceil(user.tasks.length / size)),
            count: user.tasks.length,
            tasks: tasks.length === 0 ? null : tasks.map(wireTask),
          },
        };
      },
    },
    {
      ...api,
      name: 'offline.quota',
      verbs: ['GET'],
      path: '/open/offline/get_quota_info',
      handle: (_call, user) => {
        const count = quotaOf(user);
        const surplus = count - user.offlineUsed;
        return {
          data: {
            package: [
              {
                name: '每月配额',
                count,
                used: user.offlineUsed,
                surplus,
                expire_info: [
                  { surplus, expire_time: world.now + 86_400 },
                  { surplus: 0, expire_time: world.now + 3600 },
                ],
              },
              { name: '购买配额', count: 0, used: 0, surplus: 0, expire_info: null },
            ],
            count,
            used: user.offlineUsed,
            surplus,
          },
        };
      },
    },
    {
      ...api,
      name: 'offline.clear',
      verbs: ['POST'],
      path: '/open/offline/clear_task',
      form: 'flag:int!',
      handle: ({ form }, user) => clear(world, user, Number(form.get('flag'))),
    },
    {
      ...api,
      name: 'offline.add',
      verbs: ['POST'],
      path: '/open/offline/add_task_urls',
      form: 'urls! wp_path_id',
      handle: ({ form }, user) => add(world, user, form),
    },
    {
      ...api,
      name: 'offline.del',
      verbs: ['POST'],
      path: '/open/offline/del_task',
      form: 'info_hash! del_source_file:flag',
      handle: ({ form }, user) => {
        const task = user.tasks.find(({ hash }) => hash === (form.get('info_hash') ?? '').toLowerCase());
        if (!task) throw new Refusal(990002, '任务不存在');
        drop(world, user, task, form.get('del_source_file') === '1');
        return { data: [] };
      },
    },
    {
      ...api,
      name: 'offline.torrent',
      verbs: ['POST'],
      path: '/open/offline/torrent',
      form: 'torrent_sha1! pick_code!',
      handle: ({ form }, user) => {
        const torrent = torrentOf(world, user, form);
        const size = torrent.files.reduce((sum, file) => sum + file.size, 0);
        return {
          data: {
            file_size: size,
            torrent_name: torrent.name,
            file_count: torrent.files.length,
            info_hash: hashOf(torrent.name),
            // What is small is not chosen.
            torrent_filelist: torrent.files.map((file) => ({ ...file, wanted: file.size > 1000 ? 1 : -1 })),
          },
        };
      },
    },
    {
      ...api,
      name: 'offline.bt',
      verbs: ['POST'],
      path: '/open/offline/add_task_bt',
      form: 'info_hash! wanted:ids! save_path! torrent_sha1! pick_code! wp_path_id',
      handle: ({ form }, user) => {
        const torrent = torrentOf(world, user, form);
        const wanted = (form.get('wanted') ?? '').split(',').map((index) => torrent.files[Number(index)]);
        const hash = hashOf(torrent.name);
        if (form.get('info_hash') !== hash || wanted.includes(undefined)) throw new Refusal(990002);
        if (user.tasks.some((task) => task.hash === hash)) throw new Refusal(10008, '任务已存在');
        if (user.offlineUsed >= quotaOf(user)) throw new Refusal(1000012, '配额已用完');
        const size = wanted.reduce((sum, file) => sum + (file?.size ?? 0), 0);
        begin(world, user, { hash, url: '', name: torrent.name, size, parentId: form.get('wp_path_id') ?? '0' });
        return { data: [] };
      },
    },
  ];
}

const quotaOf = ({ options }: User): number => options.offlineQuota ?? 1000;

export const hashOf = (url: string): string =>
  /btih:([0-9a-fA-F]{40})/.exec(url)?.[1]?.toLowerCase() ?? createHash('sha1').update(url).digest('hex');

function torrentOf(world: World, user: User, form: URLSearchParams) {
  const entry = world.byPickCode(user, form.get('pick_code') ?? '');
  if (!entry?.media.torrent || entry.content?.sha1.toLowerCase() !== form.get('torrent_sha1')?.toLowerCase()) {
    throw new Refusal(20018, '种子文件不存在');
  }
  return entry.media.torrent;
}

function begin(world: World, user: User, task: Pick<OfflineTask, 'hash' | 'url' | 'name' | 'size' | 'parentId'>): void {
  user.offlineUsed += 1;
  user.tasks.unshift({ ...task, addedAt: world.now, updatedAt: world.now, percent: 0, status: 0, fileId: '' });
}

function add(world: World, user: User, form: URLSearchParams): Success {
  const urls = (form.get('urls') ?? '').split('\n').filter((url) => url !== '');
  if (urls.length > LINKS_MAX) world.refuse(1000011, 'more than 115 links at once');
  const parentId = form.get('wp_path_id') ?? '0';
  const folder = world.entry(user, parentId);
  if (!folder || !isFolder(folder)) throw new Refusal(990002, '目录不存在');
  const results = urls.map((url) => {
    const failed = (code: number, message: string) => ({ state: false, code, message, url });
    const hash = hashOf(url);
    if (!/^(https?|ftp|ed2k):\/\/\S+$|^magnet:\?\S+$/i.test(url)) return failed(10004, '链接无效');
    if (user.tasks.some((task) => task.hash === hash)) return failed(10008, '任务已存在');
    if (user.offlineUsed >= quotaOf(user)) return failed(1000012, '配额已用完');
    const name = decodeURIComponent(url.slice(url.lastIndexOf('/') + 1)) || url;
    begin(world, user, { hash, url, name, size: 1000, parentId });
    return { state: true, code: 0, message: '', info_hash: hash, url };
  });
  // What is wrong with the only link is said of the whole.
  const [only] = results;
  if (results.length === 1 && only && !only.state) throw new Refusal(only.code, only.message);
  return { data: results };
}

function clear(world: World, user: User, flag: number): Success {
  if (flag < 0 || flag > 5) world.refuse(990002, `${flag} is nothing to clear`);
  const isMeant = ({ status }: OfflineTask): boolean =>
    flag === 1 || flag === 5 || (flag === 2 ? status === -1 : flag === 3 ? status === 0 || status === 1 : status === 2);
  for (const task of user.tasks.filter(isMeant)) drop(world, user, task, flag >= 4);
  return { data: [] };
}

function drop(world: World, user: User, task: OfflineTask, withFiles: boolean): void {
  user.tasks.splice(user.tasks.indexOf(task), 1);
  const file = withFiles && task.fileId !== '' ? world.entry(user, task.fileId) : null;
  if (file) recycle(world, user, file);
}

/** What it has brought so far; at the end the file is there. */
export function progress(world: World, user: User, hash: string, percent: number, failed = false): OfflineTask {
  const task = user.tasks.find((one) => one.hash === hash);
  if (!task) throw new Error('There is no such task.');
  task.updatedAt = world.now;
  task.percent = percent;
  task.status = failed ? -1 : percent >= 100 ? 2 : 1;
  if (task.status === 2 && task.fileId === '') {
    const made = world.newEntry(task.name, world.keep([Buffer.alloc(task.size, task.hash)]));
    attach(made, world.entry(user, task.parentId) ?? user.root);
    task.fileId = made.id;
  }
  return task;
}

const wireTask = (task: OfflineTask) => ({
  info_hash: task.hash,
  add_time: task.addedAt,
  percentDone: task.percent,
  size: task.size,
  name: task.name,
  last_update: task.updatedAt,
  file_id: task.fileId,
  delete_file_id: task.fileId,
  status: task.status,
  url: task.url,
  wp_path_id: task.parentId,
  def2: 0,
  play_long: 0,
  can_appeal: task.status === -1 ? 1 : 0,
});
