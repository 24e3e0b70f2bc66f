import type { Call, Endpoint, Success } from './wire.ts';
import { number, Refusal } from './wire.ts';
import type { Entry, User, World } from './world.ts';
import { above, below, extensionOf, isFolder } from './world.ts';

const PAGE_MAX = 1150;
const SEARCH_MAX = 10_000;

/** By the number of a kind: documents, pictures, music, films, archives, applications, books. */
const TYPES: readonly string[] = [
  '',
  'doc docx xls xlsx ppt pptx pdf txt md csv rtf odt json html',
  'jpg jpeg png gif bmp webp heic tiff svg',
  'mp3 flac wav aac ogg m4a ape wma',
  'mp4 mkv avi mov wmv flv ts webm m4v rmvb',
  'zip rar 7z tar gz',
  'exe apk msi dmg ipa deb',
  'epub mobi azw3 fb2',
];

const hasType = (entry: Entry, type: number): boolean =>
  !isFolder(entry) && (TYPES[type] ?? '').split(' ').includes(extensionOf(entry.name));

/** Folders of one entry above it, as both forms of a chain tell them: the ids as numbers. */
const chainOf = (entries: readonly Entry[]) =>
  entries.map((folder) => ({
    name: folder.name,
    aid: 1,
    cid: number(folder.id),
    pid: number(folder.parent?.id ?? '0'),
    isp: 0,
    p_cid: '',
    fv: '',
  }));

export const depthSize = (entry: Entry): number =>
  isFolder(entry)
    ? [...below(entry)].reduce((sum, one) => sum + (one.content?.size ?? 0), 0)
    : (entry.content?.size ?? 0);

export function fileEndpoints(world: World): Endpoint[] {
  const api = { role: 'api', auth: 'token' } as const;
  return [
    {
      ...api,
      name: 'list',
      verbs: ['GET'],
      path: '/open/ufile/files',
      query:
        'cid limit:int offset:int type:int suffix asc:flag o custom_order:int stdir:flag star:flag cur:flag show_dir:flag nf:flag',
      handle: (call, user) => list(world, call, user),
    },
    {
      ...api,
      name: 'info',
      verbs: ['GET'],
      path: '/open/folder/get_info',
      query: 'file_id path',
      handle: ({ query }, user) => info(world, user, query),
    },
    {
      ...api,
      name: 'info',
      verbs: ['POST'],
      path: '/open/folder/get_info',
      form: 'file_id path',
      handle: ({ form }, user) => info(world, user, form),
    },
    {
      ...api,
      name: 'search',
      verbs: ['GET'],
      path: '/open/ufile/search',
      query: 'search_value! limit:int! offset:int! cid file_label gte_day lte_day fc:int type:int suffix',
      handle: (call, user) => search(world, call, user),
    },
  ];
}

function list(world: World, { query }: Call, user: User): Success {
  const limit = Number(query.get('limit') ?? 20);
  const offset = Number(query.get('offset') ?? 0);
  // A page that is too large looks like too many requests.
  if (limit > PAGE_MAX || limit < 1) {
    world.violate(`a page of ${limit} entries was asked for`);
    throw new Refusal(0, '');
  }
  const cid = query.get('cid') ?? '0';
  const asked = world.entry(user, cid);
  // What is not there, or too new, lists the root, and says so by its id only.
  const isListed = (entry: Entry): boolean => world.nowMs >= entry.listedAtMs;
  const folder = asked && isFolder(asked) && isListed(asked) ? asked : user.root;
  const entries = sorted(selected(folder, query).filter(isListed), query, world);
  const shown = entries.slice(offset, offset + limit);
  return {
    data: shown.map(itemOf),
    beside: {
      count: entries.length,
      sys_count: 0,
      offset,
      limit: String(limit),
      aid: 1,
      cid: number(folder.id),
      is_asc: Number(query.get('asc') ?? 0),
      star: 0,
      type: Number(query.get('type') ?? 0),
      cur: Number(query.get('cur') ?? 0),
      order: query.get('o') ?? '',
      path: chainOf([...above(folder), folder]),
    },
  };
}

/** Without folders, the files of those below are in it too, unless only what is directly there is wanted. */
function selected(folder: Entry, query: URLSearchParams): Entry[] {
  const showFolders = query.get('show_dir') === '1';
  const isDirect = showFolders || query.get('cur') === '1';
  const all = isDirect ? [...(folder.children ?? [])] : [...below(folder)];
  const suffix = query.get('suffix');
  const type = Number(query.get('type') ?? 0);
  return all.filter((entry) => {
    if (isFolder(entry)) return showFolders;
    if (query.get('nf') === '1') return false;
    if (query.get('star') === '1' && !entry.starred) return false;
    if (suffix !== null) return extensionOf(entry.name) === suffix.toLowerCase();
    return type === 0 || hasType(entry, type);
  });
}

/** Without `custom_order` the account's own order counts, and what was asked for does not: newest first here. */
function sorted(entries: readonly Entry[], query: URLSearchParams, world: World): Entry[] {
  const custom = Number(query.get('custom_order') ?? 0);
  if (custom === 0 && query.has('o')) world.violate('an order was asked for without custom_order');
  const key = custom === 0 ? 'user_utime' : (query.get('o') ?? 'user_utime');
  const direction = custom === 0 || query.get('asc') !== '1' ? -1 : 1;
  const value = (entry: Entry): string | number =>
    key === 'file_name'
      ? entry.name.normalize('NFC').toLowerCase()
      : key === 'file_size'
        ? (entry.content?.size ?? 0)
        : key === 'file_type'
          ? extensionOf(entry.name)
          : entry.modifiedAt;
  const compare = (a: Entry, b: Entry): number => {
    const [left, right] = [value(a), value(b)];
    return (left < right ? -1 : left > right ? 1 : 0) * direction;
  };
  const pinned = (entry: Entry): number => (custom !== 2 && isFolder(entry) ? 0 : 1);
  return entries.toSorted((a, b) => pinned(a) - pinned(b) || compare(a, b));
}

export function itemOf(entry: Entry) {
  const { media } = entry;
  return {
    fid: entry.id,
    aid: '1',
    pid: entry.parent?.id ?? '0',
    fc: isFolder(entry) ? '0' : '1',
    fn: entry.name,
    fco: '',
    ism: entry.starred ? '1' : '0',
    isp: 0,
    pc: entry.pickCode,
    upt: entry.modifiedAt,
    uet: entry.modifiedAt,
    uppt: entry.createdAt,
    cm: 0,
    fdesc: '',
    ispl: 1,
    fl: [],
    sha1: entry.content?.sha1 ?? '',
    fs: entry.content?.size ?? 0,
    fta: '1',
    ico: extensionOf(entry.name),
    isv: media.transcoded === undefined ? 0 : 1,
    // A float, or -1 while it is computed.
    play_long: media.durationSeconds ?? -1,
    thumb: '',
  };
}

function info(world: World, user: User, fields: URLSearchParams): Success {
  const id = fields.get('file_id');
  const path = fields.get('path');
  if ((id === null) === (path === null)) world.refuse(990002, 'get_info wants an id or a path, and one of them');
  if (path !== null && !/^[/>]/.test(path)) world.refuse(990002, 'a path begins with its separator');
  const entry =
    id !== null
      ? id === '0'
        ? world.refuse(990002, 'get_info was asked for the root')
        : world.entry(user, id)
      : world.find(user, (path ?? '').replaceAll(path?.[0] ?? '/', '/'));
  const isVisible = entry && entry.id !== '0' && world.nowMs >= entry.visibleAtMs;
  if (!isVisible) {
    if (world.settings.missingInfo === 'empty') return { data: [] };
    throw new Refusal(430004, '文件（夹）不存在或已删除');
  }
  const files = [...below(entry)];
  const facts = {
    count: String(files.filter((one) => !isFolder(one)).length),
    size: `${depthSize(entry)}B`,
    size_byte: depthSize(entry),
    folder_count: files.filter(isFolder).length,
    play_long: entry.media.durationSeconds ?? -1,
    show_play_long: 1,
    ptime: String(entry.createdAt),
    utime: String(entry.modifiedAt),
    file_name: entry.name,
    pick_code: entry.pickCode,
    sha1: entry.content?.sha1 ?? '',
    file_id: entry.id,
    is_mark: entry.starred ? '1' : '0',
    open_time: 0,
    file_category: isFolder(entry) ? '0' : '1',
    paths: above(entry).map((folder) => ({ file_id: number(folder.id), file_name: folder.name })),
  };
  return { data: world.settings.infoAsList ? [facts] : facts };
}

function search(world: World, { query }: Call, user: User): Success {
  const limit = Number(query.get('limit'));
  const offset = Number(query.get('offset'));
  if (offset + limit > SEARCH_MAX) world.refuse(990002, 'a search beyond 10000 hits');
  const folder = world.entry(user, query.get('cid') ?? '0');
  const wanted = (query.get('search_value') ?? '').normalize('NFC').toLowerCase();
  const fc = query.get('fc');
  const hits = [...(folder ? below(folder) : [])].filter(
    (entry) =>
      (entry.name.normalize('NFC').toLowerCase().includes(wanted) || entry.content?.sha1.toLowerCase() === wanted) &&
      (fc === null || isFolder(entry) === (fc === '1')) &&
      world.nowMs >= entry.createdAt * 1000 + world.settings.searchLagMs,
  );
  const shown = hits.slice(offset, offset + limit);
  return {
    // An estimate, often too high.
    beside: { count: hits.length === 0 ? 0 : hits.length + 3, limit, offset },
    data: shown.map((entry) => ({
      file_id: entry.id,
      user_id: user.id,
      parent_id: entry.parent?.id ?? '0',
      pick_code: entry.pickCode,
      file_name: entry.name,
      user_ptime: String(entry.createdAt),
      user_utime: String(entry.modifiedAt),
      area_id: '1',
      is_private: 0,
      file_category: isFolder(entry) ? '0' : '1',
      ...(isFolder(entry)
        ? {}
        : { sha1: entry.content?.sha1, file_size: String(entry.content?.size), ico: extensionOf(entry.name) }),
    })),
  };
}
