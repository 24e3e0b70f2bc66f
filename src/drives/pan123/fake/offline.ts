import { type Asked, type Endpoint, Refusal } from './wire.ts';
import type { User, World } from './world.ts';

/** Where files go when no folder is named. */
const OWN_FOLDER = '来自:离线下载';
const RUNNING = 0;
const FAILED = 1;
const DONE = 2;

export interface FakeOfflineTask {
  readonly user: User;
  readonly id: bigint;
  readonly url: string;
  readonly name: string;
  readonly dirId: bigint | null;
  polls: number;
}

export function offlineEndpoints(world: World) {
  const tasks: FakeOfflineTask[] = [];

  const create = ({ user, values }: Asked) => {
    const url = values.text('url');
    if (!/^https?:\/\//.test(url)) {
      world.violate(`an offline task was to be made of ${url.slice(0, 20)}`);
      throw new Refusal(1, '链接格式错误');
    }
    const dirId = values.has('dirID') ? values.id('dirID') : null;
    if (dirId === 0n) throw new Refusal(1, '不支持下载到根目录');
    if (dirId !== null) user.tree.folder(dirId);
    const name = values.text('fileName') || decodeURIComponent(new URL(url).pathname.split('/').at(-1) || 'index.html');
    tasks.push({ user, id: world.newId(), url, name, dirId, polls: 0 });
    return { taskID: tasks.at(-1)?.id };
  };

  const process = ({ user, values }: Asked) => {
    const task = tasks.find((one) => one.id === values.id('taskID') && one.user === user);
    if (!task) throw new Refusal(1, '未找到任务ID');
    task.polls += 1;
    if (task.polls <= world.settings.offlinePolls) return { process: 42.5, status: RUNNING };
    if (task.url.includes('broken')) return { process: 0, status: FAILED };
    if (task.polls === world.settings.offlinePolls + 1) deliver(task);
    return { process: 100, status: DONE };
  };

  const deliver = ({ user, dirId, name, url }: FakeOfflineTask): void => {
    const { tree } = user;
    const own = () => tree.named(tree.root, OWN_FOLDER) ?? world.place(user, tree.root, OWN_FOLDER, null);
    world.place(user, dirId === null ? own() : tree.folder(dirId), name, world.keep(Buffer.from(`bytes of ${url}`)));
  };

  const endpoints: Endpoint[] = [
    {
      role: 'api',
      verb: 'POST',
      path: '/api/v1/offline/download',
      auth: 'token',
      params: 'url:text! fileName:text dirID:int callBackUrl:text',
      handle: create,
    },
    {
      role: 'api',
      verb: 'GET',
      path: '/api/v1/offline/download/process',
      auth: 'token',
      params: 'taskID:int!',
      handle: process,
    },
  ];
  return { endpoints, tasks };
}
