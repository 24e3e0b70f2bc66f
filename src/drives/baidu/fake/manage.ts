import { isBusy, pollTask, startTask } from './tasks.ts';
import type { Entry } from './tree.ts';
import {
  attach,
  below,
  detach,
  freeName,
  isDirectory,
  isNameAllowed,
  isWellFormed,
  isWithin,
  parentPath,
  pathOf,
  sizeOf,
} from './tree.ts';
import type { Call, Endpoint, Fields } from './wire.ts';
import { Refusal } from './wire.ts';
import type { User, World } from './world.ts';

/** Newer text names 100. */
const ITEMS_MAX = 100;
const OPERAS = ['copy', 'move', 'rename', 'delete'] as const;
type Opera = (typeof OPERAS)[number];
const ONDUPS = ['fail', 'newcopy', 'overwrite', 'skip'] as const;
type Ondup = (typeof ONDUPS)[number];

interface Item {
  readonly path: string;
  readonly dest: string;
  readonly newname: string;
  readonly ondup: Ondup;
}

interface Done {
  readonly item: Item;
  readonly errno: number;
}

/** `filemanager` and `/share/taskquery`. */
export function manageEndpoints(world: World): Endpoint[] {
  const pan = { role: 'pan', auth: 'token', envelope: 'errno', requestId: 'number' } as const;
  return [
    {
      ...pan,
      verbs: ['POST'],
      name: (call) => call.query.get('opera') ?? 'filemanager',
      path: '/rest/2.0/xpan/file',
      method: 'filemanager',
      query: 'opera!',
      form: 'async:int! filelist! ondup',
      handle: (call, user) => fileManager(world, call, user),
    },
    {
      ...pan,
      verbs: ['GET'],
      name: 'taskquery',
      path: '/share/taskquery',
      query: 'taskid! clienttype:int web:flag app_id',
      handle: (call, user) => taskQuery(world, call, user),
    },
  ];
}

function fileManager(world: World, call: Call, user: User): Fields {
  const opera = OPERAS.find((name) => name === call.query.get('opera'));
  if (!opera) return world.refuse(2, `opera=${call.query.get('opera')} does not exist`);
  if (opera === 'delete' && call.form.has('ondup')) world.refuse(2, 'ondup does not go with delete');
  const async = call.form.get('async') ?? '';
  if (!['0', '1', '2'].includes(async)) world.refuse(2, 'async is none of 0, 1, 2');
  const ondup = ondupOf(world, call.form.get('ondup'));
  const items = itemsOf(world, call.form.get('filelist') ?? '', { opera, ondup });
  if (items.length > ITEMS_MAX) world.refuse(-33, `filelist names more than ${ITEMS_MAX} items`);
  if (isBusy(world, user)) throw new Refusal(111, '', { extra: { info: [] } });
  // The names of one source twice are refused whole.
  if (new Set(items.map((item) => item.path)).size < items.length) {
    throw new Refusal(12, '', { extra: { info: items.map((item) => ({ errno: 2, path: item.path })) } });
  }
  const isTask = async === '2' || (async === '1' && items.length > world.settings.adaptiveItems);
  const run = (): Done[] =>
    items.map((item) => ({ item, errno: perform(world, { user, opera, item, synchronous: !isTask }) }));
  if (isTask) {
    const task = startTask(world, user, 'file', () => outcomeOf(world, user, run));
    return { info: [], taskid: world.id(task.id) };
  }
  const done = run();
  const info = done.map(({ item, errno }) => ({ errno, path: item.path }));
  if (done.every(({ errno }) => errno === 0)) return { info };
  const { partialErrno } = world.settings;
  if (partialErrno === 0) return { info };
  throw new Refusal(partialErrno, '', { extra: { info } });
}

function outcomeOf(world: World, user: User, run: () => readonly Done[]) {
  const done = run();
  const errno = done.some((one) => one.errno !== 0) ? 12 : 0;
  const list = done.map(({ item, errno: code }): Fields => {
    const to = `${item.dest === '/' ? '' : item.dest}/${item.newname}`;
    const entry = world.find(user, to);
    const meta = { isdir: entry && isDirectory(entry) ? 1 : 0, size: entry ? sizeOf(entry) : 0 };
    const mtime = entry?.serverMtime ?? world.now;
    return {
      from: item.path,
      to,
      ...(code !== 0 && { error_code: code }),
      ondup: item.ondup,
      from_meta: { ...meta, mtime: String(mtime) },
      to_meta: { ...meta, mtime },
    };
  });
  return { errno, list };
}

function taskQuery(world: World, call: Call, user: User): Fields {
  const task = user.tasks.get(call.query.get('taskid') ?? '');
  if (!task || task.kind === 'share') throw new Refusal(114, 'task does not exist');
  const state = pollTask(world, task);
  if (!world.settings.taskQueries) throw new Refusal(20013, 'no permission', { status: world.settings.gatewayStatus });
  const { outcome } = task;
  return {
    task_errno: outcome?.errno ?? 0,
    ...state,
    ...(outcome && { total: outcome.list.length, list: outcome.list }),
  };
}

function itemsOf(world: World, text: string, options: { readonly opera: Opera; readonly ondup: Ondup }): Item[] {
  const { opera, ondup } = options;
  const list = parseArray(text);
  if (!list || list.length === 0) return world.refuse(2, 'filelist is not a JSON array with items');
  return list.map((item): Item => {
    if (opera === 'delete') {
      if (typeof item !== 'string') return world.refuse(2, 'an item of delete is not a plain path');
      return { path: wellFormed(world, item), dest: '', newname: '', ondup };
    }
    const { path, dest, newname, ondup: own, ...rest } = isRecord(item) ? item : {};
    const unknown = Object.keys(rest)[0];
    if (unknown !== undefined) world.refuse(2, `an item of ${opera} has the key ${unknown}`);
    if (typeof path !== 'string' || typeof newname !== 'string') {
      return world.refuse(2, `an item of ${opera} lacks path or newname`);
    }
    if (opera === 'rename') {
      if (dest !== undefined) world.refuse(2, 'an item of rename has a dest');
      return { path: wellFormed(world, path), dest: parentPath(path), newname, ondup };
    }
    if (typeof dest !== 'string') return world.refuse(2, `an item of ${opera} lacks dest`);
    const itemOndup = own === undefined ? ondup : ondupOf(world, typeof own === 'string' ? own : '');
    return { path: wellFormed(world, path), dest: wellFormed(world, dest), newname, ondup: itemOndup };
  });
}

function wellFormed(world: World, path: string): string {
  return isWellFormed(path) ? path : world.refuse(2, `the path ${path} is malformed`);
}

function ondupOf(world: World, text: string | null): Ondup {
  const ondup = ONDUPS.find((name) => name === (text ?? 'fail'));
  return ondup ?? world.refuse(2, `ondup=${text} does not exist`);
}

export function parseArray(text: string): unknown[] | null {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

interface Work {
  readonly user: User;
  readonly opera: Opera;
  readonly item: Item;
  readonly synchronous: boolean;
}

/** Does one item; answers its error number. */
function perform(world: World, work: Work): number {
  const { user, opera, item } = work;
  const source = world.find(user, item.path);
  // A copy may read from anywhere.
  const written = opera === 'copy' ? [item.dest] : opera === 'delete' ? [item.path] : [item.path, item.dest];
  const outside = writeRefusal(world, written);
  if (outside !== 0) return outside;
  if (!source) return -9;
  if (source.parent === null) return -7;
  if (opera === 'delete') {
    recycle(world, user, source);
    return 0;
  }
  const target = world.find(user, item.dest);
  if (!target || !isDirectory(target)) return -9;
  if (!isNameAllowed(item.newname)) return -7;
  if (opera !== 'rename' && isWithin(item.dest, item.path)) return 2;
  return place(world, source, { ...work, target });
}

function place(world: World, source: Entry, work: Work & { readonly target: Entry }): number {
  const { user, opera, item, target } = work;
  const taken = target.children?.get(item.newname);
  let name = item.newname;
  if (taken) {
    if (item.ondup === 'skip') return 0;
    if (item.ondup === 'newcopy') name = freeName(target, name);
    else if (item.ondup === 'fail' || taken === source) return world.settings.takenErrno;
    else if (opera === 'move' && work.synchronous && world.settings.syncMoveOverwriteFails) return -8;
  }
  if (opera !== 'copy') {
    attach(source, target, name);
    source.serverMtime = world.now;
    return 0;
  }
  const added = [source, ...below(source)].reduce((sum, entry) => sum + sizeOf(entry), 0);
  if (world.usedBytes(user) + added > user.totalBytes) return -10;
  attach(copyOf(world, source), target, name);
  return 0;
}

/** A copy with ids of its own. */
export function copyOf(world: World, source: Entry): Entry {
  const { localCtime, localMtime, media } = source;
  const copy = world.newEntry(source.name, source.content, { ...media, localCtime, localMtime });
  for (const child of source.children?.values() ?? []) attach(copyOf(world, child), copy, child.name);
  return copy;
}

/** Moves an entry with all below it to the recycle bin. */
export function recycle(world: World, user: User, entry: Entry): void {
  user.recycled.push({ entry, path: pathOf(entry), deletedAt: world.now });
  detach(entry);
}

/** The item's number when one of the paths may not be written, or 0. */
function writeRefusal(world: World, paths: readonly string[]): number {
  if (paths.every((path) => isWritable(world, path))) return 0;
  if (world.settings.scopeErrors === 'classic') return -7;
  throw new Refusal(20020, 'path is outside of the app directory', { status: world.settings.gatewayStatus });
}

/** True when the application may change what is at this path. */
export const isWritable = (world: World, path: string): boolean =>
  world.settings.scope === 'open' || isWithin(path, world.settings.appRoot);
