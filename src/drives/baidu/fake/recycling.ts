import { parseArray } from './manage.ts';
import { startTask } from './tasks.ts';
import { attach, baseName, freeName, parentPath } from './tree.ts';
import { fileView } from './views.ts';
import type { Call, Endpoint, Fields } from './wire.ts';
import { Refusal } from './wire.ts';
import type { Recycled, User, World } from './world.ts';

const RETENTION_SECONDS = 10 * 86_400;

/** The recycle bin of the web page, which no document opens to applications: off unless `webEndpoints` is on. */
export function recycleEndpoints(world: World): Endpoint[] {
  const web = { role: 'pan', auth: 'token', envelope: 'errno', requestId: 'number' } as const;
  const change = (name: string, form: string, work: (user: User, call: Call) => Fields): Endpoint => ({
    ...web,
    verbs: ['POST'],
    name: `recycle-${name}`,
    path: `/api/recycle/${name}`,
    query: 'async:flag clienttype:int web:flag app_id',
    form,
    handle: (call, user) => {
      checkOpen(world, call);
      return work(user, call);
    },
  });
  return [
    {
      ...web,
      verbs: ['GET'],
      name: 'recycle-list',
      path: '/api/recycle/list',
      query: 'page:int num:int clienttype:int web:flag app_id',
      handle: (call, user) => list(world, call, user),
    },
    change('restore', 'fidlist!', (user, call) => restore(world, user, call)),
    change('delete', 'fidlist!', (user, call) => {
      const { chosen, missing } = choose(world, user, call);
      drop(user, chosen);
      return { faillist: missing.map((id) => world.id(id)) };
    }),
    change('clear', '', (user) => {
      const task = startTask(world, user, 'recycle', () => {
        user.recycled.length = 0;
        return { errno: 0, list: [] };
      });
      return { taskid: world.id(task.id) };
    }),
  ];
}

/** Refuses while the web's own calls are closed, and whoever does not come from its page. */
export function checkOpen(world: World, call: Call): void {
  if (!world.settings.webEndpoints) throw new Refusal(3, 'Unsupported open api', { status: 400 });
  if (call.headers.referer !== 'https://pan.baidu.com/') world.refuse(2, `${call.path} was called without its Referer`);
}

function list(world: World, call: Call, user: User): Fields {
  checkOpen(world, call);
  expire(world, user);
  const page = Number(call.query.get('page') ?? 1);
  const num = Number(call.query.get('num') ?? 100);
  const shown = user.recycled.slice((page - 1) * num, page * num);
  return {
    list: shown.map(({ entry, path, deletedAt }) => ({
      ...fileView(world, entry),
      path,
      leftTime: deletedAt + RETENTION_SECONDS - world.now,
      delete_type: 0,
    })),
    timestamp: world.now,
  };
}

function restore(world: World, user: User, call: Call): Fields {
  const { chosen, missing } = choose(world, user, call);
  for (const { entry, path } of chosen) {
    const parent = world.ensureDirectory(user, parentPath(path)) ?? user.root;
    const name = baseName(path);
    attach(entry, parent, parent.children?.has(name) ? freeName(parent, name) : name);
  }
  drop(user, chosen);
  return { faillist: missing.map((id) => world.id(id)) };
}

function choose(world: World, user: User, call: Call): { readonly chosen: Recycled[]; readonly missing: string[] } {
  expire(world, user);
  const text = call.form.get('fidlist') ?? '';
  if (!parseArray(text) || !/^\[[\d\s,]*\]$/.test(text))
    world.refuse(2, 'fidlist is not a JSON array of whole numbers');
  const ids: string[] = text.match(/\d+/g) ?? [];
  const chosen = user.recycled.filter(({ entry }) => ids.includes(entry.fsId));
  return { chosen, missing: ids.filter((id) => !chosen.some(({ entry }) => entry.fsId === id)) };
}

function drop(user: User, items: readonly Recycled[]): void {
  for (const item of items) user.recycled.splice(user.recycled.indexOf(item), 1);
}

function expire(world: World, user: User): void {
  drop(
    user,
    user.recycled.filter(({ deletedAt }) => deletedAt + RETENTION_SECONDS <= world.now),
  );
}
