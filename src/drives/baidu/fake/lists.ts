import type { Entry } from './tree.ts';
import { below, categoryOf, extensionOf, isDirectory, isWellFormed, isWithin, pathOf, sizeOf } from './tree.ts';
import type { Order } from './views.ts';
import { dirEmpty, fileView, previews, sorted } from './views.ts';
import type { Call, Endpoint, Fields } from './wire.ts';
import { Refusal } from './wire.ts';
import type { User, World } from './world.ts';

const PAGE_MAX = 1000;
const MINUTE_MS = 60_000;

/** `list`, `listall`, `categorylist`, the typed lists and `categoryinfo`. */
export function listEndpoints(world: World): Endpoint[] {
  const pan = { role: 'pan', verbs: ['GET'], auth: 'token', envelope: 'errno' } as const;
  const file = { ...pan, path: '/rest/2.0/xpan/file', requestId: 'number' } as const;
  const multimedia = { ...pan, path: '/rest/2.0/xpan/multimedia', requestId: 'text' } as const;
  return [
    {
      ...file,
      name: 'list',
      method: 'list',
      query: 'dir order desc:flag start:int limit:int web:flag folder:flag showempty:flag',
      handle: (call, user) => list(world, call, user),
    },
    ...TYPED.map(
      ([name, category]): Endpoint => ({
        ...file,
        name,
        method: name,
        query: 'parent_path page:int num:int order desc:flag recursion:flag web:flag',
        handle: (call, user) => typedList(world, call, { user, category }),
      }),
    ),
    {
      ...multimedia,
      name: 'listall',
      method: 'listall',
      query: 'path! recursion:flag order desc:flag start:int limit:int ctime:int mtime:int web:flag device_id',
      handle: (call, user) => listAll(world, call, user),
    },
    {
      ...multimedia,
      name: 'categorylist',
      method: 'categorylist',
      query:
        'category! parent_path recursion:flag show_dir:flag ext start:int limit:int order desc:flag web:flag device_id',
      handle: (call, user) => categoryList(world, call, user),
    },
    {
      ...pan,
      name: 'categoryinfo',
      path: '/api/categoryinfo',
      requestId: 'number',
      query: 'category parent_path recursion:flag',
      handle: (call, user) => categoryInfo(world, call, user),
    },
  ];
}

const TYPED = [
  ['videolist', 1],
  ['imagelist', 3],
  ['doclist', 4],
  ['btlist', 7],
] as const;

function list(world: World, call: Call, user: User): Fields {
  const { query } = call;
  const directory = directoryAt(world, user, query.get('dir') ?? '/', -9);
  const web = query.get('web') === '1';
  const all = sorted([...directory.children.values()], orderOf(world, query), query.get('desc') === '1');
  const foldersOnly = query.get('folder') === '1';
  const page = slicePage(world, foldersOnly ? all.filter(isDirectory) : all, query);
  const view = (entry: Entry): Fields =>
    foldersOnly
      ? { path: pathOf(entry) }
      : { ...fileView(world, entry, { web }), ...(query.get('showempty') === '1' && dirEmpty(entry)) };
  return { guid: 0, guid_info: '', list: page.map(view) };
}

function typedList(world: World, call: Call, options: { readonly user: User; readonly category: number }): Fields {
  const { query } = call;
  const directory = directoryAt(world, options.user, query.get('parent_path') ?? '/', -9);
  const page = query.get('page');
  if (page === '0') world.refuse(2, 'page counts from 1');
  const found = reach(directory, query.get('recursion') === '1').filter(
    (entry) => !isDirectory(entry) && categoryOf(entry) === options.category,
  );
  // With a page the newest come first; without one everything comes at once and `num` counts for nothing.
  const order = query.get('order') === null && page !== null ? 'time' : orderOf(world, query);
  const all = sorted(found, order, query.get('desc') !== '0');
  const num = limitOf(world, query, 'num');
  const shown = page === null ? all : all.slice((Number(page) - 1) * num, Number(page) * num);
  const web = query.get('web') === '1';
  return { info: shown.map((entry) => ({ ...fileView(world, entry, { web }), ...(web && previews(world, entry)) })) };
}

function listAll(world: World, call: Call, user: User): Fields {
  const recent = user.listallAt.filter((at) => at > world.nowMs - MINUTE_MS);
  user.listallAt.splice(0, user.listallAt.length, ...recent, world.nowMs);
  if (recent.length >= world.settings.listallPerMinute) throw new Refusal(31034, 'hit interface frequency control');
  const { query } = call;
  const directory = directoryAt(world, user, query.get('path') ?? '', 31066);
  const after = (name: string) => Number(query.get(name) ?? Number.NEGATIVE_INFINITY);
  const found = reach(directory, query.get('recursion') === '1').filter(
    (entry) => entry.serverCtime > after('ctime') && entry.serverMtime > after('mtime'),
  );
  return cursorPage(world, sorted(found, orderOf(world, query), query.get('desc') === '1'), query);
}

function categoryList(world: World, call: Call, user: User): Fields {
  const { query } = call;
  const directory = directoryAt(world, user, query.get('parent_path') ?? '/', 31066);
  const recursive = query.get('recursion') === '1';
  const showDirectories = query.get('show_dir') === '1';
  if (recursive && showDirectories) world.refuse(2, 'show_dir does not go with recursion');
  const categories = categoriesOf(world, query.get('category') ?? '');
  const extensions = query.get('ext')?.split(',') ?? null;
  const found = reach(directory, recursive).filter((entry) =>
    isDirectory(entry)
      ? showDirectories
      : categories.includes(categoryOf(entry)) && (extensions === null || extensions.includes(extensionOf(entry))),
  );
  return cursorPage(world, sorted(found, orderOf(world, query), query.get('desc') === '1'), query);
}

function categoryInfo(world: World, call: Call, user: User): Fields {
  const { query } = call;
  const directory = directoryAt(world, user, query.get('parent_path') ?? '/', -9);
  const recursive = query.get('recursion') === null ? !query.has('parent_path') : query.get('recursion') === '1';
  const files = reach(directory, recursive).filter((entry) => !isDirectory(entry));
  const counts = categoriesOf(world, query.get('category') ?? '1,2,3,4,5,6,7').map((category) => {
    const mine = files.filter((entry) => categoryOf(entry) === category);
    const size = mine.reduce((sum, entry) => sum + sizeOf(entry), 0);
    return [category, { count: mine.length, size, total: mine.length, real_server_mtime_2: '0' }];
  });
  return { info: Object.fromEntries(counts) };
}

/** A page by the cursor of the answer before: an opaque whole number, not a count of what came. */
function cursorPage(world: World, all: readonly Entry[], query: URLSearchParams): Fields {
  const start = Number(query.get('start') ?? 0);
  if (start !== 0 && start % CURSOR_STEP !== 1) world.refuse(2, 'start is not the cursor of the answer before');
  const from = Math.floor(start / CURSOR_STEP);
  const to = from + limitOf(world, query, 'limit');
  const web = query.get('web') === '1';
  return {
    errmsg: 'succ',
    has_more: to < all.length ? 1 : 0,
    cursor: Math.min(to, all.length) * CURSOR_STEP + 1,
    list: all.slice(from, to).map((entry) => fileView(world, entry, { web })),
  };
}

const CURSOR_STEP = 7;

function slicePage(world: World, all: readonly Entry[], query: URLSearchParams): Entry[] {
  const start = Number(query.get('start') ?? 0);
  return all.slice(start, start + limitOf(world, query, 'limit'));
}

function limitOf(world: World, query: URLSearchParams, name: 'limit' | 'num'): number {
  const limit = Number(query.get(name) ?? PAGE_MAX);
  if (limit < 1 || limit > PAGE_MAX) world.refuse(2, `${name} is outside 1 to ${PAGE_MAX}`);
  return limit;
}

function orderOf(world: World, query: URLSearchParams): Order {
  const order = query.get('order') ?? 'name';
  if (order === 'name' || order === 'time' || order === 'size') return order;
  return world.refuse(2, `order=${order} is none of name, time, size`);
}

function categoriesOf(world: World, text: string): number[] {
  if (!/^[1-7](,[1-7])*$/.test(text)) world.refuse(2, 'category is not a list of 1 to 7');
  return text.split(',').map(Number);
}

const reach = (directory: Entry, recursive: boolean): Entry[] =>
  recursive ? [...below(directory)] : [...(directory.children?.values() ?? [])];

/**
 * The directory that a read names.
 * @throws Refusal with `missing` when there is none, 20020 outside the application's area, 2 for a malformed path
 */
export function directoryAt(
  world: World,
  user: User,
  path: string,
  missing: number,
): Entry & { readonly children: Map<string, Entry> } {
  checkReadable(world, path);
  const entry = world.find(user, path);
  if (!entry || !isDirectory(entry)) throw new Refusal(missing, missing === 31066 ? 'file does not exist' : '');
  return entry;
}

export function checkReadable(world: World, path: string): void {
  if (!isWellFormed(path)) world.refuse(2, `the path ${path} is malformed`);
  if (world.settings.scope === 'all' && !isWithin(path, world.settings.appRoot)) {
    throw new Refusal(20020, 'path is outside of the app directory', { status: world.settings.gatewayStatus });
  }
}
