import { checkName, type Entry, inBin, isBelow } from './tree.ts';
import { type Asked, type Endpoint, type Fields, Refusal } from './wire.ts';
import { timeText, type User, type World } from './world.ts';

const IDS_MAX = 100;
const RENAMES_MAX = 30;
const COPIES_MAX = 3000;

interface CopyTask {
  readonly id: bigint;
  readonly user: User;
  readonly run: () => void;
  polls: number;
}

/** What changes the tree. */
export function manageEndpoints(world: World): Endpoint[] {
  const tasks: CopyTask[] = [];
  const post = (path: string, params: string, handle: (call: Asked) => unknown): Endpoint => ({
    role: 'api',
    verb: 'POST',
    path,
    auth: 'token',
    params,
    handle,
  });
  const ids = ({ values }: Asked, name = 'fileIDs', max = IDS_MAX): bigint[] => {
    const all = values.ids(name);
    if (all.length < 1 || all.length > max) {
      world.violate(`${all.length} ids in one call`);
      throw new Refusal(1, '参数错误');
    }
    return all;
  };

  return [
    post('/upload/v1/file/mkdir', 'name:text! parentID:int!', ({ user, values }) => {
      const name = values.text('name');
      checkName(name);
      const parent = user.tree.folder(values.id('parentID'));
      if (user.tree.named(parent, name)) throw new Refusal(1, '该目录下已存在同名文件夹');
      return { dirID: world.place(user, parent, name, null).id };
    }),
    post('/api/v1/file/move', 'fileIDs:ints! toParentFileID:int!', (call) => {
      const { user, values } = call;
      const target = user.tree.folder(values.id('toParentFileID'));
      const moved = ids(call).map((id) => user.tree.live(id));
      if (moved.some((entry) => isBelow(target, entry))) throw new Refusal(1, '不能移动到自身或其子目录');
      // What a name that is taken comes to is not documented: here both stay, the worst that it can be.
      for (const entry of moved) entry.parent = target;
      return null;
    }),
    {
      role: 'api',
      verb: 'PUT',
      path: '/api/v1/file/name',
      auth: 'token',
      params: 'fileId:int! fileName:text!',
      handle: ({ user, values }) => {
        rename(world, user, values.id('fileId'), values.text('fileName'));
        return null;
      },
    },
    post('/api/v1/file/rename', 'renameList:texts!', (call) => renameMany(world, call)),
    post('/api/v1/file/trash', 'fileIDs:ints!', (call) => {
      // Success also for what is not there.
      for (const id of ids(call)) {
        const entry = id === 0n ? null : call.user.tree.get(id);
        if (entry && !inBin(entry)) entry.trashed = true;
      }
      return null;
    }),
    post('/api/v1/file/delete', 'fileIDs:ints!', (call) => {
      const entries = ids(call).map((id) => call.user.tree.get(id));
      if (entries.some((entry) => !entry?.trashed)) throw new Refusal(1, '只能删除回收站中的文件');
      for (const entry of entries) if (entry) call.user.tree.drop(entry);
      return null;
    }),
    post('/api/v1/file/recover', 'fileIDs:ints!', (call) => {
      const abnormal: bigint[] = [];
      for (const entry of trashed(call.user, ids(call))) {
        if (!entry.parent || inBin(entry.parent) || call.user.tree.get(entry.parent.id) !== entry.parent) {
          abnormal.push(entry.id);
        } else entry.trashed = false;
      }
      return { abnormalFileIDs: abnormal };
    }),
    post('/api/v1/file/recover/by_path', 'fileIDs:ints! parentFileID:int!', (call) => {
      const parent = call.user.tree.folder(call.values.id('parentFileID'));
      for (const entry of trashed(call.user, ids(call))) Object.assign(entry, { parent, trashed: false });
      return null;
    }),
    post('/api/v1/file/copy', 'fileId:int! targetDirId:int!', ({ user, values }) => {
      const source = user.tree.live(values.id('fileId'));
      if (source.kind === 'folder') throw new Refusal(1, '不支持复制文件夹');
      const target = user.tree.folder(values.id('targetDirId'));
      return { sourceFileId: source.id, targetFileId: copy(world, user, source, target).id };
    }),
    post('/api/v1/file/async/copy', 'fileIds:ints! targetDirId:int!', (call) => {
      const { user, values } = call;
      const target = user.tree.folder(values.id('targetDirId'));
      const sources = ids(call, 'fileIds', COPIES_MAX).map((id) => user.tree.live(id));
      if (sources.some((source) => isBelow(target, source))) throw new Refusal(1, '不能复制到自身或其子目录');
      const run = (): void => sources.forEach((source) => void copy(world, user, source, target));
      tasks.push({ id: world.newId(), user, run, polls: 0 });
      return { taskId: tasks.at(-1)?.id };
    }),
    {
      role: 'api',
      verb: 'GET',
      path: '/api/v1/file/async/copy/process',
      auth: 'token',
      params: 'taskId:int!',
      handle: ({ user, values }) => {
        if (world.settings.copyProcess === 'refused') {
          for (const one of tasks) if (one.user === user && one.polls === 0) one.run();
          throw new Refusal(400, '参数错误');
        }
        const task = tasks.find((one) => one.id === values.id('taskId') && one.user === user);
        if (!task) throw new Refusal(1, '任务不存在');
        task.polls += 1;
        const due = world.settings.copyPolls + 1;
        if (task.polls === due) task.run();
        return { taskId: task.id, status: task.polls >= due ? 2 : task.polls > 1 ? 1 : 0 };
      },
    },
  ];
}

function rename(world: World, user: User, id: bigint, name: string): Entry {
  checkName(name);
  const entry = user.tree.live(id);
  const taken = entry.parent && user.tree.named(entry.parent, name);
  if (taken && taken !== entry) throw new Refusal(1, '文件名重复');
  entry.name = name;
  entry.updatedAt = world.now;
  return entry;
}

/**
 * Each entry is `id|name`; what fails stands in a list of its own, and the call succeeds. In which order it is done is not
 * documented: a name that another of them gives up is not free yet.
 */
function renameMany(world: World, { user, values }: Asked): Fields | null {
  const list = values.texts('renameList');
  if (list.length < 1 || list.length > RENAMES_MAX) {
    world.violate(`${list.length} renames in one call`);
    throw new Refusal(1, '参数错误');
  }
  const wanted = list.map((item) => {
    const [, digits = '', name = ''] = /^([1-9]\d*)\|([^|]*)$/s.exec(item) ?? [];
    if (digits === '') {
      world.violate(`a rename is ${item}`);
      throw new Refusal(1, 'renameList格式错误');
    }
    return { id: BigInt(digits), name };
  });
  if (new Set(wanted.map(({ id }) => id)).size < wanted.length) world.violate('an entry is renamed twice in one call');
  const before = new Set(wanted.flatMap(({ id }) => placeOf(user.tree.get(id)) ?? []));
  const successList: Fields[] = [];
  const failList: Fields[] = [];
  for (const { id, name } of wanted) {
    try {
      const entry = user.tree.live(id);
      if (entry.name !== name && before.has(`${entry.parent?.id}/${name}`)) throw new Refusal(1, '文件名重复');
      const { updatedAt } = rename(world, user, id, name);
      successList.push({ fileID: id, updateAt: timeText(updatedAt) });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      failList.push({ fileID: id, message: error.message });
    }
  }
  return world.settings.renameAnswer === 'null' ? null : { successList, failList };
}

const placeOf = (entry: Entry | null): string | null => entry && `${entry.parent?.id}/${entry.name}`;

function trashed(user: User, ids: readonly bigint[]): Entry[] {
  return ids.map((id) => {
    const entry = user.tree.get(id);
    if (!entry?.trashed) throw new Refusal(5066, '文件不存在');
    return entry;
  });
}

function copy(world: World, user: User, source: Entry, target: Entry): Entry {
  const made = world.place(user, target, source.name, source.content);
  for (const child of user.tree.children(source)) if (!child.trashed && child !== made) copy(world, user, child, made);
  return made;
}
