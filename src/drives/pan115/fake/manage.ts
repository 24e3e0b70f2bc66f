import { setTimeout as delay } from 'node:timers/promises';
import type { Call, Endpoint, Success } from './wire.ts';
import { Refusal } from './wire.ts';
import type { Entry, User, World } from './world.ts';
import { above, attach, detach, extensionOf, isFolder } from './world.ts';

const OBJECTS_MAX = 50_000;
const NAME_MAX = 255;
const IDS_MAX = 1150;

/** What changes the tree: one at a time for each account. */
export function manageEndpoints(world: World): Endpoint[] {
  const api = { role: 'api', auth: 'token', verbs: ['POST'] } as const;
  const changing = (name: string, code: number, act: (call: Call, user: User) => Success) => (call: Call, user: User) =>
    alone(world, { user, code, name }, () => act(call, user));
  return [
    {
      ...api,
      name: 'add',
      path: '/open/folder/add',
      form: 'pid! file_name!',
      handle: ({ form }, user) => add(world, user, form),
    },
    {
      ...api,
      name: 'copy',
      path: '/open/ufile/copy',
      form: 'pid! file_id:ids! nodupli:flag',
      handle: changing('copy', 990009, ({ form }, user) => copy(world, user, form)),
    },
    {
      ...api,
      name: 'move',
      path: '/open/ufile/move',
      form: 'file_ids:ids! to_cid!',
      handle: changing('move', 990019, ({ form }, user) => move(world, user, form)),
    },
    {
      ...api,
      name: 'update',
      path: '/open/ufile/update',
      form: 'file_id:ids! file_name star:flag',
      handle: ({ form }, user) => update(world, user, form),
    },
    {
      ...api,
      name: 'delete',
      path: '/open/ufile/delete',
      form: 'file_ids:ids! parent_id',
      handle: changing('delete', 990009, ({ form }, user) => remove(world, user, form)),
    },
    {
      ...api,
      name: 'rb.list',
      verbs: ['GET'],
      path: '/open/rb/list',
      query: 'limit:int! offset:int!',
      handle: ({ query }, user) => binned(world, user, query),
    },
    {
      ...api,
      name: 'rb.revert',
      path: '/open/rb/revert',
      form: 'tid:ids!',
      handle: changing('restore', 990009, ({ form }, user) => revert(world, user, form)),
    },
    {
      ...api,
      name: 'rb.del',
      path: '/open/rb/del',
      form: 'tid:ids',
      handle: changing('purge', 990009, ({ form }, user) => purge(world, user, form)),
    },
  ];
}

/** Takes its time, during which the same account is refused another one. */
async function alone(
  world: World,
  { user, code, name }: { readonly user: User; readonly code: number; readonly name: string },
  act: () => Success,
): Promise<Success> {
  if (user.changing) {
    world.violate(`${name} while another change of the account was under way`);
    throw new Refusal(code, '上一次操作尚未完成');
  }
  if (user.behind > 0) {
    user.behind -= 1;
    throw new Refusal(code, '上一次操作尚未完成');
  }
  user.changing = true;
  try {
    await delay(world.settings.changeMs);
    const result = act();
    user.behind = world.settings.changesBehind;
    return result;
  } finally {
    user.changing = false;
  }
}

const idsOf = (form: URLSearchParams, name: string): string[] => (form.get(name) ?? '').split(',');

function entriesOf(world: World, user: User, ids: readonly string[]): Entry[] {
  const entries = ids.map((id) => world.entry(user, id));
  if (entries.some((entry) => entry === null || entry.id === '0')) throw new Refusal(20018, '文件不存在或已删除');
  if (entries.length > OBJECTS_MAX) throw new Refusal(91004);
  return entries.filter((entry) => entry !== null);
}

function folderOf(world: World, user: User, id: string): Entry & { readonly children: Entry[] } {
  const folder = world.entry(user, id);
  if (!folder || !isFolder(folder)) throw new Refusal(20009, '父目录不存在');
  return folder;
}

function checkName(name: string): void {
  if (name.trim() === '') throw new Refusal(20001);
  if ([...name].length > NAME_MAX) throw new Refusal(20002);
  if (/["<>]/.test(name)) throw new Refusal(20003);
}

function add(world: World, user: User, form: URLSearchParams): Success {
  const folder = folderOf(world, user, form.get('pid') ?? '');
  const name = form.get('file_name') ?? '';
  checkName(name);
  if (folder.children.some((child) => isFolder(child) && child.name === name)) throw new Refusal(20004, '已存在');
  const made = world.newEntry(name, null);
  attach(made, folder);
  return { data: { file_name: name, file_id: made.id } };
}

const isWithin = (entry: Entry, folder: Entry): boolean => entry === folder || above(entry).includes(folder);

function copy(world: World, user: User, form: URLSearchParams): Success {
  const folder = folderOf(world, user, form.get('pid') ?? '');
  const entries = entriesOf(world, user, idsOf(form, 'file_id'));
  if (entries.some((entry) => isWithin(folder, entry))) throw new Refusal(91002);
  for (const entry of entries) {
    if (form.get('nodupli') === '1' && folder.children.some(({ name }) => name === entry.name)) continue;
    attach(copyOf(world, entry), folder);
  }
  return { data: [] };
}

function copyOf(world: World, entry: Entry): Entry {
  const made = { ...world.newEntry(entry.name, entry.content), media: { ...entry.media } };
  for (const child of entry.children ?? []) attach(copyOf(world, child), made);
  return made;
}

function move(world: World, user: User, form: URLSearchParams): Success {
  const folder = folderOf(world, user, form.get('to_cid') ?? '');
  const entries = entriesOf(world, user, idsOf(form, 'file_ids'));
  if (entries.some((entry) => isWithin(folder, entry))) throw new Refusal(800006);
  for (const entry of entries) attach(entry, folder);
  return { data: [] };
}

function update(world: World, user: User, form: URLSearchParams): Success {
  const [entry] = entriesOf(world, user, idsOf(form, 'file_id'));
  if (!entry) throw new Refusal(20018);
  const name = form.get('file_name');
  const star = form.get('star');
  if (name === null && star === null) world.refuse(990002, 'update was told nothing');
  if (name !== null) {
    checkName(name);
    entry.name = isFolder(entry) || !world.settings.keepExtensions ? name : withExtensionOf(entry.name, name);
    entry.modifiedAt = world.now;
  }
  if (star !== null) entry.starred = star === '1';
  return { data: { file_name: entry.name, star: entry.starred ? '1' : '0' } };
}

/** What stands after the last dot of the new name is cut off, and the extension that the file has is put there. */
function withExtensionOf(old: string, name: string): string {
  const extension = extensionOf(old);
  if (extension === '' || extensionOf(name) === extension) return name;
  const stem = name.includes('.') ? name.slice(0, name.lastIndexOf('.')) : name;
  return `${stem}${old.slice(old.lastIndexOf('.'))}`;
}

function remove(world: World, user: User, form: URLSearchParams): Success {
  const entries = entriesOf(world, user, idsOf(form, 'file_ids'));
  for (const entry of entries) recycle(world, user, entry);
  return { textCode: true, data: [] };
}

/** Into the bin, where it gets an id of the bin's own. */
export function recycle(world: World, user: User, entry: Entry): void {
  const { parent } = entry;
  if (!parent) return;
  detach(entry);
  user.recycled.unshift({ tid: world.newId(), entry, parent, deletedAt: world.now });
}

function binned(world: World, user: User, query: URLSearchParams): Success {
  const limit = Number(query.get('limit'));
  const offset = Number(query.get('offset'));
  if (limit > 200) world.refuse(990002, 'a page of the bin has at most 200 entries');
  const shown = user.recycled.slice(offset, offset + limit);
  if (user.recycled.length === 0) return { data: [] };
  const entries = shown.map(({ tid, entry, parent, deletedAt }) => [
    tid,
    {
      id: tid,
      file_name: entry.name,
      type: isFolder(entry) ? '2' : '1',
      file_size: String(entry.content?.size ?? 0),
      dtime: String(deletedAt),
      thumb_url: '',
      status: '0',
      cid: Number.isSafeInteger(Number(parent.id)) ? Number(parent.id) : parent.id,
      parent_name: parent.name,
      pick_code: entry.pickCode,
    },
  ]);
  return { data: { offset, limit, count: String(user.recycled.length), rb_pass: 0, ...Object.fromEntries(entries) } };
}

function revert(world: World, user: User, form: URLSearchParams): Success {
  const ids = idsOf(form, 'tid');
  if (ids.length > IDS_MAX) world.refuse(990002, 'too many ids');
  const results = ids.map((tid) => {
    const recycled = user.recycled.find((one) => one.tid === tid);
    if (!recycled) return [tid, { state: false, error: '文件不存在', errno: 231011 }];
    user.recycled.splice(user.recycled.indexOf(recycled), 1);
    const isThere = recycled.parent === user.root || world.entry(user, recycled.parent.id) !== null;
    // It keeps its id, and its name, whatever else has that by now.
    attach(recycled.entry, isThere ? recycled.parent : user.root);
    return [tid, { state: true, error: '', errno: 0 }];
  });
  return { data: Object.fromEntries(results) };
}

/** Without an id everything goes. */
function purge(world: World, user: User, form: URLSearchParams): Success {
  const tid = form.get('tid');
  if (tid === null) {
    const all = user.recycled.map((one) => one.tid);
    user.recycled.length = 0;
    return { data: all };
  }
  const ids = tid.split(',');
  if (ids.length > IDS_MAX) world.refuse(990002, 'too many ids');
  const kept = user.recycled.filter((one) => !ids.includes(one.tid));
  user.recycled.splice(0, user.recycled.length, ...kept);
  return { data: ids };
}
